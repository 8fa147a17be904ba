import json
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from moderation import detectors, documents, endpoints, erasure, people, platforms, submissions, verdicts
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
    erasure.ask(session, row.id)
    erasure.remove(session, blobs, row.id)
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


MADE = {"c2pa": {"present": True, "valid": True, "state": "valid", "ai_generated": True}, "generator_metadata": []}
TRACED = {"c2pa": None, "generator_metadata": [{"where": "png:parameters", "name": "Stable Diffusion", "text": ""}]}
CAMERA = {"c2pa": {"present": True, "valid": True, "state": "valid", "ai_generated": False}, "generator_metadata": []}


@pytest.mark.parametrize("provenance", [MADE, TRACED])
def test_what_says_itself_that_a_model_made_it_goes_before_people(session, submit, provenance):
    row = submit()
    judge(session, replace(finding("clear", 0.03), provenance=provenance))
    assert (row.band, row.verdict.band, row.verdict.score) == ("review", "clear", 0.03)
    assert row.verdict.reasons == ["manipulated_face", "declared_synthetic"]
    document = documents.submission(row)["verdict"]
    assert (document["band"], document["provenance"]) == ("review", provenance)
    assert session.scalar(select(func.count()).select_from(Flag)) == 1


@pytest.mark.parametrize("provenance", [CAMERA, {}])
def test_no_claim_lowers_or_raises_anything_else(session, submit, provenance):
    row = submit()
    judge(session, replace(finding("fake"), provenance=provenance))
    assert (row.band, row.verdict.reasons) == ("fake", ["manipulated_face"])
    assert documents.verdict(row.verdict)["provenance"].keys() == {"c2pa", "generator_metadata"}


def test_a_declared_file_that_is_sent_again_goes_before_people_again(session, submit):
    detectors.started(session, *RELEASE)
    submit()
    judge(session, replace(finding("clear", 0.03), provenance=MADE))
    again = submit()
    assert (again.state, again.band) == ("scored", "review")


def test_the_perceptual_hash_is_kept_with_the_media(session, submit):
    row = submit()
    judge(session, replace(finding(), pdq="0f" * 32, pdq_quality=88))
    session.refresh(row.media)
    told = documents.verdict(row.verdict)["media"]
    assert (told["pdq"], told["pdq_quality"], told["seconds"]) == ("0f" * 32, 88, None)


def test_the_message_about_a_clip_with_many_faces_and_traces_stays_below_20_kb(session, submit, platform):
    endpoints.create(session, platform.platform.id, "https://127.0.0.1/hook", allowed_networks=("127.0.0.0/8",))
    submit()
    face = {"box": [100, 100, 300, 300], "score": 0.5, "quality": {"size_px": 300.0, "sharpness": 99.25}, "frame": 7}
    traces = [{"where": f"video:{n}", "name": "ComfyUI", "text": "\N{SNOWMAN}" * 120} for n in range(16)]
    found = replace(
        finding(),
        faces=[face] * 512,
        frames=[{"index": n, "time": n / 3, "score": 0.5} for n in range(32)],
        provenance={"c2pa": None, "generator_metadata": traces},
    )
    judge(session, found)
    (body,) = session.scalars(select(Delivery.body).where(Delivery.event == "submission.scored"))
    assert len(body) < 20_000
    told = json.loads(body)["data"]
    assert told["truncated"] is True
    assert told["verdict"]["score"] == 0.9
    assert told["verdict"]["frames"] == told["verdict"]["faces"] == []
