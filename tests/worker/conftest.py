"""A small deterministic detector, and a bench around it whose commits are real."""

import io
from types import SimpleNamespace

import pytest
from PIL import Image

from model.detector import Face, Failure, Judgement
from moderation import media, platforms, submissions
from moderation.submissions import Draft
from tests.conftest import jpeg
from worker.scoring import Bench


class RedDetector:
    """Says that red is fake. It stands in for the detector's three members; a trap is called on what it judges."""

    release = SimpleNamespace(name="red", version="1")

    def __init__(self):
        self.judged = []  # one list of contents a batch
        self.trap = lambda _: None

    def prepare(self, files):
        return list(files)

    def judge(self, prepared):
        self.judged.append(prepared)
        self.trap(prepared)
        return [self._judgement(content) for content in prepared]

    def _judgement(self, content):
        try:
            image = Image.open(io.BytesIO(content)).convert("RGB")
        except OSError:
            return Failure("torn-file", "the file ends before its image does")
        width, height = image.size
        red, *_ = image.getpixel((width // 2, height // 2))
        fake = red > 127
        face = Face((1, 2, 30, 40), 0.9 if fake else 0.1, {"size_px": 40.0}, 0)
        return Judgement(face.score, "fake" if fake else "clear", ("manipulated_face",) if fake else (), (face,),
                         width, height)  # fmt: skip


@pytest.fixture
def detector():
    return RedDetector()


@pytest.fixture
def bench(Session, blobs, detector):
    return Bench(Session, blobs, detector, limit=4, lease_seconds=60)


@pytest.fixture
def home(Session):
    """A platform's id, committed."""
    with Session.begin() as session:
        return platforms.create(session, "Chirper").platform.id


@pytest.fixture
def send(Session, blobs, home):
    """Commits a submission; returns its id. ``torn`` passes inspection and fails at decoding."""

    def _send(colour="red", size=(64, 48), torn=False, **fields):
        body = jpeg(colour, size)
        body = body[: len(body) * 2 // 3] if torn else body
        file = io.BytesIO(body)
        facts = media.inspect(file, max_pixels=10**8, max_frames=100)
        fields = fields if "person_id" in fields else {"platform_id": home, **fields}
        with Session.begin() as session:
            return submissions.submit(session, blobs, Draft(**fields), facts, file).id

    return _send
