"""Inbound webhooks over HTTP: who is let in, and answers that make each sender do the right thing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from api import hooks
from moderation import metrics, platforms, queue, sources
from moderation.settings import Settings
from moderation.tables import Submission
from tests.api.conftest import Sessions, slug
from tests.moderation.sources import conftest as senders
from tests.moderation.sources.conftest import SECRET, WHSEC, signed_by_sns

Make = Callable[..., str]


@pytest.fixture
def client(app: APIFlask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def source(Session: Sessions) -> Make:
    """Makes a source; returns the path of its hook."""

    def _source(kind: str, **options: str) -> str:
        with Session.begin() as session:
            known = platforms.every(session)
            owner = known[0] if known else platforms.create(session, "Chirper").platform
            secret = WHSEC if kind == "generic" else SECRET
            return "/v1/hooks/" + sources.create(session, owner.id, kind, secret=secret, options=options).id

    return _source


def told(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    answer: dict[str, Any] = response.get_json()
    assert set(answer) == {"accepted", "duplicate", "ignored"}
    return answer


@pytest.mark.parametrize(
    ("kind", "name", "count"),
    [
        ("generic", "generic_one", 1),
        ("mastodon", "mastodon_status_created", 2),
        ("discourse", "discourse_post_created", 4),
        ("s3", "minio_put", 1),
    ],
)
def test_media_are_accepted_once_and_fetched(
    client: FlaskClient, source: Make, Session: Sessions, orders: Any, kind: str, name: str, count: int
) -> None:
    path = source(kind, **({"bucket": "chirper-media"} if kind == "s3" else {}))
    raw = senders.body(name)
    headers = {
        "generic": senders.generic,
        "mastodon": senders.mastodon,
        "discourse": senders.discourse,
        "s3": senders.bucket,
    }
    first = told(client.post(path, data=raw, headers=headers[kind](raw)))
    assert len(first["accepted"]) == count
    assert (first["duplicate"], first["ignored"]) == (False, None)
    assert told(client.post(path, data=raw, headers=headers[kind](raw))) == {
        "accepted": [],
        "duplicate": True,
        "ignored": None,
    }
    with Session.begin() as session:
        assert set(session.scalars(select(Submission.id))) == set(first["accepted"])
    assert queue.length(orders, queue.FETCHING) == 1


@pytest.mark.parametrize("content_type", ["text/plain; charset=UTF-8", "application/x-www-form-urlencoded", "", "x"])
def test_the_content_type_is_not_believed(client: FlaskClient, source: Make, content_type: str) -> None:
    raw = senders.body("discourse_ping")
    headers = senders.discourse(raw, "ping") | {"Content-Type": content_type}
    assert told(client.post(source("discourse"), data=raw, headers=headers))["ignored"]


def test_a_probe_is_answered_for_sources_that_listen(client: FlaskClient, source: Make, Session: Sessions) -> None:
    path = source("s3")
    assert client.head(path).status_code == 200
    assert client.get(path).get_json() == {"accepted": [], "duplicate": False, "ignored": "a probe"}
    raw = senders.body("s3_test_event")
    assert told(client.post(path, data=raw, headers=senders.bucket()))["ignored"]
    with Session.begin() as session:
        sources.disable(session, path.rpartition("/")[2])
    assert client.head(path).status_code == 410
    assert slug(client.post(path, data=raw, headers=senders.bucket())) == "source-disabled"


@pytest.mark.parametrize("path", ["/v1/hooks/src_" + "0" * 26, "/v1/hooks/nothing", "/v1/hooks/%00", "/v1/hooks/"])
def test_a_source_that_is_not_there_is_not_found(client: FlaskClient, path: str) -> None:
    assert client.post(path, data=b"{}").status_code == 404
    assert client.head(path).status_code == 404


@pytest.mark.parametrize("kind", ["generic", "mastodon", "discourse", "s3"])
@pytest.mark.parametrize("headers", [{}, {"X-Hub-Signature": "sha256=zz", "Authorization": "Bearer"}])
def test_unsigned_and_malformed_is_401(client: FlaskClient, source: Make, kind: str, headers: dict[str, str]) -> None:
    answer = client.post(source(kind), data=b"{}", headers=headers)
    assert answer.status_code == 401
    assert slug(answer) == "bad-signature"


def test_what_came_of_messages_is_counted(client: FlaskClient, source: Make) -> None:
    path, raw = source("mastodon"), senders.body("mastodon_status_created")

    def counted(outcome: str) -> float:
        return metrics.told.labels("mastodon", outcome)._value.get()

    before = {outcome: counted(outcome) for outcome in ("taken", "duplicate", "refused")}
    for headers in (senders.mastodon(raw), senders.mastodon(raw), {}):
        client.post(path, data=raw, headers=headers)
    assert {outcome: counted(outcome) - count for outcome, count in before.items()} == dict.fromkeys(before, 1)


def test_an_api_key_opens_no_hook(client: FlaskClient, source: Make, Session: Sessions) -> None:
    path = source("s3", bucket="chirper-media")
    with Session.begin() as session:
        key = platforms.issue_key(session, platforms.every(session)[0].id, "x").api_key
    answer = client.post(path, data=senders.body("minio_put"), headers={"Authorization": f"Bearer {key}"})
    assert slug(answer) == "bad-signature"


def test_a_stale_message_is_401(client: FlaskClient, source: Make) -> None:
    raw = senders.body("generic_one")
    answer = client.post(source("generic"), data=raw, headers=senders.generic(raw, at=1_700_000_000))
    assert (answer.status_code, slug(answer)) == (401, "bad-signature")


def test_a_signed_body_that_cannot_be_read_is_400(client: FlaskClient, source: Make) -> None:
    answer = client.post(source("mastodon"), data=b"[]", headers=senders.mastodon(b"[]"))
    assert (answer.status_code, slug(answer)) == (400, "bad-event")


def test_a_body_above_the_cap_is_refused_before_it_is_read(client: FlaskClient, source: Make) -> None:
    path, raw = source("mastodon"), b" " * hooks.BODY_BYTES
    assert client.post(path, data=raw, headers=senders.mastodon(raw)).status_code == 400
    assert slug(client.post(path, data=raw + b" ", headers=senders.mastodon(raw + b" "))) == "too-large"
    lying = client.post(path, headers={"Content-Length": str(hooks.BODY_BYTES + 1)}, data=b"{}")
    assert lying.status_code in (400, 401, 413)


def test_what_is_not_there_yet_is_asked_for_again(client: FlaskClient, source: Make) -> None:
    raw = senders.body("mastodon_status_processing")
    answer = client.post(source("mastodon"), data=raw, headers=senders.mastodon(raw))
    assert (answer.status_code, slug(answer)) == (503, "not-ready")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_certificate_is_noted_though_the_answer_is_503(client: FlaskClient, source: Make, Session: Sessions) -> None:
    sent = signed_by_sns(senders.payload("sns_notification"))
    path = source("s3", bucket="chirper-media", topic=sent["TopicArn"])
    headers = {"x-amz-sns-message-type": "Notification", "Content-Type": "text/plain; charset=UTF-8"}
    assert slug(client.post(path, data=json.dumps(sent), headers=headers)) == "not-ready"
    with Session.begin() as session:
        assert [errand.url for errand in sources.outstanding(session)] == [sent["SigningCertURL"]]


def test_redis_away_costs_no_event(app: APIFlask, source: Make, settings: Settings, Session: Sessions) -> None:
    from api import application

    away = application.create(
        settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}), session_factory=Session
    )
    raw = senders.body("mastodon_status_created")
    answer = away.test_client().post(source("mastodon"), data=raw, headers=senders.mastodon(raw))
    assert len(told(answer)["accepted"]) == 2


@pytest.mark.parametrize(
    ("limit", "status", "problem"), [("rate_limit", 429, "too-many-requests"), ("max_line", 503, "line-too-long")]
)
def test_pressure_is_answered_with_what_senders_try_again(
    settings: Settings, Session: Sessions, orders: Any, source: Make, limit: str, status: int, problem: str
) -> None:
    from api import application

    tight = {"rate_limit": "1 per minute"} if limit == "rate_limit" else {"max_line": 1}
    app = application.create(settings.model_copy(update=tight), session_factory=Session, queue=orders)
    path, client = source("mastodon"), app.test_client()
    raw = senders.body("mastodon_status_created")
    client.post(path, data=raw, headers=senders.mastodon(raw))
    if limit == "max_line":
        app.extensions["unmask"].pressure._length = 2
        app.extensions["unmask"].pressure._measured_at = float("inf")
    answer = client.post(path, data=raw, headers=senders.mastodon(raw))
    assert (answer.status_code, slug(answer)) == (status, problem)
    assert int(answer.headers["Retry-After"]) > 0


def test_the_contract_tells_of_it_without_a_key(client: FlaskClient) -> None:
    operations = client.get("/openapi.json").get_json()["paths"]["/v1/hooks/{source_id}"]
    assert list(operations) == ["post"]
    assert "security" not in operations["post"]
    assert {"202", "400", "401", "404", "410", "413", "429", "503"} <= set(operations["post"]["responses"])


def test_another_platforms_submissions_stay_out_of_sight(
    client: FlaskClient, source: Make, enrol: Callable[[str], Any]
) -> None:
    path, raw = source("generic"), senders.body("generic_one")
    other = enrol("Other")
    (made,) = told(client.post(path, data=raw, headers=senders.generic(raw)))["accepted"]
    assert other.get(f"/v1/submissions/{made}").status_code == 404
    assert other.get("/v1/submissions").get_json()["items"] == []
