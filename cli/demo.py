"""`unmask demo`: the whole way on this machine, with sample media or your own, through the real HTTP interfaces.

It runs `unmask up` on a home of its own, plays the platform (submits, receives signed webhooks) and the moderator (one
decision through the dashboard), and leaves the rest to you. It never touches engines that the environment names.
"""

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli import ledger, processes, receiver
from cli import up as whole
from cli.home import Given, Home
from cli.processes import Program
from cli.receiver import Inbox
from cli.samples import Sample, Stored
from cli.visitor import Visitor
from moderation import endpoints, people, platforms
from moderation import settings as configuration
from moderation.errors import NameTaken, UnmaskError, WorldDown
from unmask_client import Client, StillPending, Submission, Unavailable
from unmask_client import UnmaskError as Refusal

PLATFORM, EMAIL = "Demo", "moderator@demo.example"
PATIENCE = 180.0  # seconds to be ready, or to receive what was promised
COLOURS = {"clear": "green", "review": "yellow", "fake": "red", "inconclusive": "cyan"}

console = Console(width=None if sys.stdout.isatty() else 120)  # a log has no width of its own


@dataclass(frozen=True)
class Access:
    """What the two parts that the demo plays need to get in."""

    api_key: str
    password: str


@dataclass
class Sent:
    """A file, and what became of it: a refusal, or a submission, known by its id until it is finished."""

    sample: Sample | Stored
    refusal: str | None = None
    submission_id: str | None = None
    submission: Submission | None = None


@click.command()
@click.option("--media", type=click.Path(exists=True, path_type=Path), metavar="DIR", help="Your own files.")
@click.option("--once", is_flag=True, help="End when everything has been shown.")
@click.option("--port", type=click.IntRange(0, 65535), help="UNMASK_PORT, or 8000 where that is free.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
def demo(media: Path | None, once: bool, port: int | None, workers: int) -> None:
    """Show the whole way: media in, verdicts, a moderator's decision, signed webhooks. State is kept in HOME/demo."""
    began = time.monotonic()
    given = configuration.read(Given)
    home = Home(given.home / "demo")
    files: Sequence[Sample | Stored] = _own(media) if media else _made()
    loopback = {"UNMASK_ALLOWED_NETWORKS": ",".join({*given.allowed_networks, "127.0.0.0/8"})}
    with supervised(home, port, workers, loopback) as address, receiver.listening() as inbox:
        console.print(f"Unmask is up at {address} after {time.monotonic() - began:.0f} s")
        os.environ.update(home.reached())
        access = _let_in(inbox)
        sent = _submit(address, access, files)
        console.print(_table(sent))
        _show_webhooks(inbox, sent, decided=_decide(address, access))
        console.print(
            f"\nIt took {time.monotonic() - began:.0f} s. [bold]Now you[/]: {address}/queue\n"
            f"  e-mail    {EMAIL}\n  password  {access.password}\n"
            f"  chores    UNMASK_HOME={home.path} unmask platform list\n  logs      {home.logs}",
            highlight=False,
            soft_wrap=True,
        )
        if not once:
            console.print("Ctrl-C stops everything.")
            with suppress(KeyboardInterrupt):
                signal.pause()


@contextmanager
def supervised(home: Home, port: int | None, workers: int, settings: dict[str, str]) -> Iterator[str]:
    """`unmask up` on ``home`` for the length of a block, with engines of its own; yields its address once it is ready.

    ``port`` 0 takes a free one; None the operator's where that is free.
    """
    given = configuration.read(Given)
    home.make()
    wanted = given.port if port is None else port
    taken = port is None and processes.is_taken("127.0.0.1", wanted)
    listen = processes.free_port() if taken or wanted == 0 else wanted
    own = dict.fromkeys(("UNMASK_DATABASE_URL", "UNMASK_REDIS_URL", "UNMASK_MEDIA", "UNMASK_SECRET_KEY"), "")
    environment = (
        own | {"UNMASK_HOME": str(home.path), "UNMASK_HOST": "127.0.0.1", "UNMASK_PORT": str(listen)} | settings
    )
    program = Program(
        "up", (sys.executable, "-P", "-m", "cli.main", "up", "--workers", str(workers)), environment, grace_seconds=120
    )
    log, address = home.logs / "up.log", f"http://127.0.0.1:{listen}"
    log.unlink(missing_ok=True)
    with processes.running(program, log) as child:
        with console.status("starting PostgreSQL, Redis, the API and a worker"):
            _await(
                lambda: whole.answers(f"{address}/readyz") and bool(home.reached()), lambda: child.poll() is None, log
            )
        yield address


def _await(ready: Callable[[], bool], alive: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if not alive() or time.monotonic() > deadline:
            said = [line for line in log.read_text().splitlines() if line.startswith("unmask: ")]
            raise WorldDown(said[-1].removeprefix("unmask: ") if said else f"`unmask up` did not start; see {log}")
        time.sleep(0.2)


def _let_in(inbox: Inbox) -> Access:
    """Makes what an operator would make by hand: a platform with a key and an endpoint, and a moderator."""
    password = secrets.token_urlsafe(12)
    settings = configuration.load()
    with ledger.opened(settings) as session:
        try:
            platform, api_key = platforms.create(session, PLATFORM)
        except NameTaken:
            platform = platforms.get(session, PLATFORM)
            api_key = platforms.issue_key(session, platform.id, "demo").api_key
        for earlier in endpoints.every(session, platform.id):
            endpoints.delete(session, earlier.id)  # its receiver ended with the demo before
        inbox.secret = endpoints.create(
            session, platform.id, inbox.url, allowed_networks=settings.allowed_networks
        ).secret
        try:
            people.create(session, EMAIL, "moderator", password)
        except NameTaken:
            people.set_password(session, EMAIL, password)
    return Access(api_key, password)


def _made() -> list[Sample]:
    from cli import samples

    with console.status("making sample media"):
        return samples.all_kinds()


def _own(place: Path) -> list[Stored]:
    files = sorted(
        path
        for path in ([place] if place.is_file() else place.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise UnmaskError(f"there is no file in {place}")
    return [Stored(path.name, "unknown", path) for path in files]


def _submit(address: str, access: Access, files: Sequence[Sample | Stored]) -> list[Sent]:
    """Sends every file and waits for every verdict."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    with Client(address, access.api_key) as client, bar:
        sent = [_send(client, sample) for sample in bar.track(files, description="sending")]
        for entry in bar.track(sent, description="verdicts"):
            if entry.submission_id is not None:
                entry.submission = _finished(client, entry.submission_id)
    return sent


def _send(client: Client, sample: Sample | Stored) -> Sent:
    try:
        return Sent(sample, submission_id=client.submit(sample.content, external_id=sample.name).id)
    except Unavailable as error:
        raise WorldDown(str(error)) from error
    except Refusal as error:
        return Sent(sample, refusal=f"{error.status} {error.slug}")


def _finished(client: Client, submission_id: str) -> Submission:
    try:
        return client.wait(submission_id, timeout=PATIENCE)
    except StillPending as error:
        raise WorldDown(f"{error.detail}; see the worker's log") from error


def _table(sent: Sequence[Sent]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("file", "kind", "verdict"):
        table.add_column(name, no_wrap=True)  # what a person looks for is never cut
    for name in ("score", "faces"):
        table.add_column(name, justify="right")
    table.add_column("reasons", overflow="fold")
    table.add_column("ms an image", justify="right")
    table.add_column("s to verdict", justify="right")
    for entry in sent:
        table.add_row(entry.sample.name, entry.sample.kind, *_row(entry))
    return table


def _row(entry: Sent) -> tuple[str, ...]:
    found = entry.submission
    if found is None:
        return (f"[magenta]refused[/]: {entry.refusal}",)
    if found.verdict is None or found.finished_at is None:
        return (f"[magenta]{found.state}[/]: {found.failure.slug if found.failure else 'no verdict'}",)
    verdict = found.verdict
    return (
        f"[{COLOURS.get(verdict.band, 'white')}]{verdict.band}[/]",
        f"{verdict.score:.3f}",
        str(len(verdict.faces)),
        ", ".join(verdict.reasons),
        f"{verdict.ms:.0f}",
        f"{(found.finished_at - found.received_at).total_seconds():.2f}",
    )


def _decide(address: str, access: Access) -> bool:
    """Answers the best flag as the moderator, through the dashboard. False: nothing was flagged."""
    with Visitor(address) as visitor:
        visitor.log_in(EMAIL, access.password)
        flag = visitor.claim_next()
        if flag is None:
            console.print("Nothing was flagged, so there is nothing to decide.")
            return False
        visitor.decide(flag, "fake", "decided by the demo")
    console.print(f"As {EMAIL}: logged in, claimed {flag}, answered [red]fake[/]. The others are left for you.")
    return True


def _show_webhooks(inbox: Inbox, sent: Sequence[Sent], *, decided: bool) -> None:
    """Waits for the webhook of every verdict and, where there was one, of the decision, and shows what came."""
    finished = {entry.submission.id for entry in sent if entry.submission}

    def complete(box: Inbox) -> bool:
        told = {
            event.data.get("id") for kind in ("submission.scored", "submission.failed") for event in box.of_type(kind)
        }
        return finished <= told and bool(box.of_type("flag.decided") or not decided)

    with console.status("waiting for signed webhooks; a decision leaves after its time for undo"):
        complete_in_time = inbox.wait_for(complete, PATIENCE)
    counts: dict[str, int] = {}
    for event in inbox.events.values():
        counts[event.type] = counts.get(event.type, 0) + 1
    console.print(
        f"Webhooks received, signature verified: {', '.join(f'{n} {kind}' for kind, n in counts.items()) or 'none'}"
        f"; refused for a bad signature: {inbox.forged}",
        soft_wrap=True,
    )
    if not complete_in_time:
        raise WorldDown("not every webhook has come; see upkeep's log")
