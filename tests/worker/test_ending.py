"""A file that costs too much fails alone, after one end, and its neighbours are judged as if it had not been there."""

import io

import psutil
import pytest
from PIL import Image
from skimage.data import astronaut
from sqlalchemy import select

from cli.predict import _answers
from formats.complexity import Bounds
from model.detector import PUT_OFF, Detector, Failure, Judgement
from model.sandbox import Limits
from moderation import acceptance, media
from moderation.acceptance import Draft
from moderation.tables import Submission
from tests.hostile.files import progressive
from tests.worker.costly import COSTLY, jpeg_of_scans
from worker import looking, provenance, scoring
from worker.scoring import Bench

GENEROUS = Bounds(scans=10**6)  # as if this kind of file were not known yet
SECONDS = 2.0


def encoded(size):
    file = io.BytesIO()
    Image.fromarray(astronaut()).resize(size).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def limited():
    found = Detector.load(
        device="cpu", threads=2, onlooker=looking.look, bounds=GENEROUS, limits=Limits(SECONDS, 3_000_000_000)
    )
    yield found
    found._sandbox.close()


@pytest.fixture
def sent(Session, blobs, home):
    """Commits a submission of these bytes; returns its id."""

    def _sent(body):
        file = io.BytesIO(body)
        facts = media.inspect(file, max_pixels=10**8, max_frames=100, bounds=GENEROUS)
        with Session.begin() as session:
            return acceptance.submit(session, blobs, Draft(platform_id=home), facts, file).id

    return _sent


def cells(detector):
    return {each._process.pid for each in detector._sandbox._idle}


def test_a_costly_file_fails_alone_and_its_neighbours_are_judged_as_ever(limited):
    good = [encoded((512, 512)), encoded((400, 400))]
    alone = Detector.load(device="cpu", threads=1).score(good)
    before = cells(limited)
    answers = limited.score([good[0], jpeg_of_scans(20_000), good[1]])
    assert (answers[1].slug, answers[1].detail.split(" and ")[0]) == ("too-costly", "decoding took more than 2 seconds")
    for judged, expected in zip((answers[0], answers[2]), alone, strict=True):
        assert judged.score == pytest.approx(expected.score, abs=1e-6)
        assert [face.box for face in judged.faces] == [face.box for face in expected.faces]
    assert len(before & cells(limited)) == 1
    assert not [pid for pid in before - cells(limited) if psutil.pid_exists(pid)]


def test_files_of_every_costly_kind_come_to_an_end_and_harm_no_neighbour(limited):
    good = encoded((512, 512))
    (alone,) = limited.prepare([good]).sheets
    sheets = limited.prepare([good, *(make() for make in COSTLY.values()), good]).sheets
    ends = {
        name: sheet.slug if isinstance(sheet, Failure) else "prepared"
        for name, sheet in zip(COSTLY, sheets[1:-1], strict=True)
    }
    assert ends.pop("a progressive JPEG of 20,000 scans") == "too-costly"
    assert set(ends.values()) <= {"prepared", "too-costly"}, ends  # which of the two depends on the machine
    for sheet in (sheets[0], sheets[-1]):
        assert [cut.box for cut in sheet.cuts] == [cut.box for cut in alone.cuts]


def test_a_worker_ends_it_once_and_goes_on(limited, Session, blobs, sent):
    bodies = [jpeg_of_scans(20_000), encoded((300, 300)), encoded((320, 320))]
    ids = [sent(body) for body in bodies]
    bench = Bench(Session, blobs, limited, limit=8, lease_seconds=60, apart=limited.apart, prepare_seconds=60)
    report = scoring.run(bench, budget_seconds=60)
    assert report.outcomes == {"failed": 1, "scored": 2}
    with Session() as session:
        rows = {row.id: row for row in session.scalars(select(Submission))}
    assert [(rows[key].state, rows[key].failure_slug, rows[key].attempts) for key in ids] == [
        ("failed", "too-costly", 1), ("scored", None, 1), ("scored", None, 1),
    ]  # fmt: skip


def test_files_for_which_a_batch_had_no_time_are_put_off_and_no_attempt_is_counted(Session, blobs, detector, send):
    first, second = send("red"), send("blue")
    seen = []

    def prepare(files, until=None):
        seen.append((len(files), until is not None))
        prepared = type(detector).prepare(detector, files)
        if len(seen) == 1:
            prepared.sheets[1] = Failure(PUT_OFF, "no time")
        return prepared

    def judge(prepared):
        answers = type(detector).judge(detector, prepared)
        put_off = (sheet if isinstance(sheet, Failure) else None for sheet in prepared.sheets)
        return [failure or answer for failure, answer in zip(put_off, answers, strict=True)]

    detector.prepare, detector.judge = prepare, judge
    bench = Bench(Session, blobs, detector, limit=2, lease_seconds=60, prepare_seconds=9)
    assert scoring.run(bench, budget_seconds=60).outcomes == {"scored": 1, "put_off": 1}
    assert scoring.run(bench, budget_seconds=60).outcomes == {"scored": 1}
    assert seen == [(2, True), (1, True)]
    with Session() as session:
        assert {session.get_one(Submission, key).attempts for key in (first, second)} == {1}


def test_traces_and_previews_are_read_in_a_cell_as_they_are_here(limited, blobs):
    from worker import previews

    content = encoded((600, 600))
    assert limited.apart(provenance.traced, content) == provenance.traced(None, content)
    assert limited.apart(previews.rendered, content) == previews.render(content)
    previews.store(blobs, "0" * 64, content, apart=limited.apart)
    assert blobs.exists("thumbnails/" + "0" * 64)


def test_predict_is_safe_and_says_why(tmp_path, limited):
    files = {"bomb.jpg": progressive(20_000), "good.jpg": encoded((256, 256)), "slow.jpg": jpeg_of_scans(20_000)}
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    strict = Detector.load(device="cpu", threads=1, limits=Limits(SECONDS))
    answers = list(_answers(strict, [tmp_path / name for name in files]))
    assert [answer.get("failure", {}).get("slug") for answer in answers] == ["too-complex", None, "too-complex"]
    (slow,) = limited.score([files["slow.jpg"]])
    assert slow.slug == "too-costly"
    strict._sandbox.close()


def test_what_needs_too_much_memory_fails_alone():
    detector = Detector.load(device="cpu", threads=1, max_pixels=10**10, limits=Limits(60, 1_000_000_000))
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    heavy, good = detector.score([file.getvalue(), encoded((256, 256))])
    assert heavy.slug in {"too-many-pixels", "too-costly"}
    assert isinstance(good, Judgement)
    detector._sandbox.close()
