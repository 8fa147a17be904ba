"""Starts the worker processes: `worker` scores, one a device; `upkeep` looks after the ledger, fetches, sends webhooks;
`fetcher` fetches beside it.

All fork children that do the work (prefork), because only then can a task that exceeds its time be ended. `upkeep`
embeds Celery beat and has four children, of which two at most fetch, so that neither a slow server nor a slow receiver
holds up the chores.
"""

import logging
import os
import socket

from celery import signals

from model import releases, selection
from model.errors import ModelError
from moderation import logs, queue
from moderation.errors import BadSettings
from moderation.settings import Settings
from worker import anchors, progress
from worker.application import FETCHING_CHILDREN, Workplace, application

# They say two lines for every order, however little it held; what a batch came to is one line of our own.
CHATTER = ("celery.worker.strategy", "celery.app.trace", "celery.beat")

log = logs.get(__name__)


def worker(settings: Settings) -> None:
    """Scores what waits until told to stop, then exits.

    Raises:
        BadSettings: when there is no usable detector release, or no list of certificates where one is named.
    """
    try:
        release = selection.chosen(settings.detector, settings.encoder_cache)
        releases.read(release)
        selection.check_encoder(release, settings.encoder_cache)
    except ModelError as error:  # said once, here, instead of by every child that is started
        raise BadSettings(f"the detector cannot be used: {error}") from error
    if settings.detector is None and not selection.encoder_is_here(settings.encoder_cache):
        log.warning("encoder_missing", detail=selection.MISSING)
    if settings.c2pa_anchors is not None:
        anchors.count(settings.c2pa_anchors)
    place = application(settings)

    def warm(**_: object) -> None:
        try:
            place.bench()
        except Exception:  # the database may not be up yet: the first order tries again, and raises
            log.exception("detector_not_started")

    signals.worker_process_init.connect(warm, weak=False)
    _work(place, "worker", queue.LANES, children=1)


def upkeep(settings: Settings) -> None:
    """Keeps the ledger, fetches and sends webhooks until told to stop, then exits. Beat is in here: run exactly one."""
    lanes = (queue.UPKEEP, queue.DELIVERIES, queue.FETCHING)
    _work(application(settings), "upkeep", lanes, children=2 + FETCHING_CHILDREN, beat=True)


def fetcher(settings: Settings) -> None:
    """Fetches what waits until told to stop, then exits. As many may run as there is to fetch for."""
    _work(application(settings), "fetcher", (queue.FETCHING,), children=FETCHING_CHILDREN)


def _work(place: Workplace, role: str, queues: tuple[str, ...], *, children: int, beat: bool = False) -> None:
    settings = place.settings
    logs.configure(settings.log_format, settings.log_level, process=role)
    for name in CHATTER:
        logging.getLogger(name).setLevel(logging.WARNING)
    progress.prepare()
    if settings.worker_metrics_port:
        progress.serve(settings.worker_metrics_port)
    # Connecting to this signal is how Celery is told to leave logging to us.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    signals.heartbeat_sent.connect(lambda **_: progress.touch(settings.progress), weak=False)
    signals.worker_shutting_down.connect(place.is_stopping.set, weak=False)
    signals.worker_process_shutdown.connect(lambda pid, **_: progress.bury(pid), weak=False)
    celery_worker = place.app.Worker(
        hostname=f"{role}-{os.getpid()}@{socket.gethostname()}",  # several may run on one machine
        queues=list(queues),
        concurrency=children,
        beat=beat,
        scheduler="celery.beat:Scheduler",  # in memory: an interval needs no file to remember it
        without_gossip=True,  # workers have nothing to tell each other
        without_mingle=True,
        quiet=True,
    )
    celery_worker.start()
    raise SystemExit(celery_worker.exitcode)
