"""Submissions a second end to end, beside a bare loop of decode, faces and forward over the same files and cores.

    python -m benchmarks.pipeline [MEDIA] [--count N] [--workers N] [--out FILE]

The bare loop runs before and after the pipeline, so that a machine that slows down meanwhile shows. The pipeline is the
real one (`unmask up`), intake over HTTP included: its clock runs from the first POST to the last verdict in the ledger.
Every file has bytes of its own, so no verdict is reused.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from cli import demo, samples
from cli.home import Home
from model.detector import Detector, Failure
from moderation import database, platforms

BATCH = 16
CLIENTS = 4
UNFINISHED = "state NOT IN ('scored', 'failed')"
console = Console()


@dataclass(frozen=True)
class Rates:
    """Submissions a second: taken in; from the first POST to the last verdict; and by the workers once intake was over,
    of which `left` were left then. `failed` got no verdict.
    """

    intake: float
    whole: float
    workers: float
    left: int
    failed: int


@dataclass(frozen=True)
class Result:
    """What one run showed. `ratio` is the pipeline's whole rate by the bare loop's mean rate, in files a second."""

    files: int
    mean_kilobytes: float
    cores: int
    workers: int
    machine: str
    detector: str
    bare_before: float
    bare_after: float
    rates: Rates
    ratio: float


@click.command()
@click.argument("media", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.option("--count", type=click.IntRange(min=BATCH), default=400, show_default=True, help="How many files.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("reports/pipeline.json"))
def main(media: Path | None, count: int, workers: int, out: Path) -> None:
    """Measure, print a table, write JSON."""
    files = _files(media, count)
    detector = Detector.load(device="cpu")
    before = _bare(detector, files, "bare loop, before")
    with tempfile.TemporaryDirectory(prefix="unmask-bench-") as folder:
        home = Home(Path(folder) / "home")
        with demo.supervised(home, 0, workers, {"UNMASK_DEVICE": "cpu", "UNMASK_BATCH": str(BATCH)}) as address:
            rates = _pipeline(home, address, files, workers)
    after = _bare(detector, files, "bare loop, after")
    release = detector.release
    result = Result(
        len(files),
        round(sum(map(len, files)) / len(files) / 1000, 1),
        len(os.sched_getaffinity(0)),
        workers,
        platform.processor() or platform.machine(),
        f"{release.name} {release.version}",
        before,
        after,
        rates,
        rates.whole / ((before + after) / 2),
    )
    console.print(_table(result))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(asdict(result), indent=2) + "\n")
    console.print(f"written to {out}")


def _files(media: Path | None, count: int) -> list[bytes]:
    """Returns up to ``count`` files, no two of them alike."""
    if media is None:
        return [sample.content for sample in track(samples.distinct(count), "making files", total=count)]
    found = {path.read_bytes() for path in sorted(media.rglob("*"))[: count * 2] if path.is_file()}
    return sorted(found)[:count]


def _bare(detector: Detector, files: Sequence[bytes], told: str) -> float:
    """Returns files a second of the detector alone, batch after batch."""
    detector.score(files[:BATCH])  # what is made on first use is not what is measured
    began = time.perf_counter()
    answers = [
        answer
        for start in track(range(0, len(files), BATCH), told)
        for answer in detector.score(files[start : start + BATCH])
    ]
    rate = len(files) / (time.perf_counter() - began)
    failed = [answer for answer in answers if isinstance(answer, Failure)]
    assert not failed, f"{len(failed)} files cannot be scored, the first because: {failed[0].detail}"
    return rate


def _pipeline(home: Home, address: str, files: Sequence[bytes], workers: int) -> Rates:
    """Sends everything as a platform would, and waits for the last verdict."""
    with _ledger(home) as sessions:
        with sessions.begin() as session:
            measured, rehearsal = (platforms.create(session, name) for name in ("Benchmark", "Rehearsal"))
        _send(address, rehearsal.api_key, [sample.content for sample in samples.distinct(4 * BATCH * workers, seed=1)])
        _await_all(sessions, rehearsal.platform.id)
        began = time.perf_counter()
        _send(address, measured.api_key, files)
        submitted = time.perf_counter() - began
        left = _count(sessions, measured.platform.id, UNFINISHED)
        _await_all(sessions, measured.platform.id)
        whole = time.perf_counter() - began
        failed = _count(sessions, measured.platform.id, "state = 'failed'")
    return Rates(len(files) / submitted, len(files) / whole, left / (whole - submitted), left, failed)


def _send(address: str, key: str, files: Sequence[bytes]) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=address, headers=headers, timeout=120) as http, ThreadPoolExecutor(CLIENTS) as clients:

        def post(content: bytes) -> None:
            http.post("/v1/submissions", files={"file": content}).raise_for_status()

        for _ in track(clients.map(post, files), "submitting", total=len(files)):
            pass


def _await_all(sessions: sessionmaker[Session], platform_id: str) -> None:
    with console.status("waiting for the last verdict"):
        while _count(sessions, platform_id, UNFINISHED):
            time.sleep(0.1)


def _count(sessions: sessionmaker[Session], platform_id: str, condition: str) -> int:
    query = text(f"SELECT count(*) FROM submissions WHERE platform_id = :id AND {condition}")  # noqa: S608 - our own words
    with sessions.begin() as session:
        return int(session.execute(query, {"id": platform_id}).scalar_one())


@contextmanager
def _ledger(home: Home) -> Iterator[sessionmaker[Session]]:
    engine = database.connect(home.reached()["UNMASK_DATABASE_URL"])
    try:
        yield database.sessions(engine)
    finally:
        engine.dispose()


def _table(result: Result) -> Table:
    table = Table(
        "measured",
        "a second",
        "of the bare loop",
        title=f"{result.files} files of {result.mean_kilobytes} kB, "
        f"{result.cores} cores, {result.workers} worker(s), {result.detector}",
    )
    bare = (result.bare_before + result.bare_after) / 2
    rows = {
        "bare loop, before": result.bare_before,
        "bare loop, after": result.bare_after,
        "pipeline, first POST to last verdict": result.rates.whole,
        "its intake alone (while workers score)": result.rates.intake,
        f"its workers alone (the last {result.rates.left})": result.rates.workers,
    }
    for name, rate in rows.items():
        table.add_row(name, f"{rate:.1f}", f"{rate / bare:.2f}")
    return table


if __name__ == "__main__":
    main()
