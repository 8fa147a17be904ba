"""What can be said of uploaded bytes without decoding a pixel: format, dimensions, frames, seconds, SHA-256.

The bytes are asked, never the file name or the declared content type. A file that is refused here never reaches a
worker; a file that is torn further in passes, and fails at decoding with a reason.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, NamedTuple

import pillow_heif
from PIL import Image

from formats import complexity
from formats.complexity import Bounds, TooComplex
from moderation import containers
from moderation.containers import Movie, NoVideo, Torn
from moderation.errors import BadMedia

pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # `inspect` applies a stricter limit of its own, and as an error rather than a warning


class _Format(NamedTuple):
    name: str
    content_type: str


_FORMATS: Final = {  # Pillow's name: ours
    "JPEG": _Format("JPEG", "image/jpeg"),
    "MPO": _Format("JPEG", "image/jpeg"),  # phones append a second picture to an ordinary JPEG
    "PNG": _Format("PNG", "image/png"),
    "WEBP": _Format("WebP", "image/webp"),
    "GIF": _Format("GIF", "image/gif"),
    "HEIF": _Format("HEIC", "image/heic"),
    "AVIF": _Format("AVIF", "image/avif"),
    "TIFF": _Format("TIFF", "image/tiff"),
    "BMP": _Format("BMP", "image/bmp"),
}
_VIDEOS: Final = {"MP4": "video/mp4", "MOV": "video/quicktime", "WebM": "video/webm"}
_ANIMATED: Final = {"PNG", "WEBP", "AVIF"}  # whose header says how many frames there are
_SIGNATURES: Final = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")
_COPY: Final = 1 << 20
VIDEO_PIXELS: Final = 36_000_000  # 7680 x 4320 is 33 million
VIDEO_SECONDS: Final = 600.0
COMPLEXITY: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one file: SHA-256 in hexadecimal, size in bytes, format, frame size in pixels as stored, number of frames.

    Of a video, ``frames`` is 0 and ``seconds`` None where its header does not say.
    """

    sha256: str
    bytes: int
    format: str
    content_type: str
    width: int
    height: int
    frames: int
    seconds: float | None = None


def inspect(
    file: BinaryIO,
    *,
    max_pixels: int,
    max_frames: int,
    max_video_pixels: int = VIDEO_PIXELS,
    max_seconds: float = VIDEO_SECONDS,
    bounds: Bounds = COMPLEXITY,
) -> Facts:
    """Reads a seekable file's headers and digest.

    Raises:
        BadMedia: with slug `empty-file`, `unsupported-media-type`, `torn-file`, `too-complex`, `too-many-pixels`,
            `too-many-frames` or `too-long`.
    """
    sha256, size = _digest(file)
    if not size:
        raise BadMedia("empty-file", "the file has no bytes")
    try:
        complexity.check_file(file, bounds)
    except TooComplex as error:
        raise BadMedia("too-complex", str(error)) from error
    movie = _movie(file)
    if movie is not None:
        _check_movie(movie, max_video_pixels, max_seconds)
        frames = movie.frames if movie.frames and movie.frames <= size else 0  # no frame takes less than a byte
        return Facts(
            sha256, size, movie.format, _VIDEOS[movie.format], movie.width, movie.height, frames, movie.seconds
        )
    kind, width, height, declared = _header(file)
    if width * height > max_pixels:
        raise BadMedia("too-many-pixels", f"{width} x {height} is more than {max_pixels} pixels")
    frames = _gif_frames(file, max_frames) if kind == "GIF" else declared
    if frames > max_frames:
        raise BadMedia("too-many-frames", f"the file has more than {max_frames} frames")
    name, content_type = _FORMATS[kind]
    return Facts(sha256, size, name, content_type, width, height, frames)


def _movie(file: BinaryIO) -> Movie | None:
    try:
        return containers.read(file)
    except Torn as error:
        raise BadMedia("torn-file", f"the file begins like a video but its header cannot be read: {error}") from error
    except NoVideo as error:
        raise BadMedia("unsupported-media-type", str(error)) from error


def _check_movie(movie: Movie, max_pixels: int, max_seconds: float) -> None:
    if movie.width * movie.height > max_pixels:
        raise BadMedia(
            "too-many-pixels", f"{movie.width} x {movie.height} is more than {max_pixels} pixels for a video"
        )
    if movie.seconds is not None and movie.seconds > max_seconds:
        raise BadMedia("too-long", f"{movie.seconds:.0f} seconds are more than {max_seconds:.0f}")


def _digest(file: BinaryIO) -> tuple[str, int]:
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_COPY):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _header(file: BinaryIO) -> tuple[str, int, int, int]:
    """Returns Pillow's format name, width, height and declared frames."""
    file.seek(0)
    known = file.read(16)
    file.seek(0)
    try:
        image: Any = Image.open(file, formats=[name for name in _FORMATS if name != "MPO"])  # opened as JPEG
        frames = int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
    except Exception as error:  # a hostile header makes parsers raise nearly anything; all of it is a refusal
        if known.startswith(_SIGNATURES) or known[4:8] == b"ftyp":
            raise BadMedia("torn-file", "the file begins like an image but its header cannot be read") from error
        raise BadMedia(
            "unsupported-media-type", "the file is neither an image nor a video in an accepted format"
        ) from error
    if image.width < 1 or image.height < 1:
        raise BadMedia("torn-file", "the image has no size")
    return str(image.format), image.width, image.height, frames


def _gif_frames(file: BinaryIO, most: int) -> int:
    """Counts frames by walking blocks, and stops one past ``most``: Pillow would walk, or decode, all of them."""
    file.seek(0)
    header = file.read(13)
    file.seek(13 + _palette(header[10]))
    frames = 0
    while frames <= most and (kind := file.read(1)) not in (b"", b";"):
        if kind == b",":
            descriptor = file.read(9)
            if len(descriptor) < 9:
                break
            frames += 1
            file.seek(_palette(descriptor[8]) + 1, 1)  # its palette, and the LZW code size
        elif kind == b"!":
            file.seek(1, 1)  # the extension's label
        else:
            break
        _skip_blocks(file)
    return max(frames, 1)


def _palette(flags: int) -> int:
    """Bytes of the colour table that a GIF's packed field announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(file: BinaryIO) -> None:
    while length := file.read(1):
        if length == b"\0":
            return
        file.seek(length[0], 1)
