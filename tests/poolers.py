"""Debian's PgBouncer in transaction mode before the tests' PostgreSQL, where it is installed."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli import processes

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def bouncer(database_url: str, *, servers: int = 2) -> Iterator[str]:
    """Runs PgBouncer with so few server connections that clients share them; yields its URL."""
    if PROGRAM is None:
        pytest.skip("no pgbouncer")
    to, port = urlsplit(database_url.replace("+psycopg", "")), processes.free_port()
    name = to.path.strip("/")
    directory = Path(tempfile.mkdtemp(prefix="unmask-pgbouncer-"))
    directory.chmod(0o755)  # it will not run as root, and reads this as nobody
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n{name} = host={to.hostname} port={to.port} dbname={name} user={to.username} password={to.password}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {servers}\nmax_client_conn = 500\n"
    )
    account = ["--user", "nobody"] if os.geteuid() == 0 else []
    with (directory / "log").open("w") as log:
        child = subprocess.Popen([PROGRAM, *account, str(configuration)], stdout=log, stderr=log)
    try:
        _wait(child, port)
        yield f"postgresql://{to.username}@127.0.0.1:{port}/{name}"
    finally:
        child.terminate()
        child.wait(30)
        shutil.rmtree(directory)


def _wait(child: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + 30
    while True:
        assert child.poll() is None, "pgbouncer did not start"
        assert time.monotonic() < until
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
