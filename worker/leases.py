"""Leases that are kept alive while their holder works, so that a slow batch is not mistaken for a dead worker."""

import threading
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from moderation import logs, submissions

log = logs.get(__name__)


class Keeper:
    """A thread that renews the leases it was given, three times in each lease's length, inside a ``with`` block.

    A renewal that fails is tried again at the next turn: the lease itself is what tells the others of our death.
    """

    def __init__(self, ledger: sessionmaker[Session], lease_seconds: float) -> None:
        self._ledger, self._seconds = ledger, lease_seconds
        self._held: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def hold(self, lease: str) -> None:
        """Renews this lease from now on."""
        self._held.add(lease)

    def drop(self, lease: str) -> None:
        """Leaves this lease to end by itself, if its work was not recorded."""
        self._held.discard(lease)

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            for lease in tuple(self._held):
                try:
                    with self._ledger.begin() as session:
                        submissions.renew(session, lease, self._seconds)
                except SQLAlchemyError as error:
                    log.warning("lease_not_renewed", lease=lease, error=str(error))
