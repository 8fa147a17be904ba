"""DELETE: gone for every reader when it is answered, whatever the media store says; and callbacks that policy refuses."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from moderation import erasure, features, platforms
from moderation.blobs import Blobs
from moderation.errors import WorldDown
from moderation.features import Kept
from moderation.tables import FaceFeatures, IdempotencyKey, Submission
from tests.api.conftest import Caller, Sessions, slug


def test_a_store_that_is_away_keeps_nothing_readable(
    caller: Caller, blobs: Blobs, Session: Sessions, score: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = caller.send(external_id="post-1").get_json()
    score()

    def away(key: str) -> None:
        raise WorldDown

    with monkeypatch.context() as patched:
        patched.setattr(blobs, "delete", away)
        assert caller.delete(accepted["links"]["self"]).status_code == 204
    shown = caller.get(accepted["links"]["self"]).get_json()
    assert shown["state"] == "deleted"
    assert [shown[name] for name in ("sha256", "external_id", "verdict", "failure")] == [None] * 4
    assert [row["id"] for row in caller.get("/v1/submissions", state="deleted").get_json()["items"]] == [accepted["id"]]
    assert caller.get("/v1/submissions", external_id="post-1").get_json()["items"] == []
    with Session.begin() as session:
        assert erasure.remove(session, blobs, accepted["id"])
    assert blobs.walk("", 9).found == []
    assert caller.delete(accepted["links"]["self"]).status_code == 204


def test_features_of_faces_are_gone_when_it_is_answered_also_where_the_store_is_away(
    caller: Caller, blobs: Blobs, Session: Sessions, score: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Session.begin() as session:
        platforms.change_policy(session, caller.platform_id, {"keep_features": True})
    sent = [caller.send(external_id=f"post-{number}").get_json() for number in range(2)]
    score()
    with Session.begin() as session:
        first = session.get_one(Submission, sent[0]["id"])
        assert first.verdict_id is not None
        features.keep(session, first, first.verdict_id, [Kept(0, "graph", b"\0\0", "", b"")])
    score()  # of the same bytes: its verdict is known, and what is kept of it

    def away(key: str) -> None:
        raise WorldDown

    monkeypatch.setattr(blobs, "delete", away)
    for number, left in enumerate((1, 0)):
        assert caller.delete(sent[number]["links"]["self"]).status_code == 204
        with Session() as session:
            assert session.scalar(select(func.count()).select_from(FaceFeatures)) == left


def test_a_callback_that_the_policy_does_not_allow_is_refused_by_name(caller: Caller, Session: Sessions) -> None:
    with Session.begin() as session:
        platforms.change_policy(session, caller.platform_id, {"callback_hosts": ["127.0.0.2"]})
    refused = caller.send(callback_url="https://127.0.0.1/hook")
    assert (refused.status_code, slug(refused)) == (422, "callback-not-allowed")
    assert caller.send(callback_url="https://127.0.0.2/hook").status_code == 202


def test_priorities_are_those_that_the_policy_allows(caller: Caller, Session: Sessions) -> None:
    with Session.begin() as session:
        changes = {"priority": {"default": "bulk", "highest": "default"}}
        platforms.change_policy(session, caller.platform_id, changes)
    for asked, got in (({}, "bulk"), ({"priority": "urgent"}, "default"), ({"priority": "bulk"}, "bulk")):
        accepted = caller.send(**asked).get_json()
        assert caller.get(accepted["links"]["self"]).get_json()["priority"] == got


def test_a_key_of_something_erased_answers_with_its_tombstone_and_cannot_be_read(
    caller: Caller, Session: Sessions
) -> None:
    """A client that repeats a request whose answer it lost must not bring the bytes back."""
    accepted = caller.send(key="k-1", external_id="post-1").get_json()
    assert caller.delete(accepted["links"]["self"]).status_code == 204
    for again in (caller.send(key="k-1", external_id="post-1"), caller.send(key="k-1", external_id="post-2")):
        assert (again.get_json()["id"], again.get_json()["state"]) == (accepted["id"], "deleted")
    assert caller.send(key="k-2").get_json()["id"] != accepted["id"]
    with Session() as session:
        kept = {row.key: row.fingerprint for row in session.scalars(select(IdempotencyKey))}
    (veiled,) = kept.keys() - {"k-2"}
    assert "k-1" not in veiled
    assert kept[veiled] == ""


def test_logs_name_no_digest_from_intake_to_erasure(
    caller: Caller, blobs: Blobs, score: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    accepted = caller.send(external_id="post-1", key="k-1").get_json()
    score()
    digest = caller.get(accepted["links"]["self"]).get_json()["sha256"]
    assert caller.delete(accepted["links"]["self"]).status_code == 204
    told = capsys.readouterr()
    assert "path=/v1/submissions" in told.out + told.err
    assert digest not in told.out + told.err
    path = blobs._path(f"media/{digest}")  # type: ignore[attr-defined]
    path.mkdir(parents=True)
    with pytest.raises(WorldDown) as error:
        blobs.read(f"media/{digest}")
    assert digest not in str(error.value)
