from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from moderation import people, platforms
from moderation.errors import BadCredentials, NameTaken, NotFound, Refused
from moderation.tables import ApiKey, Person
from tests.conftest import PASSWORD


def test_a_key_opens_its_platform_and_is_not_kept(session, platform):
    assert platforms.authenticate(session, platform.api_key).platform_id == platform.platform.id
    kept = session.scalars(select(ApiKey)).one()
    assert platform.api_key not in (kept.sha256, kept.hint, kept.name)
    assert kept.last_used_at is not None


@pytest.mark.parametrize("bearer", ["", "umk_", "umk_wrong", "ü\x7f"])
def test_an_unknown_key_opens_nothing(session, platform, bearer):
    with pytest.raises(BadCredentials):
        platforms.authenticate(session, bearer)


def test_a_revoked_or_expired_key_opens_nothing(session, platform):
    revoked = platforms.issue_key(session, platform.platform.id, "second")
    platforms.revoke_key(session, revoked.key.id)
    past = platforms.issue_key(session, platform.platform.id, "third", datetime.now(UTC) - timedelta(seconds=1))
    for key in (revoked, past):
        with pytest.raises(BadCredentials):
            platforms.authenticate(session, key.api_key)
    assert platforms.authenticate(session, platform.api_key)


def test_names_of_platforms_are_unique_and_printable(session, platform):
    with pytest.raises(NameTaken):
        platforms.create(session, "Chirper")
    for name in ("", "  ", "a\nb", "x" * 201):
        with pytest.raises(Refused):
            platforms.create(session, name)
    with pytest.raises(NotFound):
        platforms.get(session, "nobody")


def test_a_password_opens_an_account_whatever_the_case_of_its_address(session, person):
    assert people.authenticate(session, " Mo@Example.org ", PASSWORD) is person
    for email, password in (("mo@example.org", "wrong"), ("nobody@example.org", PASSWORD), ("", ""), ("a\0b", "x")):
        with pytest.raises(BadCredentials):
            people.authenticate(session, email, password)


def test_a_disabled_person_is_shut_out(session, person):
    people.disable(session, person.email)
    with pytest.raises(BadCredentials):
        people.authenticate(session, person.email, PASSWORD)


def test_a_new_password_replaces_the_old_one(session, person):
    people.set_password(session, person.id, "another horse, another staple")
    assert people.authenticate(session, person.email, "another horse, another staple")
    with pytest.raises(BadCredentials):
        people.authenticate(session, person.email, PASSWORD)
    assert PASSWORD not in session.scalars(select(Person)).one().password_hash


@pytest.mark.parametrize(
    ("email", "role", "password"),
    [
        ("no-at-sign", "moderator", PASSWORD),
        ("a@b c", "moderator", PASSWORD),
        ("a@b.c", "emperor", PASSWORD),
        ("a@b.c", "lead", "short"),
    ],
)
def test_bad_accounts_are_refused(session, email, role, password):
    with pytest.raises(Refused):
        people.create(session, email, role, password)
