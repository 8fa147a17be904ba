"""Headers that every answer carries: nothing here loads from elsewhere, is framed, or is guessed to be another type."""

from flask import Flask, Response

POLICY = (
    "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; form-action 'self'; "
    "script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
)
ALWAYS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def _add(response: Response) -> Response:
    for name, value in ALWAYS.items():
        response.headers.setdefault(name, value)
    return response


def register(app: Flask) -> None:
    """Adds the headers to all answers of ``app``; a view that has set one of them keeps its own."""
    app.after_request(_add)
