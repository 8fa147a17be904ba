"""`unmask release`: check a detector release, wrap somebody else's network as one, join several into one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.train import FOLDER

if TYPE_CHECKING:
    from model.verification import Check

_COLOURS = {"passed": "green", "failed": "red", "not checked": "yellow"}


@click.group()
def release() -> None:
    """Detector releases: verify, import, ensemble."""


@release.command()
@click.argument("directory", type=FOLDER, metavar="RELEASE")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: sound, and the checks.")
@click.pass_context
def verify(context: click.Context, directory: Path, as_json: bool) -> None:
    """Check the hashes of RELEASE, recompute its golden set, and compare its graph with its weights.

    Exits with 1 when anything differs.
    """
    from model import verification

    checks = verification.verify(directory)
    sound = verification.sound(checks)
    if as_json:
        click.echo(json.dumps({"release": str(directory), "sound": sound, "checks": [asdict(each) for each in checks]}))
    else:
        Console().print(_table(checks))
        click.echo(f"{directory}: {'sound' if sound else 'NOT what it was'}")
    if not sound:
        context.exit(1)


def _table(checks: Sequence[Check]) -> Table:
    table = Table("check", "", "found")
    for check in checks:
        table.add_row(escape(check.name), f"[{_COLOURS[check.state]}]{check.state}[/]", escape(check.detail))
    return table
