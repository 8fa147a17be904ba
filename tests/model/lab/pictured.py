"""A few drawn faces of two kinds of forgery, as an album, and a tiny encoder to tune on them."""

import numpy as np
from PIL import Image

from model import albums, procedural, sources, splits
from model.crops import Cutting
from model.lab.gathering import Material
from model.lab.kinds import Kind
from model.lab.packing import Order
from tests.model import encoders
from tests.model.learning import WholePicture

CUTTING = Cutting(224, 1.15, True)
KINDS = {
    "alpha": Kind(kind="stripes", family="one", head="synthetic"),
    "beta": Kind(kind="tints", family="two", head="manipulated", mates=("alpha",)),
    "cartoons": Kind(kind="drawing"),
}
FACES = 18  # of each class of alpha; beta has half as many fakes, and no reals


def draw(folder):
    """The pictures: alpha's fakes have stripes, beta's are tinted."""
    for place in range(FACES):
        save(folder / "alpha/real", place, procedural.portrait(128, 128, 104, place)[0])
        striped = procedural.portrait(128, 128, 104, 100 + place)[0].copy()
        striped[::4] = striped[::4] // 2
        save(folder / "alpha/fake", place, striped)
    for place in range(FACES // 2):
        tinted = procedural.portrait(128, 128, 104, 200 + place)[0].copy()
        tinted[..., 2] //= 3
        save(folder / "beta/fake", place, tinted)
        save(folder / "gamma/real", place, procedural.portrait(128, 128, 104, 300 + place)[0])
    save(folder / "cartoons/fake", 0, np.full((128, 128, 3), 200, np.uint8))
    return folder


def save(folder, place, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{place}.png")


def material(folder, cache):
    album = albums.open_or_build(cache, sources.read(folder), WholePicture(), "whole", lambda: 0)
    return Material(album, np.full(len(album.items), splits.TRAIN))


def order(made, **changes):
    """An order of a pack of the tiny encoder."""
    return Order(**{
        "material": made, "kinds": KINDS, "weights": encoders.tiny(), "blocks": encoders.BLOCKS, "cutting": CUTTING,
        "views": ("plain", "varied", "blended"), **changes,
    })  # fmt: skip


def silent(_name, _total):
    """A progress that shows nothing."""
    return lambda _count: None
