"""Accepted uploads a second and their p99, beside a bare handler that only stores the file, and what waiting costs.

    python -m benchmarks.intake [--count N] [--rounds N] [--waiting N] [--kilobytes N ...] [--out FILE]

Scoring is stopped: there is no worker. Both sides are served by the same gunicorn configuration, take the same bytes
from the same clients, and take turns round by round, so that a machine that slows down slows both. The bare handler
(`benchmarks.bare`) parses the form with Flask and writes the file under a random name; it keeps no row and syncs
nothing. The waiting clients long-poll a submission that nobody will score, and ask again when they are answered. What
an upload costs beside its bytes weighs less the more of them there are, so it is measured with small drawn pictures and
with files padded to the size of a photograph.
"""

import http.client
import json
import os
import platform
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cli import engines, migrate, processes, samples
from cli.processes import Program
from cli.serve import GUNICORN
from cli.up import answers
from moderation import database, platforms

CLIENTS = 8
SIZES = (0, 1000)  # kilobytes: drawn pictures as they are, and a photograph
BOUNDARY = "upload"
console = Console()


@dataclass(frozen=True)
class Side:
    """One side's rounds together: uploads a second (median of rounds), and the latency that 99 of 100 stay below."""

    rate: float
    p99_ms: float


@dataclass(frozen=True)
class Result:
    """What files of one size showed. `ratio` is ours by bare; `waiting_cost`, what waiting clients take of our rate."""

    files: int
    mean_kilobytes: float
    rounds: int
    clients: int
    cores: int
    machine: str
    bare: Side
    ours: Side
    waiting_clients: int
    beside_waiting: Side
    ratio: float
    waiting_cost: float


@click.command()
@click.option("--count", type=click.IntRange(min=CLIENTS), default=300, show_default=True, help="Files a round.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--waiting", type=click.IntRange(min=1), default=200, show_default=True, help="Long-polling clients.")
@click.option("--kilobytes", "sizes", type=click.IntRange(min=0), multiple=True, default=SIZES, show_default=True,
              help="Pad files to at least this size; several are measured one after the other.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("reports/intake.json"))
def main(count: int, rounds: int, waiting: int, sizes: Sequence[int], out: Path) -> None:
    """Measure, print a table a size, write JSON."""
    results = []
    for kilobytes in sizes:  # each on engines of its own: what one leaves behind must not slow the next
        with tempfile.TemporaryDirectory(prefix="unmask-bench-") as folder, _served(Path(folder)) as (bare, ours, key):
            results.append(_measured(bare, ours, key, count, rounds, waiting, 1000 * kilobytes))
            console.print(_table(results[-1]))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    console.print(f"written to {out}")


def _measured(bare: int, ours: int, key: str, count: int, rounds: int, waiting: int, least: int) -> Result:
    """What files of at least `least` bytes show, sent to two ports in turns."""
    total = (2 * rounds + 1) * count
    made = [sample.content for sample in track(samples.distinct(total), "making files", total=total)]
    # behind a JPEG's end anything may follow; what does not compress is as hard to move as a photograph
    files = iter([content + os.urandom(max(0, least - len(content))) for content in made])

    def some() -> list[bytes]:
        return [next(files) for _ in range(count)]

    warm = some()
    _round(bare, "/", key, warm)
    _round(ours, "/v1/submissions", key, warm)
    laps: dict[str, list[list[float]]] = {"bare": [], "ours": [], "beside": []}
    rates: dict[str, list[float]] = {"bare": [], "ours": [], "beside": []}

    def lap(side: str, port: int, path: str, sent: Sequence[bytes]) -> None:
        rate, seconds = _round(port, path, key, sent)
        rates[side].append(rate)
        laps[side].append(seconds)

    for _ in track(range(rounds), "rounds"):
        lap("bare", bare, "/", warm)
        lap("ours", ours, "/v1/submissions", some())
        with _waiting(ours, key, waiting):
            lap("beside", ours, "/v1/submissions", some())
    sides = {name: Side(statistics.median(rates[name]), _p99(laps[name])) for name in laps}
    sent = max(sum(map(len, made)) / len(made), least) / 1000
    machine = platform.processor() or platform.machine()
    ratio, cost = sides["ours"].rate / sides["bare"].rate, 1 - sides["beside"].rate / sides["ours"].rate
    return Result(
        count, round(sent, 1), rounds, CLIENTS, len(os.sched_getaffinity(0)), machine,
        sides["bare"], sides["ours"], waiting, sides["beside"], ratio, cost,
    )  # fmt: skip


@contextmanager
def _served(home: Path) -> Iterator[tuple[int, int, str]]:
    """Both servers on engines of their own; gives their ports and a platform's key."""
    with engines.postgres(home / "postgres") as database_url, engines.redis(home / "redis") as redis_url:
        migrate.run(database_url)
        engine = database.connect(database_url)
        with database.sessions(engine).begin() as session:
            key = platforms.create(session, "Benchmark").api_key
        engine.dispose()
        (home / "media").mkdir()
        settings = {
            "UNMASK_DATABASE_URL": database_url,
            "UNMASK_REDIS_URL": redis_url,
            "UNMASK_MEDIA": f"file://{home / 'media'}",
            "UNMASK_SECRET_KEY": "of a benchmark, and of nothing else.",
            "UNMASK_LOG_LEVEL": "WARNING",
            "UNMASK_RATE_LIMIT": "1000000 per minute",
            "BARE_FOLDER": str(home / "bare"),
        }
        (home / "bare").mkdir()
        with (
            _gunicorn(home, "bare", settings, "benchmarks.bare:application", "/") as bare,
            _gunicorn(home, "ours", settings, "api.wsgi:application", "/readyz") as ours,
        ):
            yield bare, ours, key


@contextmanager
def _gunicorn(home: Path, name: str, settings: dict[str, str], application: str, well: str) -> Iterator[int]:
    port = processes.free_port()
    command = (sys.executable, "-m", "gunicorn", "--config", str(GUNICORN), "--bind", f"127.0.0.1:{port}", application)
    log = home / f"{name}.log"
    with processes.running(Program(name, command, settings, grace_seconds=60), log) as child:
        for _ in range(600):
            assert child.poll() is None, log.read_text()
            if answers(f"http://127.0.0.1:{port}{well}"):
                break
            time.sleep(0.1)
        yield port
        child.terminate()
        child.wait(60)


def _round(port: int, path: str, key: str, files: Sequence[bytes]) -> tuple[float, list[float]]:
    """Uploads a second of one round, and the seconds that each took."""
    shares = [files[number::CLIENTS] for number in range(CLIENTS)]
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        taken = [
            seconds for some in clients.map(lambda share: _send(port, path, key, share), shares) for seconds in some
        ]
    return len(files) / (time.perf_counter() - began), taken


def _send(port: int, path: str, key: str, files: Sequence[bytes]) -> list[float]:
    """One client on one connection. http.client, since a heavier one would be most of what is measured."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    taken = []
    for content in files:
        began = time.perf_counter()
        _post(connection, path, key, content)
        taken.append(time.perf_counter() - began)
    connection.close()
    return taken


def _post(connection: http.client.HTTPConnection, path: str, key: str, content: bytes) -> bytes:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    connection.request("POST", path, head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode(), headers)
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == 202, (answer.status, said)
    return said


@contextmanager
def _waiting(port: int, key: str, count: int) -> Iterator[None]:
    """Clients that wait for a submission that nobody scores, each on its own connection."""
    (sample,) = samples.distinct(1, seed=int(time.time()))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    path = json.loads(_post(connection, "/v1/submissions", key, sample.content))["links"]["self"]
    connection.close()
    request = f"GET {path}?wait=30 HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    is_over = threading.Event()
    asking = threading.Thread(target=_ask, args=(waiting, request, is_over))
    asking.start()
    time.sleep(3)  # until all of them wait
    try:
        yield
    finally:
        is_over.set()
        asking.join()
        for client in waiting:
            client.close()


def _ask(clients: Sequence[socket.socket], request: bytes, is_over: threading.Event) -> None:
    """Asks for every client, and again for each that is answered. One thread: two hundred would be measured, too."""
    with selectors.DefaultSelector() as answered:
        for client in clients:
            answered.register(client, selectors.EVENT_READ)
            client.sendall(request)
        while not is_over.is_set():
            for key, _ in answered.select(0.2):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                answer = http.client.HTTPResponse(client)  # head and body may come apart
                answer.begin()
                said = answer.read()
                assert answer.status == 200, (answer.status, said)
                client.sendall(request)


def _p99(laps: Sequence[Sequence[float]]) -> float:
    return statistics.quantiles([seconds for lap in laps for seconds in lap], n=100)[98] * 1000


def _table(result: Result) -> Table:
    table = Table(
        "uploads",
        "a second",
        "p99, ms",
        "of bare",
        title=f"{result.rounds} rounds of {result.files} files of {result.mean_kilobytes} kB, "
        f"{result.clients} clients, {result.cores} cores",
    )
    rows = {
        "a bare handler that stores the file": result.bare,
        "Unmask, scoring stopped": result.ours,
        f"Unmask, {result.waiting_clients} clients waiting": result.beside_waiting,
    }
    for name, side in rows.items():
        table.add_row(name, f"{side.rate:.0f}", f"{side.p99_ms:.0f}", f"{side.rate / result.bare.rate:.2f}")
    return table


if __name__ == "__main__":
    main()
