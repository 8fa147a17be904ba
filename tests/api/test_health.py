"""Health: true when the world is there, 503 with a reason when it is not, and numbers in either case."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from apiflask import APIFlask
from celery import Celery
from redis import Redis
from sqlalchemy import text

from api import application
from cli import engines as embedded
from moderation import blobs as storage
from moderation import queue
from moderation.blobs import Blobs
from moderation.settings import Settings
from tests.api.conftest import Caller, Sessions

OK = {"database": "ok", "migrations": "ok", "redis": "ok", "storage": "ok", "upkeep": "ok"}


@pytest.fixture(autouse=True)
def upkeep(orders: Celery, redis_url: str) -> Iterator[Any]:
    """Upkeep has just done its chores; yields the Redis that knows."""
    queue.note_upkeep(orders)
    with redis.Redis.from_url(redis_url) as client:
        yield client
        client.delete(queue.UPKEEP_FINISHED)


def test_a_process_that_answers_is_alive_whatever_the_world_does(settings: Settings) -> None:
    away = settings.model_copy(
        update={"database_url": "postgresql://127.0.0.1:1/x", "redis_url": "redis://127.0.0.1:1"}
    )
    answer = application.create(away).test_client().get("/healthz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_with_every_engine_there_requests_can_be_served(app: APIFlask) -> None:
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ready", "checks": OK})


def test_without_redis_it_is_not_ready(settings: Settings, Session: Sessions, blobs: Blobs) -> None:
    orders = queue.application("redis://127.0.0.1:1/0")
    app = application.create(settings, session_factory=Session, blobs=blobs, queue=orders)
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()["checks"]) == (503, OK | {"redis": "away", "upkeep": "away"})


@pytest.mark.parametrize(
    ("seconds_ago", "said"),
    [(0, "ok"), (59, "ok"), (90, "late"), (86_400, "late"), (-3600, "ok"), (None, "never since Redis began")],
)
def test_a_late_upkeep_is_told_and_keeps_nobody_from_ready(
    app: APIFlask, upkeep: Any, seconds_ago: int | None, said: str
) -> None:
    if seconds_ago is None:
        upkeep.delete(queue.UPKEEP_FINISHED)
    else:
        upkeep.set(queue.UPKEEP_FINISHED, upkeep.time()[0] - seconds_ago)
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()["checks"]) == (200, OK | {"upkeep": said})
    numbers = [line for line in app.test_client().get("/metrics").text.splitlines() if "upkeep_age" in line][-1]
    age = float(numbers.split()[-1])
    assert math.isnan(age) if seconds_ago is None else max(0, seconds_ago) <= age < max(0, seconds_ago) + 60


@pytest.mark.parametrize("trouble", ["out of memory", "replica"])
def test_a_redis_that_answers_and_refuses_writes_is_not_ready(
    settings: Settings, Session: Sessions, blobs: Blobs, tmp_path: Path, trouble: str
) -> None:
    with embedded.redis(tmp_path / "redis") as url, Redis.from_url(url) as redis:
        orders = queue.application(url)
        app = application.create(settings, session_factory=Session, blobs=blobs, queue=orders)
        assert app.test_client().get("/readyz").status_code == 200
        if trouble == "replica":
            redis.replicaof("127.0.0.1", "1")
        else:
            redis.config_set("maxmemory", "1")
        assert redis.ping()
        answer = app.test_client().get("/readyz")
        said = OK | {"redis": "refuses writes", "upkeep": "never since Redis began"}
        assert (answer.status_code, answer.get_json()["checks"]) == (503, said)
        redis.config_set("maxmemory", "0")
        redis.replicaof("NO", "ONE")
        assert app.test_client().get("/readyz").status_code == 200
        orders.close()


def test_without_the_database_it_is_not_ready(settings: Settings, blobs: Blobs, orders: Celery) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://127.0.0.1:1/x"})
    answer = application.create(away, blobs=blobs, queue=orders).test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json()["checks"] == OK | {"database": "away", "migrations": "away"}


def test_without_storage_it_is_not_ready(settings: Settings, Session: Sessions, orders: Celery) -> None:
    app = application.create(
        settings, session_factory=Session, blobs=storage.connect("file:///proc/nowhere"), queue=orders
    )
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()["checks"]) == (503, OK | {"storage": "away"})


def test_with_an_older_schema_it_is_not_ready(app: APIFlask, Session: Sessions) -> None:
    with Session.begin() as session:
        current = session.scalar(text("SELECT version_num FROM alembic_version"))
        session.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    try:
        answer = app.test_client().get("/readyz")
    finally:
        with Session.begin() as session:
            session.execute(text("UPDATE alembic_version SET version_num = :current"), {"current": current})
    assert answer.status_code == 503
    assert answer.get_json()["checks"]["migrations"] == f"at older, expected {current}"


def test_the_numbers_tell_of_requests_and_of_the_line(caller: Caller) -> None:
    caller.send(priority="bulk")
    answer = caller.client.get("/metrics")
    assert answer.mimetype == "text/plain"
    lines = answer.text.splitlines()
    assert 'unmask_submissions_waiting{priority="bulk"} 1.0' in lines
    assert 'unmask_submissions_waiting{priority="urgent"} 0.0' in lines
    assert any(line.startswith('unmask_submissions_accepted_total{priority="bulk",reused="false"}') for line in lines)
    assert any('method="POST",route="/v1/submissions",status="202"' in line for line in lines)


def test_a_strangers_method_makes_no_new_label(app: APIFlask) -> None:
    client = app.test_client()
    client.open("/healthz", method="BREW")
    assert "BREW" not in client.get("/metrics").text


COUNT = """
import sys
from moderation import metrics
metrics.accepted.labels("default", "false").inc(int(sys.argv[1]))
"""
READ = """
from api import health
from prometheus_client import generate_latest
print(generate_latest(health._registry()).decode())
"""


def test_numbers_of_several_processes_are_added_up(tmp_path: Path) -> None:
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for amount in ("2", "3"):
        subprocess.run([sys.executable, "-c", COUNT, amount], env=environ, check=True)
    read = subprocess.run([sys.executable, "-c", READ], env=environ, check=True, capture_output=True, text=True)
    assert 'unmask_submissions_accepted_total{priority="default",reused="false"} 5.0' in read.stdout


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/v1/submissions", "/nothing", "/metrics"])
def test_every_answer_carries_the_strict_headers(app: APIFlask, path: str) -> None:
    headers = app.test_client().get(path).headers
    policy = headers["Content-Security-Policy"]
    assert {
        "default-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        "form-action 'self'",
    } <= set(policy.split("; "))
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
