"""Fetching: claim submissions whose bytes are elsewhere, bring several at once, and hand them to scoring.

An error is one of three, as in scoring. This fetch went wrong: the submission fails with a slug, or is tried again
later if that may help. The world is down: the submission goes back to the line, no attempt counted. A bug: logged, and
counted as a failed attempt, since the others that are being fetched must not go down with it.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session, sessionmaker

from moderation import acceptance, fetches, ids, logs, metrics
from moderation import blobs as storage
from moderation.addresses import Resolver
from moderation.blobs import Blobs
from moderation.errors import BadMedia, NotFetched, NotFound, TooLarge, WorldDown
from moderation.media import Facts
from moderation.tables import Json, Source, Submission
from worker import buckets, downloads, rooms
from worker.downloads import Interrupted
from worker.leases import Keeper
from worker.rooms import Landing

FETCHERS = 12
PER_PLATFORM = FETCHERS // 2
PER_HOST = FETCHERS // 4
LOOKING_SECONDS = 0.5  # how often the line is looked at while slow ones are under way
PUT_BACK_SECONDS = 15.0  # how long a submission rests after trouble in the world
WORLD_DOWN = (WorldDown, OperationalError, InterfaceError, NoConnection, RedisError)

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Dock:
    """Where what is fetched arrives: what a fetching process works with, and the limits of what it accepts."""

    ledger: sessionmaker[Session]
    blobs: Blobs
    inspect: Callable[[BinaryIO], Facts]  # raises BadMedia
    max_bytes: int
    seconds: float  # for one whole exchange
    max_attempts: int
    lease_seconds: float
    allowed_networks: Collection[str] = ()
    resolver: Resolver | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one fetch.

    ``name`` is `fetched`, `reused` (judged before), `failed`, `retried` (to be tried again), `interrupted` or `down`
    (back in the line, as it was), or `lost`.
    """

    name: str
    slug: str | None = None
    detail: str | None = None
    bytes: int | None = None


def run(
    dock: Dock,
    *,
    budget_seconds: float,
    is_stopping: Callable[[], bool] = lambda: False,
    after_each: Callable[[Submission, Outcome], object] = lambda *_: None,
) -> Counter[str]:
    """Fetches until the line is empty, the budget is spent, the world is down or the process is stopping.

    Args:
        after_each: called after each outcome is recorded, for instance to ring for scoring.

    Returns:
        how many came to which outcome, by name.
    """
    until = time.monotonic() + budget_seconds
    lease, outcomes = ids.new("lse"), Counter[str]()
    in_flight: set[Future[str]] = set()
    with Keeper(dock.ledger, dock.lease_seconds) as keeper, ThreadPoolExecutor(FETCHERS, "fetch") as fetchers:
        keeper.hold(lease)
        while True:
            goes_on = time.monotonic() < until and not is_stopping() and not outcomes["down"]
            for row in _claimed(dock, lease, FETCHERS - len(in_flight)) if goes_on else []:
                in_flight.add(fetchers.submit(_attempt, dock, lease, row, is_stopping, after_each))
            if not in_flight:
                return outcomes
            in_flight, done = _some(in_flight, LOOKING_SECONDS if goes_on else None)
            outcomes.update(future.result() for future in done)


def _some(in_flight: set[Future[str]], seconds: float | None) -> tuple[set[Future[str]], set[Future[str]]]:
    """Waits until a few are done, or ``seconds`` have passed; returns those still in flight, and those done.

    A few: the shares of a claim are counted over the whole line, which is worth more than one fetch.
    """
    few, until = min(len(in_flight), FETCHERS // 4), time.monotonic() + (seconds or 0)
    done: set[Future[str]] = set()
    while len(done) < few:
        left = None if seconds is None else until - time.monotonic()
        if left is not None and left <= 0:
            break
        done |= wait(in_flight - done, left, FIRST_COMPLETED).done
    return in_flight - done, done


def _claimed(dock: Dock, lease: str, limit: int) -> list[Submission]:
    if not limit:
        return []
    try:
        with dock.ledger.begin() as session:
            return fetches.claim(
                session,
                lease,
                limit=limit,
                lease_seconds=dock.lease_seconds,
                per_platform=PER_PLATFORM,
                per_host=PER_HOST,
            )
    except WORLD_DOWN as error:
        log.warning("world_is_down", error=str(error))
        return []


def _attempt(
    dock: Dock,
    lease: str,
    row: Submission,
    is_stopping: Callable[[], bool],
    after_each: Callable[[Submission, Outcome], object],
) -> str:
    """Fetches one submission, records what came of it and says so; never raises."""
    started = time.perf_counter()
    try:
        outcome = _outcome(dock, lease, row, is_stopping)
    except WORLD_DOWN as error:
        log.warning("world_is_down", submission=row.id, error=str(error))
        outcome = _given_back(dock, lease, row, "down", PUT_BACK_SECONDS)
    ms = round((time.perf_counter() - started) * 1000, 1)
    metrics.fetches.labels(outcome.name).inc()
    metrics.fetched_bytes.inc(outcome.bytes or 0)
    log.info("fetch_attempted", submission=row.id, platform=row.platform_id, origin=_named(row.origin or {}),
             outcome=outcome.name, slug=outcome.slug, detail=outcome.detail, bytes=outcome.bytes, ms=ms)  # fmt: skip
    after_each(row, outcome)
    return outcome.name


def _outcome(dock: Dock, lease: str, row: Submission, is_stopping: Callable[[], bool]) -> Outcome:
    try:
        with rooms.landing() as file:
            _bring(dock, row, file, is_stopping)
            return _store(dock, lease, row, file)
    except Interrupted:
        return _given_back(dock, lease, row, "interrupted", 0)
    except (NotFetched, BadMedia) as error:
        return _failed(dock, lease, row, error)
    except WORLD_DOWN:
        raise
    except Exception:
        log.exception("fetch_broke", submission=row.id)
        return _failed(dock, lease, row, NotFetched("fetch-failed", "the fetcher broke on this", may_pass=True))


def _bring(dock: Dock, row: Submission, file: Landing, is_stopping: Callable[[], bool]) -> None:
    """Writes the bytes that ``row`` names into ``file``."""
    origin = row.origin or {}
    if "url" in origin:
        downloads.get(
            origin["url"],
            file,
            most=dock.max_bytes,
            seconds=dock.seconds,
            allowed_networks=dock.allowed_networks,
            resolver=dock.resolver,
            is_stopping=is_stopping,
            admit=file.admit,
        )
    elif "upload_id" in origin:
        try:
            dock.blobs.copy(storage.upload_key(origin["upload_id"]), file, dock.max_bytes)
        except NotFound:
            raise NotFetched("upload-missing", "nothing was put at the address of this upload") from None
        except TooLarge as error:
            raise NotFetched(error.slug, f"the upload is larger than {dock.max_bytes} bytes") from None
    else:
        options = _options(dock, row.source_id)
        bounds = {"most": dock.max_bytes, "seconds": dock.seconds}
        buckets.get(origin, options, file, **bounds, is_stopping=is_stopping, admit=file.admit)  # type: ignore[arg-type]


def _options(dock: Dock, source_id: str | None) -> Json:
    with dock.ledger.begin() as session:
        source = session.get(Source, source_id) if source_id else None
    if source is None:
        raise NotFetched("fetch-failed", "the source that named this object is gone")
    return source.options


def _store(dock: Dock, lease: str, row: Submission, file: BinaryIO) -> Outcome:
    with dock.ledger.begin() as session:
        if not fetches.count(session, lease, row.id):
            return Outcome("lost")
    facts = dock.inspect(file)
    acceptance.store_ahead(dock.blobs, facts, file)  # whom the lease is lost to leaves an orphan, which upkeep removes
    with dock.ledger.begin() as session:
        stored = fetches.finish(session, dock.blobs, lease, row.id, facts, file)
    if stored is None:
        return Outcome("lost")
    return Outcome("reused" if stored.state == "scored" else "fetched", bytes=facts.bytes)


def _failed(dock: Dock, lease: str, row: Submission, error: NotFetched | BadMedia) -> Outcome:
    with dock.ledger.begin() as session:
        if isinstance(error, NotFetched) and error.may_pass:
            name = fetches.retry(
                session,
                lease,
                row.id,
                error.slug,
                error.detail,
                max_attempts=dock.max_attempts,
                retry_after=error.retry_after,
            )
        else:
            ours = fetches.fail(session, dock.blobs, lease, row.id, error.slug, error.detail)
            name = "failed" if ours else "lost"
    return Outcome(name, error.slug, error.detail)


def _given_back(dock: Dock, lease: str, row: Submission, name: str, delay_seconds: float) -> Outcome:
    try:
        with dock.ledger.begin() as session:
            return Outcome(name if fetches.put_back(session, lease, row, delay_seconds) else "lost")
    except WORLD_DOWN as error:  # then the lease expires, and upkeep takes it back
        log.warning("not_put_back", submission=row.id, error=str(error))
        return Outcome(name)


def _named(origin: Json) -> str:
    """Says where bytes are without what may open them: of a URL its host alone, since its query may be signed."""
    return urlsplit(origin["url"]).netloc if "url" in origin else " ".join(map(str, origin.values()))[:200]
