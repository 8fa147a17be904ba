"""Verdicts: what a detector release said, recorded once, and what follows for the submission.

Recording is guarded by the lease and unique per (media, detector release): doing it twice changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from moderation import deliveries, documents, features, ids, policy
from moderation.features import Kept
from moderation.policy import Policy
from moderation.tables import Detector, Flag, Media, Platform, Submission, Verdict

DECLARED = "declared_synthetic"  # the reason of a verdict on a file that says itself that a model made it


_current = select(Detector.name, Detector.version).order_by(Detector.started_at.desc()).limit(1).subquery()
STANDING = (  # made once: to make it would cost more than to ask it
    select(Verdict)
    .join(_current, (Verdict.detector_name == _current.c.name) & (Verdict.detector_version == _current.c.version))
    .where(Verdict.media_sha256 == bindparam("sha256"))
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A detector's answer on one file, in plain values, with what the file says of its origin (`c2pa`,
    `generator_metadata`) and its perceptual hash. ``ms`` is this file's share of its batch's time; ``kept`` is what may
    be kept of its faces, where policy allows it.
    """

    score: float
    band: str
    reasons: list[str]
    faces: list[dict[str, Any]]
    width: int
    height: int
    ms: float
    frames: list[dict[str, Any]] = field(default_factory=list)
    faces_not_judged: int = 0
    provenance: dict[str, Any] = field(default_factory=dict)
    pdq: str | None = None
    pdq_quality: int | None = None
    kept: Sequence[Kept] = ()


def held(session: Session, lease: str, submission_id: str) -> Submission | None:
    """Returns the submission, locked, if this lease still holds it."""
    mine = (Submission.id == submission_id) & (Submission.lease == lease) & (Submission.state == "scoring")
    return session.scalar(select(Submission).where(mine).with_for_update())


def record(session: Session, lease: str, submission_id: str, detector: tuple[str, str], finding: Finding) -> bool:
    """Keeps the verdict and settles the submission. False: the lease is no longer ours, nothing changed."""
    row = held(session, lease, submission_id)
    if row is None or row.media_sha256 is None:
        return False
    verdict = _kept(session, row.media_sha256, detector, finding)
    if finding.pdq is not None:
        unhashed = update(Media).where(Media.sha256 == row.media_sha256, Media.pdq.is_(None))
        session.execute(unhashed.values(pdq=finding.pdq, pdq_quality=finding.pdq_quality))
    settle(session, row, verdict, finding.kept)
    return True


def is_declared(provenance: dict[str, Any]) -> bool:
    """Says whether a file says of itself that a model made it, in whole or in part. The claim of a broken manifest
    counts, too: it may put the file before people and does nothing else.
    """
    manifest = provenance.get("c2pa") or {}
    return bool(manifest.get("ai_generated") or provenance.get("generator_metadata"))


def _kept(session: Session, sha256: str, detector: tuple[str, str], finding: Finding) -> Verdict:
    """Returns the verdict of this release on this media: the first that was recorded, which may be another's."""
    name, version = detector
    row = insert(Verdict).values(
        media_sha256=sha256,
        detector_name=name,
        detector_version=version,
        score=finding.score,
        band=finding.band,
        reasons=[*finding.reasons, *([DECLARED] if is_declared(finding.provenance) else [])],
        faces=finding.faces,
        faces_not_judged=finding.faces_not_judged,
        frames=finding.frames,
        provenance=finding.provenance,
        width=finding.width,
        height=finding.height,
        ms=finding.ms,
        id=ids.new("ver"),
    )
    session.execute(row.on_conflict_do_nothing())
    kept = reusable(session, sha256, name, version)
    assert kept is not None
    return kept


def reusable(session: Session, sha256: str, name: str, version: str) -> Verdict | None:
    """Returns what this release said of these bytes before, if it did."""
    same = (Verdict.media_sha256 == sha256, Verdict.detector_name == name, Verdict.detector_version == version)
    return session.scalar(select(Verdict).where(*same))


def standing(session: Session, sha256: str) -> Verdict | None:
    """Returns what the current release said of these bytes, if it did: one question, since every upload asks it."""
    return session.scalar(STANDING, {"sha256": sha256})


def settle(session: Session, submission: Submission, verdict: Verdict, kept: Sequence[Kept] = ()) -> None:
    """Makes the submission `scored`, opens a flag where policy says so, and queues the webhooks. What is ``kept`` of
    faces stays with it where policy allows it.
    """
    platform = submission.platform_id and session.get_one(Platform, submission.platform_id)
    rules = Policy.read(platform.policy) if platform else Policy()
    finished = session.scalar(select(func.clock_timestamp()))  # before anything is half written
    submission.verdict_id, submission.verdict = verdict.id, verdict
    submission.band = policy.band(
        rules,
        verdict.score,
        verdict.band,
        traced=DECLARED in verdict.reasons,
        unjudged=verdict.faces_not_judged > 0,
    )
    submission.state, submission.lease, submission.lease_expires_at = "scored", None, None
    submission.finished_at = finished
    session.flush()
    if not platform:
        return  # ephemeral: shown to one person and erased, nobody else is told
    if rules.keep_features:
        features.keep(session, submission, verdict.id, kept)
    flag = open_flag(session, submission) if policy.opens_flag(rules, submission.band) else None
    tell = partial(
        deliveries.enqueue,
        session,
        platform_id=platform.id,
        submission_id=submission.id,
        callback_url=submission.callback_url,
    )
    tell(event="submission.scored", data=documents.submission(submission))
    if flag is not None:
        tell(event="flag.opened", data=documents.flag(flag, None))


def settle_again(session: Session, submission: Submission, verdict: Verdict) -> None:
    """Settles a submission by a verdict that was given before. Nobody may have drawn its media then: see `undrawn`."""
    settle(session, submission, verdict)
    if session.scalar(select(Flag.id).where(Flag.submission_id == submission.id)):
        mark_undrawn(session, verdict.media_sha256)


def mark_undrawn(session: Session, sha256: str) -> None:
    """Has a worker draw what people are going to see of this media."""
    session.execute(update(Media).where(Media.sha256 == sha256).values(undrawn=True))


def undrawn(session: Session, limit: int = 1) -> list[str]:
    """Returns the digests of up to ``limit`` media that a worker has yet to draw."""
    marked = select(Media.sha256).where(Media.undrawn).order_by(Media.held_at).limit(limit)
    return list(session.scalars(marked))


def open_flag(session: Session, submission: Submission) -> Flag:
    """Puts a scored submission of a platform before people."""
    verdict, band = submission.verdict, submission.band
    assert verdict is not None
    assert band is not None
    flag = Flag(
        submission=submission, platform=submission.platform, score=verdict.score, band=band, reasons=verdict.reasons
    )
    session.add(flag)
    session.flush()
    return flag
