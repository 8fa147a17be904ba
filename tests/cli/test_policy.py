"""`unmask platform policy` and `unmask erase`: what operators do for a platform, and for somebody in a picture."""

import io
import json

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from cli import home
from cli.main import unmask
from moderation import acceptance, media, platforms
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.errors import NotFound, Refused
from moderation.tables import AuditRow, Submission
from tests.conftest import jpeg


@pytest.fixture
def run(Session, settings, monkeypatch):
    """One chore with --json; what it printed, an object a line."""
    monkeypatch.setattr(home, "settings", lambda: settings)

    def _run(*arguments):
        done = CliRunner().invoke(unmask, [*arguments, "--json"])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    return _run


@pytest.fixture
def chirper(Session):
    with Session.begin() as session:
        return platforms.create(session, "Chirper").platform.id


@pytest.fixture
def send(Session, settings, chirper):
    def _send(colour, **fields):
        file = io.BytesIO(jpeg(colour))
        facts = media.inspect(file, **settings.media_limits)
        with Session.begin() as session:
            draft = Draft(platform_id=chirper, **fields)
            return acceptance.submit(session, storage.connect(settings.media), draft, facts, file).id

    return _send


def test_a_policy_is_shown_set_field_by_field_and_taken_back(run, chirper):
    (shown,) = run("platform", "policy", "Chirper")
    assert (shown["id"], shown["policy"]["retention_days"], shown["policy"]["thresholds"]) == (chirper, None, None)
    (set_,) = run(
        *("platform", "policy", chirper, "--set", "thresholds.review=0.5", "--set", "thresholds.fake=0.9"),
        *("--set", "flag_bands=fake", "--set", "retention_days=30", "--set", "callback_hosts=a.example, *.b.example"),
        *("--set", "inconclusive=score", "--set", "priority.default=bulk", "--set", "keep_features=true"),
    )
    assert set_["policy"] == {
        "thresholds": {"review": 0.5, "fake": 0.9},
        "flag_bands": ["fake"],
        "inconclusive": "score",
        "priority": {"default": "bulk", "highest": "urgent"},
        "retention_days": 30,
        "keep_features": True,
        "callback_hosts": ["a.example", "*.b.example"],
    }
    (back,) = run("platform", "policy", chirper, "--unset", "thresholds", "--unset", "inconclusive")
    assert (back["policy"]["thresholds"], back["policy"]["retention_days"]) == (None, 30)
    assert back["policy"]["keep_features"]


def test_a_change_is_in_the_audit_with_what_was_before_and_a_bad_one_changes_nothing(run, chirper, Session):
    run("platform", "policy", chirper, "--set", "retention_days=30")
    run("platform", "policy", chirper, "--set", "retention_days=7")
    run("platform", "policy", chirper, "--set", "retention_days=7")
    for bad in (
        "retention_days=soon",
        "keep_features=sometimes",
        "retention_day=3",
        "thresholds.review=0.5",
        "=1",
        "retention_days",
        "retention_days.x=1",
    ):
        with pytest.raises(Refused):
            run("platform", "policy", chirper, "--set", bad)
    with Session() as session:
        changes = select(AuditRow).where(AuditRow.action == "platform.policy_changed").order_by(AuditRow.id)
        rows = [(row.old, row.new) for row in session.scalars(changes)]
    assert rows == [({}, {"retention_days": 30}), ({"retention_days": 30}, {"retention_days": 7})]


def test_people_read_the_policy_as_lines(Session, chirper, settings, monkeypatch):
    monkeypatch.setattr(home, "settings", lambda: settings)
    done = CliRunner().invoke(unmask, ["platform", "policy", chirper])
    assert "retention_days  -" in done.output
    assert "priority.highest  urgent" in done.output


def test_what_somebody_was_sent_as_is_erased_and_told(run, send, Session, settings):
    first, second, other = send("red", external_id="u-1"), send("blue", external_id="u-1"), send("green")
    planned = run("erase", "--platform", "Chirper", "--external-id", "u-1", "--dry-run")
    assert [(row["id"], row["state"], row["media"]) for row in planned] == [
        (second, "waiting", "would be removed"),
        (first, "waiting", "would be removed"),
    ]
    done = run("erase", "--platform", "Chirper", "--external-id", "u-1")
    assert [(row["id"], row["media"]) for row in done] == [(second, "removed"), (first, "removed")]
    with Session() as session:
        states = dict(session.execute(select(Submission.id, Submission.state)).all())
        actors = session.scalars(select(AuditRow.actor).where(AuditRow.action == "submission.erased")).all()
    assert states == {first: "deleted", second: "deleted", other: "waiting"}
    assert actors == ["operator"] * 2
    assert len(storage.connect(settings.media).walk("", 9).found) == 1
    with pytest.raises(NotFound):
        run("erase", "--platform", "Chirper", "--external-id", "u-1")


STAYS = "stays: another submission holds it"


def test_a_dry_run_says_what_the_erasure_then_does(run, send, Session, settings):
    alone, shared, other = send("red"), send("blue"), send("blue")
    twins = [send("green"), send("green")]
    named = [alone, shared, *twins]
    planned = {row["id"]: row["media"] for row in run("erase", *named, "--dry-run")}
    assert planned == {alone: "would be removed", shared: STAYS, **dict.fromkeys(twins, "would be removed")}
    done = {row["id"]: row["media"] for row in run("erase", *named)}
    assert done == {alone: "removed", shared: STAYS, **dict.fromkeys(twins, "removed")}
    with Session() as session:
        held = session.get_one(Submission, other).media_sha256
    assert [found.key for found in storage.connect(settings.media).walk("", 9).found] == [f"media/{held}"]
    again = {row["media"] for row in run("erase", *named, "--dry-run")}
    assert again == {"none"}


def test_one_id_that_is_not_there_erases_nothing(run, send, Session):
    kept = send("red")
    with pytest.raises(NotFound):
        run("erase", kept, "sub_nothing")
    with Session() as session:
        assert session.get_one(Submission, kept).state == "waiting"
    assert run("erase", kept)[0]["media"] == "removed"


@pytest.mark.parametrize("arguments", [(), ("sub_x", "--platform", "p", "--external-id", "e"), ("--platform", "p")])
def test_it_wants_ids_or_a_platforms_own_id(arguments):
    assert CliRunner().invoke(unmask, ["erase", *arguments]).exit_code == 2
