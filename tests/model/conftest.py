"""A portrait in the public domain, the shipped detector, and a folder of labelled images where there is one."""

import io
import os
from collections.abc import Callable
from pathlib import Path

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


@pytest.fixture(scope="session")
def labelled() -> Path:
    """A folder `SOURCE/{real,fake}/*`: UNMASK_TEST_DATA, or a sibling of the checkout; skips without."""
    folder = Path(os.environ.get("UNMASK_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no labelled images: set UNMASK_TEST_DATA")
    return folder
