"""Sessions of people in the dashboard: rows that begin with a login, can be listed, and end on the server.

A browser holds two random tokens, of which only SHA-256 is stored. One names its session. The other names the browser
as a device that has logged in to the account before: nobody else's wrong passwords keep it out.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session, joinedload

from moderation import audit
from moderation.errors import NotFound
from moderation.tables import LoginSession, Person

DEVICE_DAYS = 180  # after its last login a browser is a stranger again, and the row is forgotten
SEEN_SECONDS = 60.0  # `last_seen_at` is that exact
LONGEST_AGENT = 200
STEP = 1_000  # rows forgotten at once

_now = func.clock_timestamp


class Begun(NamedTuple):
    """A new session, and the two tokens that the browser gets and nobody sees again."""

    row: LoginSession
    token: str
    device: str


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def begin(
    session: Session, person: Person, hours: float, *, device: str = "", address: str = "", agent: str = ""
) -> Begun:
    """Begins a session of ``person`` that ends after ``hours``, and writes the login into the audit.

    Args:
        device: the browser's device token, which it keeps when it is known here; otherwise it gets a new one.
        address: where the login came from; ``agent`` is what the browser calls itself. People recognise it by both.
    """
    if not is_known(session, person.email, device):
        device = secrets.token_urlsafe(32)
    token = secrets.token_urlsafe(32)
    ends = session.scalars(select(_now() + timedelta(hours=hours))).one()
    row = LoginSession(
        person_id=person.id,
        sha256=_digest(token),
        device_sha256=_digest(device),
        address=address,
        agent=agent.replace("\0", "")[:LONGEST_AGENT],
        ends_at=ends,
    )
    session.add(row)
    session.flush()
    audit.write(session, person.id, "login.succeeded", person.id, new={"address": address, "session": row.id})
    return Begun(row, token, device)


def is_known(session: Session, email: str, device: str) -> bool:
    """Says whether a browser with this device token has logged in to the account lately."""
    if not device:
        return False
    same = (LoginSession.device_sha256 == _digest(device), Person.email == email.strip().lower().replace("\0", ""))
    young = LoginSession.began_at > _now() - timedelta(days=DEVICE_DAYS)
    return bool(session.scalar(select(select(LoginSession.id).join(Person).where(*same, young).exists())))


def recall(session: Session, token: str) -> LoginSession | None:
    """Returns the session that a token names, with its person; None when it has ended, or the account is disabled."""
    live = (LoginSession.sha256 == _digest(token), *_live(), Person.disabled_at.is_(None))
    query = select(LoginSession).join(LoginSession.person).where(*live).options(joinedload(LoginSession.person))
    row = session.scalar(query)
    if row is not None:
        stale = LoginSession.last_seen_at < _now() - timedelta(seconds=SEEN_SECONDS)
        session.execute(update(LoginSession).where(LoginSession.id == row.id, stale).values(last_seen_at=_now()))
    return row


def end(session: Session, session_id: str, actor: str, *, of: str | None = None) -> LoginSession:
    """Ends one session now, and forgets its browser unless its owner has just logged out of it.

    Args:
        actor: who ends it, for the audit.
        of: whose session it must be.

    Raises:
        NotFound: when there is no such session, or it is somebody else's than ``of``.
    """
    row = session.get(LoginSession, session_id)
    if row is None or (of is not None and row.person_id != of):
        raise NotFound(f"there is no session {session_id}")
    _close(session, [row], actor)
    row.device_sha256 = None
    return row


def leave(session: Session, token: str) -> None:
    """Ends the session that a token names, as its owner logs out. The browser stays known."""
    row = session.scalar(select(LoginSession).where(LoginSession.sha256 == _digest(token)))
    if row is not None:
        _close(session, [row], row.person_id)


def end_all(session: Session, person_id: str, actor: str, *, but: str | None = None) -> int:
    """Ends every session of a person except ``but``; returns how many there were. Their browsers stay known."""
    mine = select(LoginSession).where(LoginSession.person_id == person_id, *_live(), LoginSession.id != (but or ""))
    rows = list(session.scalars(mine))
    _close(session, rows, actor)
    return len(rows)


def _close(session: Session, rows: list[LoginSession], actor: str) -> None:
    now = session.scalars(select(_now())).one()
    for row in rows:
        if row.ended_at is None and row.ends_at > now:
            row.ended_at = now
            audit.write(session, actor, "session.ended", row.person_id, old={"session": row.id})
    session.flush()


def every(session: Session, person_id: str | None = None) -> list[LoginSession]:
    """Returns the sessions that have not ended, of one person or of all, latest first."""
    query = select(LoginSession).where(*_live()).options(joinedload(LoginSession.person))
    if person_id is not None:
        query = query.where(LoginSession.person_id == person_id)
    return list(session.scalars(query.order_by(LoginSession.began_at.desc(), LoginSession.id)))


def forget(session: Session) -> int:
    """Forgets sessions that began so long ago that their browser is no longer known; returns how many."""
    old = (LoginSession.began_at < _now() - timedelta(days=DEVICE_DAYS), LoginSession.ends_at < _now())
    chosen = select(LoginSession.id).where(*old).limit(STEP)
    gone = delete(LoginSession).where(LoginSession.id.in_(chosen)).returning(LoginSession.id)
    return len(session.execute(gone).all())


def _live() -> tuple[ColumnElement[bool], ...]:
    return LoginSession.ended_at.is_(None), LoginSession.ends_at > _now()
