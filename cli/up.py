"""`unmask up`: everything on this machine, supervised, with PostgreSQL and Redis of its own where none are named."""

import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from cli import processes
from cli.home import Given, Home, Secrets
from cli.processes import Program
from cli.supervisor import Service, Supervisor
from moderation import settings as configuration
from moderation.errors import BadSettings, Conflict

GRACE_SECONDS = 45  # longer than a worker takes to finish its batch, see worker_soft_shutdown_timeout


@click.command()
@click.option("--workers", type=click.IntRange(0, 64), default=1, show_default=True, help="Scoring processes.")
@click.option("--fetchers", type=click.IntRange(0, 64), default=0, help="Fetching processes beside upkeep's own.")
@click.option("--host", help="Where to listen; UNMASK_HOST, or 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="UNMASK_PORT, or 8000; 0 takes a free one.")
def up(workers: int, fetchers: int, host: str | None, port: int | None) -> None:
    """Run Unmask on this machine until Ctrl-C; a second Ctrl-C does not wait.

    What UNMASK_DATABASE_URL and UNMASK_REDIS_URL do not name is started here and kept in UNMASK_HOME.
    """
    given = configuration.read(Given)
    _check_detector(given.detector, given.encoder_cache)
    home = Home(given.home)
    for asked in (signal.SIGINT, signal.SIGTERM):  # also where a shell that put us in the background ignores Ctrl-C
        signal.signal(asked, signal.default_int_handler)
    with home.held():
        for child in reversed(home.leftovers()):
            processes.end_leftover(child.pid, child.started, child.stop_signal)
        listen = _listening(host or given.host, given.port if port is None else port)
        kept = home.secrets()
        environment = _environment(given, home, kept, *listen)
        with _supervised(home, environment) as supervisor:
            _start(supervisor, given, home, kept, environment, _wanted(workers, fetchers))
            supervisor.watch()


@contextmanager
def _supervised(home: Home, environment: dict[str, str]) -> Iterator[Supervisor]:
    """A supervisor that has stopped everything by the end of the block, however that comes."""
    supervisor = Supervisor(home, environment)
    try:
        yield supervisor
    except KeyboardInterrupt:
        click.echo("\nstopping; Ctrl-C again does not wait", err=True)
    finally:
        supervisor.stop()


def _wanted(workers: int, fetchers: int) -> dict[str, str]:
    """Returns the verbs of the processes beside the web, by name."""
    several = {f"{verb}-{number}": verb for verb, many in (("worker", workers), ("fetcher", fetchers))
               for number in range(1, many + 1)}  # fmt: skip
    return several | {"upkeep": "upkeep"}


def _start(
    supervisor: Supervisor, given: Given, home: Home, kept: Secrets, environment: dict[str, str], wanted: dict[str, str]
) -> None:
    console = Console(stderr=True)
    with console.status("starting the engines") as status:
        supervisor.start(*_engines(given, home, kept))
        status.update("preparing the database and the place for media")
        _prepare(environment)
        status.update("starting the API and the workers")
        supervisor.start(*_processes(home, environment, wanted))
    address = _address(environment)
    commands = "unmask" if given.home == Path(".unmask") else f"UNMASK_HOME={given.home} unmask"
    click.echo(
        f"Unmask is up at {address}  (API: {address}/docs)\n"
        f"  log in     {address}/login, as somebody made with: {commands} person create EMAIL --role lead\n"
        f"  integrate  {commands} platform create NAME\n"
        f"  logs       {home.logs}\n"
        f"  stop       Ctrl-C"
    )
    sys.stdout.flush()


def _engines(given: Given, home: Home, kept: Secrets) -> list[Service]:
    """Returns the engines that the operator did not name."""
    wanted = []
    if not given.database_url:
        from cli import engines

        url = engines.postgres_url(kept.postgres_port, kept.postgres_password)
        program = engines.postgres_program(home.path / "postgres", kept.postgres_port, kept.postgres_password)
        wanted.append(Service(program, lambda: engines.postgres_answers(url)))
    if not given.redis_url:
        from cli import engines

        address = engines.redis_url(kept.redis_port, kept.redis_password)
        wanted.append(
            Service(
                engines.redis_program(home.path / "redis", kept.redis_port, kept.redis_password),
                lambda: engines.redis_answers(address),
            )
        )
    return wanted


def _processes(home: Home, environment: dict[str, str], wanted: dict[str, str]) -> list[Service]:
    """Returns our own processes: the web is ready when it says so, the others when their first heartbeat has come."""
    address = _address(environment)
    api = Program("api", _verb("api"), environment, grace_seconds=GRACE_SECONDS)
    return [
        Service(api, lambda: answers(f"{address}/readyz")),
        *(_beating(name, verb, home, environment) for name, verb in wanted.items()),
    ]


def _beating(name: str, verb: str, home: Home, environment: dict[str, str]) -> Service:
    heartbeat = home.logs / f"{name}.heartbeat"
    heartbeat.unlink(missing_ok=True)
    settings = environment | {"UNMASK_PROGRESS": str(heartbeat)}
    return Service(Program(name, _verb(verb), settings, grace_seconds=GRACE_SECONDS), heartbeat.exists)


def _verb(verb: str) -> tuple[str, ...]:
    return sys.executable, "-P", "-m", "cli.main", verb


def _prepare(environment: dict[str, str]) -> None:
    from cli import migrate
    from moderation import blobs

    migrate.run(environment["UNMASK_DATABASE_URL"])
    blobs.connect(environment["UNMASK_MEDIA"]).prepare()


def _environment(given: Given, home: Home, kept: Secrets, host: str, port: int) -> dict[str, str]:
    """Returns all settings of our processes, those that the operator gave us included: chores find them in the home."""
    environment = {name: value for name, value in os.environ.items() if name.startswith("UNMASK_")}
    environment |= {
        "UNMASK_HOST": host,
        "UNMASK_PORT": str(port),
        "UNMASK_HOME": str(home.path),
        "UNMASK_SECRET_KEY": given.secret_key or kept.secret_key,
        "UNMASK_MEDIA": given.media or f"file://{home.path / 'media'}",
        "UNMASK_DATABASE_URL": given.database_url,
        "UNMASK_REDIS_URL": given.redis_url,
    }
    if not (given.database_url and given.redis_url):
        from cli import engines

        environment["UNMASK_DATABASE_URL"] = given.database_url or engines.postgres_url(
            kept.postgres_port, kept.postgres_password
        )
        environment["UNMASK_REDIS_URL"] = given.redis_url or engines.redis_url(kept.redis_port, kept.redis_password)
    return environment


def _listening(host: str, port: int) -> tuple[str, int]:
    if port == 0:
        return host, processes.free_port()
    if processes.is_taken(host, port):
        raise Conflict(f"port {port} of {host} is not free; choose another with --port or UNMASK_PORT")
    return host, port


def _address(environment: dict[str, str]) -> str:
    host = environment["UNMASK_HOST"]
    local = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{local}:{environment['UNMASK_PORT']}"


def answers(url: str) -> bool:
    """Returns whether ``url`` answers with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _check_detector(asked: Path | None, cache: Path | None) -> None:
    """Fail here, once, instead of starting workers that would fail again and again."""
    from model import releases, selection
    from model.errors import ModelError

    try:
        release = selection.chosen(asked, cache)
        releases.read(release)
        selection.check_encoder(release, cache)
    except ModelError as error:
        raise BadSettings(f"there is no detector to score with: {error}") from None
