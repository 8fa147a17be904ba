"""Appeals: a platform objects to what became of a submission, and people look at it (again).

An appeal opens a flag where there was none, joins one that is open, and opens one again that was decided. It says
nothing about the verdict, which stays as it is.
"""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from moderation import audit, decisions, deliveries, documents, verdicts
from moderation.errors import NotAppealable, NotFound, TooManyAppeals
from moderation.tables import Appeal, Flag, Submission

MOST = 5


class Made(NamedTuple):
    """An appeal and the flag that it is attached to."""

    appeal: Appeal
    flag: Flag


def make(session: Session, platform_id: str, submission_id: str, reason: str) -> Made:
    """Attaches an appeal to a submission's flag, which is open afterwards. The platform is told if it was not before.

    Raises:
        NotFound: when there is no such submission, or it is somebody else's.
        NotAppealable: when it has not been scored.
        TooManyAppeals: when it was appealed `MOST` times.
    """
    submission = _locked(session, platform_id, submission_id)
    if submission.state != "scored":
        raise NotAppealable(f"the submission is {submission.state}, not scored")
    if session.scalars(select(func.count()).where(Appeal.submission_id == submission.id)).one() >= MOST:
        raise TooManyAppeals(f"a submission can be appealed {MOST} times, and this one was")
    appeal = Appeal(submission_id=submission.id, reason=reason)
    session.add(appeal)
    session.flush()
    found = select(Flag).where(Flag.submission_id == submission.id).with_for_update()
    flag = session.scalar(found.execution_options(populate_existing=True))
    before = None if flag is None else decisions.state(flag)
    if flag is None:
        flag = verdicts.open_flag(session, submission)
        if submission.media_sha256 is not None:
            verdicts.mark_undrawn(session, submission.media_sha256)
    elif flag.state == "decided":
        decisions.reopen(session, flag)
    after = decisions.state(flag)
    audit.write(session, platform_id, "flag.appealed", flag.id, old=before, new={**after, "appeal": appeal.id})
    if before != after:
        _tell(session, submission, flag, appeal)
    return Made(appeal, flag)


def _locked(session: Session, platform_id: str, submission_id: str) -> Submission:
    """Returns the submission, which no second appeal and no erasure can change until commit.

    The lock leaves its key alone: whoever decides the flag at this moment writes deliveries that refer to it.
    """
    mine = (Submission.id == submission_id, Submission.platform_id == platform_id)
    row = session.scalar(select(Submission).where(*mine).with_for_update(key_share=True))
    if row is None:
        raise NotFound(f"there is no submission {submission_id}")
    return row


def _tell(session: Session, submission: Submission, flag: Flag, appeal: Appeal) -> None:
    deliveries.enqueue(
        session,
        platform_id=flag.platform_id,
        event="flag.opened",
        submission_id=submission.id,
        callback_url=submission.callback_url,
        data={**documents.flag(flag, None), "appeal": {"id": appeal.id, "made_at": appeal.made_at.isoformat()}},
    )


def of(session: Session, flag: Flag) -> list[Appeal]:
    """Returns the appeals that a flag's page shows, oldest first."""
    return list(
        session.scalars(
            select(Appeal).where(Appeal.submission_id == flag.submission_id).order_by(Appeal.made_at, Appeal.id)
        )
    )


def counts(session: Session, shown: list[Flag]) -> dict[str, int]:
    """Returns how often each of the flags was appealed, by flag id; those that never were are left out."""
    by_submission = {flag.submission_id: flag.id for flag in shown}
    rows = session.execute(
        select(Appeal.submission_id, func.count())
        .where(Appeal.submission_id.in_(by_submission))
        .group_by(Appeal.submission_id)
    )
    return {by_submission[submission_id]: count for submission_id, count in rows}
