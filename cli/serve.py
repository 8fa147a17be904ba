"""The kinds of process that make up an installation: `unmask api`, `worker`, `upkeep`, and `fetcher` where wanted."""

import os
import sys
from pathlib import Path

import click

from moderation import settings

GUNICORN = Path(__file__).resolve().parent.parent / "deploy" / "gunicorn.conf.py"


@click.command()
def api() -> None:
    """Serve the intake API and the dashboard with gunicorn, on UNMASK_HOST and UNMASK_PORT."""
    import gunicorn  # noqa: F401 - said here in one line, not by the program that replaces us

    settings.load()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "gunicorn", "--config", str(GUNICORN)])  # noqa: S606 - gunicorn takes our place, and the signals that are meant for us


@click.command()
def worker() -> None:
    """Score what waits, one batch at a time; one such process a device."""
    from worker import run

    run.worker(settings.load())


@click.command()
def fetcher() -> None:
    """Fetch media beside upkeep, which fetches by itself: add one where `unmask_submissions_fetching` grows."""
    from worker import run

    run.fetcher(settings.load())


@click.command()
def upkeep() -> None:
    """Ring for what waits, fetch media, take back what was lost, send webhooks. Exactly one runs."""
    from worker import run

    run.upkeep(settings.load())
