import io
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from PIL import Image, PngImagePlugin
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from moderation import acceptance, detectors, documents, endpoints, erasure, media, people, platforms, submissions
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.errors import WorldDown
from moderation.tables import Delivery, Flag, Platform, Submission, Verdict
from tests.conftest import PASSWORD, jpeg
from worker import scoring

GREYS = [(shade, shade, shade) for shade in range(0, 120, 10)]


def run(bench, **options):
    return scoring.run(bench, **{"budget_seconds": 30, **options})


def row(Session, submission_id):
    with Session() as session:
        return session.get_one(Submission, submission_id)


def states(Session):
    with Session() as session:
        return dict(session.execute(select(Submission.state, func.count()).group_by(Submission.state)).all())


def count(Session, table):
    with Session() as session:
        return session.scalar(select(func.count()).select_from(table))


def expire(Session):
    with Session.begin() as session:
        session.execute(update(Submission).values(lease_expires_at=func.now() - timedelta(seconds=1)))
        return submissions.take_back(session, max_attempts=3)


def test_each_file_gets_its_own_answer(Session, bench, send):
    reds = {send("red", (60 + n, 40)) for n in range(3)}
    blues = {send("blue", (60 + n, 40)) for n in range(4)}
    assert run(bench).outcomes == {"scored": 7}
    for submission_id in reds | blues:
        with Session() as session:
            scored = session.get_one(Submission, submission_id)
            assert scored.verdict.score == (0.9 if submission_id in reds else 0.1)
            assert (scored.verdict.width, scored.verdict.height) == (scored.media.width, scored.media.height)
            assert (scored.verdict.detector_name, scored.verdict.detector_version) == ("red", "1")
            assert scored.verdict.faces[0]["box"] == [1, 2, 30, 40]
            assert scored.attempts == 1
    assert count(Session, Flag) == 3


def test_it_goes_on_in_batches_until_the_line_is_empty(Session, bench, detector, send):
    for shade in GREYS[:10]:
        send(shade)
    rings = []
    run(bench, after_batch=lambda: rings.append(1))
    assert [len(batch) for batch in detector.judged] == [4, 4, 2]
    assert len(rings) == 3
    assert states(Session) == {"scored": 10}


def test_what_was_claimed_ahead_is_finished_when_the_time_is_up(Session, bench, detector, send):
    for shade in GREYS[:10]:
        send(shade)
    assert run(bench, budget_seconds=0).outcomes == {"scored": 4}
    assert states(Session) == {"scored": 4, "waiting": 6}


def test_a_worker_that_is_stopping_claims_no_more(Session, bench, detector, send):
    for shade in GREYS[:10]:
        send(shade)
    run(bench, is_stopping=lambda: bool(detector.judged))
    assert states(Session) == {"scored": 8, "waiting": 2}


def test_an_empty_line_is_no_work(bench, detector):
    assert run(bench).outcomes == {}
    assert detector.judged == []


def test_a_torn_file_fails_alone(Session, bench, send):
    torn, sound = send(size=(200, 200), torn=True), send("blue")
    assert run(bench).outcomes == {"failed": 1, "scored": 1}
    assert row(Session, sound).state == "scored"
    failed = row(Session, torn)
    assert (failed.state, failed.failure_slug) == ("failed", "torn-file")
    assert failed.verdict_id is None


def test_a_missing_blob_fails_its_submission_alone(Session, bench, blobs, send):
    gone, sound = send("blue"), send("green")
    blobs.delete(storage.media_key(row(Session, gone).media_sha256))
    run(bench)
    assert row(Session, gone).failure_slug == "media-missing"
    assert row(Session, sound).state == "scored"


def test_damaged_bytes_are_not_scored_and_sound_ones_that_come_again_are(Session, bench, blobs, send):
    hurt = send("red")
    key = storage.media_key(row(Session, hurt).media_sha256)
    blobs._store.delete(key)
    blobs._store.put(key, io.BytesIO(jpeg("blue")))
    run(bench)
    assert row(Session, hurt).failure_slug == "media-damaged"
    assert count(Session, Verdict) == 0
    again = send("red")
    run(bench)
    with Session() as session:
        assert session.get_one(Submission, again).verdict.score == 0.9


def test_equal_files_in_a_batch_are_judged_once(Session, bench, detector, send):
    for _ in range(3):
        send("red")
    assert run(bench).outcomes == {"scored": 3}
    assert [len(batch) for batch in detector.judged] == [1]
    assert (count(Session, Verdict), count(Session, Flag)) == (1, 3)


def test_a_file_that_this_release_has_judged_is_settled_without_the_detector(Session, bench, detector, send):
    first, late = send("red"), send("blue")
    with Session.begin() as session:  # the late one is elsewhere while the first of its kind is judged
        session.execute(update(Submission).where(Submission.id == late).values(
            media_sha256=row(Session, first).media_sha256, due_at=func.now() + timedelta(hours=1)))  # fmt: skip
    run(bench)
    with Session.begin() as session:
        session.execute(update(Submission).where(Submission.id == late).values(due_at=func.now()))
    assert run(bench).outcomes == {"reused": 1}
    assert sum(len(batch) for batch in detector.judged) == 1
    assert row(Session, late).verdict_id == row(Session, first).verdict_id


def test_another_release_judges_again(Session, bench, detector, send):
    send("red")
    run(bench)
    detector.release = type(detector.release)(name="red", version="2")
    with Session.begin() as session:
        detectors.started(session, "red", "2")
    send("red")
    assert run(bench).outcomes == {"scored": 1}
    assert count(Session, Verdict) == 2


def test_what_people_will_see_has_previews_before_the_flag_opens(Session, bench, blobs, detector, send, monkeypatch):
    large = send("red", (2400, 1200))
    send("blue")
    seen = []
    record = scoring.verdicts.record

    def looking(session, lease, submission_id, release, finding):
        sha256 = session.get_one(Submission, submission_id).media_sha256
        seen.append((finding.band, blobs.exists(storage.preview_key(sha256)),
                     blobs.exists(storage.thumbnail_key(sha256))))  # fmt: skip
        return record(session, lease, submission_id, release, finding)

    monkeypatch.setattr(scoring.verdicts, "record", looking)
    run(bench)
    assert sorted(seen) == [("clear", False, False), ("fake", True, True)]
    sha256 = row(Session, large).media_sha256
    sizes = [
        Image.open(io.BytesIO(blobs.read(key(sha256)))).size for key in (storage.preview_key, storage.thumbnail_key)
    ]
    assert sizes == [(1600, 800), (320, 160)]


def test_a_policy_that_flags_everything_gets_previews_of_everything(Session, bench, blobs, home, send):
    with Session.begin() as session:
        session.get_one(Platform, home).policy = {"flag_bands": ["clear", "fake"]}
    clear = send("blue")
    run(bench)
    assert count(Session, Flag) == 1
    assert blobs.exists(storage.thumbnail_key(row(Session, clear).media_sha256))


def test_somebody_who_tries_an_image_sees_it_even_when_it_is_clear(Session, bench, blobs, send):
    with Session.begin() as session:
        person = people.create(session, "mo@example.org", "moderator", PASSWORD).id
    tried = send("blue", person_id=person)
    run(bench)
    assert row(Session, tried).state == "scored"
    assert blobs.exists(storage.preview_key(row(Session, tried).media_sha256))


def test_a_preview_that_cannot_be_made_keeps_no_verdict_back(Session, bench, send, monkeypatch):
    def broken(content):
        raise ValueError("no picture today")

    monkeypatch.setattr(scoring.previews, "render", broken)
    send("red")
    assert run(bench).outcomes == {"scored": 1}


@pytest.mark.parametrize("error", [WorldDown("storage is away"), OperationalError("x", {}, Exception("gone"))])
def test_when_the_world_is_down_everything_goes_back_and_no_attempt_is_counted(Session, bench, detector, send, error):
    for shade in GREYS[:7]:
        send(shade)

    def trap(contents):
        raise error

    detector.trap = trap
    assert run(bench).world_is_down
    assert states(Session) == {"waiting": 7}
    with Session() as session:
        assert set(session.scalars(select(Submission.attempts))) == {0}
    assert count(Session, Verdict) == 0


def test_trouble_while_reading_puts_the_batch_back_for_a_while(Session, bench, blobs, send, monkeypatch):
    waiting = send("blue")

    def away(key):
        raise WorldDown("storage is away")

    monkeypatch.setattr(blobs, "read", away)
    assert run(bench).world_is_down
    put_back = row(Session, waiting)
    assert (put_back.state, put_back.attempts) == ("waiting", 0)
    with Session() as session:
        assert submissions.waiting(session) == {}  # not before it has rested
    monkeypatch.undo()
    with Session.begin() as session:
        session.execute(update(Submission).values(due_at=func.now()))
    assert run(bench).outcomes == {"scored": 1}


def test_trouble_half_way_keeps_what_was_recorded(Session, bench, send, monkeypatch):
    for shade in GREYS[:4]:
        send(shade)
    record, recorded = scoring.verdicts.record, []

    def failing(*args):
        if len(recorded) == 2:
            raise WorldDown
        recorded.append(args)
        return record(*args)

    monkeypatch.setattr(scoring.verdicts, "record", failing)
    assert run(bench).world_is_down
    assert states(Session) == {"scored": 2, "waiting": 2}


def test_a_detector_that_raises_leaves_leases_to_expire_and_each_file_is_tried_alone(Session, bench, detector, send):
    poison = send("yellow", (33, 33))
    for shade in GREYS[:5]:
        send(shade)

    def trap(contents):
        if any(Image.open(io.BytesIO(content)).size == (33, 33) for content in contents):
            raise ZeroDivisionError("a bug")

    detector.trap = trap
    with pytest.raises(ZeroDivisionError):
        run(bench)
    # the batch with the bug is still leased; the one that was ready behind it went back untouched
    assert states(Session) == {"scoring": 4, "waiting": 2}
    for _ in range(3):
        expire(Session)
        for _ in range(6):
            try:
                run(bench)
            except ZeroDivisionError:
                continue
    assert expire(Session) == (0, 0)
    assert states(Session) == {"scored": 5, "failed": 1}
    failed = row(Session, poison)
    assert (failed.failure_slug, failed.attempts) == (submissions.OUT_OF_ATTEMPTS, 3)
    assert [len(batch) for batch in detector.judged[1:]].count(1) >= 3


def test_an_answer_too_few_is_a_bug_and_scores_nobody(Session, bench, detector, send, monkeypatch):
    send("red"), send("blue")
    monkeypatch.setattr(detector, "judge", lambda _: [])
    with pytest.raises(RuntimeError, match="0 answers for 2 files"):
        run(bench)
    assert count(Session, Verdict) == 0
    assert states(Session) == {"scoring": 2}


def test_a_lease_lost_midway_records_nothing_twice(Session, bench, detector, home, send):
    with Session.begin() as session:
        endpoints.create(session, home, "http://127.0.0.1:9/", allowed_networks=["127.0.0.0/8"])
    flagged = send("red")

    def overtaken(contents):
        detector.trap = lambda _: None
        expire(Session)
        assert run(bench).outcomes == {"scored": 1}  # another worker, from start to end

    detector.trap = overtaken
    assert run(bench, budget_seconds=0).outcomes == {"lost": 1}  # or the batch that is taken ahead might be this one
    assert (count(Session, Verdict), count(Session, Flag), count(Session, Delivery)) == (1, 1, 2)
    assert row(Session, flagged).attempts == 2


def test_what_is_erased_while_it_is_judged_leaves_no_preview(Session, bench, blobs, detector, send):
    erased, kept = send("red"), send((255, 1, 1))
    gone, stays = (row(Session, submission_id).media_sha256 for submission_id in (erased, kept))

    def erase(contents):
        with Session.begin() as session:
            erasure.ask(session, erased)
        with Session.begin() as session:
            erasure.remove(session, blobs, erased)

    detector.trap = erase
    assert run(bench).outcomes == {"lost": 1, "scored": 1}
    assert not any(blobs.exists(key(gone)) for key in (storage.media_key, storage.preview_key, storage.thumbnail_key))
    assert all(blobs.exists(key(stays)) for key in (storage.media_key, storage.preview_key, storage.thumbnail_key))


def test_the_next_batch_is_prepared_while_one_is_judged(Session, bench, detector, send):
    for shade in GREYS[:8]:
        send(shade)
    prepared, second_is_ready = [], threading.Event()
    prepare = detector.prepare

    def noting(files):
        prepared.append(len(files))
        if len(prepared) == 2:
            second_is_ready.set()
        return prepare(files)

    def trap(contents):
        if len(detector.judged) == 1:
            assert second_is_ready.wait(30)  # would never come, if it waited for us

    detector.prepare, detector.trap = noting, trap
    assert run(bench).outcomes == {"scored": 8}
    assert prepared == [4, 4]


def test_a_lease_is_renewed_while_its_batch_is_judged(Session, blobs, detector, send):
    slow = send("red")
    bench = scoring.Bench(Session, blobs, detector, limit=4, lease_seconds=0.3)

    def trap(contents):
        first = row(Session, slow).lease_expires_at
        for _ in range(600):
            if row(Session, slow).lease_expires_at > first:
                return
            threading.Event().wait(0.05)
        pytest.fail("nobody renewed the lease")

    detector.trap = trap
    assert run(bench).outcomes == {"scored": 1}


def test_a_batch_holds_no_more_bytes_than_it_may_and_one_large_file_alone(Session, blobs, detector, send):
    for shade in GREYS[:3]:
        send(shade)
    most = max(len(jpeg(shade)) for shade in GREYS[:3])
    bench = scoring.Bench(Session, blobs, detector, limit=4, lease_seconds=60, max_bytes=2 * most)
    assert run(bench).outcomes == {"scored": 3}
    assert [len(batch) for batch in detector.judged] == [2, 1]
    send("red", (400, 400))
    assert run(scoring.Bench(Session, blobs, detector, 4, 60, max_bytes=10)).outcomes == {"scored": 1}


def test_what_a_file_says_of_itself_is_recorded_and_shown_to_people(Session, bench, blobs, detector):
    told = PngImagePlugin.PngInfo()
    told.add_text("parameters", "somebody\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Model: sdxl")
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "blue").save(file, "PNG", pnginfo=told)
    with Session.begin() as session:
        home = platforms.create(session, "Warbler").platform.id
        facts = media.inspect(file, max_pixels=10**6, max_frames=1)
        declared = acceptance.submit(session, blobs, Draft(platform_id=home), facts, file).id
    assert run(bench).outcomes == {"scored": 1}
    with Session() as session:
        found = session.get_one(Submission, declared)
        assert (found.band, found.verdict.band, found.verdict.score) == ("review", "clear", 0.1)
        assert found.verdict.reasons == ["declared_synthetic"]
        assert found.verdict.provenance["generator_metadata"][0]["name"] == "Stable Diffusion"
        assert (found.media.pdq, found.media.pdq_quality) == ("0f" * 32, 90)
        assert blobs.exists(storage.preview_key(found.media_sha256))


def test_provenance_that_breaks_costs_no_score(Session, bench, send, monkeypatch):
    def broken(content):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(scoring.provenance.traces, "read", broken)
    send("red")
    assert run(bench).outcomes == {"scored": 1}


def test_faces_that_nobody_judged_are_counted_in_the_verdict_and_keep_it_from_being_clear(
    Session, bench, detector, home, send, monkeypatch
):
    with Session.begin() as session:
        rules = {"thresholds": {"review": 0.4, "fake": 0.8}, "inconclusive": "score"}
        session.get_one(Platform, home).policy = rules
    judgement = detector._judgement
    monkeypatch.setattr(
        detector,
        "_judgement",
        lambda content: replace(
            judgement(content), band="inconclusive", reasons=("faces_not_judged",), faces_not_judged=6
        ),
    )
    calm, forged = send("blue"), send("red")
    run(bench)
    with Session() as session:
        told = {row_id: documents.submission(session.get_one(Submission, row_id)) for row_id in (calm, forged)}
    assert [told[row_id]["verdict"]["faces_not_judged"] for row_id in (calm, forged)] == [6, 6]
    assert [told[row_id]["verdict"]["band"] for row_id in (calm, forged)] == ["inconclusive", "fake"]
