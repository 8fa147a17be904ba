"""A portrait in the public domain and the shipped detector."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from model import albums, batches, sources
from model.detector import Detector
from tests.model.learning import WholePicture

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
def images(tmp_path_factory, portrait):
    """Labelled images to learn from: a source with both classes, and one of reals alone."""
    folder = tmp_path_factory.mktemp("images")
    face = portrait.crop((100, 0, 360, 260))
    chance = np.random.default_rng(0)
    for name, count in (("both/real", 24), ("both/fake", 24), ("alone/real", 12)):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            moved = face.rotate(chance.uniform(-8, 8), Image.Resampling.BILINEAR)
            shown = moved.quantize(6).convert("RGB") if "fake" in name else moved
            shown.save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def album(images, tmp_path_factory):
    """The faces of `images`."""
    folder = tmp_path_factory.mktemp("album")
    return albums.open_or_build(folder, sources.read(images), WholePicture(), "whole", lambda: 0)


@pytest.fixture(scope="session")
def kin(album):
    """The families of `album`."""
    return batches.families(album, (), {})
