"""What the header of a video says, read without decoding: MP4 and MOV (ISO 14496-12 boxes) and WebM (EBML).

The API has no decoder, and wants none near a stranger's bytes. This reads box by box from a seekable file, never more
than a few hundred bytes of each, and gives up on a header that is nested, long or odd beyond reason. What a header does
not say stays unknown; what it says may be a lie, which the worker finds out. Images that share the container (HEIC,
AVIF) are not told of here.
"""

from typing import BinaryIO, Final

from moderation.containers import boxes, elements
from moderation.containers.parts import Movie, NoVideo, Reader, Torn

__all__ = ["Movie", "NoVideo", "Torn", "begins", "read"]

IMAGES: Final = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 msf1 avif avis".split())
_FIRST: Final = {b"moov", b"mdat", b"wide", b"free", b"skip"}  # of QuickTime files older than `ftyp`


def begins(head: bytes) -> str | None:
    """`iso` or `ebml` when a file with these first bytes (12 will do) is a video's container, None otherwise."""
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "ebml"
    kind = head[4:8]
    return "iso" if kind in _FIRST or (kind == b"ftyp" and head[8:12] not in IMAGES) else None


def read(file: BinaryIO) -> Movie | None:
    """Returns what the header says; None when the file does not begin like a video.

    Raises:
        Torn: when it does, and its header cannot be read.
        NoVideo: when it holds sound alone, or is a Matroska file that is no WebM.
    """
    file.seek(0)
    kind = begins(file.read(12))
    if kind is None:
        return None
    reader = Reader(file)
    found = boxes.movie(reader) if kind == "iso" else elements.movie(reader)
    if found.width < 1 or found.height < 1:
        raise NoVideo("the file holds no video")
    return found
