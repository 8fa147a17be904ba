"""What stands beside a real face in a training pair: a collection's forgery, a part of one, a self-blended image, or
another's face set in.

Each is told with where it was altered, as far as that is known. It refuses forgeries that cannot be told from their
original by eye or by difference: collections hold frames that their forger left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from model import selfblending, splicing
from model.albums import NONE, Album
from model.crops import VIEW
from model.recipes import Shares

REAL, MANIPULATED, SYNTHETIC = 0, 1, 2
UNTOUCHED = 0.02  # mean of a map (0 to 1) below which a forgery is taken for its original


@dataclass(frozen=True, slots=True)
class Shown:
    """One face to be cropped: uint8 (224, 224, 3) `view` with box and landmarks in its pixels, its class, the row of
    the album whose frame it shows, and a uint8 map of what was altered, None where that is not known.
    """

    view: NDArray[np.uint8]
    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    kind: int
    frame: int
    altered: NDArray[np.uint8] | None


class Forger:
    """Draws pairs from an album."""

    def __init__(self, album: Album, shares: Shares, generated: Sequence[int] = ()) -> None:
        """`generated` are the rows of wholly generated faces, which some splices take theirs from."""
        self._album, self._shares, self._generated = album, shares, generated
        touched = album.changes.reshape(len(album.items), -1).mean(axis=1) / 255 >= UNTOUCHED
        self._usable = touched | (album.originals == NONE)

    def pair(
        self, real: int, fakes: Sequence[int], partners: Sequence[int], fake_class: int, chance: np.random.Generator
    ) -> tuple[Shown, Shown]:
        """A real and a fake: of the real's `partners` where it has any, else of `fakes`, or made from a real."""
        shares, draw = self._shares, chance.random()
        usable = [row for row in partners or fakes if self._usable[row]]
        if not usable:
            made = draw * (shares.blended + shares.spliced)
            return self._real(real), self._made(real, made < shares.spliced, chance)
        if draw < shares.blended + shares.spliced:
            return self._real(real), self._made(real, draw < shares.spliced, chance)
        fake = int(chance.choice(usable))
        original = int(self._album.originals[fake])
        if original == NONE:
            return self._real(real), self._collected(fake, fake_class)
        partly = draw < shares.blended + shares.spliced + shares.partial
        return self._real(original), self._partial(fake, original, chance) if partly else self._forged(fake, original)

    def alone(self, row: int, fake_class: int) -> Shown:
        """The face in a row as the collection has it."""
        if not self._album.items[row].label:
            return self._real(row)
        original = int(self._album.originals[row])
        return self._collected(row, fake_class) if original == NONE else self._forged(row, original)

    def _real(self, row: int) -> Shown:
        return self._shown(row, self._album.views[row], REAL, row, np.zeros((1, 1), np.uint8))

    def _collected(self, fake: int, fake_class: int) -> Shown:
        """A forgery whose original is not known; what is wholly generated is altered everywhere."""
        whole = np.full((1, 1), 255, np.uint8) if fake_class == SYNTHETIC else None
        return self._shown(fake, self._album.views[fake], fake_class, fake, whole)

    def _forged(self, fake: int, original: int) -> Shown:
        return self._shown(fake, self._album.views[fake], MANIPULATED, original, self._album.changes[fake])

    def _partial(self, fake: int, original: int, chance: np.random.Generator) -> Shown:
        """The forgery in one half of the face or around one feature, the original elsewhere."""
        album = self._album
        part = _part(album.boxes[fake], chance)
        change = cv2.resize(album.changes[fake], (VIEW, VIEW), interpolation=cv2.INTER_LINEAR) * part
        if change.mean() / 255 < UNTOUCHED * 2:
            return self._forged(fake, original)
        real = album.views[original].astype(np.float32)
        mixed = real + (album.views[fake] - real) * part[..., None]
        view = np.clip(mixed, 0, 255).round().astype(np.uint8)
        return self._shown(fake, view, MANIPULATED, original, change.astype(np.uint8))

    def _made(self, real: int, spliced: bool, chance: np.random.Generator) -> Shown:
        album = self._album
        view, box, marks = album.views[real], album.boxes[real], album.landmarks[real]
        if spliced:
            from_generated = self._generated and chance.random() < self._shares.generated
            donor = int(chance.choice(self._generated) if from_generated else chance.integers(len(album.items)))
            set_in = splicing.splice(view, box, marks, album.views[donor], album.landmarks[donor], chance)
            if set_in is not None and donor != real:
                return self._shown(real, set_in[0], MANIPULATED, real, set_in[1])
        blended, altered = selfblending.blend(view, box, marks, chance)
        return self._shown(real, blended, MANIPULATED, real, altered)

    def _shown(
        self, row: int, view: NDArray[np.uint8], kind: int, frame: int, altered: NDArray[np.uint8] | None
    ) -> Shown:
        return Shown(view, self._album.boxes[row], self._album.landmarks[row], kind, frame, altered)


def _part(box: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.float32]:
    """float32 (224, 224), 1 on one side of a soft line through the face at a random angle."""
    x, y, width, height = (float(value) for value in box)
    angle, away = chance.uniform(0, 2 * np.pi), chance.uniform(-0.15, 0.15)
    down, across = np.mgrid[0:VIEW, 0:VIEW].astype(np.float32)
    reach = (across - x - width / 2) * np.cos(angle) + (down - y - height / 2) * np.sin(angle) - away * height
    return np.asarray(np.clip(reach / chance.uniform(4, 20) + 0.5, 0, 1), np.float32)
