"""A clip goes the whole way through a worker with the real detector: sampled, judged, hashed, previewed."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from model.detector import Detector
from model.videos import Budget
from moderation import acceptance, media, timelines
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.tables import Platform, Submission
from tests.movies import clip, fast_start
from worker import looking, scoring


@pytest.fixture(scope="module")
def eyes():
    """The shipped detector with a worker's onlooker."""
    return Detector.load(device="cpu", threads=2, budget=Budget(frames=12), onlooker=looking.look)


@pytest.fixture
def bench(Session, blobs, eyes):
    bench = scoring.Bench(Session, blobs, eyes, limit=4, lease_seconds=60)
    yield bench
    bench.manifests.close()


@pytest.fixture
def hand_in(Session, blobs, home):
    with Session.begin() as session:
        session.get_one(Platform, home).policy = {"flag_bands": ["clear", "review", "fake"]}

    def _hand_in(body):
        facts = media.inspect(io.BytesIO(body), max_pixels=10**8, max_frames=2000)
        with Session.begin() as session:
            return acceptance.submit(session, blobs, Draft(platform_id=home), facts, io.BytesIO(body)).id

    return _hand_in


def film(count):
    face = Image.fromarray(astronaut()).crop((60, 0, 400, 340)).resize((320, 320))
    return [np.asarray(face.rotate(3 * np.sin(number / 8))) for number in range(count)]


def scored(Session, submission_id):
    with Session() as session:
        row = session.get_one(Submission, submission_id)
        return row, row.verdict, row.media


def test_a_clip_has_a_timeline_a_hash_a_preview_of_its_worst_frame_and_a_strip(Session, bench, blobs, hand_in):
    clipped = hand_in(clip(film(60)))
    assert scoring.run(bench, budget_seconds=60).outcomes == {"scored": 1}
    row, verdict, kept = scored(Session, clipped)
    assert (row.state, kept.format, kept.seconds) == ("scored", "MP4", 6.0)
    assert 8 <= len(verdict.frames) <= 12
    assert all(frame.keys() == {"index", "time", "score"} for frame in verdict.frames)
    assert timelines.best(verdict.frames) in {face["frame"] for face in verdict.faces}
    assert len(kept.pdq) == 64
    assert kept.pdq_quality > 50
    preview, strip = (
        Image.open(io.BytesIO(blobs.read(key(kept.sha256)))) for key in (storage.preview_key, storage.strip_key)
    )
    assert (preview.format, preview.size) == ("WEBP", (320, 320))
    assert strip.size == (240 * timelines.STRIP, 240)


def test_a_torn_clip_is_judged_by_its_good_part_and_a_broken_one_fails_alone(Session, bench, hand_in):
    body = fast_start(film(60))
    torn, hollow = hand_in(body[: len(body) // 2]), hand_in(body[:4000] + bytes(len(body) - 4000))
    assert scoring.run(bench, budget_seconds=60).outcomes == {"scored": 1, "failed": 1}
    row, verdict, _ = scored(Session, torn)
    assert row.state == "scored"
    assert verdict.frames[-1]["time"] < 4
    row, _, _ = scored(Session, hollow)
    assert row.failure_slug == "undecodable"


def test_an_animation_goes_the_same_way(Session, bench, blobs, hand_in):
    pictures = [Image.fromarray(frame) for frame in film(20)]
    file = io.BytesIO()
    pictures[0].save(file, "WEBP", save_all=True, append_images=pictures[1:], duration=100)
    animated = hand_in(file.getvalue())
    assert scoring.run(bench, budget_seconds=60).outcomes == {"scored": 1}
    _, verdict, kept = scored(Session, animated)
    assert len(verdict.frames) == 12
    assert verdict.frames[-1]["time"] > 1.5
    assert blobs.exists(storage.strip_key(kept.sha256))


def test_the_hash_of_a_picture_is_stable_under_re_encoding():
    from model.pixels import decode

    picture = Image.fromarray(astronaut())
    hashes = []
    for size, quality in ((512, 95), (512, 40), (300, 80)):
        file = io.BytesIO()
        picture.resize((size, size)).save(file, "JPEG", quality=quality)
        seen = looking.look(next(decode(file.getvalue())))
        assert seen.quality >= 50
        assert seen.picture is None
        hashes.append(int(seen.pdq, 16))
    assert all((hashes[0] ^ other).bit_count() <= 31 for other in hashes[1:])
