"""Erasing in the background: what policy keeps no longer, what was forgotten, what was interrupted, what nobody holds.

Bounded in number and in time, the longest overdue first, and each in transactions of its own: a blob that cannot be
removed keeps no other from going, and is left alone for longer after each try. When several fail in a row the store is
away, and the rest waits.
"""

import time
from collections import Counter
from collections.abc import Callable

from sqlalchemy.orm import Session, sessionmaker

from moderation import erasure, logs, orphans, retention
from moderation.blobs import Blobs
from moderation.errors import WorldDown

STEP = 100  # erasures of a kind at once
FAILURES = 3  # in a row, after which the store is taken to be away
REST_SECONDS = 60.0

log = logs.get(__name__)


class StoreAway(Exception):
    """Too many removals failed in a row."""


def run(
    ledger: sessionmaker[Session], blobs: Blobs, *, ephemeral_seconds: float, budget_seconds: float = 10
) -> Counter[str]:
    """Erases for a while; returns how many were `erased` by policy or as forgotten, `finished` as interrupted, `swept`
    as orphans, and `postponed`.

    Args:
        ephemeral_seconds: age at which an upload from /try that nobody waited for is erased.
    """
    step = _Step(ledger, blobs, time.monotonic() + budget_seconds)
    try:
        step.erase(lambda session: retention.forgotten_trials(session, ephemeral_seconds, STEP), "system")
        step.erase(lambda session: retention.due(session, STEP), retention.ACTOR)
        step.finish()
        step.sweep()
    except StoreAway:
        log.warning("store_away", **step.done)
    return step.done


class _Step:
    def __init__(self, ledger: sessionmaker[Session], blobs: Blobs, until: float) -> None:
        self.ledger, self.blobs, self.until = ledger, blobs, until
        self.done: Counter[str] = Counter()
        self.failures = 0

    def erase(self, chosen: Callable[[Session], list[str]], actor: str) -> None:
        """Asks for the erasure of each that is chosen, and removes what it held."""
        with self.ledger.begin() as session:
            ids = chosen(session)
        for submission_id in ids:
            if time.monotonic() > self.until:
                return
            with self.ledger.begin() as session:
                erasure.ask(session, submission_id, actor=actor)
            self._remove(submission_id, "erased")

    def finish(self) -> None:
        """Ends erasures that were interrupted."""
        with self.ledger.begin() as session:
            ids = erasure.unfinished(session, STEP)
        for submission_id in ids:
            if time.monotonic() > self.until:
                return
            self._remove(submission_id, "finished")

    def sweep(self) -> None:
        """Goes on with the round that looks for blobs which nobody holds."""
        try:
            with self.ledger.begin() as session:
                keys = orphans.look(session, self.blobs)
            for key in keys:
                with self.ledger.begin() as session:
                    self.done["swept"] += orphans.remove(session, self.blobs, key)
        except WorldDown as error:  # what was not removed is found again in the next round
            log.warning("sweep_interrupted", error=error.detail)
            with self.ledger.begin() as session:
                orphans.rest(session, REST_SECONDS)

    def _remove(self, submission_id: str, outcome: str) -> None:
        try:
            with self.ledger.begin() as session:
                erasure.remove(session, self.blobs, submission_id)
        except WorldDown as error:
            log.warning("erasure_postponed", submission=submission_id, error=error.detail)
            with self.ledger.begin() as session:
                erasure.postpone(session, submission_id)
            self.done["postponed"] += 1
            self.failures += 1
            if self.failures >= FAILURES:
                raise StoreAway from error
        else:
            self.done[outcome] += 1
            self.failures = 0
