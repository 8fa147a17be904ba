"""`unmask heads`: the heads that read the image encoder: fit them into a release, and study what they do not know."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cli.bars import progress_bar
from cli.train import FILE, FOLDER, OUT

if TYPE_CHECKING:
    from model.lab.assembling import Parts
    from model.lab.gathering import Material
    from model.lab.heads import Config
    from model.lab.kinds import Kinds
    from model.lab.samples import Samples
    from model.releases import Release

KINDS = Path("recipes/heads/kinds.toml")


@click.group()
def heads() -> None:
    """Heads that read the image encoder: fit, study."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """What both commands take."""
    for option in reversed([
        click.argument("data", type=FOLDER),
        click.option("--network", type=FOLDER, required=True, help="The release whose small network is joined."),
        click.option("--kinds", type=FILE, default=KINDS, show_default=True, help="Which kind each source holds."),
        click.option("--view", "views", multiple=True, help="Views to learn from; all by default."),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Another value: share=0.7."),
        click.option("--cache", type=OUT, default=Path(".unmask"), show_default=True, help="For faces and features."),
        click.option("--encoder-cache", type=OUT, envvar="UNMASK_ENCODER_CACHE", help="Where the encoder lies."),
        click.option("--threads", type=click.IntRange(min=1), help="Of the encoder; all cores by default."),
    ]):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Desk:
    """What both commands gather first."""

    network: Release
    kinds: Kinds
    divided: Any
    material: Material
    known: Samples
    threads: int


@heads.command()
@_options
@click.option("--out", type=OUT, required=True, help="The release directory to write.")
@click.option("--name", default="unmask", show_default=True)
@click.option("--version", required=True)
def fit(
    data: Path, network: Path, kinds: Path, views: Sequence[str], settings: Sequence[str], cache: Path,
    encoder_cache: Path | None, threads: int | None, out: Path, name: str, version: str,
) -> None:  # fmt: skip
    """Fit heads on DATA (see `unmask dataset build`) and write a release of encoder, heads and a small network.

    Features of every view are computed once and kept: an interrupted run goes on where it was.
    """
    from model.encoder import published
    from model.lab import assembling

    config = _config(settings)
    with progress_bar() as bar:
        desk = _gather(bar, data, network, kinds, views, cache, encoder_cache, threads)
        parts = _learn(bar, desk, config)
        release = assembling.write(
            out, name, version, parts, desk.kinds, desk.network, published.RECORD, published.RECIPE, desk.divided,
            config, encoder_cache,
        )  # fmt: skip
    cuts = release.thresholds
    click.echo(f"{out}: review from {cuts.review:.3f}, fake from {cuts.fake:.3f}")
    Console().print(_left_out(assembling.left_out(parts)))


@heads.command()
@_options
@click.option("--variants", type=FILE, help="A TOML file: a section a variant, with other values of its own.")
@click.option("--out", type=OUT, help="A folder for study.json.")
def study(
    data: Path, network: Path, kinds: Path, views: Sequence[str], settings: Sequence[str], cache: Path,
    encoder_cache: Path | None, threads: int | None, variants: Path | None, out: Path | None,
) -> None:  # fmt: skip
    """Compare variants of the heads by what they say of kinds and families of forgery that they never saw."""
    import tomllib

    from model.lab import studying

    asked = tomllib.loads(variants.read_text()) if variants else {"as set": {}}
    config = _config(settings)
    with progress_bar() as bar:
        desk = _gather(bar, data, network, kinds, views, cache, encoder_cache, threads)
        found = studying.compare(desk.known, desk.material, desk.kinds, config, asked, _progress(bar))
    Console().print(_variants(found))
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "study.json").write_text(json.dumps(found, indent=2) + "\n")


def _config(settings: Sequence[str]) -> Config:
    from model.lab.heads import Config

    values = asdict(Config())
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or key not in values:
            raise click.BadParameter(f"{setting!r} is not KEY=VALUE with one of {', '.join(values)}")
        values[key] = type(values[key])(text)
    return replace(Config(), **values)


def _gather(
    bar: Progress, data: Path, network: Path, kinds: Path, views: Sequence[str], cache: Path,
    encoder_cache: Path | None, threads: int | None,
) -> Desk:  # fmt: skip
    from model import datasets, faces, releases
    from model.encoder import cache as files
    from model.encoder import published, store
    from model.encoder.running import OnnxEncoder
    from model.lab import gathering
    from model.lab import kinds as tables

    joined, table, divided = releases.read(network), tables.read(kinds), datasets.opened(data)
    count = threads or len(os.sched_getaffinity(0))
    graph = store.graph(published.RECORD, published.RECIPE, files.folder(encoder_cache))
    finder = faces.load(joined.file(releases.FACES))
    name = joined.files.get(releases.FACES, "own")
    material = gathering.material(divided, finder, name, cache / "albums", _progress(bar))
    known = gathering.gathered(
        material, views or gathering.VIEWS, OnnxEncoder(graph, count), published.RECORD.cutting, cache / "features",
        table, _progress(bar),
    )  # fmt: skip
    return Desk(joined, table, divided, material, known, count)


def _learn(bar: Progress, desk: Desk, config: Config) -> Parts:
    from model.lab import assembling

    return assembling.learn(desk.material, desk.known, desk.kinds, config, desk.network, desk.threads, _progress(bar))


def _progress(bar: Progress) -> Callable[[str, int], Callable[[int], object]]:
    def begin(name: str, total: int) -> Callable[[int], object]:
        task = bar.add_task(name, total=total)
        return lambda count: bar.advance(task, count)

    return begin


def _left_out(found: dict[str, Any]) -> Table:
    table = Table("left out", "of", "AUC", "fakes", "reals")
    for by, figures in found.items():
        for source, row in figures["sources"].items():
            table.add_row(f"{by} {row['left_out']}", source, f"{row['auc']:.3f}", str(row["fakes"]), str(row["reals"]))
        table.add_row(f"every {by}", "macro", f"[b]{figures['macro']:.3f}[/]", "", "")
    return table


def _variants(found: dict[str, Any]) -> Table:
    table = Table("variant", "kind left out", "family left out")
    for name, row in found.items():
        table.add_row(name, f"{row['kind']['macro']:.3f}", f"{row['family']['macro']:.3f}")
    return table
