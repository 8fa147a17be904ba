"""Which format a file is, by its first bytes: the only table of signatures. Names and content types are not asked.

ISO base media files (HEIC, AVIF, MP4, MOV) share one signature and are told apart by their brands, the major one and
the compatible ones, since a HEIC may call itself `mif1` and list `heic` behind it.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

HEAD: Final = 4096  # bytes that are enough for every signature


class Kind(NamedTuple):
    """A format: our name, its content type, whether it is a video, and Pillow's or FFmpeg's name for it."""

    name: str
    content_type: str
    is_video: bool
    reader: str


JPEG: Final = Kind("JPEG", "image/jpeg", False, "JPEG")
PNG: Final = Kind("PNG", "image/png", False, "PNG")
WEBP: Final = Kind("WebP", "image/webp", False, "WEBP")
GIF: Final = Kind("GIF", "image/gif", False, "GIF")
HEIC: Final = Kind("HEIC", "image/heic", False, "HEIF")
AVIF: Final = Kind("AVIF", "image/avif", False, "AVIF")
TIFF: Final = Kind("TIFF", "image/tiff", False, "TIFF")
BMP: Final = Kind("BMP", "image/bmp", False, "BMP")
MP4: Final = Kind("MP4", "video/mp4", True, "mov")
MOV: Final = Kind("MOV", "video/quicktime", True, "mov")
WEBM: Final = Kind("WebM", "video/webm", True, "matroska")  # any Matroska file: `containers` refuses the others

_STARTS: Final = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),  # BigTIFF
    (b"MM\0+", TIFF),
    (b"\x1a\x45\xdf\xa3", WEBM),
)
_BMP_HEADERS: Final = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes of the header that follows a bitmap's first 14
_FIRST_BOXES: Final = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}  # of QuickTime files older than `ftyp`
_AVIF: Final = {b"avif", b"avis", b"MA1A", b"MA1B"}
_HEIC: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF: Final = {b"mif1", b"mif2", b"msf1", b"miaf"}  # a HEIF file of either coding
_MOVIES: Final = {b"isom", b"mp41", b"mp42", b"avc1", b"M4V ", b"M4VH", b"M4VP", b"qt  ", b"dash", b"cmfc", b"MSNV"}


def named(name: str) -> Kind:
    """The format that we call so."""
    return next(found for found in (JPEG, PNG, WEBP, GIF, HEIC, AVIF, TIFF, BMP, MP4, MOV, WEBM) if found.name == name)


def kind(head: bytes) -> Kind | None:
    """The format of a file with these first bytes, of which `HEAD` are enough; None where it is none of ours."""
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head.startswith(b"RIFF"):
        return WEBP if head[8:12] == b"WEBP" else None  # others are AVI and WAV
    if head.startswith(b"BM"):
        return BMP if int.from_bytes(head[14:18], "little") in _BMP_HEADERS else None
    if head[4:8] in _FIRST_BOXES:
        return MOV
    return _of_brands(head) if head[4:8] == b"ftyp" else None


def brands(head: bytes) -> list[bytes]:
    """The brands of a file that begins with `ftyp`: the major one, then the compatible ones."""
    end = min(int.from_bytes(head[:4]) or len(head), len(head), HEAD)
    return [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]


def rebranded(content: bytes, found: Kind) -> bytes:
    """A HEIC or AVIF file under the major brand that its decoder wants to see; the same bytes where it is that."""
    brand = {HEIC: b"heic", AVIF: b"avif"}.get(found)
    major = content[8:12]
    if brand is None or major in ((_AVIF - {b"MA1A", b"MA1B"}) if found == AVIF else _HEIC):
        return content
    return content[:8] + brand + content[12:]


def _of_brands(head: bytes) -> Kind | None:
    major, *others = brands(head)
    if major in _AVIF:
        return AVIF
    if major == b"qt  ":
        return MOV
    pictured = next(_pictures(head, others), None)
    if major in _HEIC | _HEIF:
        # The coding that the file lists decides; a HEIC's own brand may stand on a file that holds AV1 alone.
        return AVIF if pictured == AVIF and not _HEIC & set(others) else HEIC
    is_movie = (major in _MOVIES or major.startswith((b"iso", b"3gp", b"3g2", b"mp4"))) and _has_no_meta(head)
    if pictured is None or is_movie:
        return MP4
    return pictured


def _pictures(head: bytes, others: list[bytes]) -> Iterator[Kind]:
    for brand in others:
        if brand in _AVIF:
            yield AVIF
        if brand in _HEIC:
            yield HEIC
    if _HEIF & {head[8:12], *others}:
        yield AVIF if b"av01" in head and b"hvc1" not in head else HEIC  # its items are named near the beginning


def _has_no_meta(head: bytes) -> bool:
    """Whether the box behind `ftyp` is not the `meta` that pictures begin with."""
    end = int.from_bytes(head[:4])
    return head[end + 4 : end + 8] != b"meta"
