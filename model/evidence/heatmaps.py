"""Where in a face the score comes from.

Networks with a map say themselves where a face was altered (the map is learnt from forgeries whose original is known).
Of any other network it is asked: places are blurred one after the other, and where that lowers the logit of P(fake),
something spoke for a forgery (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
with soft masks as in Petsiuk et al., "RISE", BMVC 2018). It refuses to say what was done to a face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from model.backends import MAP, Crops
from model.panels import Panel, Seat

GRID = 9  # places a side that are blurred
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


def of_face(panel: Panel, face: Sequence[Crops]) -> Heatmap:
    """The heatmap of a face, one crop a view, in the square of the view with the widest margin: the members' mean."""
    widest = max(margin for _, margin in panel.views)
    side = max(size for size, margin in panel.views if margin == widest)
    found = [of_crop(seat, face[seat.view]) for seat in panel.seats]
    placed = [
        _placed(each.values, panel.views[seat.view][1] / widest, side)
        for seat, each in zip(panel.seats, found, strict=True)
    ]
    weights = [seat.weight for seat in panel.seats]
    kinds = {each.kind for each in found}
    return Heatmap(
        np.average(placed, axis=0, weights=weights).astype(np.float32),
        kinds.pop() if len(kinds) == 1 else "mixed",
        float(np.average([each.strength for each in found], weights=weights)),
    )


def of_crop(seat: Seat, crop: Crops) -> Heatmap:
    """What one network says of uint8 (side, side, 3): its map where it has one, else what blurring tells."""
    return from_map(seat, crop) if MAP in seat.backend.outputs else from_occlusion(seat, crop)


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
    """float32 (81, side, side): a soft round place for each point of the grid."""
    at = np.arange(side, dtype=np.float32) + 0.5
    centres = (np.arange(GRID, dtype=np.float32) + 0.5) * side / GRID
    bumps = np.exp(-0.5 * ((at - centres[:, None]) / (SPOT * side)) ** 2)
    return np.asarray(np.einsum("ay,bx->abyx", bumps, bumps).reshape(-1, side, side), np.float32)


def _placed(values: Floats, share: float, side: int) -> Floats:
    """A map of a narrower square around the same centre, put into the wider one of `side`; 0 around it."""
    inner = round(side * share)
    whole = np.zeros((side, side), np.float32)
    start = (side - inner) // 2
    whole[start : start + inner, start : start + inner] = cv2.resize(
        values, (inner, inner), interpolation=cv2.INTER_LINEAR
    )
    return whole
