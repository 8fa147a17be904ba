"""What cells of a sandbox do for the detector: decode, find faces, cut them out. Their tool is a detector that judges
nothing: it has a finder and cuttings, and no network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2

from formats.complexity import Bounds
from model import faces
from model.crops import Cutting
from model.detector import Detector, Failure, Sheet
from model.panels import Panel
from model.pixels import Frame
from model.releases import Release
from model.videos import Budget


def make(
    release: Release,
    cuttings: Sequence[Cutting],
    finder: Path,
    max_pixels: int,
    budget: Budget,
    onlooker: Callable[[Frame], Any] | None,
    bounds: Bounds,
    max_jpeg_pixels: int,
    most_faces: int,
) -> Detector:
    """The tool of a cell, see `Detector.load`."""
    cv2.setNumThreads(1)  # there is a cell for every core
    return Detector(
        Panel(release, (), cuttings), faces.load(finder), 1, max_pixels, budget, onlooker, bounds, None,
        max_jpeg_pixels, most_faces,
    )  # fmt: skip


def sheet(detector: Detector, content: bytes) -> Sheet | Failure:
    """One file, prepared."""
    return detector.sheet(content)
