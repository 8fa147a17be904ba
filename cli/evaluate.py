"""`unmask evaluate`: what a release is worth on labelled images, as JSON, Markdown and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress

from cli.bars import progress_bar
from cli.train import FILE, OUT, mates_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model.evaluation.choosing import Subject
    from model.evaluation.scorers import ReleaseScorer, Scorer
    from model.evaluation.scoring import Trial
    from model.evaluation.sets import Mates

_PATH = click.Path(exists=True, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Work:
    """What the command was asked for, beside the release and the data."""

    out: Path
    mates: Mates
    robustness: int | None
    compared: Sequence[Path]
    device: str
    face_model: Path | None
    encoder_cache: Path | None


@click.command()
@click.argument("paths", nargs=-1, type=_PATH, metavar="RELEASE DATASET")
@click.option("--out", type=OUT, required=True, help="Folder for report.json, report.md and the pictures.")
@click.option("--mate", "mates", multiple=True, metavar="FAKES=REALS", help="Tell two one-class sources together, too.")
@click.option("--protocol", type=click.Choice(["grouped", "published"]), default="grouped", show_default=True,
              help="By group, or the random 80/10/10 of balanced DFDC crops.")  # fmt: skip
@click.option("--sample", type=click.IntRange(min=1), help="At most so many files of each class of each source.")
@click.option("--robustness", type=click.IntRange(min=1), metavar="N",
              help="The processing grid, on N files of each class of each source.")  # fmt: skip
@click.option("--compare", "compared", multiple=True, type=_PATH, metavar="PATH",
              help="Another release, an .onnx file or MesoNet's .h5, on the same files.")  # fmt: skip
@click.option("--gallery", type=click.IntRange(min=1), metavar="N",
              help="A contact sheet of the N worst mistakes of each class. It shows others' images.")  # fmt: skip
@click.option("--collect", is_flag=True, help="The paths are report.json files: tell what each never saw in one table.")
@click.option("--seal", is_flag=True, help="Write the figures and a new card.md into the release itself.")
@click.option("--notes", type=FILE, help="Paragraphs of your own for that card, in Markdown.")
@click.option("--device", default="auto", envvar="UNMASK_DEVICE", show_default=True, help="auto, cpu or cuda:N")
@click.option("--face-model", type=click.Path(path_type=Path), envvar="UNMASK_FACE_MODEL", help="A YuNet ONNX file.")
@click.option("--encoder-cache", type=_FOLDER, envvar="UNMASK_ENCODER_CACHE", help="Where the encoder lies.")
def evaluate(
    paths: Sequence[Path],
    out: Path,
    mates: Sequence[str],
    protocol: str,
    sample: int | None,
    robustness: int | None,
    compared: Sequence[Path],
    gallery: int | None,
    collect: bool,
    seal: bool,
    notes: Path | None,
    device: str,
    face_model: Path | None,
    encoder_cache: Path | None,
) -> None:
    """Measure RELEASE on DATASET: the test split of sources it learnt from, the whole of others.

    DATASET is what `unmask dataset build` wrote, or a folder SOURCE/{real,fake}. Answers are kept in OUT/answers: an
    interrupted evaluation goes on where it was, and telling the same files anew takes seconds. Remove them after a
    change of the program itself.

    With --collect: unmask evaluate --collect REPORT.JSON... --out DIR
    """
    if collect:
        _collect(paths, out)
        return
    if len(paths) != 2:
        raise click.UsageError("name a RELEASE and a DATASET, or reports with --collect")
    from model import cards
    from model.detector import Detector
    from model.evaluation import choosing, pages, pictures
    from model.evaluation import gallery as galleries
    from model.evaluation.scorers import ReleaseScorer

    scorer = ReleaseScorer(Detector.load(paths[0], device, face_model, cache=encoder_cache), face_model)
    release = scorer.detector.release
    work = Work(out, mates_of(mates), robustness, compared, device, face_model, encoder_cache)
    with progress_bar() as bar:
        reading = bar.add_task("choosing files", total=None)
        subjects = choosing.choose(release, paths[1], protocol, sample)
        bar.remove_task(reading)
        report, trials = _measured(bar, scorer, subjects, work, protocol)
        if protocol == choosing.PUBLISHED:
            report["published_split"] = choosing.published_split(paths[1])
        drawn = pictures.draw(out, trials, work.mates, report)
    pages.write(out, report, drawn)
    if gallery:
        galleries.write(out, trials, gallery)
    if seal:
        cards.write(release, report, notes.read_text() if notes else "")
    _show(report, out)


def _measured(
    bar: Progress, scorer: ReleaseScorer, subjects: Sequence[Subject], work: Work, protocol: str
) -> tuple[dict[str, Any], list[Trial]]:
    """The report with all that was asked for, and the trials behind it."""
    from model.evaluation import choosing, comparison, reporting
    from model.peers import opening

    trials = _scored(bar, scorer, subjects, work.out)
    files = choosing.fingerprint(subjects)
    report = reporting.assemble(scorer.detector.release, scorer.cuts, trials, work.mates, protocol, files)
    if work.robustness:
        report["robustness"] = _grid(bar, scorer, subjects, work, work.robustness)
    if work.compared:
        peers = [opening.opened(path, work.device, work.face_model, work.encoder_cache) for path in work.compared]
        judged = [(peer, _scored(bar, peer, subjects, work.out)) for peer in peers]
        report["comparison"] = comparison.compare([(scorer, trials), *judged], work.mates)
    return report, trials


def _scored(bar: Progress, scorer: Scorer, subjects: Sequence[Subject], out: Path) -> list[Trial]:
    from model.evaluation import scoring

    task = bar.add_task(scorer.name, total=len(subjects))
    return scoring.score(scorer, subjects, scoring.memory(scorer, out), lambda count: bar.advance(task, count))


def _grid(bar: Progress, scorer: Scorer, subjects: Sequence[Subject], work: Work, count: int) -> dict[str, Any]:
    from model.evaluation import robustness, scoring

    drawn = robustness.sampled(subjects, count)
    task = bar.add_task("processing grid", total=robustness.size(drawn))
    known = scoring.memory(scorer, work.out)
    return robustness.grid(scorer, drawn, work.mates, known, lambda done: bar.advance(task, done))


def _collect(paths: Sequence[Path], out: Path) -> None:
    from model.evaluation import collection

    if not paths:
        raise click.UsageError("name at least one report.json")
    table = collection.collect(collection.read(paths))
    collection.write(out, table)
    Console().print(collection.markdown(table), markup=False, soft_wrap=True)


def _show(report: Mapping[str, Any], out: Path) -> None:
    from model.evaluation import pages

    console = Console()
    console.print(pages.summary(report), markup=False, soft_wrap=True)
    console.print(f"The whole report: {out / 'report.md'}", markup=False, soft_wrap=True)
