"""The catalogue of sources: made, changed, rotated and disabled by operators, each step in the audit trail."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from moderation import audit, platforms, signatures
from moderation.errors import NotFound, Refused
from moderation.sources import registry
from moderation.sources.events import Terms
from moderation.tables import PRIORITIES, Source

NONE: Mapping[str, str] = MappingProxyType({})


def create(
    session: Session,
    platform_id: str,
    kind: str,
    *,
    secret: str | None = None,
    options: Mapping[str, str] = NONE,
) -> Source:
    """Adds a source to a platform; without a ``secret`` it gets a fresh one.

    Raises:
        NotFound: when there is no such platform.
        Refused: for an unknown kind or option, or a secret that its adapter does not take.
    """
    adapter = registry.find(kind)
    platform = platforms.get(session, platform_id)
    new, known = _secret(adapter, secret), _known(adapter, options)
    source = Source(platform_id=platform.id, kind=kind, secret=new, options=known)
    session.add(source)
    session.flush()
    told = {"platform": platform.id, "kind": kind, "options": source.options}
    audit.write(session, "system", "source.created", source.id, new=told)
    return source


def set_options(session: Session, source_id: str, options: Mapping[str, str]) -> Source:
    """Sets some of a source's options; an empty value takes one away.

    Raises:
        NotFound: when there is no such source.
        Refused: for an option that its adapter does not know.
    """
    source = get(session, source_id)
    old, adapter = source.options, registry.find(source.kind)
    _known(adapter, options)
    source.options = {name: value for name, value in (old | dict(options)).items() if value}
    session.flush()
    audit.write(session, "system", "source.changed", source.id, old=old, new=source.options)
    return source


def rotate(
    session: Session, source_id: str, *, secret: str | None = None, overlap_seconds: float = signatures.OVERLAP_SECONDS
) -> Source:
    """Gives a source a new secret; the one before goes on verifying for ``overlap_seconds``. 0 is for one that leaked.

    Raises:
        NotFound: when there is no such source.
        Refused: for a secret that its adapter does not take.
    """
    source = get(session, source_id)
    new = _secret(registry.find(source.kind), secret)
    source.previous_secrets = signatures.rotated(
        source.secret, source.previous_secrets, _now(session), min(overlap_seconds, signatures.LONGEST_OVERLAP)
    )
    source.secret = new
    session.flush()
    audit.write(session, "system", "source.rotated", source.id, new={"overlap_seconds": overlap_seconds})
    return source


def disable(session: Session, source_id: str) -> Source:
    """Takes nothing more from a source; doing it twice keeps the first time.

    Raises:
        NotFound: when there is no such source.
    """
    source = get(session, source_id)
    if source.disabled_at is None:
        source.disabled_at = _now(session)
        audit.write(session, "system", "source.disabled", source.id)
    return source


def enable(session: Session, source_id: str) -> Source:
    """Takes events from a source again.

    Raises:
        NotFound: when there is no such source.
    """
    source = get(session, source_id)
    if source.disabled_at is not None:
        source.disabled_at = None
        audit.write(session, "system", "source.enabled", source.id)
    return source


def get(session: Session, source_id: str) -> Source:
    """Returns a source.

    Raises:
        NotFound: when there is none.
    """
    source = session.get(Source, source_id)
    if source is None:
        raise NotFound(f"there is no source {source_id}")
    return source


def every(session: Session, platform_id: str | None = None) -> list[Source]:
    """Returns the sources of one platform, or of all, oldest first, with their platforms."""
    query = select(Source).options(joinedload(Source.platform)).order_by(Source.created_at, Source.id)
    return list(session.scalars(query if platform_id is None else query.where(Source.platform_id == platform_id)))


def terms(source: Source, now: datetime) -> Terms:
    """Returns what an adapter may know of a source."""
    return Terms(
        secrets=tuple(signatures.live(source.secret, source.previous_secrets, now)),
        options=source.options,
        documents={url: text for url, text in source.documents.items() if isinstance(text, str)},
    )


def _secret(adapter: registry.Adapter, given: str | None) -> str:
    if given is None:
        return adapter.new_secret()
    adapter.check_secret(given)
    return given


def _known(adapter: registry.Adapter, options: Mapping[str, str]) -> dict[str, str]:
    given, known = dict(options), registry.SHARED_OPTIONS | dict(adapter.options)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise Refused(f"a {adapter.kind} source has no option {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    if given.get("priority") and given["priority"] not in PRIORITIES:
        raise Refused(f"the option priority is one of {', '.join(PRIORITIES)}")
    if any("\0" in value or len(value) > 1000 for value in given.values()):
        raise Refused("an option is a text of at most 1000 characters")
    return given


def _now(session: Session) -> datetime:
    now: datetime | None = session.scalar(select(func.clock_timestamp()))
    assert now is not None
    return now
