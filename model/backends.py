"""The network at work: ONNX Runtime on a CPU, torch on a CUDA device, the same logits from both (within 1e-3 on
a CPU; half precision on a GPU moves them by a few hundredths at most). It refuses a device that is not there.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model import releases
from model.errors import DeviceError, ReleaseError
from model.releases import Release

Crops = NDArray[np.uint8]
Logits = NDArray[np.float32]


class Backend(Protocol):
    """A network that is ready to run."""

    device: str

    def forward(self, crops: Crops) -> Logits:
        """float32 (n, 2) logits, manipulated and synthetic, of uint8 (n, size, size, 3) RGB crops."""


class OnnxBackend:
    """ONNX Runtime on `threads` threads of the CPU."""

    device = "cpu"

    def __init__(self, release: Release, threads: int) -> None:
        import onnxruntime

        path = release.file(releases.GRAPH)
        if path is None:
            raise ReleaseError(f"{release.directory} has no {releases.GRAPH}, which scoring on a CPU needs")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoding wants those cores
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def forward(self, crops: Crops) -> Logits:
        """See `Backend.forward`."""
        (logits,) = self._session.run(["logits"], {"crops": crops})
        return np.asarray(logits, np.float32)


class TorchBackend:
    """torch on `device`, in half precision where the device is CUDA; the network itself asks for channels last."""

    def __init__(self, release: Release, device: str) -> None:
        import torch
        from safetensors.torch import load_file

        from model import networks

        path = release.file(releases.WEIGHTS)
        if path is None:
            raise ReleaseError(f"{release.directory} has no {releases.WEIGHTS}, which scoring with torch needs")
        steps = release.preprocessing
        network = networks.create(release.backbone, steps.mean, steps.std)
        network.load_state_dict(load_file(path))
        self.device = device
        self._torch: Any = torch
        self._network = network.eval().to(device)

    def forward(self, crops: Crops) -> Logits:
        """See `Backend.forward`."""
        torch = self._torch
        cuda = self.device.startswith("cuda")
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=cuda):
            logits = self._network(torch.from_numpy(crops).to(self.device))
        return np.asarray(logits.float().cpu().numpy(), np.float32)


def start(release: Release, device: str, threads: int) -> Backend:
    """The backend for `device`: `cpu`, `cuda:N`, or `auto` (the first CUDA device, else the CPU). Raises DeviceError
    for a device that is not there.
    """
    if device == "cpu" or (device == "auto" and not _cuda_devices()):
        return OnnxBackend(release, threads)
    number = "0" if device in ("auto", "cuda") else device.removeprefix("cuda:")
    if not number.isdigit() or (device != "auto" and not device.startswith("cuda")):
        raise DeviceError(f"{device!r} is no device: say auto, cpu or cuda:N")
    if int(number) >= (there := _cuda_devices()):
        raise DeviceError(f"there is no cuda:{number} here; CUDA devices found: {there}")
    return TorchBackend(release, f"cuda:{number}")


def _cuda_devices() -> int:
    # Without NVIDIA's driver library there is no device, and a CPU worker is spared torch, or need not have it.
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        import torch
    except (OSError, ImportError):
        return 0
    return torch.cuda.device_count()
