"""Signs of life: a file that liveness probes look at, and numbers for Prometheus.

The file is touched by a child that has finished a task, and never before: each process orders a pulse for itself every
few seconds (`attendant`), so an idle one finishes something as well.
"""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, Histogram, multiprocess, start_http_server

from moderation.errors import BadSettings

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it at import: no setting of ours

seconds = Histogram(
    "unmask_task_seconds",
    "Time that tasks took",
    ["task"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
)
finished = Gauge(
    "unmask_task_finished_timestamp_seconds", "When a task last ended well", ["task"], multiprocess_mode="mostrecent"
)


def prepare() -> None:
    """Wipes what processes of an earlier run left, which would be counted again. Once, before anything is measured."""
    if DIRECTORY in os.environ:
        directory = Path(os.environ[DIRECTORY])
        directory.mkdir(parents=True, exist_ok=True)
        for file in directory.glob("*.db"):
            file.unlink(missing_ok=True)


def serve(port: int) -> None:
    """Serves /metrics of this process and its children on ``port``.

    Raises:
        BadSettings: without PROMETHEUS_MULTIPROC_DIR, since the numbers are the children's.
    """
    if DIRECTORY not in os.environ:
        raise BadSettings(f"UNMASK_WORKER_METRICS_PORT needs {DIRECTORY}, a directory of this process alone")
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    start_http_server(port, registry=registry)


def bury(pid: int) -> None:
    """Forgets the gauges of a child that has ended."""
    if DIRECTORY in os.environ:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


def touch(file: Path | None) -> None:
    """Notes that something was finished."""
    if file is not None:
        file.touch()
