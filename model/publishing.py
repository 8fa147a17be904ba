"""From a trained network to a release directory: weights, graph, calibration, thresholds, list, finder, familiar
features, golden set.

Weights are rounded to half precision first and the graph is exported from the rounded ones, so both are the same
network. Calibration scores the validation files as serving will, finder and all. It refuses to publish a graph that
disagrees with the weights.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from model import agreement, backends, bands, calibration, faces, familiarity, golden, releases, splits, verification
from model.bands import Thresholds
from model.detector import Detector, Judgement, Sheet
from model.errors import ReleaseError
from model.networks import TwoHeads
from model.releases import Limits, Preprocessing, Release
from model.sources import Item
from model.training import Run

FAKE_BUDGET, REVIEW_BUDGET = 0.01, 0.10  # false-positive rates that the two thresholds promise on validation
BATCH = 32  # files


def write(directory: Path, version: str, run: Run, divided: Mapping[str, Sequence[Item]], limits: Limits) -> Release:
    """A release of the run's average in `directory`, complete but for `calibrate`; `divided` are the splits it was
    trained with. Raises ReleaseError when graph and weights disagree.
    """
    network, recipe = run.average, run.recipe
    directory.mkdir(parents=True, exist_ok=True)
    rounded = {name: _rounded(tensor) for name, tensor in network.state_dict().items()}
    (directory / releases.WEIGHTS).write_bytes(save(rounded))
    network.load_state_dict(rounded)
    export(network.eval(), recipe.size, directory / releases.GRAPH)
    releases.write_list(directory, divided[splits.TRAIN])
    if faces.LOCATOR.exists():
        shutil.copyfile(faces.LOCATOR, directory / releases.FACES)
    steps = Preprocessing(recipe.size, recipe.margin, recipe.mean, recipe.std)
    release = Release(
        directory, "unmask", version, recipe.backbone, steps, calibration.Calibration(), Thresholds(0.5, 0.5), limits,
        training={"recipe": asdict(recipe), "steps_taken": run.step, "sources": _sources(divided)},
    )  # fmt: skip
    releases.seal(release)
    release = releases.read(directory)
    if (gap := agreement.gap(release)) > verification.AGREEMENT:
        raise ReleaseError(f"graph and weights of {directory} disagree by {gap:.2g} in the logit")
    return release


class _Served(nn.Module):
    """A network as its graph shows it: `backends.LOGITS`, `FEATURES` and, where it has one, `MAP`."""

    def __init__(self, network: TwoHeads) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits, cells, features = self.network.everything(crops)
        return (logits, features) if cells is None else (logits, features, cells)


def export(network: TwoHeads, size: int, path: Path) -> None:
    """Write the network as ONNX for any n: `crops` uint8 (n, size, size, 3) in; `logits` float32 (n, 2), `features`
    float32 (n, d) and, of a network that has one, `map` float32 (n, h, w) out.
    """
    names = [backends.LOGITS, backends.FEATURES, *([backends.MAP] if network.has_map else [])]
    write_graph(_Served(network).eval(), size, path, names)


def write_graph(network: nn.Module, size: int, path: Path, names: Sequence[str]) -> None:
    """Write a module as ONNX: `crops` uint8 (n, size, size, 3) in, its tensors out as `names`, for any n. Raises
    ReleaseError when it cannot be traced.
    """
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    batch = {"crops": {0: torch.export.Dim.DYNAMIC}}
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            network, (example,), input_names=["crops"], output_names=names, dynamic_shapes=batch, verbose=False
        )
    if program is None:
        raise ReleaseError("the network could not be exported as ONNX")
    program.save(path, external_data=False)


def calibrate(release: Release, items: Sequence[Item], scored: Callable[[int], object]) -> Release:
    """The release with calibration, thresholds and familiar features fitted on `items` (the validation split), and its
    golden set, sealed again. Both classes weigh the same; files without a sound face are left out. `scored` is called
    with the number done.
    """
    plain = replace(release, calibration=calibration.Calibration())
    (release.directory / releases.FAMILIAR).unlink(missing_ok=True)  # what is familiar is asked afresh
    releases.seal(plain)
    logits, labels, features = _answers(Detector.load(release.directory), items, scored)
    if known := familiarity.fit(np.random.default_rng(0).permutation(features)):
        known.write(release.directory / releases.FAMILIAR)
    share = np.where(labels == 1, 1 / max(1, labels.sum()), 1 / max(1, (1 - labels).sum()))
    fitted = calibration.fit(logits, labels, share)
    reals = fitted.apply(logits[labels == 0])
    fake = calibration.threshold(reals, FAKE_BUDGET)
    review = min(fake, calibration.threshold(reals, REVIEW_BUDGET))
    promise = (
        f"The thresholds keep false positives below {REVIEW_BUDGET:.0%} and {FAKE_BUDGET:.0%} of the {len(reals)} "
        f"reals of the validation split, by a {calibration.CONFIDENCE:.0%} upper bound."
    )
    training = {**plain.training, "promise": promise}
    return finish(replace(plain, calibration=fitted, thresholds=Thresholds(review, fake), training=training))


def finish(release: Release) -> Release:
    """Seal a release with the golden set of what it answers now; nothing but card and figures may change after."""
    releases.seal(release)
    release = releases.read(release.directory)
    golden.write(release)
    releases.seal(release)
    return releases.read(release.directory)


def _answers(
    detector: Detector, items: Sequence[Item], scored: Callable[[int], object]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]:
    """The files' logits under an identity calibration, their labels, and their first faces' features, of which a
    network that tells none has none.
    """
    logits, labels, features = [], [], []
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        prepared = detector.prepare([item.path.read_bytes() for item in batch])
        for item, sheet, answer in zip(batch, prepared.sheets, detector.judge(prepared), strict=True):
            if isinstance(sheet, Sheet) and isinstance(answer, Judgement) and answer.band != bands.INCONCLUSIVE:
                score = min(max(answer.score, 1e-12), 1 - 1e-12)
                logits.append(np.log(score / (1 - score)))
                labels.append(item.label)
                features += detector.panel.features(sheet.cuts[0].crops)
        scored(len(batch))
    if set(labels) != {0, 1}:
        raise ReleaseError("calibration needs faces of both classes in the validation split")
    return np.array(logits), np.array(labels), np.array(features, np.float32)


def _sources(divided: Mapping[str, Sequence[Item]]) -> dict[str, dict[str, int | str]]:
    """How many images of each source there were, and what they were for."""
    names = sorted({item.source for items in divided.values() for item in items})
    every = [item for items in divided.values() for item in items]
    away = {item.source for item in divided[splits.UNSEEN]}
    return {
        name: {
            "real": sum(item.source == name and not item.label for item in every),
            "fake": sum(item.source == name and item.label for item in every),
            "use": "held out" if name in away else "80 % training, 10 % validation, 10 % test, by group",
        }
        for name in names
    }


def _rounded(tensor: torch.Tensor) -> torch.Tensor:
    """Matrices and kernels in half precision; the rest, small and delicate, as it is."""
    return (tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor).contiguous()
