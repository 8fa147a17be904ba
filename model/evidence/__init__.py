"""What a person may look at beside a score: where it comes from, the face as it was sent, and how good the picture is.

Heatmaps say what moved the score (`heatmaps`; `deletion` tests that they do), context maps show traces that experts
read and the detector does not (`context`). It refuses to call anything here a proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model import crops
from model.detector import Cut, Detector, Face, Failure, Judgement, Sheet
from model.evidence import heatmaps, neighbours
from model.evidence.heatmaps import Heatmap
from model.releases import Limits

MOST = 4  # faces of a file that are looked at, the most suspicious first

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class FaceEvidence:
    """One face: what the detector said of it; `native` uint8 (side, side, 3), the square around it at the resolution it
    was sent in; the heatmaps of that square; and sentences on the picture's quality.
    """

    face: Face
    native: Picture
    heats: tuple[Heatmap, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file: the judgement, up to `MOST` faces, and its first frame where it has none."""

    judgement: Judgement
    faces: tuple[FaceEvidence, ...]
    faceless: Picture | None


def gather(detector: Detector, content: bytes) -> Evidence | Failure:
    """The judgement of a file, as `Detector.score` gives it, with what it rests on. Takes up to a second a face where
    heatmaps must be asked of the network place by place.
    """
    prepared = detector.prepare([content])
    (judgement,), (sheet,) = detector.judge(prepared), prepared.sheets
    if isinstance(judgement, Failure):
        return judgement
    assert isinstance(sheet, Sheet)
    shown = [cut for cut in sheet.cuts if cut.part == judgement.part]
    faced: list[tuple[Cut, Face]] = list(zip([cut for cut in shown if cut.box], judgement.faces, strict=True))
    chosen = sorted(faced, key=lambda pair: -pair[1].score)[:MOST]
    needed = {cut.frame for cut, _ in chosen} or {shown[0].frame}
    frames = {frame.index: frame.pixels for frame in detector.frames(content) if frame.index in needed}
    margin = max(cutting.margin for cutting in detector.panel.cuttings)
    found = [
        FaceEvidence(
            face,
            crops.square(frames[cut.frame], place, margin, round(max(place[2:]) * margin)),
            tuple(heatmaps.of_face(detector.panel, cut.crops)),
            (*notes(face.quality, detector.release.limits), *_likeness(detector, cut)),
        )
        for cut, face in chosen
        if (place := cut.place)
    ]
    return Evidence(judgement, tuple(found), None if found else next(iter(frames.values())))


def _likeness(detector: Detector, cut: Cut) -> list[str]:
    """What the face looks most like, in a sentence, where the release carries known faces to compare it with."""
    known = neighbours.opened(detector.release)
    if known is None:
        return []
    return [known.nearest(features).sentence for features in detector.panel.features(cut.crops)]


def notes(quality: Mapping[str, float], limits: Limits) -> tuple[str, ...]:
    """Sentences on how much the picture of a face can tell. `quality` is that of `detector.Face`."""
    size, sharpness, coded = (quality.get(name) for name in ("size_px", "sharpness", "jpeg_quality"))
    distance, spread = quality.get("distance"), quality.get("spread")
    covered, photograph = quality.get("covered"), quality.get("photograph")
    told = [
        size is not None
        and f"The face is {size:.0f} pixels large{', too small to judge' if size < limits.face_pixels else ''}.",
        sharpness is not None and sharpness < limits.sharpness and "The face is too soft to judge.",
        coded is not None
        and f"The file was last saved as JPEG of quality {coded:.0f} of 100"
        f"{', too coarse to judge' if coded < limits.jpeg_quality else ''}.",
        distance is not None
        and distance > 1
        and f"The face is unlike those that the detector was tested on ({distance:.1f} times the limit).",
        covered is not None and covered > limits.covered and "Something covers a large part of the face.",
        photograph is not None
        and photograph < limits.photograph
        and "It looks drawn or painted, and the detector judges photographs.",
        spread is not None
        and f"The members of the detector are {spread:.2f} apart"
        f"{', which is disagreement' if spread > limits.spread else ''}.",
    ]
    return tuple(line for line in told if line)
