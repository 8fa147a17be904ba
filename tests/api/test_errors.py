"""Every failure is a problem with a name that stays, and no failure tells what it should not."""

import html
from collections.abc import Iterator

import pytest
import structlog
from apiflask import APIFlask
from celery import Celery

from api import application, errors, problems
from moderation import blobs as storage
from moderation import errors as domain
from moderation import queue, submissions
from moderation.blobs import Blobs
from moderation.settings import Settings
from tests.api.conftest import Caller, Sessions, slug


def kinds(parent: type[domain.UnmaskError] = domain.UnmaskError) -> Iterator[type[domain.UnmaskError]]:
    for kind in parent.__subclasses__():
        yield kind
        yield from kinds(kind)


# Their slug is given to each; `NotFetched` becomes a submission's failure, and never an answer; `Busy` is a family; to
# the web what is `Damaged` is not found.
NAMED = (domain.BadMedia, domain.NotFetched, domain.Busy, domain.Damaged, errors.InvalidRequest)


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind not in NAMED])
def test_every_error_of_the_domain_is_a_problem(kind: type[domain.UnmaskError]) -> None:
    problem = errors.of(kind("what happened", 5) if issubclass(kind, domain.Busy) else kind("what happened"))
    assert 400 <= problem.status < 600
    expected = "internal-error" if kind is domain.BadSettings else kind.slug
    assert problem.slug == expected


def test_a_new_slug_of_a_known_family_keeps_the_familys_status() -> None:
    assert errors.of(domain.BadMedia("haunted-file", "boo")).status == 422


@pytest.mark.parametrize("name", problems.CATALOGUE)
def test_every_problem_has_a_page_at_its_type(app: APIFlask, name: str) -> None:
    problem = problems.CATALOGUE[name]
    page = app.test_client().get(problem.type)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert problem.title in html.unescape(page.text)


def test_an_unknown_address_under_v1_is_a_problem_and_elsewhere_a_page(app: APIFlask) -> None:
    client = app.test_client()
    assert slug(client.get("/v1/nothing")) == "not-found"
    page = client.get("/nothing/<script>")
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "<script>" not in page.text


def test_a_wrong_method_is_told_the_right_ones(caller: Caller) -> None:
    refused = caller.client.put("/v1/submissions", headers=caller.headers)
    assert (refused.status_code, slug(refused)) == (405, "method-not-allowed")
    assert "POST" in refused.headers["Allow"]


def test_a_bug_is_500_and_keeps_its_secrets(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(submissions, "page", broken)
    answer = caller.get("/v1/submissions")
    assert (answer.status_code, slug(answer)) == (500, "internal-error")
    assert "hunter2" not in answer.text


def test_storage_away_is_503_and_nothing_is_accepted(
    settings: Settings, Session: Sessions, orders: Celery, caller: Caller
) -> None:
    nowhere = storage.connect("file:///proc/nowhere")
    app = application.create(settings, session_factory=Session, blobs=nowhere, queue=orders)
    answer = caller._replace(client=app.test_client()).send()
    assert (answer.status_code, slug(answer)) == (503, "world-down")
    assert int(answer.headers["Retry-After"]) > 0
    assert "/proc" not in answer.text
    assert caller.get("/v1/submissions").get_json()["items"] == []


def test_the_database_away_is_503(settings: Settings, blobs: Blobs, orders: Celery) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://nobody:hunter2@127.0.0.1:1/nothing"})
    client = application.create(away, blobs=blobs, queue=orders).test_client()
    answer = client.get("/v1/submissions", headers={"Authorization": "Bearer umk_x"})
    assert (answer.status_code, slug(answer)) == (503, "world-down")
    assert "hunter2" not in answer.text
    assert "127.0.0.1" not in answer.text


def test_redis_away_changes_nothing_about_acceptance(
    settings: Settings, Session: Sessions, blobs: Blobs, caller: Caller
) -> None:
    app = application.create(
        settings, session_factory=Session, blobs=blobs, queue=queue.application("redis://127.0.0.1:1/0")
    )
    assert caller._replace(client=app.test_client()).send().status_code == 202


@pytest.mark.parametrize(("sent", "kept"), [("trace-42", True), ("a" * 65, False), ("a b", False), ("a\u00e4", False)])
def test_a_sane_request_id_is_kept_and_any_other_replaced(app: APIFlask, sent: str, kept: bool) -> None:
    answer = app.test_client().get("/healthz", headers={"X-Request-Id": sent})
    assert (answer.headers["X-Request-Id"] == sent) is kept
    assert len(answer.headers["X-Request-Id"]) <= 64


def test_the_log_tells_of_the_request_but_neither_key_nor_query(caller: Caller) -> None:
    with structlog.testing.capture_logs() as lines:
        caller.get("/v1/submissions", external_id="private-name")
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/submissions", 200)
    assert line["platform"] == caller.platform_id
    assert "private-name" not in str(lines)
    assert caller.api_key not in str(lines)
