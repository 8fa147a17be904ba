"""Training: an album and a recipe in, averaged weights out.

`runs` is what is kept between steps, `loop` follows a recipe, `objective` is what is minimised, `schedules` what
changes on the way, `devices` where it happens; `validation`, `teachers`, `logs` and `sweeping` stand around it.
"""

from __future__ import annotations

from model.training.loop import Step, train
from model.training.runs import Run, finished, resume, start

__all__ = ["Run", "Step", "finished", "resume", "start", "train"]
