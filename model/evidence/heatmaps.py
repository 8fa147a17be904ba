"""Where in a face the score comes from, and where the network says that it was altered. These are two things.

The first is asked of any network: places are blurred one after the other, and where that lowers the logit of P(fake),
something spoke for a forgery (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
with soft masks as in Petsiuk et al., "RISE", BMVC 2018). It passes the deletion test (`deletion`). The second is a map
that some networks have learnt from forgeries whose original is known. It shows the altered place well and fails that
test: a blurred place looks altered, too, so hiding what it points at does not lower the score. It refuses to say what
was done to a face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from model.backends import MAP, Crops
from model.panels import Panel, Seat

GRID = 9  # places a side that are blurred
COARSE = 7  # the same of a crop so large that an encoder reads it, which takes ten times as long
LARGE = 200  # pixels a side of such a crop
SPOT = 0.09  # of the side: the standard deviation of a blurred place
BLUR = 0.06  # of the side: the standard deviation of the blur that takes evidence away

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heatmap:
    """`values` float32 (side, side), 0 to 1; `kind` is `map` (the network's own: a probability) or `occlusion` (drops
    of the logit, the largest of them being 1). `strength` is that largest value, a probability or a logit.
    """

    values: Floats
    kind: str
    strength: float


def of_face(panel: Panel, face: Sequence[Crops]) -> list[Heatmap]:
    """The heatmaps of a face, one crop a view, in the square of the view with the widest margin: by occlusion, and the
    map where a network has one; of an ensemble the means of its members.
    """
    mapped = [seat for seat in panel.seats if MAP in seat.backend.outputs]
    found = [_of_members(panel, panel.seats, face, from_occlusion)]
    return [*found, _of_members(panel, mapped, face, from_map)] if mapped else found


def from_map(seat: Seat, crop: Crops) -> Heatmap:
    """The network's own map, enlarged smoothly: before the sigmoid, so that edges stay where they are."""
    (cells,) = seat.look([crop], [MAP])[MAP]
    large = cv2.resize(cells.astype(np.float32), crop.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    values = np.asarray(1 / (1 + np.exp(-np.clip(large, -30, 30))), np.float32)
    return Heatmap(values, MAP, float(values.max()))


def from_occlusion(seat: Seat, crop: Crops) -> Heatmap:
    """Drops of the logit as places are blurred, spread over those places; black where no place spoke for a forgery."""
    side = crop.shape[0]
    spots = _spots(side)
    hidden = [blurred(crop, spot) for spot in spots]
    logits = seat.opinions([crop, *hidden]).face
    drops = np.maximum(logits[0] - logits[1:], 0).astype(np.float32)
    heat = np.tensordot(drops, spots, axes=1) / spots.sum(axis=0)
    strength = float(heat.max())
    return Heatmap(np.asarray(heat / max(strength, 1e-6), np.float32), "occlusion", strength)


def blurred(crop: Crops, mask: Floats) -> Crops:
    """The crop with its fine structure taken away where float32 (side, side) `mask` is 1, and in part below."""
    soft = cv2.GaussianBlur(crop, (0, 0), BLUR * crop.shape[0]).astype(np.float32)
    mixed = crop + (soft - crop) * mask[..., None]
    return np.asarray(mixed.round(), np.uint8)


@cache
def _spots(side: int) -> Floats:
    """float32 (n, side, side): a soft round place for each point of the grid, 81 of them or 49."""
    at, grid = np.arange(side, dtype=np.float32) + 0.5, COARSE if side >= LARGE else GRID
    centres = (np.arange(grid, dtype=np.float32) + 0.5) * side / grid
    bumps = np.exp(-0.5 * ((at - centres[:, None]) / (SPOT * GRID / grid * side)) ** 2)
    return np.asarray(np.einsum("ay,bx->abyx", bumps, bumps).reshape(-1, side, side), np.float32)


def _of_members(
    panel: Panel, seats: Sequence[Seat], face: Sequence[Crops], of: Callable[[Seat, Crops], Heatmap]
) -> Heatmap:
    widest = max(each.margin for each in panel.cuttings)
    side = max(each.size for each in panel.cuttings if each.margin == widest)
    found = [of(seat, face[seat.cutting]) for seat in seats]
    placed = [
        _placed(each.values, panel.cuttings[seat.cutting].margin / widest, side)
        for seat, each in zip(seats, found, strict=True)
    ]
    weights = [seat.weight for seat in seats]
    return Heatmap(
        np.average(placed, axis=0, weights=weights).astype(np.float32),
        found[0].kind,
        float(np.average([each.strength for each in found], weights=weights)),
    )


def _placed(values: Floats, share: float, side: int) -> Floats:
    """A map of a narrower square around the same centre, put into the wider one of `side`; 0 around it."""
    inner = round(side * share)
    whole = np.zeros((side, side), np.float32)
    start = (side - inner) // 2
    whole[start : start + inner, start : start + inner] = cv2.resize(
        values, (inner, inner), interpolation=cv2.INTER_LINEAR
    )
    return whole
