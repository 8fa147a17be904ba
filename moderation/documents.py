"""The JSON shapes that other programs see: the same in an API answer and in a webhook.

Rows in, plain values out. Nothing that a platform may not know (people's addresses, leases) has a field here.
"""

from typing import Any

from moderation.tables import PRIORITIES, Decision, Flag, Json, Media, Submission, Verdict


def submission(row: Submission) -> Json:
    """Returns a submission with its verdict when scored, its failure when failed."""
    document: Json = {
        "id": row.id,
        "state": row.state,
        "external_id": row.external_id,
        "priority": PRIORITIES[row.priority],
        "context": row.context,
        "sha256": row.media_sha256 if row.state != "deleted" else None,  # its blobs may not be gone yet
        "received_at": row.received_at.isoformat(),
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "verdict": verdict(row.verdict, row.band) if row.state == "scored" and row.verdict else None,
        "failure": None,
        "links": {"self": f"/v1/submissions/{row.id}"},
    }
    if row.state == "failed":
        document["failure"] = {"slug": row.failure_slug, "detail": row.failure_detail}
    return document


def verdict(row: Verdict, band: str | None = None) -> Json:
    """Returns what a detector release said; boxes are [x, y, w, h] in pixels of the upright image.

    ``band`` is where it falls under the platform's policy; without one the detector's own is shown.
    """
    return {
        "score": row.score,
        "band": band or row.band,
        "reasons": row.reasons,
        "faces": row.faces,
        "faces_not_judged": row.faces_not_judged,
        "frames": row.frames,
        "media": {"width": row.width, "height": row.height, **_media(row.media)},
        "provenance": {"c2pa": None, "generator_metadata": [], **row.provenance},
        "detector": {"name": row.detector_name, "version": row.detector_version},
        "scored_at": row.scored_at.isoformat(),
        "ms": row.ms,
    }


def _media(row: Media) -> dict[str, Any]:
    return {
        "format": row.format,
        "bytes": row.bytes,
        "frames": row.frames,
        "seconds": row.seconds,
        "sha256": row.sha256,
        "pdq": row.pdq,
        "pdq_quality": row.pdq_quality,
    }


def flag(row: Flag, decision: Decision | None) -> Json:
    """Returns a flag and, once there is one, the decision on it; moderators appear by id only."""
    return {
        "id": row.id,
        "submission_id": row.submission_id,
        "external_id": row.submission.external_id,
        "state": row.state,
        "escalated": row.escalated,
        "score": row.score,
        "band": row.band,
        "reasons": row.reasons,
        "opened_at": row.opened_at.isoformat(),
        "decision": None
        if decision is None
        else {
            "id": decision.id,
            "answer": decision.answer,
            "decided_at": decision.decided_at.isoformat(),
            "moderator": decision.person_id,
        },
    }
