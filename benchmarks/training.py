"""Images a second of a training step, by network and crop size, and of making the batches alone, as ratios in one run.

    python -m benchmarks.training [--network NAME]... [--size N]... [--batch N] [--device cpu] [--out FILE]

Batches are made of drawn faces, in this process, so that the two rates stand beside each other: where batches are
slower than steps, more `workers` help; where steps are slower, they do not. Every row is measured by turns with the
first one, so that a machine that slows down meanwhile changes no ratio.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from model import albums, batches, crops, procedural, recipes, training
from model.albums import Album
from model.batches import Batch, Batches
from model.sources import Item
from model.training import devices, loop, objective
from model.training.devices import Place

FACES = 64
ROUNDS = 3
console = Console()


@dataclass(frozen=True)
class Row:
    """A network at a crop size: images a second of a step and of making its batch on one core, and the step's rate by
    that of the first row.
    """

    network: str
    size: int
    step: float
    batches: float
    ratio: float


@click.command()
@click.option(
    "--network", "names", multiple=True, default=("mobilenetv2_100", "mobilenetv3_large_075", "convnext_tiny")
)
@click.option("--size", "sizes", multiple=True, type=int, default=(128, 160))
@click.option("--batch", type=click.IntRange(min=2), default=16, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("reports/training.json"))
def main(names: Sequence[str], sizes: Sequence[int], batch: int, device: str, out: Path) -> None:
    """Measure, print a table, write JSON."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with devices.joined(device) as place:
        rows = _measured([(name, size) for name in names for size in sizes], batch, place)
        where = str(place.device)
    console.print(_table(rows, where))
    out.parent.mkdir(parents=True, exist_ok=True)
    told = {"device": where, "threads": torch.get_num_threads(), "batch": batch, "rows": [asdict(row) for row in rows]}
    out.write_text(json.dumps(told, indent=2) + "\n")
    console.print(f"written to {out}")


def _measured(cases: Sequence[tuple[str, int]], batch: int, place: Place) -> list[Row]:
    album = _album()
    first = _stepper(album, *cases[0], batch, place)
    rows = []
    for name, size in track(cases, "networks"):
        step = _stepper(album, name, size, batch, place)
        made = _batches(album, name, size, batch)
        calls = (first, step, partial(made.__getitem__, 0))
        seconds = np.median([[_timed(call) for call in calls] for _ in range(ROUNDS)], axis=0)
        rows.append(Row(name, size, batch / seconds[1], batch / seconds[2], seconds[0] / seconds[1]))
    return rows


def _album() -> Album:
    """Drawn faces, half of them said to be fakes."""
    side = crops.VIEW
    views = np.stack([procedural.portrait(side, side, side / crops.VIEW_MARGIN, seed)[0] for seed in range(FACES)])
    items = [Item(Path(f"{row}"), f"drawn/{row}", "drawn", row % 2, str(row)) for row in range(FACES)]
    box, marks = np.array([32, 32, 160, 160]), np.array([[80, 95], [144, 95], [112, 125], [90, 160], [134, 160]])
    return Album(
        items, views, np.tile(box, (FACES, 1)).astype(np.float32), np.tile(marks, (FACES, 1, 1)).astype(np.float32),
        np.zeros((FACES, 56, 56), np.uint8), np.full(FACES, albums.NONE, np.int32), 0,
    )  # fmt: skip


def _recipe(name: str, size: int, batch: int) -> recipes.Recipe:
    return recipes.of({
        "network": {"backbone": name}, "schedule": {"size": size, "batch": batch}, "loss": {"map_weight": 0},
    })  # fmt: skip


def _batches(album: Album, name: str, size: int, batch: int) -> Batches:
    recipe = _recipe(name, size, batch)
    return Batches(album, batches.families(album, (), {}), recipe, np.full(1, size, np.int64))


def _stepper(album: Album, name: str, size: int, batch: int, place: Place) -> Callable[[], object]:
    """Does one step, the batch made before; the first two are not measured."""
    run = training.start(_recipe(name, size, batch), place.device)
    module = objective.Objective(run.network, run.recipe.loss)
    made: Batch = _batches(album, name, size, batch)[0]

    def step() -> float:
        return float(loop.step(run, module, made, run.recipe.optimiser.rate, place))

    step()
    step()
    return step


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _table(rows: Sequence[Row], where: str) -> Table:
    table = Table("network", "size", "steps, images/s", "by the first", "batches, images/s a core", title=where)
    for row in rows:
        table.add_row(row.network, str(row.size), f"{row.step:.1f}", f"{row.ratio:.2f}", f"{row.batches:.1f}")
    return table


if __name__ == "__main__":
    main()
