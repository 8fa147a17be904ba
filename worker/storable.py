"""Text of strangers' files, made fit for the ledger and for JSON: short, on one line, of characters that can be kept.

PostgreSQL stores neither NUL nor half a surrogate pair; control characters have no business in a label.
"""


def storable(text: str, longest: int) -> str:
    """Returns ``text`` without control characters and lone surrogates, blanks joined, at most ``longest`` long."""
    kept = "".join(" " if not sign.isprintable() else sign for sign in text[: longest * 4])
    return " ".join(kept.split())[:longest]
