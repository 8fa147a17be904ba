"""Which crop of a face the encoder sees for training: plain, varied, or a forgery made from a real face.

A view of a row is a function of the seed, the view's name and the file's name alone, so that a cache of features can
stop anywhere and go on to the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from model import augmentations, crops, selfblending, splicing
from model.albums import Album
from model.crops import Cutting
from model.lab import covers
from model.recipes import Augmentations

Image = NDArray[np.uint8]
Maker = Callable[[Album, int, Cutting, np.random.Generator], Image | None]

# Stronger than what the small network learns from: a linear head cannot overfit a picture's exact pixels.
VARIED = Augmentations(
    tilt=0.10, quarter=0.03, framed=0.06, grey=0.15, blur=0.2, sharpen=0.12, noise=0.15, screenshot=0.10, social=0.30,
    brightness=0.8, contrast=0.8, blackout=0.05,
)  # fmt: skip
_DONORS = 12  # faces tried before a splice is given up


def plain(album: Album, row: int, cutting: Cutting, _chance: np.random.Generator) -> Image:
    """The crop that serving would cut."""
    x, y, width, height = (float(value) for value in album.boxes[row])
    return crops.square(np.asarray(album.views[row]), (x, y, width, height), cutting.margin, cutting.size)


def varied(album: Album, row: int, cutting: Cutting, chance: np.random.Generator) -> Image:
    """The crop moved, recoloured, worn and compressed again."""
    return _worn(np.asarray(album.views[row]), album, row, cutting, chance)


def blended(album: Album, row: int, cutting: Cutting, chance: np.random.Generator) -> Image:
    """A self-blended forgery of a real face, varied."""
    view, _ = selfblending.blend(np.asarray(album.views[row]), album.boxes[row], album.landmarks[row], chance)
    return _worn(view, album, row, cutting, chance)


def spliced(album: Album, row: int, cutting: Cutting, chance: np.random.Generator) -> Image | None:
    """Another real face set into this one, varied; None where no donor fits."""
    view, box, marks = np.asarray(album.views[row]), album.boxes[row], album.landmarks[row]
    reals = np.flatnonzero([not item.label for item in album.items])
    for donor in chance.choice(reals, _DONORS):
        set_in = splicing.splice(view, box, marks, np.asarray(album.views[donor]), album.landmarks[donor], chance)
        if set_in is not None and donor != row:
            return _worn(set_in[0], album, row, cutting, chance)
    return None


def covered(album: Album, row: int, cutting: Cutting, chance: np.random.Generator) -> Image:
    """The crop with a caption, a sticker, a bar, glasses or a mask drawn over the face, varied."""
    view = covers.cover(np.asarray(album.views[row]), album.boxes[row], album.landmarks[row], chance)
    return _worn(view, album, row, cutting, chance)


MAKERS: Mapping[str, Maker] = {
    "plain": plain,
    "varied": varied,
    "varied2": varied,
    "varied3": varied,
    "blended": blended,
    "spliced": spliced,
    "covered": covered,
}


def make(view: str, album: Album, row: int, cutting: Cutting, seed: int = 0) -> Image | None:
    """uint8 (size, size, 3): the row's crop in the view of that name; None where it cannot be made."""
    word = f"{seed} {view} {album.items[row].name}".encode()
    chance = np.random.default_rng(int.from_bytes(hashlib.sha256(word).digest()[:8]))
    return MAKERS[view](album, row, cutting, chance)


def _worn(view: Image, album: Album, row: int, cutting: Cutting, chance: np.random.Generator) -> Image:
    placed = augmentations.place(album.boxes[row], album.landmarks[row], cutting.margin, chance, VARIED)
    crop = augmentations.alter(placed.cut(view), chance, VARIED)
    return augmentations.equalise(crop, cutting.size, chance, VARIED)
