"""A moderator who uses the dashboard over HTTP, as a browser without JavaScript would: for the demo and for tests."""

import re
from types import TracebackType
from typing import Self

import httpx

from moderation.errors import BadCredentials, UnmaskError

_APPEALS = re.compile(r'name="appeals" value="(\d+)"')
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Visitor:
    """A browser session at ``address``."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=address, follow_redirects=True, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def log_in(self, email: str, password: str) -> None:
        """Begins a session.

        Raises:
            BadCredentials: when the dashboard does not let us in.
        """
        page = self._press("/login", "/login", email=email, password=password)
        if page.url.path == "/login":
            raise BadCredentials("the dashboard does not know this address and password")

    def claim_next(self) -> str | None:
        """Claims the best free flag; returns its id, or None when there is none."""
        page = self._press("/queue", "/queue/next")
        return page.url.path.removeprefix("/flags/") if page.url.path.startswith("/flags/") else None

    def decide(self, flag_id: str, answer: str, note: str = "") -> None:
        """Answers a flag that we have claimed: `fake`, `real` or `unsure`."""
        page = self._http.get(f"/flags/{flag_id}").text
        seen = _APPEALS.search(page)
        fields = {"answer": answer, "note": note, "appeals": seen[1] if seen else "0"}
        self._press(f"/flags/{flag_id}", f"/flags/{flag_id}/decision", **fields)

    def _press(self, on: str, action: str, **fields: str) -> httpx.Response:
        """Reads the page ``on`` for its token and sends a form from there."""
        page = self._http.get(on)
        token = _TOKEN.search(page.text)
        if page.is_error or token is None:
            raise UnmaskError(f"{page.url.path} answered {page.status_code} without a form")
        sent = self._http.post(action, data={"csrf_token": token[1], **fields}, headers={"Referer": str(page.url)})
        if sent.is_error:
            raise UnmaskError(f"{action} answered {sent.status_code}")
        return sent
