"""How much may be asked for: by key, by address, and by everybody together."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from apiflask import APIFlask
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from limits import parse
from limits.storage import MemoryStorage
from limits.storage import memory as memory_storage
from structlog.testing import capture_logs

from api import application, limits, pressure
from moderation import metrics, platforms
from moderation.blobs import Blobs
from moderation.errors import BadSettings
from moderation.settings import Settings
from tests.api.conftest import Caller, Sessions, slug

Make = Callable[..., Callable[[str], Caller]]


@pytest.fixture
def make(settings: Settings, Session: Sessions, blobs: Blobs, orders: Celery) -> Make:
    """Returns what enrols platforms with an application whose settings differ."""

    def _make(**differences: Any) -> Callable[[str], Caller]:
        changed = settings.model_copy(update=differences)
        app: APIFlask = application.create(changed, session_factory=Session, blobs=blobs, queue=orders)

        def _enrol(name: str) -> Caller:
            with Session.begin() as session:
                new = platforms.create(session, name)
            return Caller(new.platform.id, new.api_key, app.test_client())

        return _enrol

    return _make


def unshared() -> float:
    return float(metrics.limits_unshared._value.get())


def test_a_key_that_asks_too_often_is_told_for_how_long_and_hurts_nobody_else(make: Make) -> None:
    enrol = make(rate_limit="3 per hour")
    caller, other = enrol("Chirper"), enrol("Other")
    left = [caller.get("/v1/submissions").headers["RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    refused = caller.get("/v1/submissions")
    assert (refused.status_code, slug(refused)) == (429, "too-many-requests")
    assert 3600 < int(refused.headers["Retry-After"]) <= 2 * 3600
    assert refused.headers["RateLimit-Limit"] == "3"
    assert refused.headers["RateLimit-Reset"] == refused.headers["Retry-After"]
    assert other.get("/v1/submissions").status_code == 200
    assert caller.client.get("/healthz").status_code == 200


def test_without_a_limit_nothing_is_counted(make: Make) -> None:
    caller = make(rate_limit="")("Chirper")
    assert not [name for name, _ in caller.get("/v1/submissions").headers if name.startswith("RateLimit")]


def test_each_item_of_a_batch_is_a_request(make: Make) -> None:
    caller = make(rate_limit="10 per hour")("Chirper")
    items = [{"url": f"https://8.8.8.8/{number}.jpg"} for number in range(6)]
    for status in (207, 429):
        answer = caller.client.post("/v1/submissions/batch", json=items, headers=caller.headers)
        assert answer.status_code == status, answer.text
    assert caller.get("/v1/submissions").status_code == 200  # nothing was taken for the batch that was refused


def test_while_redis_is_away_a_process_counts_for_itself_and_says_so_once(make: Make) -> None:
    caller, before = make(rate_limit="2 per hour", redis_url="redis://127.0.0.1:9/0")("Chirper"), unshared()
    with capture_logs() as lines:
        statuses = [caller.get("/v1/submissions").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert unshared() - before == 3
    assert [line["event"] for line in lines].count("limits_unshared") == 1


def test_once_redis_is_back_it_counts_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAUSE", 0.0)
    counters, item, before = limits.Counters("redis://127.0.0.1:9/0"), parse("2 per hour"), unshared()
    counters.spend(item, "x")
    counters._shared = limits.Counters(redis_url)._shared
    assert counters.spend(item, "back").remaining == 1
    assert unshared() - before == 1


@given(
    pauses=st.lists(st.floats(0, 90), min_size=1, max_size=40),
    cost=st.integers(1, 12),
    start=st.floats(0, 60),
)
def test_who_waits_as_long_as_told_is_let_in_and_never_before_the_window_allows(
    pauses: list[float], cost: int, start: float
) -> None:
    now, granted = 1e9 + start, []
    clock = pytest.MonkeyPatch()
    storage, item = MemoryStorage(), parse("10 per minute")
    try:
        clock.setattr(memory_storage, "time", SimpleNamespace(time=lambda: now))
        for pause in pauses:
            now += pause
            window = limits._spend(storage, item, "x", cost)
            assert 0 <= window.remaining <= 10
            if not window.granted:
                now += window.wait
                assert limits._spend(storage, item, "x", cost).granted
            granted.append(now)
            recent = [at for at in granted if at > now - 60]
            assert len(recent) * min(cost, 10) <= 20  # the counter before is weighted, not remembered one by one
    finally:
        clock.undo()


def test_an_address_that_tries_keys_has_to_wait_but_a_key_that_worked_goes_on(make: Make) -> None:
    enrol = make(key_attempts="3 per hour")
    caller, newcomer = enrol("Chirper"), enrol("Newcomer")
    assert caller.get("/v1/submissions").status_code == 200
    wrong = {"Authorization": "Bearer umk_wrong"}
    answers = [caller.client.get("/v1/submissions", headers=wrong) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert slug(answers[-1]) == "too-many-requests"
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert caller.get("/v1/submissions").status_code == 200
    newcomer = Caller(newcomer.platform_id, newcomer.api_key, caller.client)
    assert newcomer.get("/v1/submissions").status_code == 429
    elsewhere = caller.client.get(
        "/v1/submissions", headers=newcomer.headers, environ_base={"REMOTE_ADDR": "192.0.2.1"}
    )
    assert elsewhere.status_code == 200


def test_a_storm_from_everywhere_takes_no_more_memory_than_there_are_buckets(redis_url: str) -> None:
    guard = limits.Limits(redis_url, a_key="", failures="1 per hour", salt="x")
    assert {guard._bucket(f"10.{a}.{b}.1") for a in range(100) for b in range(100)} <= set(range(limits.BUCKETS))
    assert guard._bucket("2001:db8:1:2::1") == guard._bucket("2001:db8:1:2:ffff::9")
    assert guard._bucket("2001:db8:1:2::1") != guard._bucket("2001:db8:1:3::1")
    for number in range(limits.KNOWN_KEYS + 10):
        guard.succeeded(str(number))
    assert len(guard._known) == limits.KNOWN_KEYS
    assert limits._digest(str(limits.KNOWN_KEYS + 9)) in guard._known


def test_a_limit_that_cannot_be_read_is_a_fault_of_the_settings(redis_url: str) -> None:
    with pytest.raises(BadSettings, match="UNMASK_RATE_LIMIT"):
        limits.Limits(redis_url, a_key="often", failures="", salt="x")


def test_when_the_line_is_too_long_only_urgent_submissions_join_and_then_nobody(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, "SECONDS", 0.0)
    caller = make(max_line=1)("Chirper")
    assert caller.send().status_code == 202
    for fields in ({}, {"priority": "bulk"}, {"priority": "default"}):
        refused = caller.send(**fields)
        assert (refused.status_code, slug(refused)) == (503, "line-too-long")
        assert refused.headers["Retry-After"] == str(pressure.RETRY_SECONDS)
    assert caller.send(priority="urgent").status_code == 202
    assert slug(caller.send(priority="urgent")) == "line-too-long"
    unread = caller.client.post("/v1/submissions", data=b"no form at all", headers=caller.headers)
    assert slug(unread) == "line-too-long"
    assert caller.get("/v1/submissions").status_code == 200


def test_the_items_of_a_batch_are_judged_one_by_one_when_the_line_is_too_long(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, "SECONDS", 0.0)
    caller = make(max_line=1)("Chirper")
    url = {"url": "https://8.8.8.8/a.jpg"}
    answer = caller.client.post(
        "/v1/submissions/batch", json=[url, url, {**url, "priority": "urgent"}, url], headers=caller.headers
    )
    assert [item["status"] for item in answer.get_json()["items"]] == [202, 503, 202, 503]


def test_the_line_is_measured_once_for_many(Session: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    measures: list[int] = []
    monkeypatch.setattr(pressure.submissions, "line", lambda _session, most: measures.append(most) or 0)
    monkeypatch.setattr(pressure, "SECONDS", 3600.0)
    gate = pressure.Pressure(Session, 5)
    for _ in range(10):
        gate.admit()
    assert measures == [10]
