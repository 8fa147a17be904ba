"""What can be said of uploaded bytes without decoding a pixel: format, dimensions, frames, seconds, SHA-256.

The bytes are asked, never the file name or the declared content type. A file that is refused here never reaches a
worker; a file that is torn further in passes, and fails at decoding with a reason.
"""

import hashlib
import io
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import pillow_heif
from PIL import Image

from formats import complexity, containers, heifs, orientation, pngs, signatures, tiffs
from formats.complexity import Bounds, TooComplex
from formats.containers import Movie, NoVideo, TooManyTracks, Torn
from formats.signatures import Kind
from moderation.errors import BadMedia

pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = None  # `inspect` applies a stricter limit of its own, and as an error rather than a warning

_ANIMATED: Final = {"WEBP", "AVIF"}  # whose header says how many frames there are
_COPY: Final = 1 << 20
VIDEO_PIXELS: Final = 36_000_000  # 7680 x 4320 is 33 million
VIDEO_SECONDS: Final = 600.0
COMPLEXITY: Final = Bounds()
PROGRESSIVE_PIXELS: Final = 125_000_000  # of a JPEG whose decoder must hold all of it


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one file: SHA-256 in hexadecimal, size in bytes, format, and what is shown of it: width and height in pixels,
    upright and with square pixels, and the number of frames.

    Of a video, those of the track that players take first. ``frames`` is 0 and ``seconds`` None where its header does
    not say.
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
    max_jpeg_pixels: int | None = None,
    max_video_pixels: int = VIDEO_PIXELS,
    max_seconds: float = VIDEO_SECONDS,
    bounds: Bounds = COMPLEXITY,
) -> Facts:
    """Reads a seekable file's headers and digest. A JPEG may have ``max_jpeg_pixels``, since workers can decode it at a
    smaller size, or ``max_pixels`` where that is None.

    Raises:
        BadMedia: with slug `empty-file`, `unsupported-media-type`, `torn-file`, `too-complex`, `too-many-pixels`,
            `too-many-frames`, `too-many-tracks`, `too-much-metadata` or `too-long`.
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
        return _movie_facts(sha256, size, movie, max_video_pixels, max_seconds)
    kind, head = _kind(file)
    width, height, frames, is_progressive = _png(file) if kind == signatures.PNG else _header(file, kind, head)
    most = max_jpeg_pixels if kind == signatures.JPEG and max_jpeg_pixels else max_pixels
    most = min(most, max(max_pixels, PROGRESSIVE_PIXELS)) if is_progressive else most
    if width * height > most:
        raise BadMedia("too-many-pixels", f"{width} x {height} is more than {most} pixels")
    frames = _gif_frames(file, max_frames) if kind == signatures.GIF else frames
    if frames > max_frames:
        raise BadMedia("too-many-frames", f"the file has more than {max_frames} frames")
    return Facts(sha256, size, kind.name, kind.content_type, width, height, frames)


def _movie(file: BinaryIO) -> Movie | None:
    try:
        return containers.read(file)
    except Torn as error:
        raise BadMedia("torn-file", f"the file begins like a video but its header cannot be read: {error}") from error
    except NoVideo as error:
        raise BadMedia("unsupported-media-type", str(error)) from error
    except TooManyTracks as error:
        raise BadMedia("too-many-tracks", str(error)) from error


def _movie_facts(sha256: str, size: int, movie: Movie, max_pixels: int, max_seconds: float) -> Facts:
    for track in movie.tracks:
        if track.width * track.height > max_pixels:
            raise BadMedia(
                "too-many-pixels", f"{track.width} x {track.height} is more than {max_pixels} pixels for a video"
            )
    if movie.seconds is not None and movie.seconds > max_seconds:
        raise BadMedia("too-long", f"{movie.seconds:.0f} seconds are more than {max_seconds:.0f}")
    first = movie.tracks[0]
    frames = first.frames if first.frames and first.frames <= size else 0  # no frame takes less than a byte
    kind = signatures.named(movie.format)
    return Facts(sha256, size, kind.name, kind.content_type, *first.shown, frames, movie.seconds)


def _digest(file: BinaryIO) -> tuple[str, int]:
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(_COPY):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _kind(file: BinaryIO) -> tuple[Kind, bytes]:
    """What the file is, and its first bytes."""
    file.seek(0)
    head = file.read(signatures.HEAD)
    found = signatures.kind(head)
    if found is None:
        raise BadMedia("unsupported-media-type", "the file is neither an image nor a video in an accepted format")
    return found, head


def _png(file: BinaryIO) -> tuple[int, int, int, bool]:
    try:
        found = pngs.read(file)
    except pngs.Torn as error:
        raise BadMedia("torn-file", f"the file begins like a PNG but its header cannot be read: {error}") from error
    except pngs.TooMuchMetadata as error:
        raise BadMedia("too-much-metadata", str(error)) from error
    return *orientation.shown(found.width, found.height, found.turned), found.frames, False


def _header(file: BinaryIO, kind: Kind, head: bytes) -> tuple[int, int, int, bool]:
    """Returns width and height as shown, declared frames, and whether it is a progressive JPEG."""
    if kind == signatures.TIFF and (preview := _preview(file)) is not None:
        return *orientation.shown(preview.width, preview.height, preview.turned), 1, False
    file.seek(0)
    # decoders of HEIC and AVIF read the whole file anyway
    source = file if signatures.rebranded(head, kind) == head else io.BytesIO(signatures.rebranded(file.read(), kind))
    source.seek(0)
    try:
        image: Any = Image.open(source, formats=[kind.reader])
        frames = int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
        crop = heifs.crop(source) if kind == signatures.AVIF else None
        width, height = crop[2:] if crop else image.size
        turned = orientation.PLAIN if kind == signatures.TIFF else _orientation(image)  # Pillow turns a TIFF's size
    except Exception as error:  # a hostile header makes parsers raise nearly anything; all of it is a refusal
        raise BadMedia("torn-file", "the file begins like an image but its header cannot be read") from error
    if width < 1 or height < 1:
        raise BadMedia("torn-file", "the image has no size")
    return *orientation.shown(width, height, turned), frames, bool(image.info.get("progressive"))


def _preview(file: BinaryIO) -> tiffs.Picture | None:
    try:
        return tiffs.hidden(file)
    except tiffs.NoPreview as error:
        raise BadMedia("unsupported-media-type", str(error)) from error
    except Exception:  # noqa: BLE001 - a directory that cannot be read: Pillow says what is wrong with it
        return None


def _orientation(image: Any) -> object:
    try:
        return image.getexif().get(orientation.EXIF_TAG, orientation.PLAIN)
    except Exception:  # noqa: BLE001 - broken EXIF says nothing of orientation, and nothing against the pixels
        return orientation.PLAIN


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
