"""What a run leaves to read: `log.csv`, a line a step, and TensorBoard's events beside it.

A resumed run continues its log: lines of steps after the checkpoint, which are done again, are taken out first.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from model.training.loop import Step
from model.training.runs import Run

COLUMNS = ("step", "seconds", "loss", "rate", "size", "progress", "auc")
FILE, EVENTS = "log.csv", "events"


class Log:
    """The log in `folder` of a run that stands at `step`; a context manager."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        if not step:
            shutil.rmtree(folder / EVENTS, ignore_errors=True)  # of another run
        kept = read(path)[:step] if path.exists() and step else []
        self._file = path.open("w", newline="")
        self._lines = csv.writer(self._file, lineterminator="\n")
        self._lines.writerow(COLUMNS)
        self._lines.writerows([line[name] for name in COLUMNS] for line in kept if int(line["step"]) <= step)
        self._events = SummaryWriter(str(folder / EVENTS), purge_step=step + 1 if step else None)

    def write(self, run: Run, step: Step) -> None:
        """Add the step that `run` has just done."""
        auc = "" if step.auc is None else f"{step.auc:.5f}"
        self._lines.writerow(
            (
                run.step,
                f"{run.seconds:.1f}",
                f"{step.loss:.5f}",
                f"{step.rate:.3g}",
                step.size,
                f"{step.progress:.4f}",
                auc,
            )
        )
        self._file.flush()
        told = {"loss": step.loss, "rate": step.rate, "size": step.size, "validation/auc": step.auc}
        for name, value in told.items():
            if value is not None:
                self._events.add_scalar(name, value, run.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._events.close()


def read(path: Path) -> list[dict[str, str]]:
    """The lines of a log."""
    with path.open(newline="") as lines:
        return [line for line in csv.DictReader(lines) if line.get("auc") is not None]  # not one torn by a kill
