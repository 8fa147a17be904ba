"""Two small networks of student projects, written from their descriptions, as peers to compare with.

Both answer far below pretrained networks in the same time; that is the point of having them. They keep the projects'
layers up to the last one, which is ours. They refuse nothing: the first fits one crop size only.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class DenseStudent(nn.Module):
    """Two convolutions and a dense layer of 128 over everything they saw: 31.5 million parameters at 256 pixels, nearly
    all of them in that layer. Of a project on DFDC frames.
    """

    num_features = 128

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        side = ((size - 2) // 2 - 2) // 2
        self.seen = nn.Sequential(
            nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(64 * side * side, self.num_features), nn.ReLU())

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (n, 128) from (n, channels, size, size)."""
        features: Tensor = self.dense(self.seen(pixels))
        return features


class BlockStudent(nn.Module):
    """Four blocks of convolution, normalisation and pooling, then a mean over places: the kind of small network that a
    project put beside its Xception, whose exact layers are not known.
    """

    num_features = 256

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, 32, 64, 128, self.num_features)
        self.blocks = nn.Sequential(*(_block(before, after) for before, after in pairwise(widths)))

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 (n, 256) from (n, channels, h, w)."""
        features: Tensor = self.blocks(pixels).mean(dim=(2, 3))
        return features


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)
    )
