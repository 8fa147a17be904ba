"""Where a run works: one device, or one of several processes that torchrun started.

Each process computes its share of every batch and all hold the same weights. It refuses a device that is not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from model.errors import DeviceError

_TYPES = {"half": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Place:
    """A process's device, its number, and how many there are. The first one writes what is to be written."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def shared(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over the processes."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, [self.device] if self.device.type == "cuda" else None)

    def agreed(self, value: float) -> float:
        """The first process's value, in all of them."""
        if self.count == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(told, 0)
        return float(told)

    def mean(self, value: Tensor) -> float:
        """The mean of a scalar over the processes."""
        if self.count > 1:
            value = value.detach().clone()
            distributed.all_reduce(value)
        return float(value.detach()) / self.count

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.count > 1:
            distributed.barrier()

    def autocast(self, precision: str) -> AbstractContextManager[object]:
        """Mixed precision (Micikevicius et al., ICLR 2018) where the device is CUDA and the recipe asks for it."""
        if self.device.type != "cuda" or precision == "full":
            return nullcontext()
        return torch.autocast("cuda", _TYPES[precision])


@contextmanager
def joined(device: str = "auto") -> Iterator[Place]:
    """The place of this process on `device` (`auto`, `cpu`, `cuda`, `cuda:N`), among the others where torchrun started
    it. Raises DeviceError.
    """
    count, rank, local = (int(os.environ.get(name, fallback)) for name, fallback in _STARTED)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        device = f"cuda:{local}"
    chosen = _device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if count == 1:
        yield Place(chosen)
        return
    # The others wait while the first one cuts faces and calibrates.
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=timedelta(hours=12))
    try:
        yield Place(chosen, rank, count)
    finally:
        distributed.destroy_process_group()


_STARTED = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is no device: say auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"{name!r} is no device: say auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"there is no {name} here; CUDA devices found: {torch.cuda.device_count()}")
    return device
