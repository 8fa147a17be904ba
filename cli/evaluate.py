"""`unmask evaluate`: the figures of a release on a folder of labelled images, as JSON, Markdown and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from cli.train import FILE, FOLDER, OUT, mates_of, progress_bar


@click.command()
@click.argument("release", type=FOLDER)
@click.argument("images", type=FOLDER, metavar="DATA")
@click.option("--out", type=OUT, required=True, help="Folder for report.json, report.md and the pictures.")
@click.option("--mate", "mates", multiple=True, metavar="FAKES=REALS", help="Tell two one-class sources together, too.")
@click.option("--seal", is_flag=True, help="Write the figures and a new card.md into the release itself.")
@click.option("--notes", type=FILE, help="Paragraphs of your own for that card, in Markdown.")
@click.option("--device", default="auto", envvar="UNMASK_DEVICE", show_default=True, help="auto, cpu or cuda:N")
@click.option("--face-model", type=click.Path(path_type=Path), envvar="UNMASK_FACE_MODEL", help="A YuNet ONNX file.")
def evaluate(
    release: Path,
    images: Path,
    out: Path,
    mates: Sequence[str],
    seal: bool,
    notes: Path | None,
    device: str,
    face_model: Path | None,
) -> None:
    """Measure RELEASE on DATA/SOURCE/{real,fake}: the test split of sources it learnt from, the whole of others."""
    from model import cards, evaluation, reporting, sources
    from model.detector import Detector

    detector = Detector.load(release, device, face_model)
    with progress_bar() as bar:
        chosen = evaluation.choose(detector.release, sources.read(images))
        task = bar.add_task("scoring", total=len(chosen))
        trials = evaluation.run(detector, chosen, lambda count: bar.advance(task, count))
    report = evaluation.report(detector.release, trials, mates_of(mates))
    reporting.write(out, report, trials)
    if seal:
        cards.write(detector.release, report, notes.read_text() if notes else "")
    Console().print((out / "report.md").read_text(), markup=False)
