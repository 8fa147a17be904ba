"""Several releases vote as one, and where they are far apart nobody is believed."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from cli.release import release as command
from model import bands, ensembles, fitting, releases, verification
from model.calibration import Calibration
from model.detector import Detector
from model.errors import ReleaseError
from model.releases import Preprocessing
from model.sources import Item

SHIPPED = releases.default_path().name


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The shipped release, and one that cuts more widely and is surer of fakes."""
    home = tmp_path_factory.mktemp("members")
    for name in ("one", "other"):
        shutil.copytree(releases.default_path(), home / name)
    release = releases.read(home / "other")
    steps = replace(release.preprocessing, margin=1.4)
    fitting.finish(replace(release, preprocessing=steps, calibration=Calibration(1.2, 0.4), version="9.0.0"))
    return [home / "one", home / "other"]


@pytest.fixture(scope="module")
def joined(members, tmp_path_factory):
    return ensembles.join(members, [3, 1], tmp_path_factory.mktemp("ensemble") / "both-1.0.0", "both", "1.0.0")


def logit(score):
    return np.log(score / (1 - score))


def test_calibrated_logits_are_averaged_by_weight(members, joined, portrait, landscape, encode):
    files = [encode(portrait, "PNG"), encode(portrait.crop((60, 0, 400, 340)), "JPEG"), encode(landscape, "PNG")]
    one, other, both = (
        [logit(answer.score) for answer in Detector.load(path, "cpu").score(files)]
        for path in (*members, joined.directory)
    )
    assert both == pytest.approx([0.75 * a + 0.25 * b for a, b in zip(one, other, strict=True)], abs=1e-4)


def test_it_is_a_release_like_any_other(joined):
    checks = verification.verify(joined.directory)
    assert verification.sound(checks)
    assert {check.name for check in checks} >= {"golden files", f"1-{SHIPPED}: graph and weights"}
    assert isinstance(joined.preprocessing, Preprocessing)


def test_it_says_how_far_its_members_are_apart(members, joined, portrait, encode):
    file = encode(portrait, "PNG")
    one, other, both = (Detector.load(path, "cpu").score([file])[0].faces[0] for path in (*members, joined.directory))
    assert both.quality["spread"] == pytest.approx(abs(one.score - other.score), abs=1e-3)
    assert "spread" not in one.quality


def test_members_that_disagree_are_not_believed(joined, tmp_path, portrait, encode):
    shutil.copytree(joined.directory, tmp_path / "strict")
    release = releases.read(tmp_path / "strict")
    releases.seal(replace(release, limits=replace(release.limits, spread=1e-6)))
    (answer,) = Detector.load(tmp_path / "strict", "cpu").score([encode(portrait, "PNG")])
    assert (answer.band, answer.reasons) == (bands.INCONCLUSIVE, (bands.DISAGREEMENT,))


def test_a_changed_member_is_refused_and_told(joined, tmp_path):
    shutil.copytree(joined.directory, tmp_path / "changed")
    member = next((tmp_path / "changed").glob("1-*"))
    record = (member / releases.RECORD).read_text()
    (member / releases.RECORD).write_text(record.replace('"review"', '"review" '))
    with pytest.raises(ReleaseError, match="SHA-256"):
        releases.read(tmp_path / "changed")
    assert not verification.sound(verification.verify(tmp_path / "changed"))


@pytest.mark.parametrize("name", ["..", "../one", "/", ""])
def test_a_member_outside_the_directory_is_refused(joined, tmp_path, name):
    shutil.copytree(joined.directory, tmp_path / "ensemble")
    text = (tmp_path / "ensemble" / releases.RECORD).read_text()
    (tmp_path / "ensemble" / releases.RECORD).write_text(text.replace(f'"1-{SHIPPED}"', f'"{name}"'))
    with pytest.raises(ReleaseError):
        releases.read(tmp_path / "ensemble")


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, 1.0, 1.0]])
def test_every_member_needs_a_weight(members, tmp_path, weights):
    with pytest.raises(ReleaseError, match="weight"):
        ensembles.join(members, weights, tmp_path / "both", "both", "1.0.0")


def test_an_ensemble_is_no_member(members, joined, tmp_path):
    with pytest.raises(ReleaseError, match="ensemble itself"):
        ensembles.join([members[0], joined.directory], [1, 1], tmp_path / "both", "both", "1.0.0")
    assert list(tmp_path.iterdir()) == []


def test_calibrating_finds_out_how_far_apart_members_usually_are(joined, tmp_path, portrait, encode):
    shutil.copytree(joined.directory, tmp_path / "ensemble")
    (tmp_path / "images").mkdir()
    items = []
    for turn in range(12):
        picture = portrait.crop((60, 0, 400, 340)).rotate(2 * turn)
        kind, label = ("fake", 1) if turn % 2 else ("real", 0)
        path = tmp_path / "images" / f"{kind}-{turn}.jpg"
        path.write_bytes(encode(picture, "JPEG", quality=90 - 4 * label * turn))
        items.append(Item(path, path.name, "portraits", label, path.name))
    told = []
    release = fitting.calibrate(releases.read(tmp_path / "ensemble"), items, told.append)
    assert sum(told) == 12
    assert 0 < release.limits.spread < 1
    assert release.limits.spread != joined.limits.spread
    assert release.calibration != joined.calibration
    assert verification.sound(verification.verify(release.directory))
    with pytest.raises(ReleaseError, match="both classes"):
        fitting.calibrate(release, items[::2], told.append)


def test_people_join_releases_on_the_command_line(members, tmp_path):
    out = tmp_path / "both"
    words = ["ensemble", *map(str, members), "--weight", "3", "--weight", "1", "--out", str(out), "--name", "both"]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    assert [member.weight for member in releases.read(out).members] == [0.75, 0.25]
