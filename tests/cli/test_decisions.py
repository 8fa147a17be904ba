"""`unmask release refit --add decisions`: from what moderators decided to a candidate release."""

import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from cli import decisions, home
from cli.decisions import Gathered
from cli.main import unmask
from model import probes, releases
from model.detector import Detector
from model.errors import DatasetError, ReleaseError
from model.heads import fake_logit
from model.lab import refitting
from model.lab.kinds import Kind
from model.metrics import auc
from model.traits import network_of
from moderation import acceptance, flags, media, people, platforms, submissions, verdicts
from moderation import decisions as deciding
from moderation.acceptance import Draft
from moderation.errors import NotFound
from moderation.features import Decided, Kept
from moderation.tables import FaceFeatures, Flag, Submission
from moderation.verdicts import Finding
from tests.conftest import PASSWORD, jpeg
from tests.model import full
from worker import scoring
from worker.scoring import Bench

EVERYTHING = {"keep_features": True, "flag_bands": ["clear", "review", "fake"]}
KIND = Kind(kind="ruled", family="added", head="synthetic", mates=())


@pytest.fixture(scope="module")
def detector(full_release):
    return Detector.load(full_release.release.directory, "cpu", threads=2, cache=full_release.cache)


@pytest.fixture(scope="module")
def rows(detector):
    """Decisions on drawn faces, as the ledger gives them: `rows(kind, answer, seeds)`."""

    def _rows(kind, answer, seeds):
        cuttings = detector.panel.cuttings
        said = detector.panel.opinions([[full.crops(each, kind, seed) for each in cuttings] for seed in seeds], True)
        return [
            Decided(f"{kind} {seed}", answer,
                    Kept(0, one.encoder, one.features.tobytes(), one.network, one.logits.tobytes()), None, None)
            for seed, one in zip(seeds, said.traits, strict=True)
        ]  # fmt: skip

    return _rows


@pytest.fixture(scope="module")
def probe(full_release):
    return probes.read(full_release.release.directory / releases.HEADS_FILE)


@pytest.fixture
def refitted(full_release, probe):
    """The candidate that rows make."""

    def _refitted(found, name="ruled"):
        release = full_release.release
        new = Gathered(tuple(found), network_of(release), len(found), 0, 0).addition(probe)
        return refitting.refit(release, probe, refitting.opened(release), new, KIND, name), new

    return _refitted


@pytest.fixture
def refit(full_release, settings, monkeypatch, tmp_path):
    """The command, writing a candidate into `tmp_path / out`; returns its result."""
    monkeypatch.setattr(home, "settings", lambda: settings)

    def _refit(*options, out="candidate"):
        command = ("release", "refit", str(full_release.release.directory), "--add", "decisions", "--name", "ruled",
                   "--head", "synthetic", "--device", "cpu", "--encoder-cache", str(full_release.cache), "--out",
                   str(tmp_path / out), *options)  # fmt: skip
        done = CliRunner().invoke(unmask, command)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return _refit


class Site:
    """A platform whose every submission goes before people, and the moderator who answers."""

    def __init__(self, Session, blobs):
        self.Session, self.blobs = Session, blobs
        with Session.begin() as session:
            self.platform = platforms.create(session, "Chirper").platform.id
            platforms.change_policy(session, self.platform, EVERYTHING)
            self.person = people.create(session, "mo@example.org", "moderator", PASSWORD).id

    def send(self, body, platform_id=None):
        file = io.BytesIO(body)
        facts = media.inspect(file, max_pixels=10**8, max_frames=9)
        with self.Session.begin() as session:
            draft = Draft(platform_id=platform_id or self.platform)
            return acceptance.submit(session, self.blobs, draft, facts, file).id

    def record(self, kept):
        """Answers what waits, as a worker does."""
        found = Finding(score=0.9, band="fake", reasons=[], faces=[], width=64, height=48, ms=1, kept=kept)
        with self.Session.begin() as session:
            claim = submissions.claim(session, limit=99, lease_seconds=60)
            for row in claim.submissions:
                verdicts.record(session, claim.lease, row.id, ("tiny", "1.0.0"), found)

    def decide(self, submission_id, answer):
        with self.Session.begin() as session:
            flag = session.scalars(select(Flag.id).where(Flag.submission_id == submission_id)).one()
            flags.claim(session, flag, self.person, 60)
            deciding.decide(session, flag, self.person, answer, "", 0)

    def sha256(self, submission_id):
        with self.Session() as session:
            return session.get_one(Submission, submission_id).media_sha256


@pytest.fixture
def site(Session, blobs):
    return Site(Session, blobs)


def telling(release, rows):
    """The AUC of a release's heads on faces of the new kind that nobody decided on."""
    found = rows(full.RULED, "fake", range(300, 340)) + rows(full.REAL, "real", range(340, 380))
    read = probes.read(release.directory / releases.HEADS_FILE)
    features = np.array([np.frombuffer(row.kept.features, "<f2") for row in found], np.float32)
    return auc(
        fake_logit(read.heads(read.projection(features))), np.array([row.answer == "fake" for row in found], np.int64)
    )


def test_a_kind_is_learnt_from_decisions_alone_and_twice_to_the_same_bytes(
    site, detector, refit, rows, full_release, tmp_path
):
    sent = {site.send(full.file(kind, seed)): answer
            for kind, answer, first in ((full.RULED, "fake", 700), (full.REAL, "real", 720))
            for seed in range(first, first + 16)}  # fmt: skip
    bench = Bench(site.Session, site.blobs, detector, limit=16, lease_seconds=60)
    assert scoring.run(bench, budget_seconds=600).outcomes == {"scored": len(sent)}
    with site.Session() as session:
        assert session.scalar(select(func.count()).select_from(FaceFeatures)) == len(sent)
    for submission_id, answer in sent.items():
        site.decide(submission_id, answer)

    done = refit()
    assert done.exit_code == 0, done.output
    assert "32 flags stand decided; faces to learn from: 16 fake, 16 real. Nothing was kept of 0" in done.output
    told = json.loads((tmp_path / "candidate" / "refit.json").read_text())
    assert {row["name"] for row in told["sets"]} == {"ruled", full.STRIPED, full.TINTED}
    assert told["added"]["fakes"] == 16
    candidate = releases.read(tmp_path / "candidate")
    assert candidate.version == "1.0.0+ruled"
    before, after = (telling(read, rows) for read in (full_release.release, candidate))
    assert after > before + 0.1
    refit(out="again")
    for name in (releases.HEADS_FILE, releases.REHEARSAL):
        assert (tmp_path / "candidate" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_what_learnt_knows_the_kind_better_and_forgets_none(refitted, rows):
    made, _ = refitted(rows(full.RULED, "fake", range(200, 240)) + rows(full.REAL, "real", range(240, 280)))
    by_name = {row.name: row for row in made.rows}
    assert made.refusals == ()
    assert by_name["ruled"].auc[1] > by_name["ruled"].auc[0] + 0.1
    for name in (full.STRIPED, full.TINTED):
        assert by_name[name].auc[1] >= by_name[name].auc[0] - refitting.LOST


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (((full.STRIPED, "real", 120),), "striped"),
        (((full.STRIPED, "real", 40), (full.REAL, "fake", 40)), "told apart worse than before"),
    ],
)
def test_the_gate_refuses_decisions_that_contradict_an_existing_kind(refitted, rows, answers, why, monkeypatch):
    monkeypatch.setattr(refitting, "STEPS", refitting.STEPS[:1])  # a careful step would learn too little to do harm
    found = [row for at, (kind, answer, count) in enumerate(answers)
             for row in rows(kind, answer, range(200 + 200 * at, 200 + 200 * at + count))]  # fmt: skip
    made, _ = refitted(found)
    assert any(why in refusal for refusal in made.refusals), made.rows


def test_a_candidate_that_the_gate_refuses_is_not_written(site, refit, rows, tmp_path, monkeypatch):
    bad = tuple(rows(full.STRIPED, "real", range(200, 230)) + rows(full.REAL, "fake", range(230, 260)))
    monkeypatch.setattr(decisions, "gather", lambda release, *_: Gathered(bad, network_of(release), len(bad), 0, 0))
    refused = refit()
    assert refused.exit_code == 1
    assert "**The gate refuses it:**" in refused.output
    assert not (tmp_path / "candidate").exists()
    assert refit("--anyway").exit_code == 0
    assert (tmp_path / "candidate" / releases.RECORD).exists()


def test_the_name_of_a_source_that_the_release_knows_is_refused(refitted, rows):
    with pytest.raises(DatasetError, match="knows a source called striped"):
        refitted(rows(full.STRIPED, "fake", range(200, 220)), name=full.STRIPED)


def test_a_face_counts_once_and_contradictions_not_at_all(site, full_release, settings, monkeypatch):
    monkeypatch.setattr(home, "settings", lambda: settings)
    release = full_release.release
    with site.Session.begin() as session:
        other = platforms.create(session, "Other").platform.id
        platforms.change_policy(session, other, EVERYTHING)
    bodies = {"agreed": jpeg("red"), "contradicted": jpeg("blue"), "unsure": jpeg("green")}
    pairs = {name: (site.send(body), site.send(body, other)) for name, body in bodies.items()}
    of_other_encoder = site.send(jpeg("white"))
    kept = Kept(0, release.encoder.graph, b"\0\0", network_of(release), b"\0" * 8)
    site.record([kept])
    with site.Session.begin() as session:
        session.get_one(FaceFeatures, (of_other_encoder, 0)).encoder = "another"
        platforms.change_policy(session, other, {"keep_features": None})
    of_silence = site.send(jpeg("black"), other)
    site.record([kept])
    for submission_id in (*pairs["agreed"], pairs["contradicted"][0], of_other_encoder, of_silence):
        site.decide(submission_id, "fake")
    site.decide(pairs["contradicted"][1], "real")
    site.decide(pairs["unsure"][0], "unsure")

    found = decisions.gather(release, None, None)
    assert [(row.sha256, row.answer) for row in found.rows] == sorted(
        [(site.sha256(pairs["agreed"][0]), "fake"), (site.sha256(pairs["contradicted"][0]), "fake")]
    )  # the other platform's were deleted with its permission
    assert (found.decided, found.without, found.contradicted) == (6, 4, 0)
    assert decisions.gather(release, "Other", None).rows == ()
    with pytest.raises(NotFound):
        decisions.gather(release, "Nobody", None)


def test_media_that_was_decided_both_ways_is_left_out(site, full_release, settings, monkeypatch):
    monkeypatch.setattr(home, "settings", lambda: settings)
    release = full_release.release
    first, second, third = site.send(jpeg("red")), site.send(jpeg("red")), site.send(jpeg("blue"))
    site.record([Kept(0, release.encoder.graph, b"\0\0", "", b"")])
    for submission_id, answer in ((first, "fake"), (second, "real"), (third, "real")):
        site.decide(submission_id, answer)
    found = decisions.gather(release, None, None)
    assert [(row.sha256, row.answer) for row in found.rows] == [(site.sha256(third), "real")]
    assert (found.decided, found.without, found.contradicted) == (3, 0, 1)


def test_near_duplicates_teach_together_or_measure_together(rows, probe, full_release):
    some = rows(full.REAL, "real", range(200, 240))
    twins = [Decided(f"copy of {row.sha256}", "real", row.kept, None, None) for row in some]
    hashes = np.random.default_rng(0).integers(0, 256, (len(some), 32), np.uint8)

    def hashed(all_rows, bits):
        changed = [bytes([one[0] ^ bits, *one[1:]]).hex() for one in hashes]
        return [Decided(row.sha256, row.answer, row.kept, pdq, 90)
                for row, pdq in zip(all_rows, changed, strict=True)]  # fmt: skip

    def frozen(*parts):
        found = [row for part in parts for row in part]
        return Gathered(tuple(found), network_of(full_release.release), 0, 0, 0).addition(probe).frozen

    tied, apart = frozen(hashed(some, 0), hashed(twins, 7)), frozen(some, twins)
    assert tied[:40].tolist() == tied[40:].tolist()
    assert apart[:40].tolist() != apart[40:].tolist()
    assert 4 < tied[:40].sum() < 20


def test_faces_judged_beside_another_small_network_teach_and_never_measure(rows, refitted):
    found = rows(full.RULED, "fake", range(200, 230)) + rows(full.REAL, "real", range(230, 260))
    older = [Decided(row.sha256, row.answer,
                     Kept(0, row.kept.encoder, row.kept.features, "an older network", row.kept.logits), None, None)
             for row in found]  # fmt: skip
    _, whole = refitted(found)
    made, part = refitted(older)
    assert whole.frozen.any()
    assert not part.frozen.any()
    assert len(part.labels) == (~whole.frozen).sum()
    assert np.isfinite([row.auc for row in made.rows]).all()


@pytest.mark.parametrize("features", [b"", b"\0\0", b"\0" * 6144 * 2])
def test_features_of_another_length_are_refused(rows, refitted, features):
    (row,) = rows(full.REAL, "real", [200])
    with pytest.raises(ReleaseError, match="features that were kept"):
        refitted([Decided(row.sha256, "real", Kept(0, row.kept.encoder, features, "", b""), None, None)])


def test_too_few_decisions_are_too_few(site, refit):
    with pytest.raises(DatasetError, match="10 faces or more; there are 0"):
        refit()


def test_a_release_without_an_encoder_learns_nothing(full_release):
    with pytest.raises(ReleaseError, match="encoder"):
        decisions.gather(releases.read(full.NETWORK), None, None)


@pytest.mark.parametrize("options", [("--platform", "Chirper"), ("--since", "2026-01-01")])
def test_choosing_decisions_needs_decisions(full_release, tmp_path, options):
    command = ["release", "refit", str(full_release.release.directory), "--add", str(tmp_path), "--name", "x",
               "--head", "synthetic", "--out", str(tmp_path / "out"), *options]  # fmt: skip
    done = CliRunner().invoke(unmask, command)
    assert done.exit_code == 2
    assert "--add decisions" in done.output
