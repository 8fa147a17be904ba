"""A whole tuning: the delta first, then one short tuning for each kind left out, which says whether the delta is worth
keeping. Each stage gets an equal share of the time that is left, and what is done is not done again.

A folder holds `delta.npz`, `log.csv` (all steps), `results.json` and, while it is under way, checkpoints.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.encoder import delta as deltas
from model.errors import ModelError
from model.lab import probing, tuning
from model.lab.feeds import Feed
from model.lab.pairing import Pairs, Table
from model.lab.probing import Question
from model.lab.tower import Tower
from model.lab.tuning import Settings, Step

DELTA, LOG, RESULTS = "delta.npz", "log.csv", "results.json"
WHOLE = "all kinds"  # the stage whose delta is kept
COLUMNS = ("stage", "step", "progress", "loss", "rate", "seconds")
FAIR = 5.0  # seconds below which a fold is not begun

Told = Callable[[str, float, str], object]  # a stage's name, its progress 0 to 1, and a few words
Known = tuple[Tensor, list[tuple[Question, Tensor, Tensor]]]


@dataclass(frozen=True, slots=True)
class Job:
    """What a tuning needs: the tower as it was made, its feed, the `table` of crops, the sources of each fold, the
    `mates` of each source of fakes, the settings of each stage, and the `seconds` for all of them.
    """

    tower: Tower
    feed: Feed
    table: Table
    folds: Mapping[str, Sequence[str]]
    mates: Mapping[str, Sequence[str]]
    settings: Settings
    seconds: float = math.inf
    about: Mapping[str, Any] | None = None  # for the results: what was tuned, and on what


def run(job: Job, out: Path, told: Told) -> dict[str, Any]:
    """Tune, write into `out`, and return the results. Raises ModelError where `out` is of another job."""
    out.mkdir(parents=True, exist_ok=True)
    done = _begun(job, out)
    for place, (stage, away) in enumerate({WHOLE: (), **job.folds}.items()):
        if stage in done["stages"]:
            continue
        stages_left = 1 + len(job.folds) - place
        asked = probing.questions(job.table, away, job.mates)
        began = time.perf_counter()
        if (away and not asked) or (stage != WHOLE and job.seconds - done["seconds"] < FAIR * stages_left):
            reason = "too few crops" if away and not asked else "no time was left"
            done["stages"][stage] = {"skipped": reason}
        else:
            done["stages"][stage] = _stage(job, out, stage, away, asked, done, stages_left, told)
        done["seconds"] += time.perf_counter() - began
        _write(out, done)
        (out / f"stage-{place}.pt").unlink(missing_ok=True)
        told(stage, 1.0, _words(done["stages"][stage]))
    done["macro"] = _macro(done["stages"])
    _write(out, done)
    return done


def _stage(
    job: Job, out: Path, stage: str, away: Sequence[str], asked: Sequence[Question], done: Mapping[str, Any],
    stages_left: int, told: Told,
) -> dict[str, Any]:  # fmt: skip
    checkpoint = out / f"stage-{[WHOLE, *job.folds].index(stage)}.pt"
    taught = job.table.taught(away)
    rows = probing.learnt(taught, job.settings.seed)
    job.tower.reset()
    began = time.perf_counter()
    frozen = _answers(job, rows, asked, stage, "frozen features", told)
    reading = time.perf_counter() - began  # the tuned features will take as long
    left = (job.seconds - done["seconds"]) / stages_left - 2 * reading
    if away and left < FAIR:
        return {"skipped": "no time was left"}
    settings = replace(job.settings, seconds=max(1.0, left))
    pairs = Pairs(job.table, taught, job.mates, settings.seed)
    with _Log(out / LOG, stage) as log:

        def stepped(step: Step) -> None:
            log.write(step)
            told(stage, step.progress, f"step {step.number}, loss {step.loss:.3f}")

        steps = tuning.tune(job.tower, job.feed, job.table, pairs, settings, checkpoint, stepped)
    found: dict[str, Any] = {"steps": steps, "taught": int(taught.sum())}
    if stage == WHOLE:
        deltas.write(out / DELTA, job.tower.delta())
        found["delta"] = hashlib.sha256((out / DELTA).read_bytes()).hexdigest()
    if asked:
        tuned = _answers(job, rows, asked, stage, "tuned features", told)
        found["sources"] = {
            each.source: {"frozen": frozen[each.source], "tuned": tuned[each.source],
                          "fakes": len(each.fakes), "reals": len(each.reals)}
            for each in asked
        }  # fmt: skip
    return found


def _answers(
    job: Job, rows: NDArray[np.int64], asked: Sequence[Question], stage: str, what: str, told: Told
) -> dict[str, float]:
    """AUC by source with the tower as it is now; nothing is computed where nothing is asked."""
    if not asked:
        return {}
    total = len(rows) + sum(len(each.fakes) + len(each.reals) for each in asked)
    gone = 0

    def advanced(count: int) -> None:
        nonlocal gone
        gone += count
        told(stage, gone / total, what)

    def seen(some: NDArray[np.int64]) -> Tensor:
        return tuning.features(job.tower, job.feed, job.table.places[some], advanced)

    known = seen(rows)
    return probing.answers(known, job.table, rows, [(each, seen(each.fakes), seen(each.reals)) for each in asked])


def _begun(job: Job, out: Path) -> dict[str, Any]:
    """The results so far; empty ones for a new folder."""
    settings = {key: value for key, value in asdict(job.settings).items() if key not in ("keep", "seconds")}
    key = json.dumps([settings, {name: list(away) for name, away in job.folds.items()}, job.tower.first,
                      len(job.table), dict(job.about or {})])  # fmt: skip
    try:
        found = json.loads((out / RESULTS).read_text())
    except FileNotFoundError:
        found = {"key": key, "about": dict(job.about or {}), "settings": settings, "seconds": 0.0, "stages": {}}
        found["device"] = _device(job.tower)
        _write(out, found)
        return dict(found)
    except (OSError, ValueError) as error:
        raise ModelError(f"{out / RESULTS} cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("key") != key:
        raise ModelError(f"{out} holds a tuning with other settings: choose another folder")
    return found


def _write(out: Path, found: Mapping[str, Any]) -> None:
    part = out / f"{RESULTS}.part"
    part.write_text(json.dumps(found, indent=1) + "\n")
    part.replace(out / RESULTS)


def _macro(stages: Mapping[str, Any]) -> dict[str, float]:
    """The means over sources left out: frozen, tuned, and what tuning gained. Empty without folds."""
    rows = [row for stage in stages.values() for row in stage.get("sources", {}).values()]
    if not rows:
        return {}
    frozen, tuned = (float(np.mean([row[name] for row in rows])) for name in ("frozen", "tuned"))
    return {"frozen": frozen, "tuned": tuned, "gain": tuned - frozen}


def _words(stage: Mapping[str, Any]) -> str:
    if "skipped" in stage:
        return f"skipped: {stage['skipped']}"
    rows = [f"{source} {row['frozen']:.3f} -> {row['tuned']:.3f}" for source, row in stage.get("sources", {}).items()]
    return ", ".join(rows) or f"{stage['steps']} steps"


def _device(tower: Tower) -> str:
    device = tower.tuned()[0].device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


class _Log:
    """`log.csv`: the steps of all stages. A stage that goes on after being killed drops the steps it takes again."""

    def __init__(self, path: Path, stage: str) -> None:
        self._path, self._stage = path, stage
        self._fresh = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._fresh:
            self._file.close()

    def write(self, step: Step) -> None:
        """Add a row."""
        if self._fresh:
            kept = self._kept(step.number)
            self._file = self._path.open("w", newline="")
            self._rows = csv.writer(self._file, lineterminator="\n")
            self._rows.writerows([COLUMNS, *kept])
            self._fresh = False
        self._rows.writerow((self._stage, step.number, f"{step.progress:.4f}", f"{step.loss:.5f}", f"{step.rate:.3g}",
                             f"{step.seconds:.1f}"))  # fmt: skip
        self._file.flush()

    def _kept(self, number: int) -> list[list[str]]:
        if not self._path.exists():
            return []
        with self._path.open(newline="") as lines:
            rows = list(csv.reader(lines))[1:]
        return [row for row in rows if len(row) == len(COLUMNS) and (row[0] != self._stage or int(row[1]) < number)]
