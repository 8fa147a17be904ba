"""Somebody else's network as a release of ours: an ONNX graph, or a checkpoint of a timm network.

What it wants to see (`Framing`) and what its output means (`Meaning`) are folded into the graph, which then takes uint8
crops and gives one logit of P(fake), like any other; serving knows no special case. It has one head: it does not say
whether a face was manipulated or an image synthesised, so neither is made up. It refuses to unpickle anything, and a
network that cannot be run on the crops it is said to want.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from model import backends, faces, fitting, procedural, releases
from model.bands import Thresholds
from model.calibration import Calibration
from model.errors import ReleaseError
from model.heads import ONE_HEAD
from model.imports import checkpoints, graphs
from model.imports.chains import Meaning
from model.imports.graphs import Framing
from model.releases import Preprocessing, Release

CHECKPOINTS = {".safetensors", ".pth", ".pt", ".bin"}
EVEN = Thresholds(0.5, 0.9)  # of a detector whose calibration nobody knows
PROMISE = "Nothing is promised: neither calibration nor thresholds were fitted; the score is the network's own."


def wrap(
    file: Path,
    out: Path,
    *,
    framing: Framing,
    meaning: Meaning,
    margin: float,
    name: str,
    version: str,
    architecture: str | None = None,
) -> Release:
    """A release in `out` from the ONNX graph `file`, or from the checkpoint `file` of timm's `architecture`. Faces
    are found by our locator and cut at `margin` times their box. Raises ReleaseError with what does not fit.
    """
    if file.suffix.lower() in CHECKPOINTS:
        if architecture is None:
            raise ReleaseError(f"{file} is a checkpoint: say which timm network it is of, with --architecture")
        original, framing = checkpoints.as_graph(file, architecture, framing)
    else:
        original = graphs.read(file)
    graph, size = graphs.served(original, framing, meaning)
    mean, std = framing.mean or (0.0, 0.0, 0.0), framing.std or (1 / 255, 1 / 255, 1 / 255)
    said: dict[str, Any] = {
        "file": file.name, "sha256": releases.digest(file), "framing": asdict(framing), "meaning": asdict(meaning)
    }  # fmt: skip
    with releases.building(out) as home:
        onnx.save_model(graph, home / releases.GRAPH)
        shutil.copyfile(faces.LOCATOR, home / releases.FACES)
        release = Release(
            home, name, version, architecture or file.name, Preprocessing(size, margin, mean, std),
            Calibration(), EVEN, heads=ONE_HEAD, training={"imported": said, "promise": PROMISE},
        )  # fmt: skip
        releases.seal(release)
        _try_out(releases.read(home))
        fitting.finish(release)
    return releases.read(out)


def _try_out(release: Release) -> None:
    """Raises ReleaseError when the graph does not give each crop one number, whatever crops are beside it."""
    size = release.preprocessing.size
    stack = np.stack(
        [procedural.noise(size, 0), procedural.gradient(size), procedural.portrait(size, size, size, 0)[0]]
    )
    backend = backends.OnnxBackend(release, 1)
    together = backend.forward(stack)
    if together.shape != (len(stack), len(ONE_HEAD)):
        raise ReleaseError(f"the network gives {together.shape} for {len(stack)} crops, not one number each")
    alone = np.concatenate([backend.forward(crop[None]) for crop in stack])
    if (gap := float(np.abs(alone - together).max())) > 1e-2:
        raise ReleaseError(f"the network's answer to a crop depends on its neighbours: it moves by {gap:.2g}")
