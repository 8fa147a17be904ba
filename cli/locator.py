"""`unmask locator`: train our own face locator on a folder of images, and measure it beside its teacher and Haar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from model.locator.photographs import Photograph
    from model.locator.questions import Question
    from model.locator.teacher import Taught

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT = click.Path(dir_okay=False, path_type=Path)
CACHE = click.Path(file_okay=False, path_type=Path)


@click.group()
def locator() -> None:
    """Our own face locator."""


@locator.command()
@click.argument("folder", type=FOLDER, metavar="DATA")
@click.option("--teacher", "teacher_file", type=FILE, required=True, help="A YuNet file, 320 pixels.")
@click.option("--out", type=OUT, required=True, help="Where the ONNX file goes.")
@click.option("--backdrops", type=FOLDER, default=None, help="Pictures without a face; held_out/ in it is not learned.")
@click.option("--cache", type=CACHE, default=Path(".unmask/locator"), show_default=True, help="The teacher's answers.")
@click.option("--minutes", type=click.FloatRange(min=0), default=40.0, show_default=True)
@click.option("--start", type=FILE, default=None, help="Weights (.pt or .onnx) of an earlier run to go on from.")
@click.option("--coarse", type=click.FloatRange(0, 1), default=0.6, show_default=True, help="Share of small scenes.")
@click.option("--peak", type=click.FloatRange(min=0), default=2e-3, show_default=True, help="Learning rate.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--at-most", type=click.IntRange(min=1), default=6000, show_default=True, help="Images of each source.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
def train(
    folder: Path,
    teacher_file: Path,
    out: Path,
    backdrops: Path | None,
    cache: Path,
    minutes: float,
    start: Path | None,
    coarse: float,
    peak: float,
    seed: int,
    at_most: int,
    threads: int,
) -> None:
    """Distil a locator from a teacher's answers on the images under DATA/SOURCE/…"""
    import torch

    from model.locator import evaluation, photographs, training

    torch.set_num_threads(threads)
    with _progress() as progress:
        taught = _taught(progress, folder, teacher_file, cache, at_most)
        pictures = [one.pixels for one in _gathered(progress, backdrops, teacher_file, cache) if not one.held_out]
        pictures += photographs.samples(photographs.TRAINED)
        bar = progress.add_task("training", total=None)

        def told(share: float, step: int, loss: float) -> None:
            progress.update(bar, total=1000, completed=round(1000 * share), description=f"step {step}, loss {loss:.2f}")

        plan = training.Plan(minutes=minutes, peak=peak, seed=seed, coarse=coarse)
        training.train(taught, pictures, plan, out, told, start)
    threshold = evaluation.settle(out, taught, pictures)
    click.echo(f"{out}: faces are told from a confidence of {threshold:.2f}")


@locator.command()
@click.argument("folder", type=FOLDER, metavar="DATA")
@click.option("--teacher", "teacher_file", type=FILE, required=True, help="A YuNet file, 320 pixels: the truth.")
@click.option("--locator", "file", type=FILE, default=None, help="The file to measure; the shipped one by default.")
@click.option("--backdrops", type=FOLDER, default=None, help="Pictures without a face; only held_out/ in it is used.")
@click.option("--cache", type=CACHE, default=Path(".unmask/locator"), show_default=True, help="The teacher's answers.")
@click.option("--at-most", type=click.IntRange(min=1), default=6000, show_default=True, help="Images of each source.")
@click.option("--scenes", type=click.IntRange(min=1), default=600, show_default=True, help="Composed scenes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def evaluate(
    folder: Path,
    teacher_file: Path,
    file: Path | None,
    backdrops: Path | None,
    cache: Path,
    at_most: int,
    scenes: int,
    as_json: bool,
) -> None:
    """Measure a locator, its teacher and OpenCV's cascade on what training held out."""
    from model import faces
    from model.locator import evaluation
    from model.locator import questions as held_out

    with _progress() as progress:
        taught = _taught(progress, folder, teacher_file, cache, at_most)
        pictures = _gathered(progress, backdrops, teacher_file, cache)
        questions: list[Question] = [
            *held_out.whole(taught),
            *held_out.afar(taught, pictures, scenes),
            *held_out.hard(taught, scenes),
            *held_out.large(taught, pictures, scenes // 6),
            *held_out.composed(taught, pictures, scenes),
            *held_out.free(taught, pictures, scenes // 3),
        ]
        finders = {
            "locator": faces.load(file), "yunet": faces.load(teacher_file), "haar": evaluation.HaarFinder()
        }  # fmt: skip
        figures = {}
        for name, finder in finders.items():
            asked = progress.track(questions, description=name)
            figures[name] = {heading: tally.figures() for heading, tally in evaluation.ask(finder, asked).items()}
    times = {name: round(evaluation.milliseconds(finder), 2) for name, finder in finders.items()}
    if as_json:
        click.echo(json.dumps({"figures": figures, "milliseconds": times}))
    else:
        _tell(figures, times)


@locator.command("train-covers")
@click.argument("folder", type=FOLDER, metavar="DATA")
@click.option("--teacher", "teacher_file", type=FILE, required=True, help="A YuNet file, 320 pixels.")
@click.option("--out", type=OUT, required=True, help="Where the ONNX file goes.")
@click.option("--cache", type=CACHE, default=Path(".unmask/locator"), show_default=True, help="The teacher's answers.")
@click.option("--at-most", type=click.IntRange(min=1), default=6000, show_default=True, help="Images of each source.")
@click.option("--count", type=click.IntRange(min=1), default=9000, show_default=True, help="Faces to learn from.")
@click.option("--epochs", type=click.IntRange(min=1), default=6, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def train_covers(
    folder: Path, teacher_file: Path, out: Path, cache: Path, at_most: int, count: int, epochs: int, seed: int
) -> None:
    """Train the measure of how much of a face is covered, on covers drawn over the faces under DATA/SOURCE/…"""
    import torch

    from model.occlusion import training

    torch.set_num_threads(1)
    with _progress() as progress:
        taught = _taught(progress, folder, teacher_file, cache, at_most)
        bar = progress.add_task("training", total=None)

        def told(step: int, steps: int, loss: float) -> None:
            progress.update(bar, total=steps, completed=step, description=f"training, loss {loss:.2f}")

        training.train(taught, out, told, count, epochs, seed)


@locator.command("evaluate-covers")
@click.argument("folder", type=FOLDER, metavar="DATA")
@click.option("--teacher", "teacher_file", type=FILE, required=True, help="A YuNet file, 320 pixels.")
@click.option("--cache", type=CACHE, default=Path(".unmask/locator"), show_default=True, help="The teacher's answers.")
@click.option("--at-most", type=click.IntRange(min=1), default=6000, show_default=True, help="Images of each source.")
@click.option("--count", type=click.IntRange(min=1), default=150, show_default=True, help="Drawn covers of each kind.")
@click.option("--masked", default="masked", show_default=True, help="The folder of DATA in which people wear masks.")
def evaluate_covers(folder: Path, teacher_file: Path, cache: Path, at_most: int, count: int, masked: str) -> None:
    """Measure how well covered faces are told from bare ones, on what training held out."""
    from model import faces
    from model.occlusion import evaluation

    with _progress() as progress:
        taught = _taught(progress, folder, teacher_file, cache, at_most)
    figures = evaluation.drawn(taught, count)
    if any(one.source == masked for one in taught):
        figures[f"worn: {masked}"] = evaluation.worn(taught, faces.load(None), {masked})
    table = Table("cover", "faces", "bare", "AUC", "told at .2", "bare at .2", "told at .3", "bare at .3", "off")
    for name, each in figures.items():
        rates = [f"{rate:.3f}" for limit in (0.2, 0.3) for rate in each.rates(limit)]
        off = "" if each.off is None else f"{each.off:.3f}"
        table.add_row(name, str(len(each.covered)), str(len(each.bare)), f"{each.auc:.3f}", *rates, off)
    Console().print(table)


def _taught(progress: Progress, folder: Path, teacher_file: Path, cache: Path, at_most: int) -> list[Taught]:
    from model.locator import teacher

    bar = progress.add_task("asking the teacher", total=None)
    taught = teacher.ask(
        folder, teacher_file, cache, at_most, lambda done, total: progress.update(bar, completed=done, total=total)
    )
    progress.update(bar, completed=len(taught), total=len(taught))
    return taught


def _gathered(progress: Progress, folder: Path | None, teacher_file: Path, cache: Path) -> list[Photograph]:
    from model.locator import photographs

    if folder is None:
        return []
    bar = progress.add_task("screening the backdrops", total=None)
    return photographs.gathered(
        folder, teacher_file, cache, lambda done, total: progress.update(bar, completed=done, total=total)
    )


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _order(heading: str) -> tuple[bool, str, int]:
    """Sources first, then what they were made into, sizes from the smallest, then what has no face."""
    kind, _, least = heading.partition(": ")
    made = kind in ("all", "afar", "scenes") or kind.startswith("free")
    return made, heading if kind.startswith("free") else kind, int(least.split("-")[0]) if "px" in least else 0


def _tell(figures: dict[str, dict[str, dict[str, float | int | None]]], times: dict[str, float]) -> None:
    console = Console()
    for measure in ("recall", "false_per_image", "median_iou", "median_landmark_error"):
        table = Table("", "images", "faces", *figures, title=measure.replace("_", " "))
        for heading in sorted(figures["yunet"], key=_order):
            counted = figures["yunet"][heading]
            values = [figures[name][heading][measure] for name in figures]
            if any(value is not None for value in values):
                shown = ["" if value is None else f"{value:.3f}" for value in values]
                table.add_row(heading, str(counted["images"] or ""), str(counted["faces"]), *shown)
        console.print(table)
    console.print("milliseconds an image of 320 pixels, one thread:", times)
