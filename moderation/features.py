"""What is kept of faces, so that a detector can learn from decisions: features where the platform's policy allows it.

Rows belong to a submission. Erasure deletes them in the transaction that makes the submission `deleted`, and media
that another submission holds keeps that submission's own rows alone. A policy that allows it no longer deletes what
was kept under it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from moderation.tables import LEARNABLE, Decision, FaceFeatures, Flag, Media, Platform, Submission

_ALLOWS = Platform.policy.contains({"keep_features": True})


@dataclass(frozen=True, slots=True)
class Kept:
    """Of the verdict's face number ``face``: see `tables.FaceFeatures`."""

    face: int
    encoder: str
    features: bytes
    network: str
    logits: bytes


@dataclass(frozen=True, slots=True)
class Decided:
    """A face of media that somebody decided on: the standing ``answer``, and what was kept. ``pdq`` is the media's
    perceptual hash, as 64 hexadecimal digits, with its quality, 0 to 100.
    """

    sha256: str
    answer: str
    kept: Kept
    pdq: str | None
    pdq_quality: int | None


def wanted(session: Session, platform_ids: Collection[str]) -> bool:
    """Says whether any of these platforms lets features be kept."""
    return bool(session.scalar(select(select(Platform.id).where(Platform.id.in_(platform_ids), _ALLOWS).exists())))


def keep(session: Session, submission: Submission, verdict_id: str, kept: Sequence[Kept]) -> None:
    """Keeps features with a scored submission, if its platform's policy allows it when this commits.

    Without ``kept`` (the verdict was given before), those of another submission with the same verdict are copied.
    """
    # The lock makes a change of policy wait, which then deletes these rows too.
    mine = select(Platform.id).where(Platform.id == submission.platform_id, _ALLOWS).with_for_update(read=True)
    if session.scalar(mine) is None:
        return
    rows = kept or _known(session, verdict_id)
    if rows:
        owner = {"submission_id": submission.id, "verdict_id": verdict_id}
        values = [owner | {name: getattr(row, name) for name in Kept.__slots__} for row in rows]
        session.execute(insert(FaceFeatures).values(values).on_conflict_do_nothing())


def _known(session: Session, verdict_id: str) -> list[Kept]:
    query = select(FaceFeatures).where(FaceFeatures.verdict_id == verdict_id).order_by(FaceFeatures.face)
    return [_kept(row) for row in session.scalars(query.ext(distinct_on(FaceFeatures.face)))]


def _kept(row: FaceFeatures) -> Kept:
    return Kept(row.face, row.encoder, row.features, row.network, row.logits)


def forget(session: Session, platform_id: str) -> int:
    """Deletes what was kept for a platform; returns how many faces."""
    mine = select(Submission.id).where(Submission.platform_id == platform_id)
    gone = delete(FaceFeatures).where(FaceFeatures.submission_id.in_(mine)).returning(FaceFeatures.face)
    return len(session.execute(gone).all())


def _standing(platform_id: str | None, since: datetime | None) -> list[ColumnElement[bool]]:
    """What holds of flags that were answered `fake` or `real`, and whose answer nobody took back or objected to."""
    found = [Flag.state == "decided", Decision.superseded_at.is_(None), Decision.answer.in_(LEARNABLE)]
    found += [Flag.platform_id == platform_id] if platform_id else []
    return found + ([Decision.decided_at >= since] if since else [])


def count_decided(session: Session, *, platform_id: str | None = None, since: datetime | None = None) -> int:
    """Returns how many flags stand decided as `fake` or `real`, whether or not anything was kept of them."""
    query = select(func.count()).select_from(Flag).join(Decision).where(*_standing(platform_id, since))
    return session.scalars(query).one()


def decided(
    session: Session, encoder: str, *, platform_id: str | None = None, since: datetime | None = None
) -> list[Decided]:
    """Returns what was kept, by this encoder, of faces that were decided on; always in the same order."""
    query = (
        select(Media.sha256, Decision.answer, FaceFeatures, Media.pdq, Media.pdq_quality)
        .select_from(Flag)
        .join(Decision, Decision.flag_id == Flag.id)
        .join(Submission, Submission.id == Flag.submission_id)
        .join(Media, Media.sha256 == Submission.media_sha256)
        .join(FaceFeatures, FaceFeatures.submission_id == Submission.id)
        .where(FaceFeatures.encoder == encoder, *_standing(platform_id, since))
        .order_by(Media.sha256, FaceFeatures.face, Submission.id)
    )
    return [
        Decided(sha256, answer, _kept(row), pdq, quality)
        for sha256, answer, row, pdq, quality in session.execute(query)
    ]
