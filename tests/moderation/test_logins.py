"""Sessions in the ledger: what names them, what ends them, and when they are forgotten."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from moderation import logins, people
from moderation.errors import NotFound
from moderation.tables import LoginSession
from tests.conftest import PASSWORD


@pytest.fixture
def begun(session, person):
    return logins.begin(session, person, 12, address="192.0.2.1", agent="Firefox\0" + "x" * 500)


def test_a_token_names_its_session_and_nothing_else_does(session, person, begun):
    row = logins.recall(session, begun.token)
    assert (row.id, row.person.email) == (begun.row.id, person.email)
    for other in ("", "x", begun.row.sha256, begun.row.id, begun.device, begun.token[:-1], "\ud800"):
        assert logins.recall(session, other) is None


@pytest.mark.parametrize(
    "ending",
    [
        lambda session, begun: logins.leave(session, begun.token),
        lambda session, begun: logins.end(session, begun.row.id, "operator"),
        lambda session, begun: logins.end_all(session, begun.row.person_id, "operator"),
        lambda session, begun: people.disable(session, begun.row.person_id),
        lambda session, begun: people.set_password(session, begun.row.person_id, PASSWORD + "2"),
        lambda session, begun: setattr(begun.row, "ends_at", begun.row.began_at) or session.flush(),
    ],
)
def test_each_end_is_an_end(session, begun, ending):
    assert logins.recall(session, begun.token)
    ending(session, begun)
    assert logins.recall(session, begun.token) is None
    assert logins.every(session) == []


def test_a_browser_stays_known_through_log_outs_and_passwords(session, person, begun):
    logins.leave(session, begun.token)
    people.set_password(session, person.email, PASSWORD + "2")
    assert logins.is_known(session, " Mo@Example.org ", begun.device)
    again = logins.begin(session, person, 12, device=begun.device)
    assert again.device == begun.device
    assert again.token != begun.token


def test_a_made_up_device_gets_a_token_of_ours(session, person):
    assert logins.begin(session, person, 12, device="chosen by somebody").device != "chosen by somebody"


def test_somebody_elses_session_is_not_there(session, begun):
    with pytest.raises(NotFound):
        logins.end(session, begun.row.id, "x", of="per_other")
    with pytest.raises(NotFound):
        logins.end(session, "ses_none", "x")


def test_old_sessions_and_their_devices_are_forgotten(session, person, begun):
    assert logins.forget(session) == 0
    long_ago = timedelta(days=logins.DEVICE_DAYS + 1)
    session.execute(
        update(LoginSession).values(began_at=LoginSession.began_at - long_ago, ends_at=LoginSession.ends_at - long_ago)
    )
    assert not logins.is_known(session, person.email, begun.device)
    assert logins.forget(session) == 1


def test_last_seen_moves_no_more_often_than_it_must(session, begun):
    before = begun.row.last_seen_at
    logins.recall(session, begun.token)
    session.refresh(begun.row)
    assert begun.row.last_seen_at == before
    session.execute(update(LoginSession).values(last_seen_at=before - timedelta(minutes=5)))
    logins.recall(session, begun.token)
    session.refresh(begun.row)
    assert begun.row.last_seen_at >= before
