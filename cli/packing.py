"""`unmask encoder pack` and `tune`: the encoder's LayerNorms, tuned on another machine's GPU or on this processor."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cli.bars import progress_bar

if TYPE_CHECKING:
    from model.encoder.weights import Weights
    from model.lab.gathering import Material
    from model.lab.kinds import Kinds

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUT = click.Path(file_okay=False, path_type=Path)
KINDS = Path("recipes/heads/kinds.toml")
MOST = 1_500
PACKED, CACHED = 20_000, 4_000  # crops of a pack, and of a cache of tokens, unless others are asked for


@dataclass(frozen=True, slots=True)
class Asked:
    """What both commands take: the dataset, where to write, and which crops."""

    data: Path
    out: Path
    kinds: Path = KINDS
    views: Sequence[str] = ()
    most: int = MOST
    crops: int | None = None
    leave: Sequence[str] = ()
    cache: Path = Path(".unmask")
    encoder_cache: Path | None = None
    threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed([
        click.argument("data", type=FOLDER),
        click.option("--out", type=OUT, required=True),
        click.option("--kinds", type=FILE, default=KINDS, show_default=True, help="Which kind each source holds."),
        click.option("--view", "views", multiple=True, help="Views of each face; several varied ones by default."),
        click.option("--most", type=click.IntRange(min=1), default=MOST, show_default=True, help="Faces of a source."),
        click.option("--crops", type=click.IntRange(min=1),
                     help="Crops of all sources and views: 20,000 of a pack, 4,000 to tune from."),
        click.option("--leave", multiple=True, metavar="FOLD", help="A kind or family to leave out."),
        click.option("--cache", type=OUT, default=Path(".unmask"), show_default=True, help="For faces and tokens."),
        click.option("--encoder-cache", type=OUT, envvar="UNMASK_ENCODER_CACHE", help="Where the encoder lies."),
        click.option("--threads", type=click.IntRange(min=1), default=lambda: len(os.sched_getaffinity(0)),
                     help="All cores by default."),
    ]):  # fmt: skip
        command = option(command)
    return command


@click.command()
@_options
def pack(**asked: Any) -> None:
    """Write a folder that tunes the encoder on a machine with a GPU, torch, timm and numpy, and no network.

    OUT gets run.py, the code, crops of DATA and the encoder's weights, in files below 60 MB. There: python run.py
    --seconds 450. All kinds are left out in turn unless --leave names some. An interrupted pack goes on where it was.
    """
    write(Asked(**asked))


@click.command()
@_options
@click.option("--last", type=click.IntRange(min=1), default=4, show_default=True, help="Blocks to tune.")
@click.option("--steps", type=click.IntRange(min=1), default=400, show_default=True, help="Of each tuning at most.")
@click.option("--minutes", type=float, default=60.0, show_default=True, help="For all tunings, without the cache.")
@click.option("--batch", type=click.IntRange(min=2), default=32, show_default=True)
@click.option("--rate", type=float, default=3e-4, show_default=True, help="Learning rate of the LayerNorms.")
@click.option("--seed", type=int, default=0, show_default=True)
def tune(last: int, steps: int, minutes: float, batch: int, rate: float, seed: int, **asked: Any) -> None:
    """Tune the encoder's last blocks on this processor, from a cache of what the blocks before them make of DATA.

    A crop takes 300 kB of the cache. OUT gets delta.npz, log.csv and results.json, which says what heads on frozen and
    on tuned features are worth on the kinds that --leave names. An interrupted run goes on where it was.
    """
    import torch

    from model.lab import stages
    from model.lab.tuning import Settings

    what = Asked(**{"crops": CACHED, **{key: value for key, value in asked.items() if value is not None}})
    torch.set_num_threads(what.threads)
    torch.manual_seed(seed)
    with progress_bar() as bar:
        job = _job(bar, what, last, Settings(batch, rate, steps=steps, keep=20, seed=seed), 60 * minutes)
        done = stages.run(job, what.out, _stages(bar))
    Console(stderr=True).print(_left_out(done))
    click.echo(json.dumps({"out": str(what.out), "macro": done["macro"]}))


def write(asked: Asked) -> None:
    """Write the pack that was asked for, and say how large it is."""
    from model.encoder.published import RECORD
    from model.lab import listing, packing

    with progress_bar() as bar:
        material, kinds, weights = _gathered(bar, asked)
        order = packing.Order(
            material, kinds, weights, RECORD.blocks, RECORD.cutting, tuple(asked.views or listing.VIEWS), asked.most,
            asked.crops or PACKED, tuple(asked.leave),
        )  # fmt: skip
        packing.write(order, asked.out, asked.threads, _progress(bar))
    sizes = [path.stat().st_size for path in asked.out.iterdir()]
    click.echo(f"{asked.out}: {len(sizes)} files, {sum(sizes) / 1e6:.0f} MB, none above {max(sizes) / 1e6:.0f} MB")


def _job(bar: Progress, asked: Asked, last: int, settings: Any, seconds: float) -> Any:
    import torch

    from model.encoder.published import RECORD
    from model.lab import listing, tokens
    from model.lab.feeds import Tokens
    from model.lab.stages import Job
    from model.lab.tower import Tower

    material, kinds, weights = _gathered(bar, asked)
    tower = Tower(weights, RECORD.blocks, max(RECORD.blocks) - last)
    crops = listing.listed(material, tuple(asked.views or listing.VIEWS), kinds, asked.most, asked.crops)
    done = _progress(bar)("tokens", len(crops))
    found = tokens.extract(
        asked.cache / "tokens", material, crops, RECORD.cutting, tower, RECORD.source, settings.seed, done
    )
    table = listing.table(material, crops, found.there, kinds)
    folds = listing.folds(table, kinds, asked.leave) if asked.leave else {}
    feed = Tokens(found.tokens, found.fixed, torch.device("cpu"))
    about = {"last": last, "crops": len(crops), "data": asked.data.name}
    return Job(tower, feed, table, folds, listing.mates(table, kinds), settings, seconds, about)


def _gathered(bar: Progress, asked: Asked) -> tuple[Material, Kinds, Weights]:
    from model import datasets, faces, releases
    from model.encoder import cache as files
    from model.encoder import store
    from model.encoder.published import RECORD
    from model.lab import gathering
    from model.lab import kinds as tables

    weights, kinds = store.weights(RECORD, files.folder(asked.encoder_cache)), tables.read(asked.kinds)
    release = releases.read(releases.default_path())
    finder, name = faces.load(release.file(releases.FACES)), release.files.get(releases.FACES, "own")
    divided = datasets.opened(asked.data)
    return gathering.material(divided, finder, name, asked.cache / "albums", _progress(bar)), kinds, weights


def _progress(bar: Progress) -> Callable[[str, int], Callable[[int], object]]:
    def begin(name: str, total: int) -> Callable[[int], object]:
        task = bar.add_task(name, total=total)
        return lambda count: bar.advance(task, count)

    return begin


def _stages(bar: Progress) -> Callable[[str, float, str], object]:
    """A bar for each stage."""
    tasks: dict[str, Any] = {}

    def told(stage: str, progress: float, words: str) -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=1000)
        bar.update(tasks[stage], completed=round(1000 * progress), description=f"{stage}: {words}")

    return told


def _left_out(done: dict[str, Any]) -> Table:
    table = Table("left out", "of", "frozen", "tuned", "fakes", "reals")
    for stage, found in done["stages"].items():
        for source, row in found.get("sources", {}).items():
            counts = (str(row["fakes"]), str(row["reals"]))
            table.add_row(stage, source, f"{row['frozen']:.3f}", f"{row['tuned']:.3f}", *counts)
    return table
