"""People who log in to the dashboard: their roles and passwords (Argon2id, with argon2-cffi's own defaults)."""

import re
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from moderation import audit, logins
from moderation.errors import BadCredentials, NameTaken, NotFound, Refused
from moderation.tables import ROLES, Person

_EMAIL = re.compile(r"[^@\s\x00-\x1f<>\"]+@[^@\s\x00-\x1f<>\"]+")
SHORTEST_PASSWORD = 12
_hasher = PasswordHasher()


@cache
def _decoy() -> str:
    """A hash to verify against when there is no such person, so that time does not tell who has an account."""
    return _hasher.hash("nobody")


def _hash(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= 1024:
        raise Refused(f"a password has at least {SHORTEST_PASSWORD} characters")
    return _hasher.hash(password)


def create(session: Session, email: str, role: str, password: str) -> Person:
    """Adds a person.

    Raises:
        NameTaken: when the address has an account already.
        Refused: for a malformed address, an unknown role, or a password under 12 characters.
    """
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email) or len(email) > 254:
        raise Refused("that is not an e-mail address")
    if role not in ROLES:
        raise Refused(f"a role is one of {', '.join(ROLES)}")
    person = Person(email=email, role=role, password_hash=_hash(password))
    try:
        with session.begin_nested():
            session.add(person)
    except IntegrityError:
        raise NameTaken(f"{email} has an account already") from None
    audit.write(session, "system", "person.created", person.id, new={"email": email, "role": role})
    return person


def authenticate(session: Session, email: str, password: str) -> Person:
    """Returns the person whose password this is; the work is the same whether or not the address is known.

    Raises:
        BadCredentials: for anything else; the message does not say what was wrong.
    """
    person = session.scalar(select(Person).where(Person.email == email.strip().lower().replace("\0", "")))
    usable = person is not None and person.disabled_at is None
    try:
        _hasher.verify(person.password_hash if person is not None and usable else _decoy(), password)
    except (VerificationError, InvalidHashError):
        usable = False
    if person is None or not usable:
        raise BadCredentials("that address and password do not belong together")
    if _hasher.check_needs_rehash(person.password_hash):
        person.password_hash = _hasher.hash(password)
    return person


def find(session: Session, id_or_email: str) -> Person:
    """Returns a person by id or e-mail address.

    Raises:
        NotFound: when there is no such person.
    """
    person = session.scalar(select(Person).where((Person.id == id_or_email) | (Person.email == id_or_email.lower())))
    if person is None:
        raise NotFound(f"there is nobody called {id_or_email}")
    return person


def disable(session: Session, id_or_email: str) -> Person:
    """Ends somebody's access; their next request is already refused.

    Raises:
        NotFound: when there is no such person.
    """
    person = find(session, id_or_email)
    if person.disabled_at is None:
        person.disabled_at = session.scalar(select(func.clock_timestamp()))
        audit.write(session, "system", "person.disabled", person.id)
        logins.end_all(session, person.id, "system")
    return person


def set_password(session: Session, id_or_email: str, password: str) -> Person:
    """Replaces a password and ends every session that began with the one before.

    Raises:
        NotFound: when there is no such person.
        Refused: when the password is too short.
    """
    person = find(session, id_or_email)
    person.password_hash = _hash(password)
    audit.write(session, "system", "person.password_set", person.id)
    logins.end_all(session, person.id, "system")
    return person


def every(session: Session) -> list[Person]:
    """Returns everybody, oldest account first."""
    return list(session.scalars(select(Person).order_by(Person.created_at)))
