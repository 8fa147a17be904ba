"""How gunicorn serves the web: `gunicorn -c deploy/gunicorn.conf.py` is all there is to type.

Threads, because a request waits on PostgreSQL, Redis, storage or a long poll far more than it computes.
"""

import os
import shutil
import tempfile
from pathlib import Path

# before anything imports prometheus_client, which decides at import whether processes share their numbers
OURS = "PROMETHEUS_MULTIPROC_DIR" not in os.environ
METRICS = Path(tempfile.mkdtemp(prefix="unmask-metrics-") if OURS else os.environ["PROMETHEUS_MULTIPROC_DIR"])
METRICS.mkdir(parents=True, exist_ok=True)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS)

from gunicorn.arbiter import Arbiter  # noqa: E402 - see above
from gunicorn.config import Config  # noqa: E402
from gunicorn.glogging import Logger  # noqa: E402
from gunicorn.http.message import Request  # noqa: E402
from gunicorn.workers.base import Worker  # noqa: E402
from prometheus_client import multiprocess  # noqa: E402

from api import pace, waiting  # noqa: E402
from moderation import logs  # noqa: E402
from moderation import settings as configuration  # noqa: E402

_settings = configuration.load()
logs.configure(_settings.log_format, _settings.log_level, process="api")

wsgi_app = "api.wsgi:application"
bind = f"{_settings.host}:{_settings.port}"
worker_class = "api.serving.PatientWorker"
workers = 2
threads = waiting.AT_WORK + waiting.SEATS  # a quarter of those at work may be held by slow bodies
timeout = 60  # of a worker whose main thread no longer answers; threads may take longer
graceful_timeout = 35  # the longest poll is 30 seconds
keepalive = 15
max_requests = 20_000  # bounds what a leak in a C library can grow to
max_requests_jitter = 2_000
accesslog = None  # api.requests logs each request, with its id
control_socket_disable = True


class logger_class(Logger):  # noqa: N801 - gunicorn's name for it
    """Sends gunicorn's own lines through the program's one formatter."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def on_starting(_server: Arbiter) -> None:
    """Forgets the numbers of the processes that served before."""
    for file in METRICS.glob("*.db"):
        file.unlink(missing_ok=True)


def child_exit(_server: Arbiter, worker: Worker) -> None:
    """Keeps a dead process's counters and drops its gauges."""
    multiprocess.mark_process_dead(worker.pid)


def on_exit(_server: Arbiter) -> None:
    """Removes the numbers' directory, unless somebody else chose it."""
    if OURS:
        shutil.rmtree(METRICS, ignore_errors=True)


def pre_request(_worker: Worker, request: Request) -> None:
    """Watches the pace of the body, and bounds the time that a client takes to read its answer."""
    request.unreader.sock.settimeout(pace.SILENCE_SECONDS)
    request.unreader.sock = pace.PacedSocket(request.unreader.sock)


def post_request(_worker: Worker, request: Request, *_: object) -> None:
    """Ends the watch; the connection may carry another request."""
    if isinstance(request.unreader.sock, pace.PacedSocket):
        request.unreader.sock.leave()
        request.unreader.sock = request.unreader.sock.stream
