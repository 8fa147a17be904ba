"""The golden set: what a release answered, where it was made, to pictures that code draws; asked again anywhere.

Three layers, so that a difference tells where it arose: crops given to the networks, faces cut at given places, and
whole files through everything (decode, find, cut, forward, calibrate). Answers are kept as logits, in which a small
change is small everywhere. It refuses to excuse a difference: preprocessing that moved is another detector.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from model import procedural, releases
from model.detector import Detector, Failure, Judgement
from model.errors import ReleaseError
from model.procedural import Picture
from model.releases import Release

LOGITS = 0.01  # how far a logit may be off where pixels are given
SCORES = 0.05  # how far the logit of a score may be off: a box may round to the next pixel
PIXELS = 2  # how far an edge of a face's box may be off
LAYERS = {"crops": "golden crops", "cuts": "golden faces", "files": "golden files"}
_LIBRARIES = ("numpy", "onnxruntime", "opencv-python-headless", "pillow", "simplejpeg")
_KEEP = 12  # decimals: more than a float32 logit has

Layer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One picture of a layer that is not answered as it was: `detail` says what was and what is."""

    layer: str
    picture: str
    detail: str


def write(release: Release, cache: Path | None = None) -> None:
    """Put `golden.json` beside the release's other files; it needs sealing afterwards, and again whenever calibration
    or limits change. `cache` is where encoders lie.
    """
    said = {
        "made_with": {"python": platform.python_version(), **{name: _version(name) for name in _LIBRARIES}},
        **_answers(Detector.load(release.directory, "cpu", threads=1, cache=cache)),
    }
    (release.directory / releases.GOLDEN).write_text(json.dumps(said, indent=1) + "\n")


def read(release: Release) -> Mapping[str, Any]:
    """The release's golden set. Raises ReleaseError when it has none or none that can be read."""
    path = release.file(releases.GOLDEN)
    if path is None:
        raise ReleaseError(f"{release.directory} has no {releases.GOLDEN}")
    try:
        said: dict[str, Any] = json.loads(path.read_text())
        layers = {name: dict(said[name]) for name in LAYERS}
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{path} cannot be read: {type(error).__name__} {error}") from error
    return layers


def differences(release: Release, cache: Path | None = None) -> list[Difference]:
    """Ask everything again, on one thread of the CPU; empty when all is as it was. Raises ReleaseError as `read`, and
    EncoderError where the release needs an encoder that is not in `cache`.
    """
    expected = read(release)
    found = _answers(Detector.load(release.directory, "cpu", threads=1, cache=cache))
    return [
        Difference(layer, name, detail)
        for layer, tell in (("crops", _logits_differ), ("cuts", _logits_differ), ("files", _files_differ))
        for name in {**expected[layer], **found[layer]}
        if (detail := _told(tell, expected[layer].get(name), found[layer].get(name)))
    ]


def files() -> dict[str, bytes]:
    """Whole files by name: with and without a face, large and small, well and badly coded."""
    three = [procedural.portrait(320, 400, 200, seed)[0] for seed in range(3)]
    wide = procedural.portrait(1024, 768, 420, 4)[0]
    return {
        "portrait.png": procedural.coded(three[0], "PNG"),
        "portrait-95.jpg": procedural.coded(three[1], "JPEG", quality=95, subsampling=0),
        "portrait-60.jpg": procedural.coded(three[2], "JPEG", quality=60),
        "portrait-10.jpg": procedural.coded(three[2], "JPEG", quality=10),
        "wide-80.jpg": procedural.coded(wide, "JPEG", quality=80, progressive=True),
        "small.png": procedural.coded(procedural.portrait(300, 300, 60, 5)[0], "PNG"),
        "two.png": procedural.coded(np.hstack([three[0], three[1][:, ::-1]]), "PNG"),
        "gradient.png": procedural.coded(procedural.gradient(256), "PNG"),
        "noise.png": procedural.coded(procedural.noise(192, 3), "PNG"),
    }


def _answers(detector: Detector) -> dict[str, Layer]:
    cuttings = detector.panel.cuttings
    plain: dict[str, Callable[[int], Picture]] = {
        "noise": lambda size: procedural.noise(size, 1),
        "gradient": procedural.gradient,
        "checks": lambda size: procedural.checks(size, 7),
        "drawn": lambda size: procedural.portrait(size, size, size * 0.7, 0)[0],
        "black": lambda size: np.zeros((size, size, 3), np.uint8),
    }
    drawn = {seed: procedural.portrait(360, 420, 220, seed) for seed in range(3)}
    given = {name: tuple(make(each.size) for each in cuttings) for name, make in plain.items()}
    cut = {
        f"drawn-{seed}": tuple(each.face(picture, box) for each in cuttings) for seed, (picture, box) in drawn.items()
    }
    # A face at the edge, and one that is smaller than the network's crop: repeated pixels, and the growing kernel.
    edge, small = procedural.portrait(200, 220, 240, 1), procedural.portrait(120, 140, 70, 2)
    for name, (picture, box) in {"edge": edge, "small": small}.items():
        cut[name] = tuple(each.face(picture, box) for each in cuttings)
    pictures = files()
    said = detector.score(list(pictures.values()))
    return {
        "crops": _logits(detector, given),
        "cuts": _logits(detector, cut),
        "files": {name: _file(answer) for name, answer in zip(pictures, said, strict=True)},
    }


def _logits(detector: Detector, faces: Mapping[str, tuple[Picture, ...]]) -> Layer:
    """Per face the logits of P(fake), as of a face and as of a whole picture, before calibration."""
    said = detector.panel.opinions(list(faces.values()))
    pairs = zip(said.face, said.whole, strict=True)
    return {name: [round(float(x), _KEEP) for x in pair] for name, pair in zip(faces, pairs, strict=True)}


def _file(answer: Judgement | Failure) -> dict[str, Any]:
    if isinstance(answer, Failure):
        return {"failure": answer.slug}
    return {"logit": round(_logit(answer.score), _KEEP), "boxes": [list(face.box) for face in answer.faces]}


def _logit(score: float) -> float:
    kept = min(max(score, 1e-12), 1 - 1e-12)
    return math.log(kept / (1 - kept))


def _told(tell: Callable[[Any, Any], str], expected: Any, found: Any) -> str:
    if expected is None or found is None:
        return "the golden set has no such picture" if expected is None else "this program draws no such picture"
    return tell(expected, found)


def _logits_differ(expected: Sequence[float], found: Sequence[float]) -> str:
    gap = max(abs(then - now) for then, now in zip(expected, found, strict=True))
    return f"the logit is off by {gap:.3g} (allowed: {LOGITS})" if not gap <= LOGITS else ""


def _files_differ(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if "failure" in expected or "failure" in found:
        return "" if expected == found else f"was {expected}, is {found}"
    then, now = expected["boxes"], found["boxes"]
    if len(then) != len(now):
        return f"{len(then)} faces were found, now {len(now)}"
    apart = max((abs(a - b) for one, other in zip(then, now, strict=True) for a, b in zip(one, other, strict=True)),
                default=0)  # fmt: skip
    if apart > PIXELS:
        return f"a face's box is {apart} pixels off (allowed: {PIXELS})"
    gap = abs(expected["logit"] - found["logit"])
    return f"the score's logit is off by {gap:.3g} (allowed: {SCORES})" if not gap <= SCORES else ""


def _version(library: str) -> str:
    try:
        return version(library)
    except ImportError:
        return "none"
