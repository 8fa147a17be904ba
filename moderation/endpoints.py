"""Endpoints: where a platform wants its webhooks. Addresses are judged when saved, and again at every send."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from moderation import addresses, audit, signatures
from moderation.errors import NotFound, Refused
from moderation.tables import EVENTS, Endpoint, Platform


def create(
    session: Session,
    platform_id: str,
    url: str,
    events: Collection[str] = (),
    *,
    allowed_networks: Collection[str] = (),
) -> Endpoint:
    """Adds an endpoint with a fresh secret. No ``events`` means all of them.

    Raises:
        ForbiddenAddress: when ``url`` leads where we do not send.
        NotFound: when there is no such platform.
        Refused: when an event is unknown.
    """
    wanted = _known(events)
    if session.get(Platform, platform_id) is None:
        raise NotFound("There is no such platform.")
    addresses.resolve(url, allowed_networks=allowed_networks)
    endpoint = Endpoint(platform_id=platform_id, url=url, secret=signatures.new_secret(), events=wanted)
    session.add(endpoint)
    session.flush()
    return endpoint


def _known(events: Collection[str]) -> list[str]:
    unknown = set(events) - set(EVENTS)
    if unknown:
        raise Refused(f"Unknown events: {', '.join(sorted(unknown))}. Known are {', '.join(EVENTS)}.")
    return sorted(set(events))


def change(
    session: Session,
    endpoint_id: str,
    *,
    url: str | None = None,
    events: Collection[str] | None = None,
    enabled: bool | None = None,
    allowed_networks: Collection[str] = (),
) -> Endpoint:
    """Changes what is given and leaves the rest; what waits for the endpoint goes to its new address.

    Raises:
        ForbiddenAddress: when ``url`` leads where we do not send.
        NotFound: when there is no such endpoint.
        Refused: when an event is unknown.
    """
    endpoint = existing(session, endpoint_id)
    if events is not None:
        endpoint.events = _known(events)
    if url is not None and url != endpoint.url:
        addresses.resolve(url, allowed_networks=allowed_networks)
        endpoint.url, endpoint.failing_since = url, None  # what failed was the address before
    session.flush()
    if enabled is not None:
        (enable if enabled else disable)(session, endpoint_id)
    return endpoint


def rotate(
    session: Session, endpoint_id: str, overlap_seconds: float = signatures.OVERLAP_SECONDS, *, actor: str = "system"
) -> Endpoint:
    """Gives an endpoint a new secret; the one before signs beside it for ``overlap_seconds``, see `signatures.rotated`.

    Raises:
        NotFound: when there is no such endpoint.
    """
    endpoint = existing(session, endpoint_id, lock=True)
    now = session.scalars(select(func.clock_timestamp())).one()
    endpoint.previous_secrets = signatures.rotated(endpoint.secret, endpoint.previous_secrets, now, overlap_seconds)
    endpoint.secret = signatures.new_secret()
    audit.write(session, actor, "endpoint.rotated", endpoint.id, new={"overlap_seconds": overlap_seconds})
    session.flush()
    return endpoint


def every(session: Session, platform_id: str | None = None) -> Sequence[Endpoint]:
    """Returns the endpoints of one platform, or of all, oldest first."""
    query = select(Endpoint).order_by(Endpoint.created_at, Endpoint.id)
    if platform_id is not None:
        query = query.where(Endpoint.platform_id == platform_id)
    return session.scalars(query).all()


def get(session: Session, platform_id: str, endpoint_id: str) -> Endpoint:
    """Returns an endpoint of this platform.

    Raises:
        NotFound: also when it belongs to another platform.
    """
    endpoint = session.get(Endpoint, endpoint_id)
    if endpoint is None or endpoint.platform_id != platform_id:
        raise NotFound("There is no such webhook endpoint.")
    return endpoint


def disable(session: Session, endpoint_id: str, reason: str = "switched off by hand") -> Endpoint:
    """Stops sending to an endpoint and keeps why. What waits for it is cancelled when its time comes.

    Raises:
        NotFound: when there is no such endpoint.
    """
    endpoint = existing(session, endpoint_id)
    if endpoint.disabled_at is None:
        endpoint.disabled_at, endpoint.disabled_reason = session.scalar(select(func.clock_timestamp())), reason
        session.flush()
    return endpoint


def enable(session: Session, endpoint_id: str) -> Endpoint:
    """Sends to an endpoint again, with a clean slate.

    Raises:
        NotFound: when there is no such endpoint.
    """
    endpoint = existing(session, endpoint_id)
    endpoint.disabled_at = endpoint.disabled_reason = endpoint.failing_since = None
    session.flush()
    return endpoint


def delete(session: Session, endpoint_id: str) -> None:
    """Removes an endpoint together with the record of what was sent to it.

    Raises:
        NotFound: when there is no such endpoint.
    """
    session.delete(existing(session, endpoint_id))
    session.flush()


def existing(session: Session, endpoint_id: str, *, lock: bool = False) -> Endpoint:
    """Returns an endpoint of whichever platform, locked until the transaction's end when asked.

    Raises:
        NotFound: when there is no such endpoint.
    """
    endpoint = session.get(Endpoint, endpoint_id, with_for_update=lock or None, populate_existing=lock)
    if endpoint is None:
        raise NotFound("There is no such webhook endpoint.")
    return endpoint
