import json

import pytest
from sqlalchemy import func, select

from moderation import documents, endpoints, people, platforms, retention, submissions, verdicts
from moderation.tables import Delivery, Flag, Verdict
from moderation.verdicts import Finding
from tests.conftest import PASSWORD

RELEASE = ("unmask", "1")


def finding(band="fake", score=0.9):
    face = {"box": [1, 2, 30, 40], "score": score, "quality": {"size_px": 30.0}}
    return Finding(score=score, band=band, reasons=["manipulated_face"], faces=[face], width=64, height=48, ms=3.5)


def judge(session, found=None):
    claim = submissions.claim(session, limit=1, lease_seconds=60)
    return verdicts.record(session, claim.lease, claim.submissions[0].id, RELEASE, found or finding())


@pytest.mark.parametrize(("band", "flagged"), [("fake", 1), ("review", 1), ("inconclusive", 1), ("clear", 0)])
def test_policy_puts_every_band_but_clear_before_people(session, submit, band, flagged):
    submit()
    assert judge(session, finding(band))
    assert session.scalar(select(func.count()).select_from(Flag)) == flagged


def test_a_platform_may_ask_for_fakes_only(session, submit, platform):
    platform.platform.policy = {"flag_bands": ["fake"]}
    submit()
    judge(session, finding("review"))
    assert session.scalar(select(func.count()).select_from(Flag)) == 0


def test_the_webhook_carries_the_verdict_and_the_flag(session, submit, platform):
    endpoints.create(session, platform.platform.id, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
    row = submit(external_id="post-7")
    judge(session)
    sent = {delivery.event: json.loads(delivery.body) for delivery in session.scalars(select(Delivery))}
    assert set(sent) == {"submission.scored", "flag.opened"}
    told = sent["submission.scored"]["data"]
    assert (told["id"], told["external_id"], told["state"]) == (row.id, "post-7", "scored")
    assert told["verdict"]["faces"][0]["box"] == [1, 2, 30, 40]
    assert told["verdict"]["media"]["sha256"] == row.media_sha256
    assert sent["flag.opened"]["data"]["submission_id"] == row.id


def test_two_submissions_of_the_same_bytes_share_one_verdict(session, submit):
    first, second = submit(), submit()
    judge(session, finding(score=0.9))
    judge(session, finding(score=0.1))
    assert first.verdict_id == second.verdict_id
    assert session.scalars(select(Verdict)).one().score == pytest.approx(0.9)


def test_an_ephemeral_submission_opens_no_flag_and_tells_nobody(session, blobs, submit, platform):
    endpoints.create(session, platform.platform.id, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
    somebody = people.create(session, "try@example.org", "moderator", PASSWORD)
    row = submit(platform_id=None, person_id=somebody.id)
    judge(session)
    assert row.state == "scored"
    for table in (Flag, Delivery):
        assert session.scalar(select(func.count()).select_from(table)) == 0
    retention.erase(session, blobs, row.id)
    assert session.scalar(select(func.count()).select_from(Verdict)) == 0


def test_a_platform_sees_its_own_bands_and_another_the_detectors(session, submit, platform):
    endpoints.create(session, platform.platform.id, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
    platform.platform.policy = {"thresholds": {"review": 0.1, "fake": 0.2}}
    other = platforms.create(session, "Other").platform
    rows = {own.id: submit(platform_id=own.id) for own in (platform.platform, other)}
    for _ in rows:
        judge(session, finding("clear", 0.25))
    shown = {owner: documents.submission(row)["verdict"]["band"] for owner, row in rows.items()}
    assert shown == {platform.platform.id: "fake", other.id: "clear"}
    (flag,) = session.scalars(select(Flag))
    assert (flag.platform_id, flag.band) == (platform.platform.id, "fake")
    told = [json.loads(delivery.body)["data"] for delivery in session.scalars(select(Delivery))]
    assert {data["verdict"]["band"] if "verdict" in data else data["band"] for data in told} == {"fake"}
