"""An exported locator made trainable again.

The exporter folds batch normalisation into the convolution before it. Training needs the normalisation back, so each
one is set to the mean and the variance that its input has on some scenes, and scaled so that the answers stay the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from model.locator import network


def restored(path: Path, canvases: Iterable[Tensor]) -> network.Locator:
    """The locator in the ONNX file `path`, which answers as the file does. `canvases`, float32 (n, 3, side, side), BGR
    0..255, are what its normalisation is measured on. Raises ValueError for a file of another architecture.
    """
    locator = network.Locator().eval()
    pairs = _convolutions(locator)
    graph = onnx.load(path).graph
    stored = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    if len(nodes) != len(pairs):
        raise ValueError(f"{path} has {len(nodes)} convolutions, not the {len(pairs)} of our locator")
    with torch.no_grad():
        for node, (convolution, norm) in zip(nodes, pairs, strict=True):
            weight = torch.tensor(stored[node.input[1]])
            if weight.shape != convolution.weight.shape:
                raise ValueError(f"{path}: {node.name} is not shaped as in our locator")
            convolution.weight.copy_(weight)
            bias = norm.bias if norm else convolution.bias
            if bias is not None:
                bias.copy_(torch.tensor(stored[node.input[2]]))
        _normalise(locator, [norm for _, norm in pairs if norm], canvases)
    return locator


def _convolutions(locator: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Each convolution in the order in which `forward` runs them, with the normalisation behind it."""
    layers = [layer for layer in locator.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    followers = [*layers[1:], None]
    return [
        (layer, after if isinstance(after, nn.BatchNorm2d) else None)
        for layer, after in zip(layers, followers, strict=True)
        if isinstance(layer, nn.Conv2d)
    ]


def _normalise(locator: network.Locator, norms: list[nn.BatchNorm2d], canvases: Iterable[Tensor]) -> None:
    sums = {norm: [torch.zeros(norm.num_features, dtype=torch.float64) for _ in range(2)] for norm in norms}
    counts = dict.fromkeys(norms, 0)

    def measure(norm: nn.Module, entering: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        values = entering[0].transpose(0, 1).flatten(1).double()
        sums[norm][0] += values.sum(1)
        sums[norm][1] += values.square().sum(1)
        counts[norm] += values.shape[1]

    for norm in norms:
        norm.running_var = torch.full_like(norm.bias, 1 - norm.eps)
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    for canvas in canvases:
        locator(canvas)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean, square = (total / max(1, counts[norm]) for total in sums[norm])
        variance = (square - mean.square()).clamp(min=1e-6).float()
        norm.running_mean, norm.running_var = mean.float(), variance
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(norm.running_mean)
