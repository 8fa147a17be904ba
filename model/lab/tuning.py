"""Tuning the encoder's LayerNorms on pairs of real and fake crops, together with a linear head.

The head has the logits of both kinds of forgery against real, as the heads of a release do. It starts from 0 on
standardised features, and is thrown away: a release fits its own heads to the tuned features. Learning rates climb and
then follow half a cosine, by steps or by the clock, whichever is further. A run that was killed goes on from its
checkpoint; by steps alone it comes to the same delta.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.errors import Diverged, ModelError
from model.lab.feeds import Feed
from model.lab.pairing import Pairs, Table
from model.lab.tower import Tower

WARM = 20  # steps in which the rates climb, a quarter of a short run
STANDARD = 128  # crops that the head's standardisation is measured on
FIRST = 2**31  # the number of the step that draws them: no run comes as far
AT_ONCE = 64  # crops whose features are computed at once without gradients


@dataclass(frozen=True, slots=True)
class Settings:
    """`batch` crops a step, half of them real; learning `rate` of the LayerNorms and `head_rate` of the head, which
    alone has weight `decay`; at most so many `steps`, in at most so many `seconds`; a checkpoint every `keep` steps.
    """

    batch: int = 64
    rate: float = 3e-4
    head_rate: float = 1e-3
    decay: float = 1e-2
    steps: int = 1_000_000
    seconds: float = math.inf
    keep: int = 100
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One finished step: its number from 1, `progress` 0 to 1, its loss, the LayerNorms' rate and the seconds spent."""

    number: int
    progress: float
    loss: float
    rate: float
    seconds: float


Told = Callable[[Step], object]


class Head(nn.Module):
    """The logits of manipulated and synthetic against real, float32 (n, 2), of features (n, d)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.linear = nn.Linear(width, 2)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def measure(self, features: Tensor) -> None:
        """Standardise by these features, (n, d), from now on."""
        self.centre, self.scale = features.mean(dim=0), features.std(dim=0, unbiased=False) + 1e-3

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.linear((features - self.centre) / self.scale)
        return logits


def rates(progress: float, number: int, steps: int) -> float:
    """The factor of the learning rates, above 0 and at most 1, at step `number` from 0."""
    climb = min(1.0, (number + 1) / max(1, min(WARM, steps // 4)))
    return climb * (1 + math.cos(math.pi * min(progress, 1.0))) / 2 + 1e-3


@torch.no_grad()
def features(tower: Tower, feed: Feed, places: np.ndarray, done: Callable[[int], object] = lambda _: None) -> Tensor:
    """float32 (n, d) on the tower's device, without gradients."""
    parts = []
    for start in range(0, len(places), AT_ONCE):
        parts.append(feed(tower, places[start : start + AT_ONCE]))
        done(len(parts[-1]))
    return torch.cat(parts)


def tune(
    tower: Tower, feed: Feed, table: Table, pairs: Pairs, settings: Settings, checkpoint: Path, told: Told
) -> int:  # fmt: skip
    """Tune `tower`, which must be as it was made, or from where `checkpoint` left it; returns the number of steps. The
    checkpoint stays. Raises Diverged, and ModelError where the checkpoint is of other settings.
    """
    device = tower.tuned()[0].device
    classes = torch.from_numpy(table.classes).to(device)
    run = _Run(tower, feed, table, pairs, settings, checkpoint)
    while (progress := run.progress()) < 1:
        began = time.perf_counter()
        rows = pairs.step(run.number, settings.batch)
        factor = run.paced(progress)
        logits = run.head(feed(tower, table.places[rows]))
        logits = torch.cat([logits.new_zeros((len(rows), 1)), logits], dim=1)
        loss = nn.functional.cross_entropy(logits, classes[torch.from_numpy(rows).to(device)])
        run.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimiser.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise Diverged(f"the loss is {value} at step {run.number + 1}: a smaller rate may do")
        run.number += 1
        run.seconds += time.perf_counter() - began
        if run.number % settings.keep == 0 or run.progress() >= 1:
            run.write()
        told(Step(run.number, min(1.0, run.progress()), value, factor * settings.rate, run.seconds))
    return run.number


class _Run:
    """A tuning under way: tower, head and optimiser, and how far they are."""

    def __init__(
        self, tower: Tower, feed: Feed, table: Table, pairs: Pairs, settings: Settings, checkpoint: Path
    ) -> None:
        self.tower, self.settings, self.path = tower, settings, checkpoint
        self.number, self.seconds = 0, 0.0
        device = tower.tuned()[0].device
        self.head = Head(tower.read * len(tower.blocks)).to(device)
        groups = [
            {"params": tower.tuned(), "lr": settings.rate, "weight_decay": 0.0},
            {"params": list(self.head.linear.parameters()), "lr": settings.head_rate, "weight_decay": settings.decay},
        ]
        self.optimiser = torch.optim.AdamW(groups)
        self._bases = [group["lr"] for group in self.optimiser.param_groups]
        if checkpoint.exists():
            self._read(device)
        else:
            began = time.perf_counter()
            rows = pairs.step(FIRST, STANDARD)
            self.head.measure(features(tower, feed, table.places[rows]))
            self.seconds += time.perf_counter() - began

    def progress(self) -> float:
        """How much is done, 0 to 1 or more."""
        return max(self.number / self.settings.steps, self.seconds / self.settings.seconds)

    def paced(self, progress: float) -> float:
        """Set the rates for this step; returns their factor."""
        factor = rates(progress, self.number, self.settings.steps)
        for group, base in zip(self.optimiser.param_groups, self._bases, strict=True):
            group["lr"] = base * factor
        return factor

    def write(self) -> None:
        """Keep all that going on needs."""
        norms = dict(zip(self.tower.names, self.tower.tuned(), strict=True))
        state = {
            "settings": self._key(), "number": self.number, "seconds": self.seconds,
            "norms": {name: each.detach() for name, each in norms.items()},
            "head": self.head.state_dict(), "optimiser": self.optimiser.state_dict(),
        }  # fmt: skip
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)

    def _read(self, device: torch.device) -> None:
        try:
            state: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
            if state["settings"] != self._key():
                raise ModelError(f"{self.path} is of a run with other settings: remove it, or choose another folder")
            with torch.no_grad():
                for name, each in zip(self.tower.names, self.tower.tuned(), strict=True):
                    each.copy_(state["norms"][name])
            self.head.load_state_dict(state["head"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.number, self.seconds = int(state["number"]), float(state["seconds"])
        except ModelError:
            raise
        except Exception as error:  # torch raises whatever the unpickler or the archive happens to
            raise ModelError(f"{self.path} is no checkpoint of a tuning: {error}") from error

    def _key(self) -> str:
        asked = {key: value for key, value in asdict(self.settings).items() if key not in ("keep", "seconds")}
        return f"{asked} {self.tower.first} {self.tower.names[-1]}"
