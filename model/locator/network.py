"""The locator's network and what it is taught with: a score, a box and five landmarks for each cell of three grids.

The outputs have YuNet's layout, with one score as both `cls` and `obj`, so `model.faces` and OpenCV's FaceDetectorYN
read the exported file as they read the teacher's.
"""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from model import faces, views

BETA = 2.0  # focus of the quality focal loss, as in its paper (Li et al., NeurIPS 2020)


class Separable(nn.Sequential):
    """A depthwise and a pointwise convolution, normalised and rectified once, as YuNet has them."""

    def __init__(self, entering: int, leaving: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(entering, entering, kernel, stride, kernel // 2, groups=entering, bias=False),
            nn.Conv2d(entering, leaving, 1, bias=False),
            nn.BatchNorm2d(leaving),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """A separable convolution added to what enters it."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.inner = Separable(width, width, kernel)

    def forward(self, entering: Tensor) -> Tensor:
        added: Tensor = entering + self.inner(entering)
        return added


class Locator(nn.Module):
    """BGR 0..255 (n, 3, 320, 320) in; (n, 2100, 15) out: per cell of strides 8, 16, 32 the centre's offset and the
    logarithm of the size, five landmarks' offsets, all in strides, and the score's logit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
            Separable(16, 32),
        )
        self.eighth = nn.Sequential(Separable(32, 56, stride=2), *(Residual(56, 3) for _ in range(3)))
        self.sixteenth = nn.Sequential(Separable(56, 80, 5, stride=2), *(Residual(80, 5) for _ in range(3)))
        self.thirtysecond = nn.Sequential(Separable(80, 104, 5, stride=2), *(Residual(104, 5) for _ in range(2)))
        self.lateral = nn.ModuleList(nn.Conv2d(width, 56, 1) for width in (56, 80, 104))
        self.heads = nn.ModuleList(
            nn.Sequential(Separable(56, 56, kernel), nn.Conv2d(56, 15, 1)) for kernel in (3, 5, 5)
        )
        for head in self.heads:
            assert isinstance(head, nn.Sequential)
            assert isinstance(head[-1], nn.Conv2d)
            assert head[-1].bias is not None
            with torch.no_grad():
                head[-1].bias[14] = -4.0  # faces are rare: start from about that belief

    def forward(self, images: Tensor) -> Tensor:
        fine = self.eighth(self.stem(images * (1 / 64) - 2))
        middle = self.sixteenth(fine)
        coarse = self.thirtysecond(middle)
        levels = [lateral(level) for lateral, level in zip(self.lateral, (fine, middle, coarse), strict=True)]
        levels[1] = levels[1] + functional.interpolate(levels[2], scale_factor=2.0)
        levels[0] = levels[0] + functional.interpolate(levels[1], scale_factor=2.0)
        answers = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        return torch.cat([answer.flatten(2).transpose(1, 2) for answer in answers], 1)


class Served(nn.Module):
    """A locator with YuNet's twelve outputs: cls, obj, bbox and kps, each for strides 8, 16 and 32."""

    def __init__(self, locator: Locator) -> None:
        super().__init__()
        self.locator = locator

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        cells = [(views.CANVAS // stride) ** 2 for stride in faces.STRIDES]
        levels = self.locator(images).split(cells, 1)
        scores = [level[..., 14:].sigmoid() for level in levels]
        # A node of its own for obj: two outputs may not share one name.
        return (*scores, *(score + 0 for score in scores), *(level[..., :4] for level in levels),
                *(level[..., 4:14] for level in levels))  # fmt: skip


def loss(answers: Tensor, states: Tensor, wanted: Tensor) -> Tensor:
    """Quality focal loss of the score, with the root of the box's own IoU as its aim, plus GIoU of the boxes and smooth
    L1 of the landmarks on cells that own a face. `states` (n, 2100): 1 face, 0 background, -1 neither; `wanted`
    (n, 2100, 14).
    """
    own = states == 1
    boxes, aims = answers[own][:, :4], wanted[own][:, :4]
    overlap, generous = intersections(boxes, aims)
    aim = torch.zeros_like(answers[..., 14])
    aim[own] = overlap.detach().sqrt()  # the root, as YuNet tells it: small faces, whose boxes are rough, stay sure
    logit = answers[..., 14]
    weight = (logit.sigmoid() - aim).abs().pow(BETA) * (states >= 0)
    scores = (functional.binary_cross_entropy_with_logits(logit, aim, reduction="none") * weight).sum()
    size = aims[:, 2:].exp().mean(1, keepdim=True)
    points = functional.smooth_l1_loss(answers[own][:, 4:14] / size, wanted[own][:, 4:] / size, beta=0.05,
                                       reduction="none")  # fmt: skip
    return (scores + 2 * (1 - generous).sum() + 4 * points.mean(1).sum()) / own.sum().clamp(min=1)


def intersections(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and GIoU (Rezatofighi et al., CVPR 2019) of paired (n, 4) boxes: centre, logarithm of size."""
    sizes = [box[:, 2:].clamp(max=6).exp() for box in (first, second)]
    lows = [box[:, :2] - size / 2 for box, size in zip((first, second), sizes, strict=True)]
    highs = [low + size for low, size in zip(lows, sizes, strict=True)]
    shared = (torch.minimum(*highs) - torch.maximum(*lows)).clamp(min=0).prod(1)
    union = sizes[0].prod(1) + sizes[1].prod(1) - shared
    hull = (torch.maximum(*highs) - torch.minimum(*lows)).prod(1)
    overlap = shared / union
    return overlap, overlap - (hull - union) / hull


def export(locator: Locator, path: Path, threshold: float, notes: dict[str, str]) -> None:
    """Write `locator` as ONNX, any batch size, with its preprocessing, `threshold` and `notes` as metadata."""
    served = Served(copy.deepcopy(locator)).eval()
    names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in faces.STRIDES]
    sample = torch.zeros(2, 3, views.CANVAS, views.CANVAS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its age; it writes the smaller graph
        torch.onnx.export(
            served, (sample,), path, dynamo=False, input_names=["input"], output_names=names, opset_version=17,
            dynamic_axes={name: {0: "batch"} for name in ("input", *names)},
        )  # fmt: skip
    graph = onnx.load(path)
    pinned = {
        "layout": "yunet",
        "input": "BGR 0..255, 320x320, letterboxed in black",
        "threshold": f"{threshold:.3f}",
    }
    onnx.helper.set_model_props(graph, pinned | notes)
    onnx.save(graph, path)
