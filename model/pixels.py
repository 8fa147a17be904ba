"""From a file's bytes to upright RGB pixels, whatever the format, mode or orientation they were stored in.

It refuses what is empty, torn, too large, or no image, each with its own error; video is read by `videos`. Metadata
never leaves this module: what the detector sees is pixels alone.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pillow_heif
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from model import compression, durations
from model.errors import BadImage, EmptyFile, TooManyPixels, TornFile, UnsupportedMedia

pillow_heif.register_heif_opener()

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "TIFF", "BMP")
# Of a HEIF or MPO file (a JPEG with more behind it) only the first picture is shown: the others are previews, depth
# maps and gain maps.
SEQUENCES = {"GIF", "WEBP", "PNG", "AVIF", "TIFF"}
MOST_FRAMES = 32
MAX_PIXELS = 100_000_000
ANIMATION_ALLOWANCE = 10  # all frames together may hold this many times the limit of one
# Decoders raise whatever their parsers stumble over; each of these is the file's fault, not ours. A warning is one
# too, where a program has made errors of them.
FAULTS = (OSError, ValueError, SyntaxError, LookupError, TypeError, EOFError, RuntimeError, struct.error, Warning)
_TORN_WORDS = ("truncat", "broken data stream", "broken png", "unexpected end", "end of file", "incomplete")
_MAGIC = {0: (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"BM"), 8: (b"WEBP",)}
_ORIENTATION = 0x0112
_TURNED: dict[object, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}
BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"avif", b"avis")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a file: its place in the sequence, its pixels, uint8 (height, width, 3), upright RGB; of a JPEG
    its quality, 1 to 100, as `compression.quality` reads it; of a clip the seconds from the beginning at which it is
    shown.
    """

    index: int
    pixels: NDArray[np.uint8]
    jpeg_quality: int | None = None
    time: float | None = None


def decode(content: bytes, max_pixels: int = MAX_PIXELS, most_frames: int = MOST_FRAMES) -> Iterator[Frame]:
    """One frame of a still image, at most `most_frames` of an animation, at even distances in the time that it takes;
    each is decoded when it is asked for, so that a long animation never lies in memory whole.

    Raises EmptyFile, UnsupportedMedia, TooManyPixels (before any pixel is decoded), TornFile, or BadImage.
    """
    if not content:
        raise EmptyFile
    with _opened(content, max_pixels) as image:
        try:
            yield from _frames(image, content, max_pixels, most_frames)
        except BadImage:
            raise
        except FAULTS as error:
            raise _explained(content, error) from error
        except (Image.DecompressionBombError, MemoryError) as error:
            raise TooManyPixels(str(error) or None) from error


def _opened(content: bytes, max_pixels: int) -> ImageFile.ImageFile:
    # Pillow refuses at twice its own process-wide limit, which must not be below the caller's.
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(str(error)) from error
    except (OSError, ValueError, RuntimeError, Warning) as error:  # Pillow itself catches what else headers cause
        if not _known(content):
            raise UnsupportedMedia from error
        raise _explained(content, error) from error


def _frames(image: ImageFile.ImageFile, content: bytes, max_pixels: int, most: int) -> Iterator[Frame]:
    _check(image, max_pixels)
    if image.format in {"JPEG", "MPO"}:
        quality = compression.quality(getattr(image, "quantization", {}))
        seen = _fast(image, content)
        yield Frame(0, upright(image) if seen is None else seen, quality)
        return
    count = getattr(image, "n_frames", 1) if image.format in SEQUENCES else 1
    if count * image.width * image.height > ANIMATION_ALLOWANCE * max_pixels:
        raise TooManyPixels(f"{count} frames of {image.width} x {image.height} are more than is decoded")
    if count == 1 or image.format == "TIFF":  # whose pages are shown at no time
        for index in np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist():
            if count > 1:
                image.seek(index)
                _check(image, max_pixels)
            yield Frame(index, upright(image))
        return
    ends = np.cumsum(durations.seconds(content, str(image.format), count))
    for index in _shown(ends, most):
        image.seek(index)
        _check(image, max_pixels)
        yield Frame(index, upright(image), time=round(float(ends[index - 1]), 3) if index else 0.0)


def _shown(ends: NDArray[np.float64], most: int) -> list[int]:
    """Which frames to look at, ascending, where frame i is shown until `ends[i]` seconds: all of a few, else those that
    are shown in the middle of each of `most` equal parts of the time.
    """
    if len(ends) <= most:
        return list(range(len(ends)))
    middles = (np.arange(most) + 0.5) * ends[-1] / most
    return [int(index) for index in np.unique(np.searchsorted(ends, middles, side="right"))]


def _check(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise TooManyPixels(f"{image.width} x {image.height} pixels exceed the limit of {max_pixels}")


def _fast(image: ImageFile.ImageFile, content: bytes) -> NDArray[np.uint8] | None:
    """As `upright`, in two thirds of the time and to the last bit; None for JPEGs that are unusual in any way, which
    Pillow then reads or explains.
    """
    if image.mode not in {"RGB", "L"}:
        return None
    try:
        turn = image.getexif().get(_ORIENTATION, 1)
        seen = simplejpeg.decode_jpeg(content, "RGB", fastdct=False, fastupsample=False, strict=True)
    except (*FAULTS, ZeroDivisionError, MemoryError):
        return None
    if seen.shape[:2] != (image.height, image.width):
        return None
    return np.ascontiguousarray(_TURNED[turn](seen)) if turn in _TURNED else np.asarray(seen, np.uint8)


def upright(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): RGB, rotated as EXIF says, transparency laid over white, deep greys scaled to 8 bit."""
    image.load()
    try:
        turned = ImageOps.exif_transpose(image)
    except (*FAULTS, ZeroDivisionError):
        turned = image  # a broken EXIF block says nothing about orientation, and nothing against the pixels
    if turned.mode.startswith("I") or turned.mode == "F":
        turned = Image.fromarray(_eight_bit(np.asarray(turned)))
    if turned.has_transparency_data:
        turned = turned.convert("RGBA")
        turned = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned)
    return np.array(turned.convert("RGB"))


def _eight_bit(deep: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Greys of any depth as uint8: floats span 0..1 unless they exceed it, integers 8 or 16 bits, wider if they do."""
    values = np.nan_to_num(deep.astype(np.float64))
    highest = float(values.max(initial=0.0))
    spans = (1.0, 255.0, 65535.0) if deep.dtype.kind == "f" else (65535.0,) if deep.itemsize == 2 else (255.0, 65535.0)
    span = next((span for span in spans if highest <= span), highest)
    return np.clip(values * (255.0 / span), 0, 255).round().astype(np.uint8)


def _known(content: bytes) -> bool:
    named = any(content[at:].startswith(magic) for at, magics in _MAGIC.items() for magic in magics)
    return named or (content[4:8] == b"ftyp" and content[8:12] in BRANDS)


def _explained(content: bytes, error: Exception) -> BadImage:
    words = "" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
    torn = isinstance(error, EOFError) or any(word in words.lower() for word in _TORN_WORDS)
    return (TornFile if torn or _shorter_than_it_says(content) else BadImage)(words or None)


def _shorter_than_it_says(content: bytes) -> bool:
    """Whether a RIFF (WebP) or ISO (HEIF, AVIF) container claims more bytes than there are."""
    if content[:4] == b"RIFF":
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    if content[4:8] != b"ftyp":
        return False
    position = 0
    while position + 8 <= len(content):
        position += max(8, int.from_bytes(content[position : position + 4]))
    return position > len(content)
