"""`unmask dataset`: make one dataset of several folders, and look for leaks in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.bars import progress_bar

if TYPE_CHECKING:
    from model.datasets.building import Summary
    from model.datasets.findings import Finding
    from model.splits import Shares

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUT = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
# Written out, so that help needs neither numpy nor OpenCV; a test holds them to what there is.
LAYOUTS = ("faceforensics", "celebdf", "plain", "challenge", "dfdc", "openforensics")
SHOWN = 10  # unreadable files named on the screen; the list has them all


@click.group()
def dataset() -> None:
    """Datasets with frozen splits: build, check."""


def _mates(_context: click.Context, _parameter: click.Parameter, pairs: Sequence[str]) -> Mapping[str, str]:
    if wrong := [pair for pair in pairs if not all(pair.partition("="))]:
        raise click.BadParameter(f"{wrong[0]!r} is not FAKES=REALS")
    return {fakes: reals for fakes, _, reals in (pair.partition("=") for pair in pairs)}


def _shares(_context: click.Context, _parameter: click.Parameter, text: str) -> Shares:
    try:
        train, validation, test = (float(part) for part in text.split("/"))
    except ValueError:
        raise click.BadParameter("three numbers are needed, as in 80/10/10") from None
    total = train + validation + test
    if min(train, validation, test) < 0 or total <= 0:
        raise click.BadParameter("shares are not negative, and not all nought")
    return train / total, validation / total, test / total


@dataset.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER, metavar="DATA...")
@click.option("--out", type=OUT, required=True, help="The dataset's directory; crops and copies go there, too.")
@click.option("--layout", type=click.Choice(LAYOUTS), help="What DATA follows; recognised by default.")
@click.option("--shares", default="80/10/10", callback=_shares, show_default=True, help="train/validation/test")
@click.option("--balance", is_flag=True, help="Drop the larger class's surplus in every split of a two-class source.")
@click.option("--frames", type=click.IntRange(min=1), default=8, show_default=True, help="Frames taken of a video.")
@click.option("--face-model", type=FILE, envvar="UNMASK_FACE_MODEL", help="A YuNet ONNX file to find faces with.")
def build(
    folders: Sequence[Path],
    out: Path,
    layout: str | None,
    shares: Shares,
    balance: bool,
    frames: int,
    face_model: Path | None,
) -> None:
    """Read folders of labelled images or videos into one manifest and frozen lists of train, validation and test.

    DATA is SOURCE/{real,fake} folders with an optional groups.csv, the Face Deepfake Detection Challenge's archives,
    or a copy of DFDC, FaceForensics++, Celeb-DF or OpenForensics, or a folder of such. No group and no cluster of
    near-duplicates is parted. An interrupted build goes on where it was.
    """
    from model.datasets import building

    options = building.Options(layout, shares, balance, frames, face_model)
    with progress_bar() as bar:
        task = bar.add_task("measuring", total=None)
        summary = building.build(
            folders, out, options, lambda done, total: bar.update(task, completed=done, total=total)
        )
    _tell(Console(), out, summary)


def _tell(console: Console, out: Path, summary: Summary) -> None:
    table = Table("source", "layout", "real", "fake", "groups", "train", "validation", "test")
    for name, row in summary.record["sources"].items():
        lists = [f"{split['real']}+{split['fake']}" for split in row["splits"].values()]
        words = (name, row["layout"], *(str(row[column]) for column in ("real", "fake", "groups")), *lists)
        table.add_row(*map(escape, words))
    console.print(table)
    joined = summary.components
    console.print(
        f"{joined.near_pairs} near-duplicate pairs and {joined.equal_files} files with a twin tie {joined.groups} "
        f"groups into {joined.count} components; the largest hold {', '.join(map(str, joined.largest[:5]))} files"
    )
    if joined.lopsided:
        console.print("[yellow]warning:[/] one component is so large that the splits cannot have their shares")
    for folder in summary.passed_over:
        console.print(f"[yellow]passed over:[/] {escape(str(folder))} follows no known layout")
    for path, failure in list(summary.unreadable.items())[:SHOWN]:
        console.print(f"[yellow]unreadable:[/] {escape(path)}: {failure.slug}, {escape(failure.detail)}")
    if len(summary.unreadable) > SHOWN:
        console.print(f"and {len(summary.unreadable) - SHOWN} more in {escape(str(out / 'unreadable.csv'))}")
    if summary.dropped:
        console.print(
            f"{len(summary.dropped)} files dropped to balance the classes: {escape(str(out / 'dropped.csv'))}"
        )


@dataset.command()
@click.argument("home", type=FOLDER, metavar="DIR")
@click.option(
    "--mate",
    "mates",
    multiple=True,
    callback=_mates,
    metavar="FAKES=REALS",
    help="Check two one-class sources together.",
)
@click.option(
    "--sample", type=click.IntRange(min=0), default=600, show_default=True, help="Files looked at of a class."
)
@click.option("--face-model", type=FILE, envvar="UNMASK_FACE_MODEL", help="A YuNet ONNX file to find faces with.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: the number of leaks, and what each gate found.")
@click.pass_context
def check(
    context: click.Context, home: Path, mates: Mapping[str, str], sample: int, face_model: Path | None, as_json: bool
) -> None:
    """Look for leaks in the dataset that `build` wrote to DIR. Exits with 1 on a leak.

    Leaks are: a list or file that changed; a group, an equal file or a near-duplicate in two splits; one file with two
    labels; a label that the size, the border or the thumbnail of the equalised crop tells. That the stored files'
    metadata tells it only warns. --sample 0 looks at no picture.
    """
    from model import faces
    from model.datasets import findings, gates

    with progress_bar() as bar:
        task = bar.add_task("checking", total=None)
        found = gates.check(
            home,
            faces.load(face_model),
            lambda done, total: bar.update(task, completed=done, total=total),
            mates,
            sample,
        )
    leaks = sum(finding.verdict == findings.LEAKED for finding in found)
    if as_json:
        click.echo(json.dumps({"leaks": leaks, "findings": [finding.as_dict() for finding in found]}))
    else:
        _tabulate(Console(), found, leaks)
    if leaks:
        context.exit(1)


def _tabulate(console: Console, found: Sequence[Finding], leaks: int) -> None:
    colours = {"passed": "green", "noted": "cyan", "warned": "yellow", "leaked": "red"}
    table = Table("gate", "of", "figure", "limit", "", "why")
    for finding in found:
        figures = ("" if number is None else f"{number:.3g}" for number in (finding.figure, finding.limit))
        verdict = f"[{colours[finding.verdict]}]{finding.verdict}[/]"
        table.add_row(finding.gate, escape(finding.about), *figures, verdict, escape(finding.words))
    console.print(table)
    console.print(f"{leaks} leaks" if leaks else "no leaks")
