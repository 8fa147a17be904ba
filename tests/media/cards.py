"""Test cards: four coloured quarters, so that one look tells which picture is shown and which way up."""

import io

import numpy as np
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()

COLOURS = {
    "R": (210, 40, 40), "G": (40, 170, 60), "B": (40, 60, 200), "Y": (220, 210, 50), "C": (50, 200, 210),
    "M": (200, 50, 200), "W": (245, 245, 245), "K": (10, 10, 10), "N": (128, 128, 128),
}  # fmt: skip
CARD = "RGBY"  # top left, top right, bottom left, bottom right


def card(size: tuple[int, int] = (64, 48), colours: str = CARD) -> np.ndarray:
    """uint8 (height, width, 3): four quarters, or one flat colour."""
    width, height = size
    four = colours * 4 if len(colours) == 1 else colours
    drawn = np.zeros((height, width, 3), np.uint8)
    for place, letter in enumerate(four[:4]):
        top, left = (place // 2) * (height // 2), (place % 2) * (width // 2)
        drawn[top : top + height - height // 2 + 1, left : left + width - width // 2 + 1] = COLOURS[letter]
    return drawn


def corners(pixels: np.ndarray) -> str:
    """The letters of the four quarters of a picture, as in `CARD`."""
    height, width = pixels.shape[:2]
    places = [(height // 4, width // 4), (height // 4, width * 3 // 4), (height * 3 // 4, width // 4),
              (height * 3 // 4, width * 3 // 4)]  # fmt: skip
    return "".join(letter(pixels[y, x]) for y, x in places)


def letter(colour: np.ndarray) -> str:
    """The letter of the nearest colour."""
    seen = np.asarray(colour[:3], int)
    return min(COLOURS, key=lambda name: int(np.abs(seen - COLOURS[name]).sum()))


def encoded(pixels: np.ndarray | Image.Image, form: str, **options: object) -> bytes:
    """The bytes of an image file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
