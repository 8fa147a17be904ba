"""Which device computes: `cpu`, or `cuda:N` where there is one."""

from __future__ import annotations

import ctypes
import sys

from model.errors import DeviceError

CPU = "cpu"


def resolve(device: str) -> str:
    """`cpu` or `cuda:N` for `auto` (the first CUDA device, else the CPU), `cpu`, `cuda` or `cuda:N`. Raises DeviceError
    for a device that is not there.
    """
    if device == CPU or (device == "auto" and not count()):
        return CPU
    number = "0" if device in ("auto", "cuda") else device.removeprefix("cuda:")
    if not number.isdigit() or (device != "auto" and not device.startswith("cuda")):
        raise DeviceError(f"{device!r} is no device: say auto, cpu or cuda:N")
    if int(number) >= (there := count()):
        raise DeviceError(f"there is no cuda:{number} here; CUDA devices found: {there}")
    return f"cuda:{number}"


def count() -> int:
    """How many CUDA devices there are; 0 where torch or NVIDIA's driver is missing."""
    # Without NVIDIA's driver library there is no device, and a CPU worker is spared torch, or need not have it.
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        import torch
    except (OSError, ImportError):
        return 0
    return torch.cuda.device_count()
