"""The workers' Celery application: its tasks, shells over plain functions, and the collaborators they share.

Settings that producers and workers must agree on, and their reasons, are in `moderation.queue`. Nothing here is made
before a task needs it: connections, ONNX sessions and CUDA do not survive a fork.
"""

import mmap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial

from sqlalchemy.orm import Session, sessionmaker

from model import selection
from model.detector import Detector
from model.sandbox import Limits
from model.videos import Budget
from moderation import blobs, database, deliveries, detectors, fetches, logs, media, queue, submissions
from moderation.settings import Settings
from moderation.tables import Submission
from worker import delivering, drawing, errands, fetching, looking, progress, scoring, upkeep
from worker.attendant import Stamps
from worker.fetching import Dock, Outcome
from worker.manifests import Reader
from worker.scoring import Bench
from worker.slots import Slots

SCORING_SECONDS = 30.0  # then the order ends and is rung for again, so that lanes are looked at in their order
FETCHING_CHILDREN = 2  # while one waits for its slowest, another goes on
FETCHING_SECONDS = 30.0  # and then as long as the slowest takes: within the time a task may run, see `fetch_seconds`
DELIVERING_SECONDS = 10.0  # short: it shares its processes with upkeep

log = logs.get(__name__)


class Stopping:
    """A mark that a parent sets and its forked children see; one byte of shared memory, so no lock can be left held."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    def set(self, **_: object) -> None:
        """Asks the children to end after what they are doing."""
        self._byte[0] = 1

    def __call__(self) -> bool:
        return self._byte[0] == 1


class Workplace:
    """What the tasks of one process work with; each thing is made at its first use."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = queue.application(settings.redis_url)
        self.is_stopping = Stopping()
        self.stamps = Stamps("pulse", "upkeep")
        self.fetching_slots = Slots(FETCHING_CHILDREN)
        self.ledger = cache(self._ledger)
        self.blobs = cache(lambda: blobs.connect(settings.media))
        self.bench = cache(self._bench)
        self.dock = cache(self._dock)

    def _ledger(self) -> sessionmaker[Session]:
        return database.sessions(
            database.connect(self.settings.database_url, pool=max(delivering.SENDERS, fetching.FETCHERS))
        )

    def _dock(self) -> Dock:
        settings = self.settings
        return Dock(
            self.ledger(),
            self.blobs(),
            partial(media.inspect, **settings.media_limits),
            max_bytes=settings.max_bytes,
            seconds=settings.fetch_seconds,
            max_attempts=settings.fetch_attempts,
            lease_seconds=settings.lease_seconds,
            allowed_networks=settings.allowed_networks,
        )

    def _bench(self) -> Bench:
        """Loads the detector and tells the ledger that this release serves."""
        settings, started = self.settings, time.perf_counter()
        detector = Detector.load(
            selection.chosen(settings.detector, settings.encoder_cache),
            settings.device,
            settings.face_model,
            max_pixels=settings.max_pixels,
            max_jpeg_pixels=settings.max_jpeg_pixels,
            budget=Budget(settings.clip_frames, settings.max_seconds, settings.max_video_pixels),
            onlooker=looking.look,
            most_faces=settings.most_faces,
            cache=settings.encoder_cache,
            bounds=settings.bounds,
            limits=Limits(settings.decode_seconds, settings.decode_memory),
        )
        bench = Bench(
            self.ledger(), self.blobs(), detector, settings.batch, settings.lease_seconds, settings.batch_bytes,
            Reader(trusted=settings.c2pa_anchors), apart=detector.apart, prepare_seconds=2 * settings.decode_seconds,
        )  # fmt: skip
        with bench.ledger.begin() as session:
            detectors.started(session, *bench.release)
        name, version = bench.release
        log.info("detector_started", name=name, version=version, seconds=round(time.perf_counter() - started, 2))
        return bench


def application(settings: Settings) -> Workplace:
    """Returns a workplace whose Celery application knows all tasks."""
    place = Workplace(settings)

    @place.app.task(name=queue.TASK_SCORE)  # type: ignore[untyped-decorator]
    def score_() -> None:
        score(place)

    @place.app.task(name=queue.TASK_FETCH)  # type: ignore[untyped-decorator]
    def fetch_() -> None:
        fetch(place)

    @place.app.task(name=queue.TASK_DELIVER)  # type: ignore[untyped-decorator]
    def deliver_() -> None:
        deliver(place)

    @place.app.task(name=queue.TASK_UPKEEP)  # type: ignore[untyped-decorator]
    def keep_up_() -> None:
        keep_up(place)

    @place.app.task(name=queue.TASK_PULSE)  # type: ignore[untyped-decorator]
    def pulse_() -> None:
        with _measured(place, "pulse"):
            pass

    return place


@contextmanager
def _measured(place: Workplace, task: str) -> Iterator[None]:
    with progress.seconds.labels(task).time():
        yield
    progress.finished.labels(task).set_to_current_time()
    place.stamps.now("pulse")  # whatever is finished proves what a pulse would
    place.stamps.now(task)
    progress.touch(place.settings.progress)


def score(place: Workplace) -> None:
    """Scores for a while, and orders more of it if work is left."""
    with _measured(place, "score"):
        bench = place.bench()
        report = scoring.run(
            bench,
            budget_seconds=SCORING_SECONDS,
            is_stopping=place.is_stopping,
            after_batch=lambda: queue.ring_deliveries(place.app),
        )
        if report.world_is_down:
            return  # upkeep rings when it is up again
        drawing.run(bench)
        with bench.ledger.begin() as session:
            waiting = submissions.waiting(session)
        if waiting:
            queue.ring_scoring(place.app, min(waiting), place.settings.lane_orders)


def fetch(place: Workplace) -> None:
    """Fetches for a while, and orders more of it if some are left; nothing where enough children fetch already."""
    with place.fetching_slots.taken() as is_ours, _measured(place, "fetch"):
        if not is_ours:
            return
        errands.run(place.ledger(), is_stopping=place.is_stopping)
        outcomes = fetching.run(
            place.dock(),
            budget_seconds=FETCHING_SECONDS,
            is_stopping=place.is_stopping,
            after_each=lambda row, outcome: _ring_after(place, row, outcome),
        )
        if outcomes["down"]:
            return  # upkeep rings when it is up again
        with place.ledger().begin() as session:
            waiting = fetches.waiting(session)
        if waiting and outcomes:  # due but not fetched: enough is on its way from there already
            queue.ring_fetching(place.app)


def _ring_after(place: Workplace, row: Submission, outcome: Outcome) -> None:
    if outcome.name == "fetched":
        queue.ring_scoring(place.app, row.priority, place.settings.lane_orders)
    elif outcome.name in ("reused", "failed"):
        queue.ring_deliveries(place.app)


def deliver(place: Workplace) -> None:
    """Sends webhooks for a while, and orders more of it if some are left."""
    settings = place.settings
    with _measured(place, "deliver"):
        sent = delivering.run(
            place.ledger(),
            timeout=settings.delivery_timeout,
            allowed_networks=settings.allowed_networks,
            budget_seconds=DELIVERING_SECONDS,
            is_stopping=place.is_stopping,
        )
        with place.ledger().begin() as session:
            due = deliveries.due(session)
        if sent and due:  # due but not sent: enough is on its way to that receiver already
            queue.ring_deliveries(place.app)


def keep_up(place: Workplace) -> None:
    """Does the chores of the ledger once."""
    settings = place.settings
    with _measured(place, "upkeep"):
        found = upkeep.run(
            place.ledger(),
            place.blobs(),
            place.app,
            max_attempts=settings.max_attempts,
            fetch_attempts=settings.fetch_attempts,
            lane_orders=settings.lane_orders,
            ephemeral_seconds=settings.ephemeral_seconds,
            idempotency_hours=settings.idempotency_hours,
            delivery_days=settings.delivery_days,
        )
    if None not in found.values():
        queue.note_upkeep(place.app)
