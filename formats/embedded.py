"""The clip behind a motion photo: an MP4 that phones append to a JPEG, or put into a box of a HEIC.

It is found by its own first bytes, since each maker writes down in another way where it begins. Nothing is told of what
lies in it: whoever decodes it finds out.
"""

from typing import Final

from formats import signatures
from formats.signatures import Kind

_HOLDERS: Final = {signatures.JPEG, signatures.HEIC, signatures.AVIF}
_TRIES: Final = 10_000  # places where the word stands
_LONGEST: Final = 1_024  # bytes of an `ftyp` box


def clip(content: bytes, kind: Kind) -> bytes | None:
    """The bytes from the beginning of an embedded clip on; None where the file, which is of this kind, has none."""
    if kind not in _HOLDERS:
        return None
    at = 16  # a HEIC's own `ftyp` lies before
    for _ in range(_TRIES):
        at = content.find(b"ftyp", at)
        if at < 0:
            return None
        start = at - 4
        if 16 <= int.from_bytes(content[start:at]) <= _LONGEST:
            found = signatures.kind(content[start : start + signatures.HEAD])
            if found is not None and found.is_video:
                return content[start:]
        at += 4
    return None
