"""`unmask release`: check a detector release, wrap somebody else's network as one, join several into one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.bars import progress_bar
from cli.train import FILE, FOLDER, OUT

if TYPE_CHECKING:
    from model.lab.refitting import Addition
    from model.probes import Probe
    from model.releases import Release
    from model.verification import Check

DECISIONS = "decisions"
Triple = tuple[float, float, float]


class _Triple(click.ParamType[Triple]):
    """One number for all channels, or three with commas between."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Triple:
        try:
            numbers = [float(word) for word in str(value).split(",")]
            red, green, blue = numbers * 3 if len(numbers) == 1 else numbers
        except ValueError:
            self.fail(f"{value!r} is neither one number nor three with commas between", param, ctx)
        return red, green, blue


class _Added(click.ParamType[Path | str]):
    """The word `decisions`, or else a folder."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        return DECISIONS if value == DECISIONS else Path(FOLDER.convert(value, param, ctx))


TRIPLE = _Triple()
calibrated = click.option(
    "--calibrate", "images", type=FOLDER, metavar="DATA", help="Fit calibration and thresholds on its validation split."
)
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


@release.command("import")
@click.argument("file", type=FILE)
@click.option("--out", type=OUT, required=True, help="The release directory to write.")
@click.option("--architecture", help="Name of the timm network, for a checkpoint (.safetensors, .pth).")
@click.option(
    "--mean", type=TRIPLE, metavar="R,G,B", help="What was subtracted from values of 0 to 1; timm's own by default."
)
@click.option("--std", type=TRIPLE, help="What they were divided by then; timm's by default.")
@click.option("--size", type=click.IntRange(min=8), help="Pixels a side of a crop, where the file does not say.")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Where channels are, where the file does not say.")
@click.option("--bgr", is_flag=True, help="It was trained on blue, green, red.")
@click.option("--polarity", type=click.Choice(["fake", "real"]), required=True, help="What its output grows with.")
@click.option("--scale", type=click.Choice(["logit", "probability"]), required=True, help="What its output is.")
@click.option("--index", type=click.IntRange(min=0), help="Of several classes, the one of that polarity.")
@click.option("--output", help="Of several output tensors, the one that is meant.")
@click.option(
    "--margin",
    type=click.FloatRange(min=1, max=4),
    default=1.3,
    show_default=True,
    help="Side of a crop by the longer side of the face's box.",
)
@click.option("--name", default="imported", show_default=True)
@click.option("--version", default="1.0.0", show_default=True)
@click.option(
    "--calibrate", "images", type=FOLDER, metavar="DATA", help="Fit calibration and thresholds on its validation split."
)
def import_(
    file: Path,
    out: Path,
    architecture: str | None,
    mean: Triple | None,
    std: Triple | None,
    size: int | None,
    layout: Literal["nchw", "nhwc"] | None,
    bgr: bool,
    polarity: Literal["fake", "real"],
    scale: Literal["logit", "probability"],
    index: int | None,
    output: str | None,
    margin: float,
    name: str,
    version: str,
    images: Path | None,
) -> None:
    """Make a release of FILE, an ONNX graph or a timm checkpoint of somebody else's detector.

    Its faces are found and cut as ours are; --polarity, --scale and --index say what its output means. Nothing in a
    checkpoint is ever run.
    """
    from model import imports
    from model.imports.chains import Meaning
    from model.imports.graphs import Framing

    made = imports.wrap(
        file,
        out,
        framing=Framing(mean, std, size, layout, bgr),
        meaning=Meaning(polarity, scale, index, output),
        margin=margin,
        name=name,
        version=version,
        architecture=architecture,
    )
    _finished(made, images)


@release.command()
@click.argument("directories", type=FOLDER, nargs=-1, required=True, metavar="RELEASE RELEASE...")
@click.option("--out", type=OUT, required=True, help="The release directory to write.")
@click.option("--weight", "weights", type=float, multiple=True, help="Share of each, in order; equal by default.")
@click.option("--name", default="ensemble", show_default=True)
@click.option("--version", default="1.0.0", show_default=True)
@click.option(
    "--calibrate", "images", type=FOLDER, metavar="DATA", help="Fit calibration and thresholds on its validation split."
)
def ensemble(
    directories: Sequence[Path], out: Path, weights: Sequence[float], name: str, version: str, images: Path | None
) -> None:
    """Join releases into one that averages their calibrated logits."""
    from model import ensembles

    made = ensembles.join(directories, weights or [1.0] * len(directories), out, name, version)
    _finished(made, images)


@release.command()
@click.argument("directory", type=FOLDER, metavar="RELEASE")
@click.option(
    "--add",
    "added",
    type=_Added(),
    required=True,
    metavar="FOLDER|decisions",
    help="real/ and fake/ pictures, a built dataset, or what moderators decided (a folder of that name: ./decisions).",
)
@click.option("--platform", "platform_id", metavar="ID", help="With decisions: only of this one, by id or name.")
@click.option("--since", type=click.DateTime(), help="With decisions: only those made from then on, UTC.")
@click.option("--name", required=True, help="What the new source is called: letters, digits and hyphens.")
@click.option("--head", type=click.Choice(["manipulated", "synthetic"]), required=True, help="Altered faces, or made.")
@click.option("--kind", help="The kind of forgery, in a word; the name where absent.")
@click.option("--out", type=OUT, required=True, help="The candidate's directory.")
@click.option("--anyway", is_flag=True, help="Write the candidate even where the gate refuses it.")
@click.option("--device", default="auto", envvar="UNMASK_DEVICE", show_default=True, help="auto, cpu or cuda:N")
@click.option("--encoder-cache", type=OUT, envvar="UNMASK_ENCODER_CACHE", help="Where the encoder lies.")
def refit(
    directory: Path, added: Path | str, platform_id: str | None, since: datetime | None, name: str,
    head: Literal["manipulated", "synthetic"], kind: str | None, out: Path, anyway: bool, device: str,
    encoder_cache: Path | None,
) -> None:  # fmt: skip
    """Teach RELEASE a new kind of forgery from some pictures of it, and write a candidate release.

    None of the pictures that RELEASE was made from are needed: it carries projected features of them. The report says
    what the candidate gained and lost on faces that only measure. Exits with 1, and writes nothing, where the gate
    refuses the candidate.

    With `--add decisions` it learns from flags that stand decided as fake or real, where the platform's policy has
    kept features (keep_features).
    """
    from model import probes, releases
    from model.lab import refit_pages, refitting
    from model.lab.kinds import Kind

    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,40}", name):
        raise click.BadParameter("small letters, digits and hyphens only", param_hint="--name")
    found = releases.read(directory)
    known, told = refitting.opened(found), Kind(kind=kind or name, family="added", head=head, mates=())
    probe = probes.read(found.directory / releases.HEADS_FILE)
    if not isinstance(added, Path):
        new = _decided(found, probe, platform_id, since)
    elif platform_id or since:
        raise click.UsageError("--platform and --since choose among decisions: they need --add decisions")
    else:
        new = _pictured(directory, added, device, encoder_cache)
    made = refitting.refit(found, probe, known, new, told, name)
    click.echo(refit_pages.page(refit_pages.report(found, made, new, told, name), made))
    if made.refusals and not anyway:
        raise click.exceptions.Exit(1)
    refitting.write(found, made, known, new, told, name, out, encoder_cache)
    click.echo(f"{out}: review from {made.thresholds.review:.3f}, fake from {made.thresholds.fake:.3f}")


def _decided(release: Release, probe: Probe, platform_id: str | None, since: datetime | None) -> Addition:
    """What moderators decided, as new faces; says how many decisions cannot be learnt from."""
    from cli import decisions

    found = decisions.gather(release, platform_id, since.replace(tzinfo=UTC) if since else None)
    click.echo(found.told)
    return found.addition(probe)


def _pictured(directory: Path, folder: Path, device: str, cache: Path | None) -> Addition:
    """The faces in a folder's pictures."""
    from model import datasets
    from model.detector import Detector
    from model.lab import refitting

    items = [item for part in datasets.opened(folder).values() for item in part]
    detector = Detector.load(directory, device, cache=cache)
    with progress_bar() as bar:
        task = bar.add_task("looking at the new faces", total=len(items))
        return refitting.addition(detector, items, lambda count: bar.advance(task, count))


def _finished(made: Release, images: Path | None) -> None:
    """Calibrate where images are given, and say what the thresholds are."""
    if images is not None:
        from model import datasets, fitting, releases, splits

        items = datasets.opened(images)[splits.VALIDATION]
        releases.write_list(made.directory, items)  # whoever evaluates it must not test on these
        with progress_bar() as bar:
            task = bar.add_task("calibrating", total=len(items))
            made = fitting.calibrate(made, items, lambda count: bar.advance(task, count))
    cuts = made.thresholds
    click.echo(f"{made.directory}: review from {cuts.review:.3f}, fake from {cuts.fake:.3f}")
    click.echo(str(made.training.get("promise", "")))


def _table(checks: Sequence[Check]) -> Table:
    table = Table("check", "", "found")
    for check in checks:
        table.add_row(escape(check.name), f"[{_COLOURS[check.state]}]{check.state}[/]", escape(check.detail))
    return table
