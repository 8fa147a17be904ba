"""What happens to pictures between a camera and a moderator, as steps from encoded bytes to encoded bytes.

A step decodes, changes pixels and encodes again, so that the whole detector is tested: decoder, face finder, crop and
network. Steps that are not about compression end in PNG, which adds nothing of its own. Both classes go through
the same step. It refuses to draw at random: noise is seeded, and the same bytes give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from model import pixels

UNCHANGED = "unchanged"
BLUR = 1.5  # pixels, standard deviation
NOISE = 8.0  # of 255, standard deviation of each channel
DOUBLE = ((0, 75), (4, 60))  # two JPEG passes: (pixels cut off left and top, quality), so that the grids differ
SCREEN = (0.8, 24, 85)  # screenshot: shown at this scale, under a bar of this many pixels, saved at this JPEG quality


@dataclass(frozen=True, slots=True)
class Preset:
    """What a platform does to an upload: at most `long_side` pixels, JPEG of `quality` with 4:2:0 chroma. The numbers
    are observations of what such services deliver, not their documentation, and change without notice.
    """

    long_side: int
    quality: int


PRESETS: Mapping[str, Preset] = {
    "messenger (1600, q70)": Preset(1600, 70),
    "photo feed (1080, q75)": Preset(1080, 75),
    "microblog (1200, q85)": Preset(1200, 85),
    "thumbnail (320, q60)": Preset(320, 60),
}

Step = Callable[[Image.Image], bytes]


def apply(step: str, content: bytes) -> bytes:
    """`content` after the step of that name in `STEPS`; `UNCHANGED` gives the bytes as they are. Raises BadImage for
    what cannot be decoded, as `pixels.decode` does.
    """
    if step == UNCHANGED:
        return content
    return STEPS[step](Image.fromarray(next(pixels.decode(content)).pixels))


def png(image: Image.Image) -> bytes:
    """The image without loss, quickly."""
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)
    return content.getvalue()


def jpeg(quality: int) -> Step:
    """JPEG with 4:2:0 chroma."""

    def encode(image: Image.Image) -> bytes:
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality, subsampling=2)
        return content.getvalue()

    return encode


def webp(quality: int) -> Step:
    """Lossy WebP."""

    def encode(image: Image.Image) -> bytes:
        content = io.BytesIO()
        image.save(content, "WEBP", quality=quality)
        return content.getvalue()

    return encode


def double_jpeg(image: Image.Image) -> bytes:
    """Two JPEGs whose blocks do not line up, as after a crop between two uploads."""
    content = b""
    for cut, quality in DOUBLE:
        content = jpeg(quality)(image.crop((cut, cut, image.width, image.height)))
        image = Image.open(io.BytesIO(content))
    return content


def scaled(factor: float) -> Step:
    """Resized by `factor`, averaged where it shrinks."""
    return lambda image: png(_resized(image, factor))


def turned(degrees: int) -> Step:
    """Turned counter-clockwise; right angles move pixels, others fill the new corners with grey."""
    return lambda image: png(image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(128, 128, 128)))


def cropped(share: float) -> Step:
    """The middle `share` of width and height."""

    def cut(image: Image.Image) -> bytes:
        across, down = (round(side * (1 - share) / 2) for side in image.size)
        return png(image.crop((across, down, image.width - across, image.height - down)))

    return cut


def blurred(image: Image.Image) -> bytes:
    """Gaussian blur."""
    return png(image.filter(ImageFilter.GaussianBlur(BLUR)))


def mirrored(image: Image.Image) -> bytes:
    """Left and right exchanged."""
    return png(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def noisy(image: Image.Image) -> bytes:
    """Gaussian noise, the same on every picture of one size."""
    values: NDArray[np.float64] = np.asarray(image, np.float64)
    grain = np.random.default_rng(0).normal(0, NOISE, values.shape)
    return png(Image.fromarray(np.clip(values + grain, 0, 255).round().astype(np.uint8)))


def screenshot(image: Image.Image) -> bytes:
    """Shown smaller on a white page under a bar with a line of text, and saved as JPEG."""
    scale, bar, quality = SCREEN
    shown = _resized(image, scale)
    page = Image.new("RGB", (shown.width + bar, shown.height + 2 * bar), "white")
    page.paste(shown, (bar // 2, bar + bar // 2))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, page.width, bar), fill=(32, 35, 42))
    draw.text((bar // 3, bar // 4), "12:00   photo", fill="white")
    return jpeg(quality)(page)


def uploaded(preset: Preset) -> Step:
    """As a platform delivers an upload."""

    def deliver(image: Image.Image) -> bytes:
        return jpeg(preset.quality)(_resized(image, min(1.0, preset.long_side / max(image.size))))

    return deliver


def _resized(image: Image.Image, factor: float) -> Image.Image:
    if factor == 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


STEPS: Mapping[str, Step] = {
    **{f"JPEG {quality}": jpeg(quality) for quality in (95, 75, 50, 30)},
    "double JPEG 75, 60": double_jpeg,
    "WebP 75": webp(75),
    **{f"scale {factor:g}": scaled(factor) for factor in (0.25, 0.5, 0.75, 1.5)},
    f"Gaussian blur {BLUR:g}": blurred,
    f"noise {NOISE:g}": noisy,
    **{f"rotation {degrees}": turned(degrees) for degrees in (45, 90, 180)},
    "mirror": mirrored,
    "crop 90 %": cropped(0.9),
    "crop 70 %": cropped(0.7),
    "screenshot": screenshot,
    **{name: uploaded(preset) for name, preset in PRESETS.items()},
}
