"""From torch to an ONNX graph that takes any number of crops. It refuses what cannot be traced."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from model import backends
from model.errors import ReleaseError
from model.networks import TwoHeads


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
    write_graph(_Served(network).eval(), torch.zeros((2, size, size, 3), dtype=torch.uint8), path, "crops", names)


def write_graph(network: nn.Module, example: torch.Tensor, path: Path, entry: str, names: Sequence[str]) -> None:
    """Write a module as ONNX: tensors like `example`, but of any number of rows, in as `entry`, and out as `names`.
    Raises ReleaseError when it cannot be traced.
    """
    batch = ({0: torch.export.Dim.DYNAMIC},)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            network, (example,), input_names=[entry], output_names=names, dynamic_shapes=batch, verbose=False
        )
    if program is None:
        raise ReleaseError("the network could not be exported as ONNX")
    program.save(path, external_data=False)
