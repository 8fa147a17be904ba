"""What `Detector.score` costs on one core, beside its parts and beside a bare ONNX Runtime session, in one run.

    python -m benchmarks.detector [IMAGES] [--release DIR] [--count N] [--side PIXELS] [--rounds N] [--out FILE]

IMAGES is a folder of photographs; each is enlarged or shrunk to `--side` and saved as JPEG first, so that what is
decoded is as large as a camera's or a generator's. Without it faces are drawn. What is told is the processor's time,
which others on the machine hardly move; parts and the whole take turns, round after round, and the best of each counts.
"""

import io
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import onnxruntime
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from model import pixels, procedural, releases
from model.crops import Cutting
from model.detector import Detector, Failure, Sheet
from model.encoder import cache, store
from model.panels import Seat

QUALITY = 90
BATCH = 32  # crops a forward pass
ENCODER = "encoder"
console = Console()


@dataclass(frozen=True)
class Part:
    """One part: milliseconds of one core an image (a crop for the forward passes), best of all rounds."""

    name: str
    milliseconds: float

    @property
    def rate(self) -> float:
        """A second, on one core."""
        return 1000 / self.milliseconds


@dataclass(frozen=True)
class Result:
    """`whole_by_parts` is the sum of the parts by the whole, `forward_by_bare` the batched forward's rate by the bare
    session's, of the encoder where there is one; both are 1 where nothing is lost.
    """

    files: int
    side: int
    faces: int
    machine: str
    detector: str
    parts: list[Part]
    images_a_second: float
    whole_by_parts: float
    forward_by_bare: float


@click.command()
@click.argument("images", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.option("--release", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--count", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--side", type=click.IntRange(min=64), default=1024, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("reports/detector.json"))
def main(images: Path | None, release: Path | None, count: int, side: int, rounds: int, out: Path) -> None:
    """Measure, print a table, write JSON."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    files = _files(images, count, side)
    detector = Detector.load(release, "cpu", threads=1)
    best = _timed(_steps(detector, files), rounds)
    sheets = [sheet for sheet in detector.prepare(files).sheets if isinstance(sheet, Sheet)]
    parts = [Part(name, 1000 * seconds) for name, seconds in best.items()]
    spent = {part.name: part.milliseconds for part in parts}
    found = sum(bool(cut.box) for sheet in sheets for cut in sheet.cuts)
    a_file = len([cut for sheet in sheets for cut in sheet.cuts]) / len(files)
    names = [_named(seat) for seat in detector.panel.seats]
    forward = sum(spent[f"{name}, batched"] for name in names)
    added = spent["decode"] + spent["find"] + spent["cut"] + a_file * forward
    result = Result(
        len(files),
        side,
        found,
        platform.processor() or platform.machine(),
        f"{detector.release.name} {detector.release.version}",
        parts,
        1000 / spent["score, whole"],
        added / spent["score, whole"],
        spent[f"{names[0]}, bare session"] / spent[f"{names[0]}, batched"],
    )
    console.print(_table(result))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(asdict(result), indent=2) + "\n")
    console.print(f"written to {out}")


def _files(images: Path | None, count: int, side: int) -> list[bytes]:
    """JPEGs of `side` pixels a side."""
    if images is None:
        drawn = [procedural.portrait(side, side, side * 0.5, seed)[0] for seed in range(count)]
        return [procedural.coded(picture, "JPEG", quality=QUALITY) for picture in drawn]
    paths = [path for path in sorted(images.rglob("*")) if path.is_file()][:count]
    return [_enlarged(path, side) for path in track(paths, "making files")]


def _enlarged(path: Path, side: int) -> bytes:
    content = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def _steps(detector: Detector, files: Sequence[bytes]) -> dict[str, tuple[Callable[[], object], int]]:
    """By name, what is done, and to how many."""
    finder = detector._finder  # noqa: SLF001 - the part itself, as `prepare` uses it
    decoded = [next(pixels.decode(content)).pixels for content in files]
    found = [finder.find(image) for image in decoded]
    cuttings = detector.panel.cuttings
    stacks = [_stack(each, decoded, found) for each in cuttings]

    def cut() -> None:
        for image, faces in zip(decoded, found, strict=True):
            for face in faces:
                for cutting in cuttings:
                    cutting.face(image, face.box)

    def whole() -> None:
        answers = detector.score(files)
        assert not any(isinstance(answer, Failure) for answer in answers)

    return {
        "decode": (lambda: [next(pixels.decode(content)) for content in files], len(files)),
        "decode, Pillow alone": (lambda: [_pillow(content) for content in files], len(files)),
        "find": (lambda: [finder.find(image) for image in decoded], len(files)),
        "cut": (cut, len(files)),
        **{name: step for seat in detector.panel.seats for name, step in _forward(seat, stacks[seat.cutting]).items()},
        "score, whole": (whole, len(files)),
    }


def _stack(cutting: Cutting, decoded: Sequence[Any], found: Sequence[Any]) -> Any:
    crops = [
        cutting.face(image, faces[0].box) if faces else cutting.picture(image)
        for image, faces in zip(decoded, found, strict=True)
    ]
    return np.resize(np.stack(crops), (BATCH, *crops[0].shape))


def _forward(seat: Seat, stack: Any) -> dict[str, tuple[Callable[[], object], int]]:
    """A seat's forward pass beside a bare session of the same graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    release, name = seat.release, _named(seat)
    path, output = release.file(releases.GRAPH), "logits"
    if name == ENCODER and release.encoder and (recipe := release.file(releases.ENCODER)):
        path, output = store.graph(release.encoder, recipe, cache.folder()), "features"
    bare = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return {
        f"{name}, batched": (lambda: seat.opinions(list(stack)), BATCH),
        f"{name}, bare session": (lambda: bare.run([output], {"crops": stack}), BATCH),
        f"{name}, bare, one by one": (lambda: [bare.run([output], {"crops": crop[None]}) for crop in stack], BATCH),
    }


def _named(seat: Seat) -> str:
    return ENCODER if hasattr(seat.backend, "probe") else "network"


def _pillow(content: bytes) -> object:
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image.convert("RGB"))


def _timed(steps: dict[str, tuple[Callable[[], object], int]], rounds: int) -> dict[str, float]:
    """Seconds each, best of the rounds; one more round before warms up."""
    best = dict.fromkeys(steps, float("inf"))
    for number in track(range(rounds + 1), "measuring"):
        for name, (step, count) in steps.items():
            began = time.process_time()
            step()
            if number:
                best[name] = min(best[name], (time.process_time() - began) / count)
    return best


def _table(result: Result) -> Table:
    table = Table(
        "part", "ms", "a second", title=f"{result.files} JPEGs of {result.side} x {result.side}, {result.faces} faces, "
        f"one core, {result.detector}",
    )  # fmt: skip
    for part in result.parts:
        table.add_row(part.name, f"{part.milliseconds:.2f}", f"{part.rate:.1f}")
    table.add_row("parts by whole", f"{result.whole_by_parts:.2f}", "")
    table.add_row("forward by bare session", f"{result.forward_by_bare:.2f}", "")
    return table


if __name__ == "__main__":
    main()
