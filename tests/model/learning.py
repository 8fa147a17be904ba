"""A recipe of four steps on tiny crops, and a face finder that finds one wherever it looks."""

import numpy as np

from model import recipes
from model.faces import FoundFace

TINY = recipes.of({
    "threads": 1,
    "workers": 0,
    "network": {"backbone": "test_resnet"},
    "schedule": {"steps": 4, "batch": 8, "size": 64},
    "loss": {"map_weight": 0},
})  # fmt: skip


class WholePicture:
    """These tests are about what comes after the finder."""

    def find(self, image):
        height, width = image.shape[:2]
        marks = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.6], [0.4, 0.75], [0.6, 0.75]], np.float32)
        return [FoundFace((0.1 * width, 0.1 * height, 0.8 * width, 0.8 * height), marks * (width, height), 0.9)]


def tiny(**sections):
    """`TINY` with other values in some sections."""
    return TINY.changed(**sections)
