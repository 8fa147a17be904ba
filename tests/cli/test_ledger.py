"""Chores on the ledger, as other programs call them: the JSON that INTERFACES names, and one line for each refusal."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker

from cli import home
from cli.main import unmask
from moderation import logins, people, platforms
from moderation import settings as configuration
from moderation.errors import NameTaken, NotFound, Refused
from moderation.settings import Settings
from moderation.tables import EVENTS

Run = Callable[..., Any]


@pytest.fixture
def invoke(
    Session: sessionmaker[OrmSession], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    monkeypatch.setattr(home, "settings", lambda: settings)
    return lambda *arguments, given="": CliRunner().invoke(unmask, arguments, input=given)


@pytest.fixture
def run(invoke: Callable[..., Result]) -> Iterator[Run]:
    """One chore with --json; a list of what it printed, an object a line."""

    def run(*arguments: str, given: str = "") -> list[dict[str, Any]]:
        done = invoke(*arguments, "--json", given=given)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    yield run
    configuration.load.cache_clear()


def test_a_platform_is_created_with_a_key_that_works(run: Run, Session: sessionmaker[OrmSession]) -> None:
    (made,) = run("platform", "create", "Chirper")
    assert set(made) == {"id", "name", "api_key", "callback_secret"}
    with Session.begin() as session:
        assert platforms.authenticate(session, made["api_key"]).platform_id == made["id"]
    (listed,) = run("platform", "list")
    assert listed["id"] == made["id"]
    assert made["api_key"] not in json.dumps(listed)
    with pytest.raises(NameTaken):
        run("platform", "create", "Chirper")


def test_keys_are_issued_listed_without_themselves_and_revoked(run: Run, Session: sessionmaker[OrmSession]) -> None:
    (owner,) = run("platform", "create", "Chirper")
    (key,) = run("key", "create", "--platform", owner["id"])
    listed = run("key", "list", "--platform", "Chirper")
    assert [row["name"] for row in listed] == ["first", "issued by hand"]
    assert key["api_key"] not in json.dumps(listed)
    assert [row["scopes"] for row in listed] == [["submit", "read", "manage"]] * 2
    narrow = ("--scope", "read", "--scope", "submit", "--expires", "2099-01-01")
    (lesser,) = run("key", "create", "--platform", owner["id"], *narrow)
    assert (lesser["scopes"], lesser["expires_at"]) == (["submit", "read"], "2099-01-01T00:00:00+00:00")
    assert run("key", "list")[-1].items() >= {"scopes": ["submit", "read"], "last_used_at": None}.items()
    (other,) = run("platform", "rotate", "Chirper")
    assert other["callback_secret"] != owner["callback_secret"]
    run("key", "revoke", key["id"])
    with Session.begin() as session, pytest.raises(Exception, match="revoked"):
        platforms.authenticate(session, key["api_key"])


def test_a_person_gets_the_password_of_the_first_line(run: Run, Session: sessionmaker[OrmSession]) -> None:
    (made,) = run(
        "person",
        "create",
        "Mo@Example.org",
        "--role",
        "moderator",
        "--password-stdin",
        given="correct horse battery staple\nignored\n",
    )
    assert made == {"id": made["id"], "email": "mo@example.org", "role": "moderator"}
    with Session.begin() as session:
        assert people.authenticate(session, "mo@example.org", "correct horse battery staple").id == made["id"]
    (gone,) = run("person", "disable", "mo@example.org")
    assert gone["disabled_at"]
    assert run("person", "list")[0]["disabled_at"]


def test_a_short_password_is_refused(run: Run) -> None:
    with pytest.raises(Refused, match="12 characters"):
        run("person", "create", "mo@example.org", "--role", "lead", "--password-stdin", given="short\n")


def test_an_endpoint_is_made_with_its_secret_listed_and_deleted(run: Run) -> None:
    (owner,) = run("platform", "create", "Chirper")
    (made,) = run("endpoint", "create", "--platform", owner["id"], "http://127.0.0.1:9/hook", "--event", EVENTS[0])
    assert set(made) == {"id", "secret"}
    assert made["secret"].startswith("whsec_")
    (listed,) = run("endpoint", "list", "--platform", owner["id"])
    assert (listed["url"], listed["events"]) == ("http://127.0.0.1:9/hook", [EVENTS[0]])
    (changed,) = run("endpoint", "change", made["id"], "--all-events", "--disable")
    assert (changed["url"], changed["events"]) == ("http://127.0.0.1:9/hook", [])
    assert changed["disabled_at"]
    run("endpoint", "change", made["id"], "--enable")
    (queued,) = run("endpoint", "test", made["id"])
    assert (queued["event"], queued["state"]) == ("endpoint.test", "waiting")
    (rotated,) = run("endpoint", "rotate", made["id"], "--overlap", "60")
    assert rotated["secret"] not in ("", made["secret"])
    run("endpoint", "delete", made["id"])
    assert run("endpoint", "list") == []
    with pytest.raises(NotFound):
        run("endpoint", "delete", made["id"])


def test_without_json_people_read_tables(invoke: Callable[..., Result]) -> None:
    assert "api_key" in invoke("platform", "create", "Chirper").output
    assert "Chirper" in invoke("platform", "list").output


def test_sessions_are_listed_and_ended_and_a_password_ends_them_all(
    run: Run, Session: sessionmaker[OrmSession]
) -> None:
    with Session.begin() as session:
        ann, ben = (
            people.create(session, f"{name}@example.org", "lead", "correct horse battery") for name in ("ann", "ben")
        )
        tokens = [logins.begin(session, person, 12, address="192.0.2.1").token for person in (ann, ann, ann, ben)]
    assert len(run("person", "sessions")) == 4
    listed = run("person", "sessions", "ann@example.org")
    assert [row["email"] for row in listed] == ["ann@example.org"] * 3
    assert not any(token in json.dumps(listed) for token in tokens)
    assert run("person", "end", listed[0]["id"]) == [{"ended": 1}]
    assert run("person", "end", "ann@example.org") == [{"ended": 2}]
    assert [row["email"] for row in run("person", "sessions")] == ["ben@example.org"]
    run("person", "password", "ben@example.org", "--password-stdin", given="another good passphrase\n")
    assert run("person", "sessions") == []
    with Session.begin() as session:
        assert people.authenticate(session, "ben@example.org", "another good passphrase")
    with pytest.raises(NotFound):
        run("person", "end", "ses_nothing")
