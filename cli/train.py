"""`unmask train`: from a folder of labelled images to a detector release, in one command that can be resumed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from model.albums import Album
    from model.faces import FaceFinder
    from model.sources import Item
    from model.training import Recipe, Run

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT = click.Path(file_okay=False, path_type=Path)

# glibc gives large blocks back to the kernel after each operation unless told otherwise, which halves training on a
# CPU; and waiting threads that spin take the core from whoever they wait for. Both are read when a process starts.
MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967295",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "OMP_WAIT_POLICY": "PASSIVE",
}


@click.command()
@click.argument("images", type=FOLDER, metavar="DATA")
@click.option("--out", type=OUT, required=True, help="The release directory; its parent keeps checkpoint.pt.")
@click.option("--version", default="0.1.0", show_default=True, help="Version of the release.")
@click.option("--architecture", default="mobilenetv2_100", show_default=True, help="Name of a timm network.")
@click.option("--backbone", type=FILE, help="Its pretrained weights as safetensors; from scratch without.")
@click.option("--held-out", multiple=True, metavar="SOURCE", help="Never learn from this source; test on it instead.")
@click.option("--synthetic", multiple=True, metavar="SOURCE", help="Its fakes are wholly generated, not manipulated.")
@click.option("--mate", "mates", multiple=True, metavar="FAKES=REALS", help="Two one-class sources that are balanced.")
@click.option("--steps", type=click.IntRange(min=1), default=3000, show_default=True)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="End the schedule by this time at latest.")
@click.option("--batch", type=click.IntRange(min=2), default=64, show_default=True, help="Crops a step.")
@click.option("--size", type=click.IntRange(min=32), default=160, show_default=True, help="Pixels a side of a crop.")
@click.option("--learning-rate", type=float, default=5e-4, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=None, help="Threads of torch; all cores by default.")
@click.option("--face-model", type=FILE, help="A YuNet ONNX file to cut training faces with instead of our locator.")
@click.option("--cache", type=OUT, default=Path(".unmask/albums"), show_default=True, help="Where cut faces are kept.")
@click.option("--face-pixels", type=int, default=64, show_default=True, help="Smaller faces are inconclusive.")
@click.option("--sharpness", type=float, default=0.0, show_default=True, help="So are softer ones; 0 for no limit.")
@click.option("--fresh", is_flag=True, help="Start over even where a checkpoint lies.")
def train(
    images: Path,
    out: Path,
    version: str,
    architecture: str,
    backbone: Path | None,
    held_out: Sequence[str],
    synthetic: Sequence[str],
    mates: Sequence[str],
    steps: int,
    minutes: float | None,
    batch: int,
    size: int,
    learning_rate: float,
    seed: int,
    threads: int | None,
    face_model: Path | None,
    cache: Path,
    face_pixels: int,
    sharpness: float,
    fresh: bool,
) -> None:
    """Train a detector on DATA/SOURCE/{real,fake} and write a release, calibrated on the validation split.

    SOURCE/groups.csv (file,label,group) names images that must not part. An interrupted run goes on where it was.
    """
    _tune_memory()
    import torch

    from model import faces, publishing, releases, sources, splits, training

    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    torch.manual_seed(seed)
    recipe = training.Recipe(
        backbone=architecture, size=size, steps=steps, minutes=minutes, batch=batch, learning_rate=learning_rate,
        seed=seed,
    )  # fmt: skip
    divided = splits.divide(sources.read(images), held_out)
    checkpoint = out.parent / "checkpoint.pt"
    with progress_bar() as bar:
        album = _album(bar, cache, divided[splits.TRAIN], faces.load(face_model), str(face_model or "own"))
        resumed = checkpoint.exists() and not fresh
        run = training.resume(checkpoint, recipe) if resumed else training.start(recipe, backbone)
        _train(bar, run, album, synthetic, mates_of(mates), checkpoint)
        bar.add_task("writing the release", total=None)
        release = publishing.write(out, version, run, divided, releases.Limits(face_pixels, sharpness))
        task = bar.add_task("calibrating", total=len(divided[splits.VALIDATION]))
        release = publishing.calibrate(release, divided[splits.VALIDATION], lambda count: bar.advance(task, count))
    click.echo(f"{out}: review from {release.thresholds.review:.3f}, fake from {release.thresholds.fake:.3f}")


def mates_of(pairs: Sequence[str]) -> Mapping[str, str]:
    """`FAKES=REALS` words as a mapping. Raises click.BadParameter for another shape."""
    if wrong := [pair for pair in pairs if not all(pair.partition("="))]:
        raise click.BadParameter(f"{wrong[0]!r} is not FAKES=REALS", param_hint="--mate")
    return {fakes: reals for fakes, _, reals in (pair.partition("=") for pair in pairs)}


def progress_bar() -> Progress:
    """A bar with a count, the time gone and the time left, on stderr: stdout is for what programs read."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True))


def _album(bar: Progress, cache: Path, items: Sequence[Item], finder: FaceFinder, name: str) -> Album:
    from model import albums

    task = bar.add_task("cutting faces", total=len(items))
    album = albums.open_or_build(cache, items, finder, name, lambda: bar.advance(task))
    bar.update(task, completed=len(items), description=f"cutting faces ({album.faceless} have none)")
    return album


def _train(
    bar: Progress, run: Run, album: Album, synthetic: Sequence[str], mates: Mapping[str, str], checkpoint: Path
) -> None:
    from model import batches, training

    kin = batches.families(album, synthetic, mates)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    training.train(run, album, kin, checkpoint, _told(bar, run.recipe, run.step, run.seconds))


def _told(bar: Progress, recipe: Recipe, first: int, before: float) -> Callable[[Run, float, float], None]:
    task = bar.add_task("training", total=1000)

    def stepped(run: Run, loss: float, progress: float) -> None:
        rate = (run.step - first) * recipe.batch / max(1e-9, run.seconds - before)
        words = f"step {run.step}, loss {loss:.3f}, {rate:.0f} images/s"
        bar.update(task, completed=round(1000 * progress), description=words)

    return stepped


def _tune_memory() -> None:
    """Start this very command again with `MEMORY` set, unless it is."""
    if sys.platform == "linux" and not MEMORY.keys() <= os.environ.keys():
        again = [sys.executable, "-m", "cli.main", *sys.argv[1:]]
        os.execve(sys.executable, again, {**MEMORY, **os.environ})  # noqa: S606 - our own program, no shell wanted
