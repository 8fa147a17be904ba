"""From a trained network to a release directory: weights, graph, list, finder; `fitting` adds the rest.

Weights are rounded to half precision first and the graph is exported from the rounded ones, so both are the same
network. It refuses to publish a graph that disagrees with the weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save

from model import agreement, calibration, exporting, faces, fitting, releases, splits, verification
from model.bands import Thresholds
from model.errors import ReleaseError
from model.releases import Limits, Preprocessing, Release
from model.sources import Item
from model.training import Run

_AWAY = "held out, half of it calibrated on"
calibrate = fitting.calibrate  # what follows `write`


def write(directory: Path, version: str, run: Run, divided: Mapping[str, Sequence[Item]], limits: Limits) -> Release:
    """A release of the run's average in `directory`, complete but for `calibrate`; `divided` are the splits it was
    trained with. Raises ReleaseError when graph and weights disagree.
    """
    network, recipe = run.average, run.recipe
    directory.mkdir(parents=True, exist_ok=True)
    rounded = {name: _rounded(tensor) for name, tensor in network.state_dict().items()}
    (directory / releases.WEIGHTS).write_bytes(save(rounded))
    network.load_state_dict(rounded)
    size = recipe.release.size or recipe.schedule.size
    exporting.export(network.eval(), size, directory / releases.GRAPH)
    releases.write_list(directory, divided[splits.TRAIN], filter(splits.calibrates, divided[splits.UNSEEN]))
    if faces.LOCATOR.exists():
        shutil.copyfile(faces.LOCATOR, directory / releases.FACES)
    steps = Preprocessing(size, recipe.data.margin, *recipe.normalisation, through=True)
    release = Release(
        directory, recipe.release.name, version, recipe.network.backbone, steps, calibration.Calibration(),
        Thresholds(0.5, 0.5), limits, heads=network.names,
        training={"recipe": recipe.told(), "steps_taken": run.step, "sources": _sources(divided)},
    )  # fmt: skip
    releases.seal(release)
    release = releases.read(directory)
    if (gap := agreement.gap(release)) > verification.AGREEMENT:
        raise ReleaseError(f"graph and weights of {directory} disagree by {gap:.2g} in the logit")
    return release


def _sources(divided: Mapping[str, Sequence[Item]]) -> dict[str, dict[str, int | str]]:
    """How many images of each source there were, and what they were for."""
    names = sorted({item.source for items in divided.values() for item in items})
    every = [item for items in divided.values() for item in items]
    away = {item.source for item in divided[splits.UNSEEN]}
    return {
        name: {
            "real": sum(item.source == name and not item.label for item in every),
            "fake": sum(item.source == name and item.label for item in every),
            "use": _AWAY if name in away else fitting.USE,
        }
        for name in names
    }


def _rounded(tensor: torch.Tensor) -> torch.Tensor:
    """Matrices and kernels in half precision; the rest, small and delicate, as it is."""
    return (tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor).contiguous()
