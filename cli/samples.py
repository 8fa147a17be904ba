"""Sample media for the demo, tests and benchmarks: public-domain pictures, and forgeries made from one of them.

The portrait of Eileen Collins and the rocket are NASA's; scikit-image carries both.
A forgery has its face replaced by an altered copy, so it is one by construction. Nothing here is anybody's upload.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from skimage import data

from model import selfblending

PICTURES: Any = data  # scikit-image's functions carry no types
FACE = np.array([180, 60, 90, 118], np.float32)  # x, y, width, height in the portrait's 512 x 512 pixels
LANDMARKS = np.array([[204, 105], [247, 105], [224, 128], [205, 145], [243, 145]], np.float32)
ORIENTATION = 0x0112  # EXIF's tag
UPSIDE_DOWN = 3


@dataclass(frozen=True)
class Sample:
    """A file to send, and what we know of it: `real`, `forgery`, `no face`, `torn`, or `unknown` when it is yours."""

    name: str
    kind: str
    content: bytes


@dataclass(frozen=True)
class Stored:
    """A sample that stays on disk until it is sent: a folder of them may be larger than memory."""

    name: str
    kind: str
    path: Path

    @property
    def content(self) -> bytes:
        """The bytes, read anew each time."""
        return self.path.read_bytes()


def all_kinds() -> list[Sample]:
    """Returns a handful that shows what can happen to a file."""
    original, rocket = portrait(), Image.fromarray(PICTURES.rocket())
    close = original.crop((110, 0, 340, 250))
    forged = [forgery(seed) for seed in range(4)]
    turned = Image.Exif()
    turned[ORIENTATION] = UPSIDE_DOWN
    return [
        Sample("portrait.jpg", "real", _encoded(original, "JPEG", quality=92)),
        Sample("portrait-close.png", "real", _encoded(close, "PNG")),
        Sample("portrait-small.webp", "real", _encoded(original.resize((300, 300)), "WEBP", quality=80)),
        Sample("portrait-turned.jpg", "real", _encoded(original.rotate(180), "JPEG", quality=88, exif=turned)),
        Sample("portrait-print.jpg", "real", _encoded(original.convert("CMYK"), "JPEG", quality=90)),
        *(
            Sample(f"forged-{number}.jpg", "forgery", _encoded(picture, "JPEG", quality=92))
            for number, picture in enumerate(forged[:3], 1)
        ),
        Sample("forged-close.webp", "forgery", _encoded(forged[3].crop((110, 0, 340, 250)), "WEBP", quality=85)),
        Sample(
            "forged-blinking.gif",
            "forgery",
            _encoded(original, "GIF", save_all=True, append_images=forged[:3], duration=300, loop=0),
        ),
        Sample("rocket.jpg", "no face", _encoded(rocket, "JPEG", quality=90)),
        Sample("torn.jpg", "torn", _encoded(original, "JPEG", quality=92)[:20_000]),
    ]


def portrait() -> Image.Image:
    """Returns the portrait, 512 x 512 RGB."""
    return Image.fromarray(PICTURES.astronaut())


def forgery(seed: int) -> Image.Image:
    """Returns the portrait with its face blended onto itself; equal seeds give equal pictures."""
    chance = np.random.default_rng(seed)
    return Image.fromarray(selfblending.blend(PICTURES.astronaut(), FACE, LANDMARKS, chance)[0])


def distinct(count: int, *, seed: int = 0) -> Iterator[Sample]:
    """Yields ``count`` JPEGs of the portrait, every second one forged, no two with the same bytes."""
    chance = np.random.default_rng(seed)
    for number in range(count):
        forged = number % 2 == 1
        picture = forgery(seed + number) if forged else portrait()
        left, top = (int(shift) for shift in chance.integers(0, 90, 2))
        picture = picture.crop((left, top // 3, 512 - top, 512 - left))
        picture = ImageOps.mirror(picture) if chance.random() < 0.5 else picture
        picture.putpixel((0, 0), (number % 256, number // 256 % 256, seed % 256))
        yield Sample(
            f"{number:05}.jpg",
            "forgery" if forged else "real",
            _encoded(picture, "JPEG", quality=92, comment=f"{seed} {number}".encode()),
        )


def _encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()
