"""Flags: what waits for people, in which order, and who is looking at it now.

A claim is a lease that its holder's browser keeps alive; when the heartbeats end, so does the claim, and the flag
is anybody's.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, joinedload

from moderation import audit
from moderation.errors import AlreadyDecided, ClaimLost, Conflict, NotFound
from moderation.tables import BANDS, AuditRow, Decision, Flag, Person, Submission


def _now() -> ColumnElement[object]:
    return func.clock_timestamp()


def _free(person_id: str) -> ColumnElement[bool]:
    return or_(Flag.claimed_by.is_(None), Flag.claimed_by == person_id, Flag.claim_expires_at <= _now())


def _loaded() -> Select[Flag]:
    submission = joinedload(Flag.submission)
    return select(Flag).options(
        joinedload(Flag.platform),
        joinedload(Flag.claimant),
        submission.joinedload(Submission.media),
        submission.joinedload(Submission.verdict),
    )


def queue(
    session: Session,
    *,
    person_id: str,
    band: str | None = None,
    platform_id: str | None = None,
    sort: str = "score",
    mine: bool = False,
    limit: int = 50,
    offset: int = 0,
) -> list[Flag]:
    """Returns open flags: escalated ones first, then the highest score (or, with ``sort="age"``, the oldest)."""
    query = _loaded().where(Flag.state == "open")
    if band in BANDS:
        query = query.where(Flag.band == band)
    if platform_id:
        query = query.where(Flag.platform_id == platform_id)
    if mine:
        query = query.where(Flag.claimed_by == person_id, Flag.claim_expires_at > _now())
    first = (
        (Flag.opened_at, Flag.id)
        if sort == "age"
        else (Flag.escalated.desc(), Flag.score.desc(), Flag.opened_at, Flag.id)
    )
    return list(session.scalars(query.order_by(*first).limit(limit).offset(offset)))


def counts(session: Session) -> dict[str, int]:
    """Returns how many flags are open in each band, and `claimed` among them."""
    claimed = func.count().filter(and_(Flag.claimed_by.is_not(None), Flag.claim_expires_at > _now()))
    rows = session.execute(
        select(Flag.band, func.count(), claimed).where(Flag.state == "open").group_by(Flag.band)
    ).all()
    found = {band: count for band, count, _ in rows}
    return {**{band: found.get(band, 0) for band in BANDS}, "claimed": sum(row[2] for row in rows)}


def get(session: Session, flag_id: str) -> Flag:
    """Returns a flag with everything a page about it needs.

    Raises:
        NotFound: when there is none.
    """
    flag = session.scalar(_loaded().where(Flag.id == flag_id))
    if flag is None:
        raise NotFound(f"there is no flag {flag_id}: it never was, or what it was about has been erased")
    return flag


def locked(session: Session, flag_id: str) -> Flag:
    """Returns a flag that nobody else can change until commit.

    Raises:
        NotFound: when there is none.
    """
    flag = session.scalar(
        select(Flag).where(Flag.id == flag_id).with_for_update().execution_options(populate_existing=True)
    )
    if flag is None:
        raise NotFound(f"there is no flag {flag_id}: it never was, or what it was about has been erased")
    return flag


def holds(session: Session, flag: Flag, person_id: str) -> bool:
    """Says whether this person's claim on the flag is alive."""
    return flag.claimed_by == person_id and bool(
        session.scalar(select(Flag.claim_expires_at > _now()).where(Flag.id == flag.id))
    )


def claim(session: Session, flag_id: str, person_id: str, claim_seconds: float) -> Flag:
    """Gives the flag to one person for ``claim_seconds``; claiming one's own again extends it.

    Raises:
        NotFound: when there is no such flag.
        AlreadyDecided: when it is no longer open.
        Conflict: when somebody else's claim is alive.
    """
    flag = locked(session, flag_id)
    if flag.state != "open":
        raise AlreadyDecided
    if not session.scalar(select(_free(person_id)).where(Flag.id == flag_id)):
        raise Conflict("somebody else is looking at this flag")
    again = holds(session, flag, person_id)
    _extend(session, flag, claim_seconds)
    if not again:
        previous, flag.claimed_by = flag.claimed_by, person_id
        flag.claimed_at = session.scalar(select(func.clock_timestamp()))
        audit.write(
            session, person_id, "flag.claimed", flag.id, old={"claimed_by": previous}, new={"claimed_by": person_id}
        )
    session.flush()
    return flag


def _extend(session: Session, flag: Flag, claim_seconds: float) -> None:
    flag.claim_expires_at = session.scalar(select(func.clock_timestamp() + timedelta(seconds=claim_seconds)))


def heartbeat(session: Session, flag_id: str, person_id: str, claim_seconds: float) -> Flag:
    """Keeps a claim alive.

    Raises:
        NotFound: when there is no such flag.
        ClaimLost: when the claim has ended, even if nobody took the flag since.
    """
    flag = locked(session, flag_id)
    if flag.state != "open" or not holds(session, flag, person_id):
        raise ClaimLost
    _extend(session, flag, claim_seconds)
    session.flush()
    return flag


def release(session: Session, flag_id: str, person_id: str) -> None:
    """Gives a claim back; not holding it is fine."""
    flag = locked(session, flag_id)
    if flag.claimed_by == person_id:
        drop_claim(flag)
        audit.write(session, person_id, "flag.released", flag.id, old={"claimed_by": person_id})
        session.flush()


def drop_claim(flag: Flag) -> None:
    """Leaves the flag to anybody."""
    flag.claimed_by = flag.claimed_at = flag.claim_expires_at = None


def upcoming(session: Session, person_id: str, *, after: str | None = None) -> Flag | None:
    """Returns the best open flag that this person may claim: their own first, then as `queue` sorts.

    One that they have answered, and that is open all the same (they were unsure, or somebody appealed), is left to
    others. ``after`` is passed over, so that a skip goes on. Two people who
    ask at once get two flags (the row is locked until the caller claims it).
    """
    answered = (
        select(Decision.id)
        .where(Decision.flag_id == Flag.id, Decision.person_id == person_id, Decision.undone_by.is_(None))
        .exists()
    )
    query = select(Flag).where(Flag.state == "open", _free(person_id), ~answered)
    if after is not None:
        query = query.where(Flag.id != after)
    mine = and_(Flag.claimed_by == person_id, Flag.claim_expires_at > _now())
    lead = session.get_one(Person, person_id).role != "moderator"
    escalated = Flag.escalated.desc() if lead else Flag.escalated.asc()
    first = (func.coalesce(mine, False).desc(), escalated, Flag.score.desc(), Flag.opened_at, Flag.id)
    return session.scalar(query.order_by(*first).limit(1).with_for_update(skip_locked=True))


def standing(session: Session, flag_id: str) -> Decision | None:
    """Returns the decision that holds now, or None."""
    return session.scalar(select(Decision).where(Decision.flag_id == flag_id, Decision.superseded_at.is_(None)))


def history(session: Session, flag_id: str) -> list[AuditRow]:
    """Returns what happened to a flag, oldest first."""
    return audit.page(session, flag_id)[::-1]
