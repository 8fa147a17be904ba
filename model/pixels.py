"""From a file's bytes to upright RGB pixels, whatever the format, mode or orientation they were stored in.

It refuses what is empty, torn, too large, or no image, each with its own error; video is read by `videos`. Metadata
never leaves this module: what the detector sees is pixels alone.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pillow_heif
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from formats.orientation import EXIF_TAG
from model import colours, compression, durations
from model.errors import BadImage, EmptyFile, TooManyPixels, TornFile
from model.readable import Readable, readable

pillow_heif.register_heif_opener()

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "TIFF", "BMP")
# Of a HEIF or MPO file (a JPEG with more behind it) only the first picture is shown: the others are previews, depth
# maps and gain maps.
SEQUENCES = {"GIF", "WEBP", "PNG", "AVIF", "TIFF"}
MOST_FRAMES = 32
MAX_PIXELS = 100_000_000
MAX_JPEG_PIXELS = 250_000_000  # photos of 108 and 200 megapixels are JPEGs, which can be decoded at a smaller size
MAX_PROGRESSIVE_PIXELS = 125_000_000  # of which libjpeg must hold everything, some 3 to 6 bytes a pixel
ANIMATION_ALLOWANCE = 10  # all frames together may hold this many times the limit of one
# Decoders raise whatever their parsers stumble over; each of these is the file's fault, not ours. A warning is one
# too, where a program has made errors of them.
FAULTS = (OSError, ValueError, SyntaxError, LookupError, TypeError, EOFError, RuntimeError, struct.error, Warning)
_TORN_WORDS = ("truncat", "broken data stream", "broken png", "unexpected end", "end of file", "incomplete")
_EOI = b"\xff\xd9"
_TURNED: dict[object, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a file: its place in the sequence, its pixels, uint8 (height, width, 3), upright RGB; of a JPEG
    its quality, 1 to 100, as `compression.quality` reads it; of a clip the seconds from the beginning at which it is
    shown; which of the file's presentations it belongs to (see `presentations`); and how many of the file's pixels, on
    a line, each of these stands for.
    """

    index: int
    pixels: NDArray[np.uint8]
    jpeg_quality: int | None = None
    time: float | None = None
    part: int = 0
    shrunk: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in the file."""
        height, width = self.pixels.shape[:2]
        return round(width * self.shrunk), round(height * self.shrunk)


def decode(
    content: bytes,
    max_pixels: int = MAX_PIXELS,
    most_frames: int = MOST_FRAMES,
    max_jpeg_pixels: int = MAX_JPEG_PIXELS,
) -> Iterator[Frame]:
    """One frame of a still image, at most `most_frames` of an animation, at even distances in the time that it takes;
    each is decoded when it is asked for, so that a long animation never lies in memory whole. A JPEG may have
    `max_jpeg_pixels`, and where it has more than `max_pixels` is decoded at a half, a quarter or an eighth of its size.

    Raises EmptyFile, UnsupportedMedia, TooMuchMetadata, TooManyPixels (before any pixel is decoded), TornFile, or
    BadImage.
    """
    if not content:
        raise EmptyFile
    source = readable(content)
    with _opened(source, max(max_pixels, max_jpeg_pixels)) as image, _explaining(source.content):
        if image.format in {"JPEG", "MPO"}:
            yield _jpeg(image, source, max_pixels, max_jpeg_pixels)
        else:
            yield from _frames(image, source, max_pixels, most_frames)


def small(content: bytes, side: int) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): the first picture of an image file as `decode` gives it, for a look at it: a JPEG is
    decoded at a half to an eighth of its size, as long as no side gets below `side`. Raises BadImage.
    """
    source = readable(content)
    with _opened(source, MAX_JPEG_PIXELS) as image, _explaining(source.content):
        image.draft("RGB", (side, side))
        return _ended(image, source) if source.crop is None else _shown_part(image, source)


@contextmanager
def _explaining(content: bytes) -> Iterator[None]:
    try:
        yield
    except BadImage:
        raise
    except FAULTS as error:
        raise _explained(content, error) from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise TooManyPixels(str(error) or None) from error


def _opened(source: Readable, max_pixels: int) -> ImageFile.ImageFile:
    # Pillow refuses at twice its own process-wide limit, which must not be below the caller's.
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        image = Image.open(io.BytesIO(source.content), formats=[source.kind.reader])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(str(error)) from error
    except (OSError, ValueError, RuntimeError, Warning) as error:  # Pillow itself catches what else headers cause
        raise _explained(source.content, error) from error
    if source.turned is not None:
        image.getexif()[EXIF_TAG] = source.turned
    return image


def _frames(image: ImageFile.ImageFile, source: Readable, max_pixels: int, most: int) -> Iterator[Frame]:
    _check(image, max_pixels)
    count = getattr(image, "n_frames", 1) if image.format in SEQUENCES else 1
    if count * image.width * image.height > ANIMATION_ALLOWANCE * max_pixels:
        raise TooManyPixels(f"{count} frames of {image.width} x {image.height} are more than is decoded")
    first = 1 if source.is_first_hidden and count > 1 else 0
    if count - first == 1 or image.format == "TIFF":  # whose pages are shown at no time
        for index in np.linspace(first, count - 1, min(count - first, most)).round().astype(int).tolist():
            if count > 1:
                image.seek(index)
                _check(image, max_pixels)
            yield Frame(index - first, _shown_part(image, source))
        return
    ends = np.cumsum(durations.seconds(source.content, str(image.format), count - first))
    for index in _shown(ends, most):
        image.seek(index + first)
        _check(image, max_pixels)
        yield Frame(index, _shown_part(image, source), time=round(float(ends[index - 1]), 3) if index else 0.0)


def _jpeg(image: ImageFile.ImageFile, source: Readable, max_pixels: int, max_jpeg_pixels: int) -> Frame:
    is_progressive = bool(image.info.get("progressive"))
    _check(image, min(max_jpeg_pixels, MAX_PROGRESSIVE_PIXELS) if is_progressive else max_jpeg_pixels)
    quality = compression.quality(getattr(image, "quantization", {}))
    width, divisor = image.width, 1
    while image.width * image.height > max_pixels * divisor * divisor and divisor < 8:
        divisor *= 2
    if divisor > 1:
        image.draft("RGB", (image.width // divisor, image.height // divisor))
        _check(image, max_pixels)
    shrunk = width / image.width
    seen = _fast(image, source.content) if divisor == 1 else None
    return Frame(0, _ended(image, source) if seen is None else seen, quality, shrunk=shrunk)


def _ended(image: ImageFile.ImageFile, source: Readable) -> NDArray[np.uint8]:
    """As `upright`, also of a JPEG that lacks its end marker and nothing else."""
    try:
        return upright(image)
    except OSError:
        if image.format not in {"JPEG", "MPO"} or not _lacks_its_end_alone(image, source.content):
            raise
    with Image.open(io.BytesIO(source.content + _EOI), formats=["JPEG"]) as ended:
        ended.draft("RGB", image.size)
        if source.turned is not None:
            ended.getexif()[EXIF_TAG] = source.turned
        return upright(ended)


def _lacks_its_end_alone(image: ImageFile.ImageFile, content: bytes) -> bool:
    """Whether a JPEG has all its pixels and only its end marker is missing: libjpeg, strict, is asked for an eighth."""
    space = "CMYK" if image.mode == "CMYK" else "Gray"
    try:
        simplejpeg.decode_jpeg(content + _EOI, space, min_factor=8, strict=True)
    except (*FAULTS, ZeroDivisionError, MemoryError):
        return False
    return True


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
    has_profile = "icc_profile" in image.info
    if image.mode not in {"RGB", "L"} or (has_profile and (image.mode == "L" or not colours.is_srgb(image))):
        return None
    try:
        turn = image.getexif().get(EXIF_TAG, 1)
        seen = simplejpeg.decode_jpeg(content, "RGB", fastdct=False, fastupsample=False, strict=True)
    except (*FAULTS, ZeroDivisionError, MemoryError):
        return None
    if seen.shape[:2] != (image.height, image.width):
        return None
    return np.ascontiguousarray(turned(seen, turn))


def turned(stored: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    """The pixels as they are shown in an EXIF orientation; what is no orientation changes nothing."""
    return _TURNED[orientation](stored) if orientation in _TURNED else stored


def _shown_part(image: Image.Image, source: Readable) -> NDArray[np.uint8]:
    """As `upright`, of the part of the picture that is shown."""
    if source.crop is None:
        return upright(image)
    left, top, width, height = source.crop
    image.load()
    return upright(image.crop((left, top, left + width, top + height)))


def upright(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): sRGB, turned as EXIF says, transparency laid over white, deep greys scaled to 8 bit."""
    image.load()
    try:
        shown = ImageOps.exif_transpose(image)
    except (*FAULTS, ZeroDivisionError):
        shown = image  # a broken EXIF block says nothing about orientation, and nothing against the pixels
    shown = colours.in_srgb(shown)
    if shown.mode.startswith("I") or shown.mode == "F":
        shown = Image.fromarray(_eight_bit(np.asarray(shown)))
    if shown.has_transparency_data:
        shown = shown.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    return np.array(shown.convert("RGB"))


def _eight_bit(deep: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Greys of any depth as uint8: floats span 0..1 unless they exceed it, integers 8 or 16 bits, wider if they do."""
    values = np.nan_to_num(deep.astype(np.float64))
    highest = float(values.max(initial=0.0))
    spans = (1.0, 255.0, 65535.0) if deep.dtype.kind == "f" else (65535.0,) if deep.itemsize == 2 else (255.0, 65535.0)
    span = next((span for span in spans if highest <= span), highest)
    return np.clip(values * (255.0 / span), 0, 255).round().astype(np.uint8)


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
