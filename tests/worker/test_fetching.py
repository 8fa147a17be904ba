import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from io import BytesIO

import pytest
import redis
from sqlalchemy import func, select, update

from moderation import acceptance, detectors, erasure, fetches, media, queue, uploads
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.errors import WorldDown
from moderation.tables import Delivery, Media, Submission
from tests.conftest import jpeg
from tests.far import Far
from tests.worker.pages import raw, saying, serving
from worker import application, fetching, scoring
from worker.fetching import Dock
from worker.slots import Slots

BODY = jpeg()


@pytest.fixture
def dock(Session, blobs):
    return Dock(
        Session,
        blobs,
        partial(media.inspect, max_pixels=10**6, max_frames=100),
        max_bytes=50_000,
        seconds=20,
        max_attempts=2,
        lease_seconds=60,
        allowed_networks=("127.0.0.1/32",),
    )


@pytest.fixture
def expect(Session, home):
    """Commits a submission whose bytes are elsewhere; returns its id."""

    def _expect(url, origin=None, **fields):
        with Session.begin() as session:
            return acceptance.expect(session, Draft(platform_id=home, **fields), origin or {"url": url}).id

    return _expect


def run(dock, **options):
    return fetching.run(dock, **{"budget_seconds": 30, **options})


def get(Session, row_id):
    with Session() as session:
        return session.get_one(Submission, row_id)


def make_due(Session):
    with Session.begin() as session:
        session.execute(update(Submission).values(due_at=func.now()))


def test_what_is_fetched_is_scored_like_what_was_sent(Session, dock, bench, expect):
    with serving({"/a.jpg": saying(200, BODY, Content_Type="text/html")}) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg", priority=0)
        rung = []
        assert run(dock, after_each=lambda one, outcome: rung.append((one.id, one.priority, outcome.name))) == {
            "fetched": 1
        }
    assert rung == [(row, 0, "fetched")]
    assert dock.blobs.read(storage.media_key(get(Session, row).media_sha256)) == BODY
    scoring.run(bench, budget_seconds=30)
    assert get(Session, row).state == "scored"


def test_no_connection_is_held_while_what_was_fetched_is_stored(Session, engine, dock, expect, tmp_path):
    far = Far(tmp_path / "far", engine)
    far.prepare()
    with serving({"/a.jpg": saying(200, BODY)}) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        assert run(replace(dock, blobs=far)) == {"fetched": 1}
    assert far.held == [0]
    assert far.read(storage.media_key(get(Session, row).media_sha256)) == BODY


def test_bytes_that_were_judged_before_are_settled_without_scoring(Session, dock, bench, send, expect):
    send()
    with Session.begin() as session:
        detectors.started(session, *bench.release)
    scoring.run(bench, budget_seconds=30)
    with serving({"/a.jpg": saying(200, BODY)}) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        assert run(dock) == {"reused": 1}
    assert get(Session, row).state == "scored"


@pytest.mark.parametrize(
    ("answer", "slug"),
    [
        (saying(404), "fetch-status"),
        (saying(200), "empty-file"),
        (saying(200, b"<html>not found</html>", Content_Type="image/jpeg"), "unsupported-media-type"),
        (saying(200, b"<svg onload='x'/>", Content_Type="image/svg+xml"), "unsupported-media-type"),
        (saying(200, BODY[:20]), "torn-file"),
        (saying(200, BODY, Content_Length=len(BODY) * 1000), "too-large"),
        (saying(200, jpeg(size=(1100, 1000))), "too-many-pixels"),
        (saying(200, BODY, Content_Encoding="gzip"), "fetch-encoded"),
        (saying(302, Location="http://127.0.0.2/"), "forbidden-address"),
        (saying(302, Location="http://169.254.169.254/"), "forbidden-address"),
    ],
)
def test_what_cannot_be_taken_fails_with_its_reason_and_nothing_is_kept(Session, dock, expect, answer, slug):
    with serving({"/a.jpg": answer, "/good.jpg": saying(200, BODY)}) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg", callback_url="https://platform.example.org/in")
        assert run(dock) == {"failed": 1}
        with Session() as session:
            assert session.scalars(select(Media)).all() == []
            assert session.scalars(select(Delivery.event)).all() == ["submission.failed"]
        good = expect(f"http://127.0.0.1:{port}/good.jpg")
        assert run(dock) == {"fetched": 1}
    failed = get(Session, row)
    assert (failed.state, failed.failure_slug, failed.lease) == ("failed", slug, None)
    assert get(Session, good).state == "waiting"


def test_a_server_in_trouble_is_asked_again_and_then_given_up(Session, dock, expect):
    answers = {"/a.jpg": saying(503)}
    with serving(answers) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        assert run(dock) == {"retried": 1}
        assert run(dock) == {}  # not yet
        answers["/a.jpg"] = saying(200, BODY)
        make_due(Session)
        assert run(dock) == {"fetched": 1}
    lost = expect(f"http://127.0.0.1:{port}/a.jpg")  # nobody listens there any more
    assert run(dock) == {"retried": 1}
    make_due(Session)
    assert run(dock) == {"failed": 1}
    assert get(Session, row).attempts == 0
    assert get(Session, lost).failure_slug == "fetch-failed"
    assert "tried 2 times" in get(Session, lost).failure_detail


def test_servers_that_drip_do_not_hold_up_the_others(Session, dock, expect):
    over, stopping = threading.Event(), threading.Event()
    drip = raw(b"HTTP/1.1 200 OK\r\n\r\n", b"z", every=0.02, until=over)
    with serving({"/a.jpg": drip}) as (slow, asked), serving({"/a.jpg": saying(200, BODY)}) as (quick, _):
        for n in range(2 * fetching.FETCHERS):
            expect(f"http://127.0.0.1:{slow}/a.jpg?{n}")
        good = [expect(f"http://127.0.0.1:{quick}/a.jpg?{n}") for n in range(6)]
        came, left = [], set(good)

        def after_each(row, outcome):
            came.append((row.id, outcome.name))
            left.discard(row.id)
            if not left:
                stopping.set()

        outcomes = run(dock, after_each=after_each, is_stopping=stopping.is_set)
        over.set()
    assert outcomes["fetched"] == len(good)
    assert outcomes["interrupted"] == fetching.PER_HOST == len(asked)
    assert {row for row, name in came if name == "fetched"} == set(good)
    with Session() as session:  # what was interrupted is in the line as before
        lost = select(func.count()).where(Submission.state == "fetching", Submission.lease.is_(None))
        assert session.scalar(lost.where(Submission.attempts == 0)) == 2 * fetching.FETCHERS


def test_what_is_erased_while_it_is_fetched_is_not_stored(Session, dock, expect):
    def erased(handler):
        with Session.begin() as session:
            erasure.ask(session, row)
        saying(200, BODY)(handler)

    with serving({"/a.jpg": erased}) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        assert run(dock) == {"lost": 1}
    with Session() as session:
        assert session.scalars(select(Media)).all() == []
    assert not dock.blobs.exists(storage.media_key(media.inspect(BytesIO(BODY), max_pixels=10**6, max_frames=1).sha256))


def test_a_fetch_whose_process_died_is_done_by_another(Session, dock, expect):
    with serving({"/a.jpg": saying(200, BODY)}) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        with Session.begin() as session:
            fetches.claim(session, "dead", limit=1, lease_seconds=60, per_platform=1, per_host=1)
        assert run(dock) == {}
        with Session.begin() as session:
            session.execute(update(Submission).values(lease_expires_at=func.now() - timedelta(seconds=1)))
        with Session.begin() as session:
            assert fetches.take_back(session, max_attempts=2) == (1, 0)
        assert run(dock) == {"fetched": 1}
    assert get(Session, row).state == "waiting"


def test_trouble_in_the_world_costs_no_attempt_and_ends_the_run(Session, dock, expect, monkeypatch):
    def away(*_):
        raise WorldDown

    with serving({"/a.jpg": saying(200, BODY)}) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        with monkeypatch.context() as patched:
            patched.setattr(dock.blobs, "put", away)
            assert run(dock) == {"down": 1}
        assert (get(Session, row).attempts, get(Session, row).lease) == (0, None)
        assert run(dock) == {}  # it rests
        make_due(Session)
        assert run(dock) == {"fetched": 1}


def test_a_bug_is_an_attempt_and_takes_nobody_along(Session, dock, expect):
    broken = jpeg("blue")

    def inspect(file):
        file.seek(0)
        if file.read() == broken:
            raise RuntimeError("a bug")
        return dock.inspect(file)

    with serving({"/a.jpg": saying(200, broken), "/b.jpg": saying(200, BODY)}) as (port, _):
        row, good = expect(f"http://127.0.0.1:{port}/a.jpg"), expect(f"http://127.0.0.1:{port}/b.jpg")
        assert run(replace(dock, inspect=inspect, max_attempts=5)) == {"retried": 1, "fetched": 1}
    assert get(Session, row).attempts == 2  # one before the bytes were opened, one since it failed
    assert get(Session, good).state == "waiting"


def test_an_upload_is_fetched_from_our_own_store(Session, dock, home, expect):
    with Session.begin() as session:
        upload = uploads.create(session, home, len(BODY), "image/png").id
        late = uploads.create(session, home, len(BODY), "image/png").id
        large = uploads.create(session, home, 60_000, "image/png").id
    dock.blobs.put(storage.upload_key(upload), BytesIO(BODY))
    dock.blobs.put(storage.upload_key(large), BytesIO(bytes(60_000)))
    row, missing, huge = (expect(None, origin={"upload_id": one}) for one in (upload, late, large))
    assert run(dock) == {"fetched": 1, "failed": 2}
    assert dock.blobs.read(storage.media_key(get(Session, row).media_sha256)) == BODY
    assert get(Session, missing).failure_slug == "upload-missing"
    assert get(Session, huge).failure_slug == "too-large"
    assert not any(dock.blobs.exists(storage.upload_key(one)) for one in (upload, large))


def test_several_processes_fetch_each_submission_once(Session, dock, expect):
    with serving({"/a.jpg": saying(200, BODY)}) as (port, asked):
        for n in range(30):
            expect(f"http://127.0.0.1:{port}/a.jpg?{n}")
        totals, both = [], threading.Barrier(2)

        def work():
            both.wait()
            totals.append(run(dock))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(totals, Counter()) == {"fetched": 30}
    assert len(asked) == len(set(asked)) == 30


def test_a_log_line_says_where_from_but_not_how():
    with suppress(KeyError):
        assert fetching._named({"url": "https://media.example.org/a?signature=secret"}) == "media.example.org"
    assert fetching._named({"upload_id": "upl_1"}) == "upl_1"


DOOMED = """
import sys
from functools import partial
from moderation import blobs, database, media
from worker import fetching
ledger = database.sessions(database.connect(sys.argv[1]))
inspect = partial(media.inspect, max_pixels=10**6, max_frames=100)
dock = fetching.Dock(ledger, blobs.connect(sys.argv[2]), inspect, max_bytes=50_000, seconds=60, max_attempts=1,
                     lease_seconds=1, allowed_networks=("127.0.0.1/32",))
fetching.run(dock, budget_seconds=60)
"""


def test_a_process_that_is_killed_in_the_middle_costs_nothing_but_time(Session, dock, expect, engines, settings):
    over, asked = threading.Event(), threading.Event()

    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + BODY[:100])
        asked.set()
        over.wait(60)

    answers = {"/a.jpg": drip}
    with serving(answers) as (port, _):
        row = expect(f"http://127.0.0.1:{port}/a.jpg")
        doomed = subprocess.Popen([sys.executable, "-c", DOOMED, engines.database_url, settings.media])
        assert asked.wait(60)
        doomed.kill()
        assert doomed.wait() == -signal.SIGKILL
        over.set()
        answers["/a.jpg"] = saying(200, BODY)
        assert run(dock) == {}  # its lease holds
        taken = (0, 0)
        while taken == (0, 0):
            with Session.begin() as session:
                taken = fetches.take_back(session, max_attempts=1)
        assert taken == (1, 0)
        assert run(dock) == {"fetched": 1}
    assert get(Session, row).state == "waiting"


@pytest.fixture
def place(Session, settings, redis_url):
    redis.Redis.from_url(redis_url).flushdb()
    place = application.application(settings)
    yield place
    place.ledger().kw["bind"].dispose()
    redis.Redis.from_url(redis_url).flushdb()


def test_an_order_fetches_and_rings_for_what_follows(Session, place, expect):
    with serving({"/a.jpg": saying(200, BODY)}) as (port, _):
        rows = [expect(f"http://127.0.0.1:{port}/{name}.jpg", priority=0) for name in "ab"]
        application.fetch(place)
    assert [get(Session, row).state for row in rows] == ["waiting", "failed"]
    lanes = ("scoring.urgent", "scoring.default", "deliveries", "fetching")
    assert [queue.length(place.app, lane) for lane in lanes] == [1, 0, 1, 0]


def test_an_order_beyond_the_places_for_fetching_does_nothing(Session, place, expect):
    row = expect("http://127.0.0.1:1/a.jpg")
    place.fetching_slots = Slots(0)
    application.fetch(place)
    assert (get(Session, row).state, get(Session, row).attempts) == ("fetching", 0)
