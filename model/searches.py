"""Where to look for faces in one image: first at all of it, then closer for as long as that may help."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from model import views
from model.rows import LARGE, Floats, filling, uncut, unlit
from model.views import CANVAS, FINE, Image, View, centred, resized


class Look(NamedTuple):
    """A view of an image, and which of the rows found through it, in the image's pixels, count; all where None."""

    image: Image
    view: View
    keep: Callable[[Floats], Floats] | None = None


class Search:
    """What was found in one image so far, and where to look next: first at the whole image, then in tiles, closer each
    time, until a face is large enough or the looks end.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]
        self.reduced = self._at(FINE / max(image.shape[:2]))
        self.rows = np.zeros((0, 15), np.float32)
        self._scales = [CANVAS / max(image.shape[:2]), *views.scales(self.height, self.width)]
        self._now = 0

    def goes_on(self) -> bool:
        """Whether a closer look may find more; step to it if so."""
        long, short = max(self.height, self.width), min(self.height, self.width)
        large = self.rows[:, 2:4].max(initial=0) * self._scales[self._now] >= LARGE
        if self._now + 1 == len(self._scales) or (large and long < views.STRIP * short):
            return False
        self._now += 1
        return True

    def closer(self) -> list[Look]:
        """The tiles of the present look."""
        return self._tiles(self._at(self._scales[self._now]))

    def lifted(self) -> list[Look]:
        """Looks at a dark image made brighter: whole, in tiles as far as the first closer look, and from further away.
        None for an image that is not dark.
        """
        if not views.dark(self.reduced):
            return []
        image = views.lifted(self.reduced)
        self._now = min(1, len(self._scales) - 1)
        tiled = self._tiles(image) if self._now else []
        looks = [Look(image, centred(image, CANVAS)), *tiled, self.further(image)]
        return [look._replace(keep=partial(self._unlit, look.keep)) for look in looks]

    def further(self, image: Image | None = None) -> Look:
        """A look from further away, for a face that fills the picture; at `image` in place of the reduced one."""
        seen = self.reduced if image is None else image
        return Look(seen, centred(seen, CANVAS // 2), lambda rows: filling(rows, seen.shape))

    def add(self, look: Look, rows: Floats) -> None:
        """Take up what `look` found."""
        rows[:, :14] *= max(self.height, self.width) / max(look.image.shape[:2])
        self.rows = np.concatenate([self.rows, rows])

    def _tiles(self, image: Image) -> list[Look]:
        grown = max(self.height, self.width) / max(image.shape[:2])
        scale, coarser = self._scales[self._now] * grown, self._scales[self._now - 1] * grown
        keep = partial(uncut, shape=image.shape, coarser=coarser)
        return [Look(image, view, partial(keep, view=view)) for view in views.tiles(image, scale)]

    def _unlit(self, keep: Callable[[Floats], Floats] | None, rows: Floats) -> Floats:
        return unlit(keep(rows) if keep else rows, self.reduced)

    def _at(self, scale: float) -> Image:
        return self.image if scale >= 1 else resized(self.image, scale)
