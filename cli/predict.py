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

FOLDER = click.Path(file_okay=False, path_type=Path)
BATCH = 16  # files decoded and scored together


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a file: score, band, reasons, faces, or failure.")
@click.option("--release", type=FOLDER, envvar="UNMASK_DETECTOR", help="Detector release; the shipped one by default.")
@click.option("--device", default="auto", envvar="UNMASK_DEVICE", show_default=True, help="auto, cpu or cuda:N")
@click.option("--face-model", type=click.Path(path_type=Path), envvar="UNMASK_FACE_MODEL", help="A YuNet ONNX file.")
@click.pass_context
def predict(
    context: click.Context,
    files: Sequence[Path],
    as_json: bool,
    release: Path | None,
    device: str,
    face_model: Path | None,
) -> None:
    """Say how probably each FILE is a deepfake; a folder is walked. Exits with 1 when no file could be scored."""
    from model.detector import Detector

    paths = [path for given in files for path in _walked(given)]
    answers = _answers(Detector.load(release, device, face_model), paths)
    # The bar goes to stderr, so that stdout stays what a program can read.
    shown = track(answers, "scoring", total=len(paths), console=Console(stderr=True), transient=True)
    scored = 0
    table = Table("file", "score", "band", "faces", "why")
    for answer in shown:
        scored += "score" in answer
        if as_json:
            click.echo(json.dumps(answer))
        else:
            table.add_row(*map(escape, _row(answer)))
    if not as_json:
        Console().print(table)
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


def _read(path: Path) -> bytes | dict[str, str]:
    """The file's bytes, or the failure that stands for them."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return {"slug": "no-such-file", "detail": "There is no such file."}
    except OSError as error:
        return {"slug": "unreadable-file", "detail": error.strerror or str(error)}


def _row(answer: dict[str, Any]) -> tuple[str, str, str, str, str]:
    if failure := answer.get("failure"):
        return answer["file"], "-", "failed", "-", f"{failure['slug']}: {failure['detail']}"
    return (
        answer["file"],
        f"{answer['score']:.3f}",
        answer["band"],
        str(len(answer["faces"])),
        ", ".join(answer["reasons"]),
    )
