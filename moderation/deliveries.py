"""Deliveries: outbound webhook messages as rows, so that none is lost and every delay is visible.

A waiting delivery is due when `next_attempt_at` has passed. A claim sets `lease` and moves `next_attempt_at` to the
lease's end: a worker that dies gives its deliveries back by doing nothing. Nothing here opens a connection.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from moderation import ids, messages, signatures
from moderation.errors import EndpointDisabled, NotFound, StillWaiting
from moderation.tables import Delivery, DeliveryAttempt, Endpoint, Json

DAY = 86_400.0
SCHEDULE = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)  # seconds after the attempt before
JITTER = 0.1  # a share of the delay, either way: deliveries that failed together should not come back together
FAILING_DAYS = 5
OVERLOADED = (429, 502, 503, 504)
SLOW_DOWN = 60.0  # an overloaded endpoint that names no Retry-After is left alone for this long
PER_TARGET = 4

_now = func.clock_timestamp


def enqueue(
    session: Session,
    *,
    platform_id: str,
    event: str,
    data: Json,
    submission_id: str | None = None,
    decision_id: str | None = None,
    callback_url: str | None = None,
    delay_seconds: float = 0,
) -> list[Delivery]:
    """Writes a delivery for each enabled endpoint of the platform that wants ``event``, and for ``callback_url``."""
    wanting = select(Endpoint.id).where(
        Endpoint.platform_id == platform_id,
        Endpoint.disabled_at.is_(None),
        or_(Endpoint.events == [], Endpoint.events.contains([event])),
    )
    targets: list[Json] = [{"endpoint_id": endpoint_id} for endpoint_id in session.scalars(wanting)]
    if callback_url:
        targets.append({"callback_url": callback_url})
    body = messages.compose(event, data)
    written = [
        Delivery(
            platform_id=platform_id,
            event=event,
            body=body,
            submission_id=submission_id,
            decision_id=decision_id,
            next_attempt_at=_now() + timedelta(seconds=delay_seconds),
            **target,
        )
        for target in targets
    ]
    session.add_all(written)
    session.flush()
    return written


def ping(session: Session, endpoint: Endpoint) -> Delivery:
    """Writes an `endpoint.test` delivery to this endpoint, whatever events it subscribed to.

    Raises:
        EndpointDisabled: when nothing is sent there.
    """
    if endpoint.disabled_at is not None:
        raise EndpointDisabled
    delivery = Delivery(
        platform_id=endpoint.platform_id,
        endpoint_id=endpoint.id,
        event="endpoint.test",
        body=messages.compose("endpoint.test", {"endpoint_id": endpoint.id}),
    )
    session.add(delivery)
    session.flush()
    return delivery


def claim(session: Session, *, limit: int, lease_seconds: float, per_target: int = PER_TARGET) -> list[Delivery]:
    """Takes up to ``limit`` due deliveries, longest due first, with their endpoint and platform loaded.

    No target has more than ``per_target`` in flight, those of other claims included, so that a slow one cannot occupy
    every sender; the callbacks of one platform are one target. Due deliveries to a disabled endpoint are cancelled.
    """
    _cancel_disabled(session)
    is_due = Delivery.next_attempt_at <= _now()
    place = func.row_number().over(
        partition_by=func.coalesce(Delivery.endpoint_id, Delivery.platform_id),
        order_by=(is_due, Delivery.next_attempt_at, Delivery.id),
    )  # false first: in flight
    line = (
        select(Delivery.id, place.label("place"))
        .where(Delivery.state == "waiting", or_(is_due, Delivery.lease.is_not(None)))
        .subquery()
    )
    chosen = session.scalars(
        select(Delivery.id)
        .join(line, line.c.id == Delivery.id)
        .where(Delivery.state == "waiting", is_due, line.c.place <= per_target)
        .order_by(Delivery.next_attempt_at, Delivery.id)
        .limit(limit)
        .with_for_update(of=Delivery, skip_locked=True)
    ).all()
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(chosen))
        .values(lease=ids.new("lse"), next_attempt_at=_now() + timedelta(seconds=lease_seconds))
    )
    claimed = (
        select(Delivery)
        .where(Delivery.id.in_(chosen))
        .order_by(Delivery.id)
        .options(joinedload(Delivery.endpoint), joinedload(Delivery.platform))
    )
    return list(session.scalars(claimed.execution_options(populate_existing=True)))


def _cancel_disabled(session: Session) -> None:
    due = (
        select(Delivery.id)
        .join(Delivery.endpoint)
        .where(Delivery.state == "waiting", Delivery.next_attempt_at <= _now(), Endpoint.disabled_at.is_not(None))
        .with_for_update(of=Delivery, skip_locked=True)
    )
    session.execute(
        update(Delivery)
        .where(Delivery.id.in_(session.scalars(due).all()))
        .values(state="cancelled", lease=None, finished_at=_now())
    )


def signature_of(delivery: Delivery, at: int) -> str:
    """Returns the `webhook-signature` of this delivery, sent ``at`` so many seconds since 1970.

    The secrets are its endpoint's, or the platform's for a callback. During a rotation's overlap each live one signs,
    and the signatures stand beside each other with a space between.
    """
    owner, secret = (
        (delivery.endpoint, delivery.endpoint.secret)
        if delivery.endpoint
        else (delivery.platform, delivery.platform.callback_secret)
    )
    secrets = signatures.live(secret, owner.previous_secrets, datetime.fromtimestamp(at, UTC))
    return " ".join(signatures.sign(secret, delivery.id, at, delivery.body) for secret in secrets)


def url_of(delivery: Delivery) -> str:
    """Returns where this delivery goes."""
    return delivery.endpoint.url if delivery.endpoint else delivery.callback_url or ""


def succeeded(session: Session, delivery_id: str, lease: str, status: int, ms: float) -> bool:
    """Records a delivered message. Returns False, and changes nothing, when the lease is no longer the caller's."""
    delivery = _held(session, delivery_id, lease)
    if delivery is None:
        return False
    _attempted(session, delivery, status, None, ms)
    _finish(delivery, "delivered")
    endpoint = _locked_endpoint(session, delivery)
    if endpoint is not None:
        endpoint.failing_since = None
    session.flush()
    return True


def failed(
    session: Session,
    delivery_id: str,
    lease: str,
    *,
    status: int | None = None,
    error: str | None = None,
    ms: float,
    retry_after: float | None = None,
) -> bool:
    """Records a failed attempt and schedules the next one, or ends the delivery after the last.

    Args:
        status: what was answered; None when nothing was.
        retry_after: seconds the receiver asked for; believed from an overloaded one, up to a day.

    Returns False, and changes nothing, when the lease is no longer the caller's.
    """
    delivery = _held(session, delivery_id, lease)
    if delivery is None:
        return False
    _attempted(session, delivery, status, error, ms)
    pause = min(max(retry_after or SLOW_DOWN, 0.0), DAY) if status in OVERLOADED else 0.0
    if status == 410 or delivery.attempts >= len(SCHEDULE):
        _finish(delivery, "failed")
    else:
        delay = SCHEDULE[delivery.attempts] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - not a secret
        delivery.next_attempt_at = _now() + timedelta(seconds=max(delay, pause))
    endpoint = _locked_endpoint(session, delivery)
    if endpoint is not None:
        _judge(session, endpoint, status, pause)
    session.flush()
    return True


def _held(session: Session, delivery_id: str, lease: str) -> Delivery | None:
    query = select(Delivery).where(Delivery.id == delivery_id, Delivery.lease == lease, Delivery.state == "waiting")
    return session.scalar(query.with_for_update(of=Delivery).execution_options(populate_existing=True))


def _attempted(session: Session, delivery: Delivery, status: int | None, error: str | None, ms: float) -> None:
    delivery.attempts += 1
    delivery.lease = None
    session.add(DeliveryAttempt(delivery_id=delivery.id, status=status, error=error, ms=ms))


def _finish(delivery: Delivery, state: str) -> None:
    delivery.state, delivery.lease = state, None
    delivery.finished_at = datetime.now(UTC)


def _locked_endpoint(session: Session, delivery: Delivery) -> Endpoint | None:
    # NO KEY UPDATE: enqueueing to this endpoint, which refers to its row, must not wait for us.
    query = select(Endpoint).where(Endpoint.id == delivery.endpoint_id).with_for_update(key_share=True)
    return session.scalar(query.execution_options(populate_existing=True))


def _judge(session: Session, endpoint: Endpoint, status: int | None, pause: float) -> None:
    """Notes that an endpoint fails; disables one that is gone or has failed for days; spares one that is overloaded."""
    now = session.scalars(select(_now())).one()
    endpoint.failing_since = endpoint.failing_since or now
    if status == 410:
        endpoint.disabled_at, endpoint.disabled_reason = now, "it answered 410 Gone"
    elif now - endpoint.failing_since >= timedelta(days=FAILING_DAYS):
        endpoint.disabled_at, endpoint.disabled_reason = now, f"no delivery succeeded for {FAILING_DAYS} days"
    elif pause:
        until = now + timedelta(seconds=pause)
        session.execute(
            update(Delivery)
            .where(
                Delivery.endpoint_id == endpoint.id,
                Delivery.state == "waiting",
                Delivery.lease.is_(None),
                Delivery.next_attempt_at < until,
            )
            .values(next_attempt_at=until)
        )


def cancel_unsent(session: Session, decision_id: str) -> bool:
    """Cancels the deliveries about a decision if not one of them has left the house; all of them or none.

    Returns True when nothing was sent and nothing will be. All or none, because a receiver that is told of a revision
    must have been told of what was revised.
    """
    query = select(Delivery).where(Delivery.decision_id == decision_id, Delivery.state != "cancelled")
    rows = session.scalars(query.with_for_update(of=Delivery).execution_options(populate_existing=True)).all()
    if any(row.state != "waiting" or row.attempts or row.lease is not None for row in rows):
        return False
    for row in rows:
        _finish(row, "cancelled")
    session.flush()
    return True


def page(
    session: Session,
    platform_id: str,
    state: str | None = None,
    endpoint_id: str | None = None,
    *,
    limit: int = 50,
    before: str | None = None,
) -> Sequence[Delivery]:
    """Returns a platform's deliveries, newest first; ``before`` is the id that the page before ended with."""
    query = select(Delivery).where(Delivery.platform_id == platform_id).order_by(Delivery.id.desc()).limit(limit)
    if state is not None:
        query = query.where(Delivery.state == state)
    if endpoint_id is not None:
        query = query.where(Delivery.endpoint_id == endpoint_id)
    if before is not None:
        query = query.where(Delivery.id < before)
    return session.scalars(query).all()


def get(session: Session, platform_id: str, delivery_id: str, *, lock: bool = False) -> Delivery:
    """Returns a delivery of this platform, locked until the transaction's end when asked.

    Raises:
        NotFound: also when it belongs to another platform.
    """
    query = select(Delivery).where(Delivery.id == delivery_id, Delivery.platform_id == platform_id)
    if lock:
        query = query.with_for_update(of=Delivery).execution_options(populate_existing=True)
    delivery = session.scalar(query)
    if delivery is None:
        raise NotFound("There is no such delivery.")
    return delivery


def attempts(session: Session, delivery_id: str) -> Sequence[DeliveryAttempt]:
    """Returns every try at a delivery, those before a replay included, oldest first."""
    query = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == delivery_id)
    return session.scalars(query.order_by(DeliveryAttempt.id)).all()


def replay(session: Session, platform_id: str, delivery_id: str) -> Delivery:
    """Puts a finished delivery in line again under the same id, with its whole schedule before it.

    Raises:
        NotFound: when this platform has no such delivery.
        StillWaiting: when it is on its way already.
        EndpointDisabled: when nothing is sent there.
    """
    delivery = get(session, platform_id, delivery_id, lock=True)
    if delivery.state == "waiting":
        raise StillWaiting
    if delivery.endpoint is not None and delivery.endpoint.disabled_at is not None:
        raise EndpointDisabled
    delivery.state, delivery.attempts, delivery.finished_at = "waiting", 0, None
    delivery.next_attempt_at = session.scalars(select(_now())).one()
    session.flush()
    return delivery


def due(session: Session) -> int:
    """Returns how many deliveries could be sent now."""
    query = select(func.count()).where(Delivery.state == "waiting", Delivery.next_attempt_at <= _now())
    return session.scalars(query).one()
