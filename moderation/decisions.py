"""Decisions: a moderator's answer on a flag, its undoing, and who is told when.

Each step writes its audit row and its webhooks in the same transaction. A decision leaves the house only after the undo
window, so that an undo within it is silent; afterwards the platform hears `decision.revised`.
"""

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from moderation import audit, deliveries, documents, flags, metrics
from moderation.errors import AlreadyDecided, AppealedMeanwhile, ClaimLost, NothingToUndo, Refused
from moderation.tables import ANSWERS, Appeal, Decision, Flag, Json, Person

LONGEST_NOTE = 4000


def decide(
    session: Session,
    flag_id: str,
    person_id: str,
    answer: str,
    note: str,
    undo_seconds: float,
    seen_appeals: int | None = None,
) -> Decision:
    """Answers a flag that this person has claimed. `unsure` escalates: the flag stays open for a lead.

    Args:
        seen_appeals: how many appeals the person was shown; None: all there are.

    Raises:
        NotFound: when there is no such flag.
        AlreadyDecided, ClaimLost: when somebody was faster, or the claim has ended.
        AppealedMeanwhile: when there are more appeals than ``seen_appeals``.
        Refused: for an unknown answer, or a note that is too long.
    """
    if answer not in ANSWERS or len(note) > LONGEST_NOTE or "\0" in note:
        raise Refused(f"an answer is one of {', '.join(ANSWERS)}, with a note of at most {LONGEST_NOTE} characters")
    flag = flags.locked(session, flag_id)
    if flag.state != "open":
        raise AlreadyDecided
    if not flags.holds(session, flag, person_id):
        raise ClaimLost
    # Under the flag's lock: an appeal that comes later finds the flag decided, and opens it again.
    if seen_appeals is not None and _appeals(session, flag) > seen_appeals:
        raise AppealedMeanwhile
    before = state(flag)
    _supersede(session, flags.standing(session, flag_id))
    decision = Decision(flag_id=flag.id, person_id=person_id, answer=answer, note=note.strip())
    session.add(decision)
    session.flush()
    flags.drop_claim(flag)
    if answer == "unsure":
        flag.escalated = True
    else:
        flag.state, flag.decided_at = "decided", decision.decided_at
        _tell(session, flag, decision, "flag.decided", undo_seconds)
    audit.write(session, person_id, "flag.decided", flag.id, old=before, new={**state(flag), "answer": answer})
    session.flush()
    metrics.decided.labels(answer).inc()
    return decision


def _appeals(session: Session, flag: Flag) -> int:
    return session.scalars(select(func.count()).where(Appeal.submission_id == flag.submission_id)).one()


def undo(session: Session, flag_id: str, person_id: str) -> Decision:
    """Takes back the standing decision on a flag: one's own, or anybody's for a lead. The flag is open again.

    Raises:
        NotFound: when there is no such flag.
        NothingToUndo: when there is no such decision.
    """
    flag = flags.locked(session, flag_id)
    decision = flags.standing(session, flag_id)
    lead = session.get_one(Person, person_id).role != "moderator"
    if decision is None or not (lead or decision.person_id == person_id):
        raise NothingToUndo
    before = {**state(flag), "answer": decision.answer}
    _supersede(session, decision)
    decision.undone_by = person_id
    flag.state, flag.decided_at = "open", None
    session.flush()
    flag.escalated = _doubted(session, flag)
    if decision.answer != "unsure" and not deliveries.cancel_unsent(session, decision.id):
        _tell(session, flag, decision, "decision.revised", 0)
    audit.write(session, person_id, "decision.undone", flag.id, old=before, new=state(flag))
    session.flush()
    return decision


def _supersede(session: Session, decision: Decision | None) -> None:
    if decision is not None:
        decision.superseded_at = session.scalar(select(func.clock_timestamp()))
        session.flush()


def reopen(session: Session, flag: Flag) -> None:
    """Opens a decided flag again, for a lead: somebody objects to the decision, which no longer stands.

    Nobody undid it: it stays in the history as the answer that it was. Not sent yet, it never leaves the house.
    """
    decision = flags.standing(session, flag.id)
    _supersede(session, decision)
    flag.state, flag.decided_at, flag.escalated = "open", None, True
    if decision is not None:
        deliveries.cancel_unsent(session, decision.id)
    session.flush()


def _doubted(session: Session, flag: Flag) -> bool:
    """Says whether anybody was unsure, or objected to an answer: no answer but those is superseded and not undone."""
    doubts = select(Decision.id).where(
        Decision.flag_id == flag.id,
        or_(Decision.answer == "unsure", Decision.superseded_at.is_not(None)),
        Decision.undone_by.is_(None),
    )
    return bool(session.scalar(select(doubts.exists())))


def state(flag: Flag) -> Json:
    """Returns what of a flag its audit rows compare."""
    return {"state": flag.state, "escalated": flag.escalated}


def _tell(session: Session, flag: Flag, decision: Decision, event: str, delay_seconds: float) -> None:
    revised = event == "decision.revised"
    deliveries.enqueue(
        session,
        platform_id=flag.platform_id,
        event=event,
        submission_id=flag.submission_id,
        decision_id=decision.id,
        callback_url=flag.submission.callback_url,
        delay_seconds=delay_seconds,
        data={**documents.flag(flag, None if revised else decision), **({"revised": decision.id} if revised else {})},
    )
