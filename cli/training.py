"""What `unmask train` does once it knows the recipe: cut faces, follow or try recipes, publish; with bars that tell.

Where several processes train together, the first one alone cuts, tells, logs and publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import tomli_w
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cli.bars import progress_bar
from model import albums, batches, datasets, faces, fitting, publishing, releases, splits
from model import training as learning
from model.albums import Album
from model.datasets import published
from model.recipes import Recipe
from model.sources import Item
from model.training import Run, Step, devices, logs, sweeping
from model.training.devices import Place
from model.training.loop import Judge
from model.training.teachers import Teacher
from model.training.validation import Validation

CHECKPOINT, RECIPE, RELEASE, TRIALS = "checkpoint.pt", "recipe.toml", "release", "trials"
Divided = Mapping[str, Sequence[Item]]


@dataclass(frozen=True, slots=True)
class Job:
    """A recipe, its images, the directory of the run, and where cut faces are kept."""

    recipe: Recipe
    images: Path
    out: Path
    cache: Path


def train(job: Job, device: str, fresh: bool) -> None:
    """Follow the recipe to its end, or from where it was left, and publish what comes out."""
    with devices.joined(device) as place:
        divided = _divided(job)
        run = _begun(job.recipe, job.out, fresh, place)  # first, for what cannot be built is told before faces are cut
        with progress_bar(place.first) as bar:
            desk = Desk(job, divided, place, bar)
            _follow(desk, run, job.out, desk.judge() if job.recipe.schedule.validate_every else None)
            if place.first:
                _publish(bar, job, run, divided)
            place.wait()


def publish(job: Job, checkpoint: Path) -> None:
    """Release the average in a checkpoint as the network that the recipe describes."""
    with progress_bar() as bar:
        _publish(bar, job, learning.finished(checkpoint, job.recipe), _divided(job))


def sweep(job: Job, trials: int, device: str) -> None:
    """Try recipes and tell which were best, by the held-out sources where there are some, else by validation."""
    with devices.joined(device) as place, progress_bar() as bar:
        if place.count > 1:
            raise click.UsageError("a sweep runs in one process")
        divided = _divided(job)
        desk = Desk(job, divided, place, bar)
        judge = desk.judge(splits.UNSEEN if divided.get(splits.UNSEEN) else splits.VALIDATION)
        task = bar.add_task("trials", total=trials)

        def judged(recipe: Recipe, number: int) -> float:
            bar.update(task, completed=number)
            home = job.out / TRIALS / str(number)
            run = _begun(recipe, home, fresh=True, place=place)
            _follow(desk, run, home, judge=None)
            bar.remove_task(bar.task_ids[-1])
            (home / CHECKPOINT).unlink()
            return judge(run)

        tried = sweeping.sweep(job.recipe, job.out, trials, judged)
        bar.update(task, completed=trials)
    Console().print(_table(tried))
    click.echo(f"{job.out / sweeping.BEST} holds the best recipe, {job.out / sweeping.TABLE} all of them")


class Desk:
    """What trials of one job share: the cut faces, who is related to whom, the place and the bar."""

    def __init__(self, job: Job, divided: Divided, place: Place, bar: Progress) -> None:
        self.place, self.bar = place, bar
        self._job, self._divided = job, divided
        data = job.recipe.data
        self.album = self.cut(splits.TRAIN)
        self.kin = batches.families(self.album, data.synthetic, data.mates)
        self.teacher = self._teacher()

    def cut(self, split: str) -> Album:
        """The faces of a split; cut by the first process, opened by all."""
        if not self.place.first:
            self.place.wait()
        model = self._job.recipe.data.face_model
        finder = faces.load(Path(model) if model else None)
        task = self.bar.add_task("cutting faces", total=len(self._divided[split]))
        items = self._divided[split]
        album = albums.open_or_build(self._job.cache, items, finder, model or "own", lambda: self.bar.advance(task))
        self.bar.update(task, completed=len(items), description=f"faces of {split} ({album.faceless} images have none)")
        if self.place.first:
            self.place.wait()
        return album

    def judge(self, split: str = splits.VALIDATION) -> Judge:
        """How well a run tells the faces of a split apart."""
        return Validation(self.cut(split), self._job.recipe.data.mates, self.place).auc

    def _teacher(self) -> Teacher | None:
        recipe = self._job.recipe
        if recipe.loss.teacher is None:
            return None
        return Teacher(Path(recipe.loss.teacher), recipe.data.margin, self.place, recipe.threads or 1)


def _divided(job: Job) -> Divided:
    data = job.recipe.data
    divided = datasets.opened(job.images, data.held_out)
    if data.protocol == "grouped":
        return divided
    return {**published.divide(item for part in divided.values() for item in part), splits.UNSEEN: []}


def _begun(recipe: Recipe, out: Path, fresh: bool, place: Place) -> Run:
    """The run that lies in `out`, or a new one."""
    checkpoint = out / CHECKPOINT
    resumed = checkpoint.exists() and not fresh
    place.wait()  # all have looked before one writes
    return learning.resume(checkpoint, recipe, place.device) if resumed else learning.start(recipe, place.device)


def _follow(desk: Desk, run: Run, out: Path, judge: Judge | None) -> None:
    options: dict[str, Any] = {"place": desk.place, "teacher": desk.teacher, "judge": judge}
    if not desk.place.first:
        learning.train(run, desk.album, desk.kin, out / CHECKPOINT, lambda *_: None, **options)
        return
    out.mkdir(parents=True, exist_ok=True)
    asked = run.recipe.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    (out / RECIPE).write_text(tomli_w.dumps(asked))
    with logs.Log(out, run.step) as log:
        learning.train(run, desk.album, desk.kin, out / CHECKPOINT, _told(desk.bar, run, log), **options)


def _told(bar: Progress, run: Run, log: logs.Log) -> Callable[[Run, Step], None]:
    task = bar.add_task("training", total=1000)
    first, before, auc = run.step, run.seconds, ""

    def stepped(run: Run, step: Step) -> None:
        nonlocal auc
        log.write(run, step)
        auc = auc if step.auc is None else f", AUC {step.auc:.3f}"
        rate = (run.step - first) * run.recipe.schedule.batch / max(1e-9, run.seconds - before)
        words = f"step {run.step}, loss {step.loss:.3f}{auc}, {rate:.0f} images/s"
        bar.update(task, completed=round(1000 * step.progress), description=words)

    return stepped


def _publish(bar: Progress, job: Job, run: Run, divided: Divided) -> None:
    told, out = job.recipe.release, job.out / RELEASE
    task = bar.add_task("writing the release", total=None)
    limits = releases.Limits(told.face_pixels, told.sharpness)
    release = publishing.write(out, told.version, run, divided, limits)
    items = fitting.chosen(divided)
    bar.update(task, total=len(items), completed=0, description="calibrating")
    release = publishing.calibrate(release, items, lambda count: bar.advance(task, count))
    cuts = release.thresholds
    bar.console.print(f"{out}: review from {cuts.review:.3f}, fake from {cuts.fake:.3f}")


def _table(tried: Sequence[sweeping.Tried]) -> Table:
    table = Table("trial", *(key.replace(".", "\n") for key in tried[0].keys), "AUC")
    for each in tried:
        cells = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in each.keys.values()]
        table.add_row(str(each.number), *cells, "diverged" if each.auc is None else f"{each.auc:.3f}")
    return table
