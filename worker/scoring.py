"""Scoring: claim a batch, read it, judge it, record each answer; go on until the line is empty or the time is spent.

While batch k is on the device, batch k+1 is claimed, read and prepared in a thread. An error is one of three: this
file is bad (that submission fails, with a reason), the world is down (what is held goes back to the line, no attempt
counted), or a bug (raised; the lease expires and each submission is tried again alone). A failure is never a score.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session, sessionmaker

from model.detector import PUT_OFF, Detector, Failure, Judgement, Prepared
from moderation import blobs as storage
from moderation import erasure, features, logs, metrics, policy, submissions, verdicts
from moderation.blobs import Blobs
from moderation.errors import Damaged, NotFound, WorldDown
from moderation.policy import Policy
from moderation.tables import Platform, Submission
from moderation.verdicts import Finding
from worker import keeping, previews, provenance
from worker.leases import Keeper
from worker.looking import Look
from worker.manifests import Reader

WORLD_DOWN = (WorldDown, OperationalError, InterfaceError, NoConnection, RedisError)
PUT_BACK_SECONDS = 15.0  # how long a submission rests after trouble in the world
READERS = 4  # files read, and previews made, at once

log = logs.get(__name__)


def here(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function that could be called apart, in another process, in this one."""
    return function(None, *arguments)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a scoring worker works with; made in the process that uses it. ``apart`` calls what meets the bytes of
    files, see `Detector.apart`; after ``prepare_seconds`` what is left of a batch is put off.
    """

    ledger: sessionmaker[Session]
    blobs: Blobs
    detector: Detector
    limit: int
    lease_seconds: float
    max_bytes: int | None = None  # of the files of a batch; two batches are held at once
    manifests: Reader = field(default_factory=Reader)
    apart: Callable[..., Any] = here
    prepare_seconds: float = math.inf

    @property
    def release(self) -> tuple[str, str]:
        """Name and version of the detector release, as verdicts carry them."""
        return self.detector.release.name, self.detector.release.version


@dataclass(slots=True)
class Batch:
    """What one lease holds. ``files`` and what is known of them go by SHA-256: equal files are judged once."""

    lease: str
    rows: Sequence[Submission]  # those that still want an answer
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Judgement | Failure] = field(default_factory=dict)
    origins: dict[str, dict[str, Any]] = field(default_factory=dict)  # what each file says of where it comes from
    looks: dict[str, Sequence[Look]] = field(default_factory=dict)  # at the frames that were judged
    prepared: Prepared | None = None
    ms: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    outcomes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a run: outcomes by name, and whether it stopped because the world is down."""

    outcomes: Counter[str]
    world_is_down: bool = False


def run(
    bench: Bench,
    *,
    budget_seconds: float,
    is_stopping: Callable[[], bool] = lambda: False,
    after_batch: Callable[[], object] = lambda: None,
) -> Report:
    """Scores until the line is empty, the budget is spent or the process is stopping.

    Args:
        after_batch: called after each batch is recorded, for instance to ring for its webhooks.

    Raises:
        Exception: whatever a bug raised. What was recorded before stays; what was held expires.
    """
    until = time.monotonic() + budget_seconds
    outcomes: Counter[str] = Counter()
    with Keeper(bench.ledger, bench.lease_seconds) as keeper, ThreadPoolExecutor(1, "ahead") as ahead:
        following: Future[Batch | None] | None = ahead.submit(_take, bench, keeper)
        try:
            while following is not None and (batch := following.result()) is not None:
                more = time.monotonic() < until and not is_stopping()
                following = ahead.submit(_take, bench, keeper) if more else None
                _finish(bench, keeper, batch)
                outcomes += batch.outcomes
                after_batch()
        except WORLD_DOWN as error:
            log.warning("world_is_down", error=str(error))
            _give_back(bench, keeper, following)
            return Report(outcomes, world_is_down=True)
        except BaseException:
            _give_back(bench, keeper, following)
            raise
    return Report(outcomes)


def _take(bench: Bench, keeper: Keeper) -> Batch | None:
    """Claims a batch, settles what this release has judged before, and prepares the rest. None: the line is empty."""
    with bench.ledger.begin() as session:
        lease, rows = submissions.claim(
            session, limit=bench.limit, lease_seconds=bench.lease_seconds, max_bytes=bench.max_bytes
        )
    if not rows:
        return None
    batch = Batch(lease, rows)
    with _holding(bench, keeper, lease):
        batch.rows = [row for row in rows if not _is_reused(bench, batch, row)]
        with _timed(batch, "read"):
            _read(bench, batch)
        with _timed(batch, "prepare"):
            batch.prepared = _prepared(bench, list(batch.files.values()))
        for sha256, sheet in zip(batch.files, batch.prepared.sheets, strict=True):
            batch.looks[sha256] = () if isinstance(sheet, Failure) else sheet.seen
        with _timed(batch, "provenance"):
            sheets = zip(batch.files, batch.prepared.sheets, strict=True)
            sound = [sha256 for sha256, sheet in sheets if not isinstance(sheet, Failure)]
            origins = provenance.read(bench.manifests, [batch.files[sha256] for sha256 in sound], bench.apart)
        batch.origins.update(zip(sound, origins, strict=True))
    return batch


def _prepared(bench: Bench, files: list[bytes]) -> Prepared:
    if math.isinf(bench.prepare_seconds):
        return bench.detector.prepare(files)
    return bench.detector.prepare(files, time.monotonic() + bench.prepare_seconds)


@contextmanager
def _holding(bench: Bench, keeper: Keeper, lease: str) -> Iterator[None]:
    """Keeps a lease alive; on trouble in the world gives it back, on any other error leaves it to expire."""
    keeper.hold(lease)
    try:
        yield
    except WORLD_DOWN:
        _put_back(bench, keeper, lease, PUT_BACK_SECONDS)
        raise
    except BaseException:
        keeper.drop(lease)
        raise


def _put_back(bench: Bench, keeper: Keeper, lease: str, delay_seconds: float) -> None:
    keeper.drop(lease)
    try:
        with bench.ledger.begin() as session:
            submissions.put_back(session, lease, delay_seconds)
    except WORLD_DOWN as error:  # then the lease expires, and upkeep takes it back
        log.warning("not_put_back", lease=lease, error=str(error))


def _give_back(bench: Bench, keeper: Keeper, following: Future[Batch | None] | None) -> None:
    """Returns the batch that was prepared ahead to the line: nothing happened to it."""
    try:
        batch = following.result() if following else None
    except Exception:  # noqa: BLE001 - `_holding` has dealt with it, and the error under way matters more
        return
    if batch is not None:
        _put_back(bench, keeper, batch.lease, 0)


def _is_reused(bench: Bench, batch: Batch, row: Submission) -> bool:
    """Settles a submission whose bytes this release has judged since they were sent."""
    with bench.ledger.begin() as session:
        known = row.media_sha256 and verdicts.reusable(session, row.media_sha256, *bench.release)
        if not known:
            return False
        mine = verdicts.held(session, batch.lease, row.id)
        if mine is not None:
            verdicts.settle_again(session, mine, known)
    batch.outcomes["reused" if mine else "lost"] += 1
    return True


def _read(bench: Bench, batch: Batch) -> None:
    digests = list(dict.fromkeys(row.media_sha256 for row in batch.rows if row.media_sha256))
    with ThreadPoolExecutor(READERS, "read") as readers:
        for sha256, content in zip(digests, readers.map(partial(_content, bench.blobs), digests), strict=True):
            if isinstance(content, Failure):
                batch.answers[sha256] = content
            else:
                batch.files[sha256] = content


def _content(blobs: Blobs, sha256: str) -> bytes | Failure:
    try:
        return blobs.read(storage.media_key(sha256))
    except Damaged:
        return Failure(Damaged.slug, "the bytes of this submission were damaged in storage; send them again")
    except NotFound:
        return Failure("media-missing", "the bytes of this submission are not in storage")


def _finish(bench: Bench, keeper: Keeper, batch: Batch) -> None:
    """Judges a prepared batch and records every answer in a transaction of its own."""
    assert batch.prepared is not None
    with _holding(bench, keeper, batch.lease):
        with _timed(batch, "judge"):
            answers = _judged(bench, batch, batch.prepared)
        if len(answers) != len(batch.files):
            raise RuntimeError(f"the detector gave {len(answers)} answers for {len(batch.files)} files")
        batch.answers.update(zip(batch.files, answers, strict=True))
        with _timed(batch, "previews"):
            _show(bench, batch)
        with _timed(batch, "record"):
            for row in batch.rows:
                outcome = _record(bench, batch, row)
                batch.outcomes[outcome] += 1
        if batch.outcomes["put_off"]:  # no attempt is counted: nothing happened to them
            with bench.ledger.begin() as session:
                submissions.put_back(session, batch.lease, 0)
        if batch.outcomes["lost"]:
            _sweep(bench, batch)
    keeper.drop(batch.lease)
    for outcome, count in batch.outcomes.items():
        metrics.outcomes.labels(outcome).inc(count)
    times = {f"{step}_ms": round(ms, 1) for step, ms in batch.ms.items()}
    log.info("batch_scored", lease=batch.lease, files=len(batch.files), **batch.outcomes, **times)


def _judged(bench: Bench, batch: Batch, prepared: Prepared) -> list[Judgement | Failure]:
    """The detector's answers, with what may be kept of faces where a platform of the batch allows that."""
    with bench.ledger.begin() as session:
        keeps = features.wanted(session, {row.platform_id for row in batch.rows if row.platform_id})
    return bench.detector.judge(prepared, keep_features=True) if keeps else bench.detector.judge(prepared)


def _record(bench: Bench, batch: Batch, row: Submission) -> str:
    """Keeps one answer; returns what became of the submission. `lost`: the lease was no longer ours."""
    answer = batch.answers[row.media_sha256 or ""]
    if isinstance(answer, Failure) and answer.slug == PUT_OFF:
        return "put_off"
    with bench.ledger.begin() as session:
        if isinstance(answer, Failure):
            return "failed" if submissions.fail(session, batch.lease, row.id, answer.slug, answer.detail) else "lost"
        finding = _finding(batch, row.media_sha256 or "", answer)
        return "scored" if verdicts.record(session, batch.lease, row.id, bench.release, finding) else "lost"


def _finding(batch: Batch, sha256: str, answer: Judgement) -> Finding:
    ms = (batch.ms["prepare"] + batch.ms["judge"]) / len(batch.files)
    hashed = max(batch.looks[sha256], key=lambda look: look.quality, default=None)
    return Finding(
        **answer.as_dict(),
        ms=round(ms, 2),
        provenance=batch.origins[sha256],
        pdq=hashed.pdq if hashed else None,
        pdq_quality=hashed.quality if hashed else None,
        kept=keeping.kept(answer),
    )


def _show(bench: Bench, batch: Batch) -> None:
    """Stores previews of what people are going to see, before they can see it."""
    with bench.ledger.begin() as session:
        homes = select(Platform).where(Platform.id.in_({row.platform_id for row in batch.rows}))
        policies = {platform.id: Policy.read(platform.policy) for platform in session.scalars(homes)}
    shown: dict[str, Judgement] = {}
    for row in batch.rows:
        sha256 = row.media_sha256 or ""
        answer = batch.answers[sha256]
        if isinstance(answer, Judgement) and (
            row.platform_id is None or _is_flagged(policies[row.platform_id], answer, batch.origins[sha256])
        ):
            shown[sha256] = answer

    def store(sha256: str) -> None:
        frames = shown[sha256].as_dict()["frames"]
        previews.store(bench.blobs, sha256, batch.files[sha256], frames, batch.looks[sha256], bench.apart)

    with ThreadPoolExecutor(READERS, "previews") as pool:
        list(pool.map(store, shown))


def _is_flagged(rules: Policy, answer: Judgement, origin: dict[str, Any]) -> bool:
    traced = verdicts.is_declared(origin)
    unjudged = answer.faces_not_judged > 0
    return policy.opens_flag(rules, policy.band(rules, answer.score, answer.band, traced=traced, unjudged=unjudged))


def _sweep(bench: Bench, batch: Batch) -> None:
    """Removes previews of what was erased while it was scored: nothing of it may stay."""
    for sha256 in batch.files:
        with bench.ledger.begin() as session:
            erasure.let_go(session, bench.blobs, sha256)


@contextmanager
def _timed(batch: Batch, step: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        batch.ms[step] += (time.perf_counter() - started) * 1000
