"""`unmask train`: from a recipe and labelled images to a detector release, in one command that can be resumed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from model.recipes import Recipe

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

# glibc gives large blocks back to the kernel after each operation unless told otherwise, which halves training on a
# CPU; and waiting threads that spin take the core from whoever they wait for. Both are read when a process starts.
MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4294967295",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "OMP_WAIT_POLICY": "PASSIVE",
}


@click.command()
@click.argument("recipe", type=click.Path(exists=True, path_type=Path), metavar="RECIPE.toml")
@click.option("--out", type=OUT, help="The run's directory; runs/NAME of the recipe by default.")
@click.option("--data", type=OUT, help="A built dataset or a folder of labelled images, in place of the recipe's.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Another value: schedule.batch=32.")
@click.option("--sweep", type=click.IntRange(min=1), is_flag=False, flag_value=0, metavar="[N]",
              help="Try N recipes (by default as many as [sweep] says) and write the best one.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--cache", type=OUT, default=Path(".unmask/albums"), show_default=True, help="Where cut faces are kept.")
@click.option("--publish", type=FILE, metavar="CHECKPOINT", help="Train nothing; release this checkpoint's average.")
@click.option("--fresh", is_flag=True, help="Start over even where a checkpoint lies.")
@click.option("--pack", is_flag=True, help="Train nothing; write a folder to tune the encoder with on another machine.")
def train(
    recipe: Path,
    out: Path | None,
    data: Path | None,
    settings: Sequence[str],
    sweep: int | None,
    device: str,
    cache: Path,
    publish: Path | None,
    fresh: bool,
    pack: bool,
) -> None:
    """Train a detector as RECIPE.toml says and write a release, calibrated on the validation split.

    OUT gets checkpoint.pt, log.csv, events/ (TensorBoard), recipe.toml and release/. An interrupted run goes on where
    it was. A directory of images in place of RECIPE.toml is trained on with the default recipe. Several devices:
    torchrun --nproc-per-node N -m cli.main train RECIPE.toml. With --pack see `unmask encoder pack`, which has more
    options: OUT becomes a folder that tunes the image encoder on a machine with a GPU and no network.
    """
    if pack:
        from cli import packing

        packing.write(packing.Asked(data or _images(recipe), out or Path("pack")))
        return
    tune_memory()
    from cli import training

    asked = _read(recipe, [*settings, *([f"data.path={json.dumps(str(data))}"] if data else [])])
    if asked.data.path is None:
        raise click.UsageError("say which images: --data DIR, or data.path in the recipe")
    job = training.Job(asked, Path(asked.data.path), out or Path("runs") / recipe.resolve().stem, cache)
    set_threads(asked.threads)
    if sweep is not None:
        training.sweep(job, sweep or asked.sweep.trials, device)
    elif publish is not None:
        training.publish(job, publish)
    else:
        training.train(job, device, fresh)


def mates_of(pairs: Sequence[str]) -> list[tuple[str, str]]:
    """`FAKES=REALS` words as pairs; a source may have several mates. Raises click.BadParameter for another shape."""
    if wrong := [pair for pair in pairs if not all(pair.partition("="))]:
        raise click.BadParameter(f"{wrong[0]!r} is not FAKES=REALS", param_hint="--mate")
    return [(fakes, reals) for fakes, _, reals in (pair.partition("=") for pair in pairs)]


def _read(path: Path, settings: Sequence[str]) -> Recipe:
    from model import recipes

    if path.is_dir():
        return recipes.of({"data": {"path": str(path)}}, "the recipe", settings)
    return recipes.read(path, settings)


def _images(recipe: Path) -> Path:
    """The images of a recipe, or the folder of images in its place."""
    path = recipe if recipe.is_dir() else _read(recipe, []).data.path
    if path is None:
        raise click.UsageError("say which images: --data DIR, or data.path in the recipe")
    return Path(path)


def set_threads(asked: int | None) -> None:
    """Give torch so many threads, all cores that this process may use by default."""
    import torch

    # Processes of one machine that torchrun started share its cores.
    share = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(asked or max(1, share))


def tune_memory() -> None:
    """Start this very command again with `MEMORY` set, unless it is."""
    if sys.platform == "linux" and not MEMORY.keys() <= os.environ.keys():
        again = [sys.executable, "-m", "cli.main", *sys.argv[1:]]
        os.execve(sys.executable, again, {**MEMORY, **os.environ})  # noqa: S606 - our own program, no shell wanted
