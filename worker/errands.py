"""Errands of sources: what an adapter asked for is fetched, guarded like any address that somebody else chose.

Now these are SNS's certificates and the confirmation of a subscription. Nothing in the ledger is held meanwhile, and an
errand that fails is dropped: its sender comes again.
"""

import io
from collections.abc import Callable
from typing import BinaryIO, Protocol

from sqlalchemy.orm import Session, sessionmaker

from moderation import logs, sources
from moderation.errors import NotFetched
from worker import downloads
from worker.downloads import Interrupted

MOST_BYTES = 64 * 1024  # a certificate has two
SECONDS = 10.0  # of each
MOST_AT_ONCE = 4  # media wait meanwhile

log = logs.get(__name__)


class Get(Protocol):
    """A guarded GET, as `downloads.get` is; tests bring their own."""

    def __call__(
        self, url: str, into: BinaryIO, *, most: int, seconds: float, is_stopping: Callable[[], bool]
    ) -> object:
        """Writes the body that ``url`` leads to into ``into``; raises `NotFetched`."""


def run(
    ledger: sessionmaker[Session], *, is_stopping: Callable[[], bool] = lambda: False, get: Get | None = None
) -> int:
    """Runs the errands that are outstanding, each once; returns how many brought something.
    What is left when ``is_stopping`` is done next time.
    """
    with ledger.begin() as session:
        errands = sources.outstanding(session, MOST_AT_ONCE)
    brought = 0
    for errand in errands:
        try:
            text = _fetched(errand.url, is_stopping, get or downloads.get)
        except Interrupted:
            break
        with ledger.begin() as session:
            sources.settle(session, errand, text)
        brought += text is not None
    return brought


def _fetched(url: str, is_stopping: Callable[[], bool], get: Get) -> str | None:
    body, where = io.BytesIO(), url.partition("?")[0]  # what follows may be a token
    try:
        get(url, body, most=MOST_BYTES, seconds=SECONDS, is_stopping=is_stopping)
    except NotFetched as error:
        log.warning("errand_failed", url=where, slug=error.slug, error=error.detail)
        return None
    log.info("errand_done", url=where)
    return body.getvalue().decode(errors="replace").replace("\0", "")
