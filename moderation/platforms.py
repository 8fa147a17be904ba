"""Platforms and their API keys. A key is shown once, when it is made; the ledger keeps only its SHA-256.

A fast hash is enough: a key is 32 random bytes, not a word somebody chose, so there is nothing to guess.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from moderation import audit, features, signatures
from moderation.errors import BadCredentials, NameTaken, NotFound, Refused
from moderation.policy import Policy, merged
from moderation.tables import SCOPES, ApiKey, Json, Platform

_PREFIX = "umk_"
_TOUCH = timedelta(minutes=1)  # last_used_at is written at most this often, not on every request


_KNOWN = (  # made once: to make it would cost more than to ask it
    select(
        ApiKey.id,
        ApiKey.platform_id,
        ApiKey.scopes,
        Platform.policy,
        or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - _TOUCH).label("is_stale"),
    )
    .join(Platform, Platform.id == ApiKey.platform_id)
    .where(ApiKey.sha256 == bindparam("sha256"), ApiKey.revoked_at.is_(None))
    .where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()))
)


class NewKey(NamedTuple):
    """A key's row and, this once, the key itself."""

    key: ApiKey
    api_key: str


class KnownKey(NamedTuple):
    """Of a key that opened something: its id, whose it is, what it may do, and its platform's policy as stored."""

    id: str
    platform_id: str
    scopes: list[str]
    policy: Json


class NewPlatform(NamedTuple):
    """A platform's row and its first key."""

    platform: Platform
    api_key: str


def _digest(api_key: str) -> str:
    return hashlib.sha256(api_key.encode()).hexdigest()


def create(session: Session, name: str) -> NewPlatform:
    """Adds a platform with its first API key.

    Raises:
        NameTaken: when another platform has that name.
        Refused: when the name is empty, longer than 200 characters, or holds control characters.
    """
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise Refused("a platform's name is 1 to 200 printable characters")
    platform = Platform(name=name.strip(), callback_secret=signatures.new_secret())
    try:
        with session.begin_nested():
            session.add(platform)
    except IntegrityError:
        raise NameTaken(f"there is a platform called {name.strip()} already") from None
    audit.write(session, "system", "platform.created", platform.id, new={"name": platform.name})
    return NewPlatform(platform, issue_key(session, platform.id, "first").api_key)


def rotate_secret(session: Session, id_or_name: str, overlap_seconds: float = signatures.OVERLAP_SECONDS) -> Platform:
    """Gives a platform a new secret for its callbacks; the one before signs beside it, see `signatures.rotated`.

    Raises:
        NotFound: when there is no such platform.
    """
    platform = get(session, id_or_name)
    session.refresh(platform, with_for_update=True)
    now = session.scalars(select(func.clock_timestamp())).one()
    platform.previous_secrets = signatures.rotated(
        platform.callback_secret, platform.previous_secrets, now, overlap_seconds
    )
    platform.callback_secret = signatures.new_secret()
    audit.write(session, "system", "callback_secret.rotated", platform.id, new={"overlap_seconds": overlap_seconds})
    session.flush()
    return platform


def issue_key(
    session: Session,
    platform_id: str,
    name: str,
    expires_at: datetime | None = None,
    scopes: Collection[str] = SCOPES,
) -> NewKey:
    """Adds an API key to a platform; by default it may do everything.

    Raises:
        NotFound: when there is no such platform.
        Refused: when a scope is unknown, or there is none.
    """
    if not scopes or set(scopes) - set(SCOPES):
        raise Refused(f"a key has one or more of the scopes {', '.join(SCOPES)}")
    platform = get(session, platform_id)
    api_key = _PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        platform_id=platform.id,
        name=name,
        hint=api_key[:8],
        sha256=_digest(api_key),
        scopes=[scope for scope in SCOPES if scope in scopes],
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    audit.write(
        session, "system", "key.issued", key.id, new={"platform": platform.id, "name": name, "scopes": key.scopes}
    )
    return NewKey(key, api_key)


def revoke_key(session: Session, key_id: str) -> ApiKey:
    """Ends a key at once; doing it twice keeps the first time.

    Raises:
        NotFound: when there is no such key.
    """
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"there is no key {key_id}")
    if key.revoked_at is None:
        key.revoked_at = session.scalar(select(func.clock_timestamp()))
        audit.write(session, "system", "key.revoked", key.id)
    return key


def keys(session: Session, platform_id: str | None = None) -> list[ApiKey]:
    """Returns the keys of one platform, or all of them, oldest first."""
    query = select(ApiKey).order_by(ApiKey.created_at)
    return list(session.scalars(query if platform_id is None else query.where(ApiKey.platform_id == platform_id)))


def authenticate(session: Session, bearer: str) -> KnownKey:
    """Returns what the key that was sent opens, and notes when it was used; every request of a platform asks this.

    Raises:
        BadCredentials: for a key that is unknown, expired or revoked; the message does not say which.
    """
    found = session.execute(_KNOWN, {"sha256": _digest(bearer)}).one_or_none()
    if found is None:
        raise BadCredentials("the API key is unknown, expired or revoked")
    key_id, platform_id, scopes, stored, stale = found
    if stale:
        session.execute(
            update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=func.now()),
            execution_options={"synchronize_session": False},
        )
    return KnownKey(key_id, platform_id, scopes, stored)


def get(session: Session, id_or_name: str) -> Platform:
    """Returns a platform by id or by name.

    Raises:
        NotFound: when there is none.
    """
    found = session.scalar(select(Platform).where(or_(Platform.id == id_or_name, Platform.name == id_or_name)))
    if found is None:
        raise NotFound(f"there is no platform {id_or_name}")
    return found


def change_policy(session: Session, id_or_name: str, changes: Mapping[str, Any], actor: str = "system") -> Platform:
    """Sets fields of a platform's policy, or takes them out where None; see `policy.Policy` and `policy.merged`.

    Features of faces that the policy no longer lets us keep are deleted.

    Raises:
        NotFound: when there is no such platform.
        Refused: when the policy would not be acceptable; then it stays as it was.
    """
    platform = get(session, id_or_name)
    session.refresh(platform, with_for_update=True)
    old, new = platform.policy, merged(platform.policy, changes)
    rules = Policy.read(new)
    if new != old:
        platform.policy = new
        if old.get("keep_features") and not rules.keep_features:
            features.forget(session, platform.id)
        audit.write(session, actor, "platform.policy_changed", platform.id, old=old, new=new)
        session.flush()
    return platform


def every(session: Session) -> list[Platform]:
    """Returns all platforms, oldest first."""
    return list(session.scalars(select(Platform).order_by(Platform.created_at)))
