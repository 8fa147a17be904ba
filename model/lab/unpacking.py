"""What a pack's `run.py` does: check the files, tune within a budget of time, and say what tuning gained."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from model.errors import ModelError
from model.lab import packed, stages
from model.lab.feeds import Crops
from model.lab.stages import Job
from model.lab.tower import Tower
from model.lab.tuning import Settings

DEFAULT = Settings()
EVERY = 0.5  # seconds between two lines of progress


def main(folder: Path, arguments: Sequence[str] | None = None) -> None:
    """Tune the pack in `folder` as the command line asks."""
    asked = _parser(folder).parse_args(arguments)
    began = time.perf_counter()
    try:
        done = stages.run(_job(folder, asked, began), asked.out, _Line())
    except ModelError as error:
        sys.exit(f"run.py: {error}")
    print(json.dumps({"out": str(asked.out), "macro": done["macro"]}))


def _parser(folder: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("run.py", description="Tune an image encoder's LayerNorms; see README.md.")
    parser.add_argument("--out", type=Path, default=folder / "out", help="for delta.npz, log.csv and results.json")
    parser.add_argument("--seconds", type=float, default=450, help="for everything, start to end (default 450)")
    parser.add_argument("--steps", type=int, help="of each stage at most, whatever time is left")
    parser.add_argument("--leave", action="append", metavar="FOLD", help="a fold to leave out; all of the pack's")
    parser.add_argument("--no-folds", action="store_true", help="tune only, leave nothing out")
    parser.add_argument("--batch", type=int, default=DEFAULT.batch)
    parser.add_argument("--rate", type=float, default=DEFAULT.rate, help="of the LayerNorms")
    parser.add_argument("--keep", type=int, default=DEFAULT.keep, help="steps between two checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def _job(folder: Path, asked: argparse.Namespace, began: float) -> Job:
    pack = packed.opened(folder)
    folds = pack.record["folds"]
    if unknown := sorted(set(asked.leave or ()) - set(folds)):
        raise ModelError(f"the pack has no fold {unknown[0]!r}; it has {', '.join(sorted(folds))}")
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"there is no {asked.device} here")
    device = torch.device(asked.device)
    torch.manual_seed(asked.seed)
    torch.backends.cuda.matmul.allow_tf32 = True
    tower = Tower(pack.weights, pack.record["blocks"]).to(device)
    feed = Crops(pack.crops, device)
    chosen = {} if asked.no_folds else {name: folds[name] for name in asked.leave or folds}
    settings = Settings(asked.batch, asked.rate, steps=asked.steps or DEFAULT.steps, keep=asked.keep, seed=asked.seed)
    about = {"pack": pack.record["made_of"], "crops": len(pack.table)}
    seconds = asked.seconds - (time.perf_counter() - began) if math.isfinite(asked.seconds) else math.inf
    return Job(tower, feed, pack.table, chosen, pack.record["mates"], settings, seconds, about)


class _Line:
    """Progress on stderr: one line that is written over on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        self._last, self._terminal = 0.0, sys.stderr.isatty()

    def __call__(self, stage: str, progress: float, words: str) -> None:
        now = time.monotonic()
        whole = progress >= 1
        if not whole and now - self._last < (EVERY if self._terminal else 20 * EVERY):
            return
        self._last = now
        bar = "#" * round(24 * min(progress, 1.0))
        end = "\n" if whole or not self._terminal else ""
        begin = "\r\x1b[K" if self._terminal else ""
        sys.stderr.write(f"{begin}{stage:24} [{bar:24}] {progress:4.0%} {words}{end}")
        sys.stderr.flush()
