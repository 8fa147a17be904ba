"""The whole way, with real processes: intake, Redis, detector, PostgreSQL, flag, moderator, signed webhook.

And the same while parts of it are killed: what was accepted reaches a final state, once.
"""

import os
import signal
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import psutil
import pytest

from cli import receiver, samples
from cli.receiver import Inbox
from cli.samples import Sample
from cli.visitor import Visitor
from tests.installations import PATIENCE, Installation, chore, eventually, running
from unmask_client import Accepted, Client, FlagEvent, Submission, UnmaskError

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200)]
EMAIL, PASSWORD = "mo@example.org", "correct horse battery staple"
SETTINGS = {
    "UNMASK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "UNMASK_LEASE_SECONDS": "15",
    "UNMASK_UPKEEP_SECONDS": "1",
    "UNMASK_UNDO_SECONDS": "1",
    "UNMASK_BATCH": "8",
}


@dataclass
class Platform:
    """A platform with a key and a server that receives its webhooks."""

    id: str
    client: Client
    inbox: Inbox

    def submit(self, sample: Sample) -> Accepted:
        return self.client.submit(sample.content, external_id=sample.name, context={"author": "<b>user-7</b>"})

    def accepted(self, sample: Sample) -> str:
        return self.submit(sample).id

    def outcome(self, submission_id: str) -> Submission:
        """What the API says once the state is final, asking as long as it takes."""
        return self.client.wait(submission_id, timeout=PATIENCE)


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    # not under pytest's own folder, which every other run of pytest locks again for PostgreSQL's account
    with (
        tempfile.TemporaryDirectory(prefix="unmask-journey-") as folder,
        running(Path(folder) / "home", **SETTINGS) as it,
    ):
        chore(
            it.environment, "person", "create", EMAIL, "--role", "moderator", "--password-stdin", given=f"{PASSWORD}\n"
        )
        yield it


@pytest.fixture
def platform(installation: Installation, request: pytest.FixtureRequest) -> Iterator[Platform]:
    made = chore(installation.environment, "platform", "create", request.node.name)
    with receiver.listening() as inbox, Client(installation.address, made["api_key"]) as client:
        inbox.secret = chore(installation.environment, "endpoint", "create", "--platform", made["id"], inbox.url)[
            "secret"
        ]
        yield Platform(made["id"], client, inbox)


def test_an_upload_travels_to_a_decision_and_a_signed_webhook(installation: Installation, platform: Platform) -> None:
    sent = {platform.accepted(sample): sample for sample in samples.all_kinds() if sample.kind != "torn"}
    outcomes = {submission_id: platform.outcome(submission_id) for submission_id in sent}
    for submission_id, sample in sent.items():
        found = outcomes[submission_id]
        assert found.verdict is not None, (sample.name, found.state, found.failure)
        assert found.context == {"author": "<b>user-7</b>"}
        verdict = found.verdict
        assert 0 <= verdict.score <= 1
        assert verdict.reasons or verdict.band == "clear"
        assert bool(verdict.faces) == (sample.kind != "no face"), (sample.name, verdict)

    with Visitor(installation.address) as visitor:
        visitor.log_in(EMAIL, PASSWORD)
        flag = visitor.claim_next()
        assert flag is not None
        visitor.decide(flag, "fake", "seen it before")

    inbox = platform.inbox
    assert inbox.wait_for(lambda box: bool(box.of_type("flag.decided")), PATIENCE)
    assert inbox.wait_for(lambda box: len(box.of_type("submission.scored")) == len(sent), PATIENCE)
    (decided,) = inbox.of_type("flag.decided")
    assert isinstance(decided, FlagEvent)
    assert decided.flag.id == flag
    assert decided.flag.decision is not None
    assert decided.flag.decision.answer == "fake"
    assert "@" not in str(decided.flag.decision.moderator)
    assert told_of(inbox, "submission.scored") == set(sent)
    assert inbox.forged == 0
    rows = installation.rows("SELECT action FROM audit WHERE subject = :flag ORDER BY id", flag=flag)
    assert [row.action for row in rows] == ["flag.claimed", "flag.decided"]


def told_of(inbox: Inbox, kind: str) -> set[str]:
    """The submissions that webhooks of one type have told of."""
    return {event.data["id"] for event in inbox.of_type(kind)}


def bomb(side: int) -> bytes:
    """A PNG of a few dozen bytes that claims ``side`` squared pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "status", "slug"),
    [
        (b"", 422, "empty-file"),
        (b"this is no picture\n" * 100, 415, "unsupported-media-type"),
        (b"<html><body>hello</body></html>", 415, "unsupported-media-type"),
        (b"GIF89a\x01\x00", 422, "torn-file"),
        (bomb(50_000), 422, "too-many-pixels"),
    ],
    ids=["empty", "words", "a page", "a torn head", "a bomb"],
)
def test_what_cannot_be_an_image_is_refused(platform: Platform, content: bytes, status: int, slug: str) -> None:
    with pytest.raises(UnmaskError) as refused:
        platform.submit(Sample("upload.jpg", "bad", content))
    assert (refused.value.status, refused.value.slug) == (status, slug)


def test_a_torn_image_is_accepted_and_fails_with_a_reason(platform: Platform) -> None:
    (torn,) = (sample for sample in samples.all_kinds() if sample.kind == "torn")
    outcome = platform.outcome(platform.accepted(torn))
    assert outcome.failure is not None
    assert (outcome.state, outcome.failure.slug, outcome.verdict) == ("failed", "torn-file", None)
    assert platform.inbox.wait_for(lambda box: bool(box.of_type("submission.failed")), PATIENCE)


def test_images_of_the_wild_travel_too(installation: Installation, platform: Platform, labelled: Path) -> None:
    found = islice(labelled.rglob("*.[jp][pn]g"), 24)
    files = {path.read_bytes(): path.name for path in found}
    sent = [platform.accepted(Sample(name, "unknown", content)) for content, name in files.items()]
    assert sent
    assert_all_scored(platform, sent)
    assert_once(installation, platform, sent)


def test_the_same_bytes_are_not_scored_twice(installation: Installation, platform: Platform) -> None:
    (sample,) = samples.distinct(1, seed=77)
    first = platform.outcome(platform.accepted(sample))
    second = platform.outcome(platform.accepted(sample))
    assert second.verdict == first.verdict
    assert_once(installation, platform, [first.id, second.id])


@pytest.mark.parametrize("whole", [False, True], ids=["its scoring process", "the whole worker"])
def test_nothing_is_lost_or_done_twice_when_a_worker_is_killed(
    installation: Installation, platform: Platform, whole: bool
) -> None:
    eventually(lambda: bool(scorers(installation)))
    paused = scorers(installation)
    for scorer in paused:
        scorer.suspend()  # or it might be done before the last one is sent
    sent = [platform.accepted(sample) for sample in samples.distinct(40, seed=1000 + whole)]
    for scorer in paused:
        scorer.resume()
    eventually(lambda: killed_in_mid_batch(installation, platform, whole))
    assert_all_scored(platform, sent)
    assert_once(installation, platform, sent)
    again = installation.rows("SELECT id FROM submissions WHERE platform_id = :id AND attempts > 1", id=platform.id)
    assert again, "no submission was taken back from the dead"


def scorers(installation: Installation) -> list[psutil.Process]:
    """The processes that score, which the worker's own process forks."""
    return psutil.Process(installation.child("worker-1").pid).children(recursive=True)


def killed_in_mid_batch(installation: Installation, platform: Platform, whole: bool) -> bool:
    """Kills the worker when it holds submissions; True when they were still unrecorded after its death."""
    held = "SELECT id FROM submissions WHERE platform_id = :id AND state = 'scoring'"
    if not installation.rows(held, id=platform.id):
        return False
    parent = psutil.Process(installation.child("worker-1").pid)
    victims = scorers(installation)
    if whole:
        os.killpg(parent.pid, signal.SIGKILL)
    else:
        assert victims, "the worker scores in a process of its own"
        for victim in victims:
            victim.kill()
    return bool(installation.rows(held, id=platform.id))


def test_nothing_is_lost_when_redis_is_killed_and_comes_back_empty(
    installation: Installation, platform: Platform
) -> None:
    pictures = samples.distinct(30, seed=2000)
    sent = [platform.accepted(sample) for sample in islice(pictures, 15)]
    before = installation.child("redis")
    os.kill(before.pid, signal.SIGKILL)
    sent += [platform.accepted(sample) for sample in pictures]
    eventually(lambda: installation.child("redis") != before)
    assert_all_scored(platform, sent)
    assert_once(installation, platform, sent)


def assert_all_scored(platform: Platform, sent: list[str]) -> None:
    outcomes = [platform.outcome(submission_id) for submission_id in sent]
    assert [(found.state, found.failure) for found in outcomes] == [("scored", None)] * len(sent)


def assert_once(installation: Installation, platform: Platform, sent: list[str]) -> None:
    """One verdict a media and release, one delivery a submission, and each webhook came."""
    twice = installation.rows(
        "SELECT media_sha256 FROM verdicts GROUP BY media_sha256, detector_name, detector_version HAVING count(*) > 1"
    )
    assert twice == []
    told = installation.rows(
        "SELECT submission_id, count(*) AS times FROM deliveries WHERE platform_id = :id "
        "AND event = 'submission.scored' GROUP BY submission_id",
        id=platform.id,
    )
    assert {row.submission_id: row.times for row in told} == dict.fromkeys(sent, 1)
    assert platform.inbox.wait_for(lambda box: told_of(box, "submission.scored") == set(sent), PATIENCE)
