"""A portrait in the public domain and the shipped detector."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from model.detector import Detector

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def portrait() -> Image.Image:
    """An RGB photograph of one face, 512 pixels a side."""
    return Image.fromarray(astronaut())


@pytest.fixture(scope="session")
def encode() -> Encode:
    """The bytes of an image in a format, with that format's options."""

    def encoded(image: Image.Image, form: str, **options: object) -> bytes:
        content = io.BytesIO()
        image.save(content, form, **options)
        return content.getvalue()

    return encoded


@pytest.fixture(scope="session")
def landscape() -> Image.Image:
    """A smooth picture without a face."""
    return Image.fromarray(np.indices((240, 320)).sum(0).astype(np.uint8) // 3, "L").convert("RGB")


@pytest.fixture(scope="session")
def detector() -> Detector:
    return Detector.load(device="cpu", threads=2)
