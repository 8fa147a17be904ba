"""The encoder at work: ONNX Runtime on a CPU, torch on a CUDA device (or, in float32, on a CPU).

Both take uint8 (n, size, size, 3) RGB crops and give float32 (n, width) features: for each block that is read its class
token, then the mean of its patch tokens. Batches are cut into runs of `RUN` crops, which bounds memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.encoder.record import BLOCKS, MEAN, STD
from model.encoder.weights import Weights, shape_of
from model.errors import DeviceError, EncoderError

RUN = 4  # crops at once on a CPU: more are slower, since they leave its caches
CUDA_RUN = 128  # and on a CUDA device, which a smaller run would leave idle
CPUINFO = Path("/proc/cpuinfo")
DIGEST = "digest"  # the key of a converted graph's digest in the ONNX file's metadata

Crops = NDArray[np.uint8]
Floats = NDArray[np.float32]


class OnnxEncoder:
    """A graph of `graph.build` (a path or its bytes) on `threads` threads of the CPU.

    `digest` is the graph's (see `graph.digest`) where the file carries it, else the SHA-256 of the file; `width` is the
    length of a crop's features. Raises EncoderError for anything that is no such graph.
    """

    device = "cpu"

    def __init__(self, graph: Path | bytes, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoding wants those cores
        if not _has_vnni():
            # Without VNNI the fast uint8 x int8 product saturates at 16 bits; this takes a slower, exact one.
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
            (crops,), (features,) = self._session.get_inputs(), self._session.get_outputs()
            self.size, self.width = int(crops.shape[1]), int(features.shape[1])
        except Exception as error:  # onnxruntime has no public base class for its errors
            name = "these bytes are" if isinstance(graph, bytes) else f"{graph} is"
            raise EncoderError(
                f"{name} not an encoder graph that can run here: {str(error).splitlines()[0]}"
            ) from error
        self.digest = self._session.get_modelmeta().custom_metadata_map.get(DIGEST) or _sha256(graph)

    def features(self, crops: Crops) -> Floats:
        """float32 (n, width) of uint8 (n, size, size, 3) RGB crops; n may be 0."""
        return _in_runs(crops, RUN, self.width, self._run)

    def _run(self, crops: Crops) -> Floats:
        (found,) = self._session.run(None, {"crops": crops})
        return np.asarray(found, np.float32)


class TorchEncoder:
    """`weights` in torch on `device` (`cpu`, `cuda:N`), reading the outputs of `blocks`.

    Float32 on a CPU, bfloat16 on CUDA; `compiled` by torch.compile for the one shape of a full run. `digest` names
    weights, blocks and precision. Raises DeviceError for a device that is not there.
    """

    def __init__(
        self, weights: Weights, blocks: Sequence[int] = BLOCKS, device: str = "cpu", compiled: bool = False
    ) -> None:
        import torch

        from model.encoder import towers

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise DeviceError(f"there is no {device} here")
        shape = shape_of(weights)
        self.device, self.size, self.width = device, shape.size, 2 * len(blocks) * shape.width
        self._torch: Any = torch
        self._blocks = [block - 1 for block in sorted(blocks)]
        self._cuda = device.startswith("cuda")
        self._rows = CUDA_RUN if self._cuda else RUN
        self._fixed = compiled  # every other number of crops would be compiled anew
        dtype = torch.bfloat16 if self._cuda else torch.float32
        self._network: Any = towers.network(weights, shape, max(blocks)).to(device, dtype)
        self._dtype: Any = dtype
        self._mean, self._std = (torch.tensor(value, device=device).view(1, 3, 1, 1) * 255 for value in (MEAN, STD))
        self._forward: Any = torch.compile(self._read) if compiled else self._read
        self.digest = _weights_digest(weights, blocks, str(dtype))

    def features(self, crops: Crops) -> Floats:
        """float32 (n, width) of uint8 (n, size, size, 3) RGB crops; n may be 0."""
        return _in_runs(crops, self._rows, self.width, self._run)

    def _run(self, crops: Crops) -> Floats:
        count = len(crops)
        if self._fixed:
            crops = crops[np.arange(self._rows).clip(max=count - 1)]
        with self._torch.inference_mode():
            found: Any = self._forward(self._torch.from_numpy(np.ascontiguousarray(crops)).to(self.device))
            return np.asarray(found[:count].cpu().numpy(), np.float32)

    def _read(self, pixels: Any) -> Any:
        normalised = (pixels.permute(0, 3, 1, 2).float() - self._mean) / self._std
        read = self._network.forward_intermediates(
            normalised.to(self._dtype), indices=self._blocks, return_prefix_tokens=True, output_fmt="NLC",
            intermediates_only=True,
        )  # fmt: skip
        parts = [part for patches, first in read for part in (first[:, 0].float(), patches.float().mean(dim=1))]
        return self._torch.cat(parts, dim=1)


@cache
def _has_vnni() -> bool:
    """Whether the processor multiplies int8 exactly and fast, as far as Linux tells; False where nobody does. The exact
    product is asked for then, which takes half as long again on processors that need not be asked.
    """
    try:
        flags = set(CPUINFO.read_text().split())
    except OSError:
        return False
    return bool(flags & {"avx512_vnni", "avx_vnni"})


def _in_runs(crops: Crops, rows: int, width: int, run: Callable[[Crops], Floats]) -> Floats:
    parts = [run(crops[first : first + rows]) for first in range(0, len(crops), rows)]
    return np.concatenate(parts) if parts else np.empty((0, width), np.float32)


def _sha256(graph: Path | bytes) -> str:
    return hashlib.sha256(graph if isinstance(graph, bytes) else graph.read_bytes()).hexdigest()


def _weights_digest(weights: Weights, blocks: Sequence[int], dtype: str) -> str:
    total = hashlib.sha256(f"{dtype} {tuple(blocks)}".encode())
    for name in sorted(weights):
        total.update(name.encode())
        total.update(np.ascontiguousarray(weights[name]).tobytes())
    return total.hexdigest()
