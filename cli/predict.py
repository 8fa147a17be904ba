"""`unmask predict`: the scores of files and folders, without a server. A failure is told and never becomes a score."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

if TYPE_CHECKING:
    from model.detector import Detector
    from model.evidence.folders import Folder

FOLDER = click.Path(file_okay=False, path_type=Path)
BATCH = 16  # files decoded and scored together
BARS = "▁▂▃▄▅▆▇█"  # from 0 to 1


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a file: score, band, reasons, faces, or failure.")
@click.option(
    "--release",
    type=FOLDER,
    envvar="UNMASK_DETECTOR",
    help="A release: full, lite or a directory; full where the encoder is.",
)
@click.option("--device", default="auto", envvar="UNMASK_DEVICE", show_default=True, help="auto, cpu or cuda:N")
@click.option("--face-model", type=click.Path(path_type=Path), envvar="UNMASK_FACE_MODEL", help="A YuNet ONNX file.")
@click.option("--encoder-cache", type=FOLDER, envvar="UNMASK_ENCODER_CACHE", help="Where the image encoder lies.")
@click.option("--evidence", type=FOLDER, metavar="DIR", help="Write faces, heatmaps and a page to look at into DIR.")
@click.option("--context", "with_context", is_flag=True, help="There also error level, noise and spectrum; not scored.")
@click.pass_context
def predict(
    context: click.Context,
    files: Sequence[Path],
    as_json: bool,
    release: Path | None,
    device: str,
    face_model: Path | None,
    encoder_cache: Path | None,
    evidence: Path | None,
    with_context: bool,
) -> None:
    """Say how probably each FILE is a deepfake; a folder is walked. Exits with 1 when no file could be scored."""
    from model import selection
    from model.detector import Detector

    if with_context and evidence is None:
        raise click.UsageError("--context adds to --evidence, which is missing")
    paths = [path for given in files for path in _walked(given)]
    if release is None and not selection.encoder_is_here(encoder_cache):
        click.echo(selection.MISSING, err=True)
    chosen = selection.chosen(release, encoder_cache)
    detector = Detector.load(chosen, device, face_model, cache=encoder_cache)
    folder = None
    if evidence is not None:
        from model.evidence.folders import Folder

        folder = Folder(evidence, detector.release, with_context)
    answers = _answers(detector, paths) if folder is None else _looked_into(detector, paths, folder)
    # The bar goes to stderr, so that stdout stays what a program can read.
    shown = track(answers, "scoring", total=len(paths), console=Console(stderr=True), transient=True)
    scored = 0
    told = []
    for answer in shown:
        scored += "score" in answer
        if as_json:
            click.echo(json.dumps(answer))
        else:
            told.append(answer)
    if not as_json:
        Console().print(_table(told))
    if folder is not None:
        click.echo(f"evidence: {folder.close()}", err=True)
    if not scored:
        context.exit(1)


def _walked(given: Path) -> list[Path]:
    return sorted(path for path in given.rglob("*") if path.is_file()) if given.is_dir() else [given]


def _answers(detector: Detector, paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """One answer a path, in order; what cannot be read fails alone."""
    from model.detector import Judgement

    for start in range(0, len(paths), BATCH):
        batch = paths[start : start + BATCH]
        contents = [_read(path) for path in batch]
        results = iter(detector.score([content for content in contents if isinstance(content, bytes)]))
        for path, content in zip(batch, contents, strict=True):
            if isinstance(content, dict):
                yield {"file": str(path), "failure": content}
                continue
            result = next(results)
            if isinstance(result, Judgement):
                yield {"file": str(path), **result.as_dict()}
            else:
                yield {"file": str(path), "failure": {"slug": result.slug, "detail": result.detail}}


def _looked_into(detector: Detector, paths: Sequence[Path], folder: Folder) -> Iterator[dict[str, Any]]:
    """As `_answers`, file by file, with the evidence written into the folder."""
    from model import evidence
    from model.detector import Failure

    for path in paths:
        content = _read(path)
        found = Failure(**content) if isinstance(content, dict) else evidence.gather(detector, content)
        folder.add(str(path), found)
        if isinstance(found, Failure):
            yield {"file": str(path), "failure": {"slug": found.slug, "detail": found.detail}}
        else:
            yield {"file": str(path), **found.judgement.as_dict()}


def _read(path: Path) -> bytes | dict[str, str]:
    """The file's bytes, or the failure that stands for them."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return {"slug": "no-such-file", "detail": "There is no such file."}
    except OSError as error:
        return {"slug": "unreadable-file", "detail": error.strerror or str(error)}


def _table(answers: Sequence[dict[str, Any]]) -> Table:
    """A row a file; with a column for the frames where there is a clip among them."""
    clips = any(answer.get("frames") for answer in answers)
    table = Table("file", "score", "band", "faces", *(["frames"] if clips else []), "why")
    for answer in answers:
        file, score, band, faces, frames, why = map(escape, _row(answer))
        table.add_row(file, score, band, faces, *([frames] if clips else []), why)
    return table


def _row(answer: dict[str, Any]) -> tuple[str, str, str, str, str, str]:
    if failure := answer.get("failure"):
        return answer["file"], "-", "failed", "-", "-", f"{failure['slug']}: {failure['detail']}"
    return (
        answer["file"],
        f"{answer['score']:.3f}",
        answer["band"],
        str(len(answer["faces"])),
        _timeline(answer["frames"]),
        ", ".join(answer["reasons"]),
    )


def _timeline(frames: Sequence[dict[str, Any]]) -> str:
    """A clip's scores over time as a row of bars, one a frame, with the place of the highest."""
    if not frames:
        return "-"
    top = max(frames, key=lambda frame: float(frame["score"]))
    place = f"frame {top['index'] + 1}" if top["time"] is None else f"{top['time']:.1f} s"
    bars = "".join(BARS[min(len(BARS) - 1, int(frame["score"] * len(BARS)))] for frame in frames)
    return f"{bars} {top['score']:.2f} at {place}"
