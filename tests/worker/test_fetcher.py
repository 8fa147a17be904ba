"""A fetching process beside upkeep: it takes orders from the fetching lane, and ends well when it is told to."""

import os
import signal

import redis
from sqlalchemy import select

from cli.processes import Program, running
from moderation import acceptance, queue
from moderation.acceptance import Draft
from moderation.tables import Submission
from tests.conftest import jpeg
from tests.installations import PATIENCE, command, eventually
from tests.worker.pages import saying, serving


def test_fetchers_fetch_side_by_side_while_upkeep_is_away(Session, home, settings, redis_url, tmp_path):
    redis.Redis.from_url(redis_url).flushdb()
    environment = {
        "UNMASK_DATABASE_URL": settings.database_url,
        "UNMASK_REDIS_URL": redis_url,
        "UNMASK_MEDIA": settings.media,
        "UNMASK_SECRET_KEY": settings.secret_key,
        "UNMASK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    pages = {f"/{name}.jpg": saying(200, jpeg(size=(64, 48 + name))) for name in range(40)}
    orders = queue.application(redis_url)
    with serving(pages) as (port, _):
        with Session.begin() as session:
            for page in pages:
                acceptance.expect(session, Draft(platform_id=home), {"url": f"http://127.0.0.1:{port}{page}"})
        queue.ring_fetching(orders)
        queue.ring_fetching(orders)
        first, second = (Program(name, command("fetcher"), environment, grace_seconds=60) for name in ("one", "two"))
        with running(first, tmp_path / "one.log") as one, running(second, tmp_path / "two.log") as two:

            def states():
                with Session.begin() as session:
                    return set(session.scalars(select(Submission.state)))

            eventually(lambda: states() == {"waiting"} or one.poll() is not None or two.poll() is not None)
            for child in (one, two):
                child.send_signal(signal.SIGTERM)
                assert child.wait(PATIENCE) == 0, os.linesep.join(
                    (tmp_path / f"{name}.log").read_text() for name in ("one", "two")
                )
    assert states() == {"waiting"}
    assert queue.length(orders, queue.LANES[1]) > 0
    with Session.begin() as session:
        assert set(session.scalars(select(Submission.attempts))) == {0}
