"""The second step of an erasure that a request asked for: removing blobs, at once where the store answers."""

from api.collaborators import collaborators
from moderation import erasure, logs
from moderation.errors import WorldDown

log = logs.get(__name__)


def remove(submission_id: str) -> None:
    """Removes what a submission held, once its erasure was asked for and that is committed.

    When the store is away, that is upkeep's to do: for everybody who asks, the submission is gone already.
    """
    at = collaborators()
    try:
        with at.sessions.begin() as session:
            erasure.remove(session, at.blobs, submission_id)
    except WorldDown as error:
        log.warning("erasure_left_to_upkeep", submission=submission_id, error=error.detail)
