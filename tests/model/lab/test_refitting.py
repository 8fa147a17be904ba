"""Teaching a release a new kind of forgery, at a site that has none of the pictures it was made from."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import unmask
from model import probes, rehearsal, releases, verification
from model.detector import Detector
from model.errors import DatasetError, ReleaseError
from model.lab import refit_pages, refitting, rehearsing
from model.lab.kinds import Kind
from model.sources import Item
from tests.model import full

GUIDE = Path(__file__).parents[3] / "docs/detector/new-kind.md"
COUNT = 120  # new pictures of each class: of fewer, the dozen that measure say little
RULED = Kind(kind="ruled", family="added", head="synthetic", mates=())


@pytest.fixture(scope="module")
def cache(full_release):
    return full_release.cache


@pytest.fixture(scope="module")
def release(full_release):
    return full_release.release


@pytest.fixture(scope="module")
def detector(release, cache):
    return Detector.load(release.directory, "cpu", cache=cache)


def pictures(folder, fakes=full.RULED, count=30, first=200):
    """A folder of reals and of forgeries, and its items."""
    items = []
    for label, kind in ((0, full.REAL), (1, fakes)):
        home = folder / ("fake" if label else "real")
        home.mkdir(parents=True)
        for seed in range(first, first + count):
            path = home / f"{seed}.png"
            path.write_bytes(full.file(kind, seed))
            items.append(Item(path, f"new/{home.name}/{seed}.png", "new", label, f"{home.name} {seed}"))
    return items


@pytest.fixture(scope="module")
def learnt(release, detector, tmp_path_factory):
    """The refit to a kind that the release does not know, with what it was made of."""
    new = refitting.addition(detector, pictures(tmp_path_factory.mktemp("new"), count=COUNT))
    known, probe = refitting.opened(release), probes.read(release.file(releases.HEADS_FILE))
    return refitting.refit(release, probe, known, new, RULED, "ruled"), new


def row(made, name):
    (found,) = [each for each in made.rows if each.name == name]
    return found


def test_a_new_kind_is_learnt_and_the_old_ones_are_not_forgotten(learnt):
    made, new = learnt
    assert row(made, "ruled").auc[1] > row(made, "ruled").auc[0] + 0.03
    for old in (full.STRIPED, full.TINTED):
        assert row(made, old).auc[1] > row(made, old).auc[0] - refitting.LOST
    assert made.refusals == ()
    assert 0 < new.frozen.sum() < len(new.labels)


def test_what_is_measured_was_not_learnt_from(release, learnt):
    made, new = learnt
    assert row(made, "ruled").fakes == int((new.frozen & (new.labels == 1)).sum())
    scrambled = replace(new, values=np.where(new.frozen[:, None], -new.values, new.values))
    known, probe = refitting.opened(release), probes.read(release.file(releases.HEADS_FILE))
    one, other = (refitting._learned(probe, known, each, RULED, "ruled", 1.0) for each in (new, scrambled))
    assert np.array_equal(one.kinds.weights, other.kinds.weights)
    assert np.array_equal(one.overall.weights, other.overall.weights)


def test_the_same_pictures_give_the_same_bytes(release, learnt, cache, tmp_path):
    made, new = learnt
    known = refitting.opened(release)
    one, other = (
        refitting.write(release, made, known, new, RULED, "ruled", tmp_path / name, cache) for name in ("one", "other")
    )
    for name in (releases.HEADS_FILE, releases.REHEARSAL, releases.GOLDEN):
        assert (one.directory / name).read_bytes() == (other.directory / name).read_bytes(), name


def test_the_candidate_is_a_whole_release_with_its_report_and_can_learn_on(release, learnt, cache, tmp_path):
    made, new = learnt
    known = refitting.opened(release)
    candidate = refitting.write(release, made, known, new, RULED, "ruled", tmp_path / "out", cache)

    assert candidate.version == "1.0.0+ruled"
    assert verification.sound(verification.verify(candidate.directory, cache))
    assert candidate.thresholds == made.thresholds
    told = json.loads((candidate.directory / "refit.json").read_text())
    assert told["refused"] == []
    assert told["added"]["fakes"] == COUNT
    assert "| ruled |" in (candidate.directory / "refit.md").read_text()
    more = rehearsal.read(candidate.file(releases.REHEARSAL))
    assert len(more.values) == len(known.values) + len(new.labels)
    assert set(more.sources) == set(known.sources) | {"ruled"}
    before, after = (
        [answer.score for answer in Detector.load(each.directory, "cpu", cache=cache).score(
            [full.file(full.RULED, seed) for seed in range(300, 306)])]
        for each in (release, candidate)
    )  # fmt: skip
    assert np.mean(after) > np.mean(before)


def test_faces_that_contradict_an_old_kind_are_refused_by_the_gate(release):
    known, probe = refitting.opened(release), probes.read(release.file(releases.HEADS_FILE))
    striped = known.sources == full.STRIPED
    contrary = refitting.Addition(
        np.tile(known.values[striped].astype(np.float32), (4, 1)),
        np.tile(known.network[striped].astype(np.float64), (4, 1)),
        np.tile((known.classes[striped] == 0).astype(np.int64), 4),
        np.tile(known.frozen[striped], 4),
        0,
    )
    made = refitting.refit(release, probe, known, contrary, RULED, "upside-down")

    assert made.refusals
    page = refit_pages.page(refit_pages.report(release, made, contrary, RULED, "upside-down"), made)
    assert "The gate refuses it" in page


def test_a_candidate_that_accuses_more_real_people_is_refused():
    rows = [refitting.Row("press", 0, 40, (np.nan, np.nan), (0.1, 0.3), (0.0, 0.05))]
    assert "press" in refitting._refusals(rows, "new")[0]
    within = [replace(rows[0], fake=(0.0, 0.01))]
    assert refitting._refusals(within, "new") == []
    as_before = [replace(rows[0], fake=(0.05, 0.05))]
    assert refitting._refusals(as_before, "new") == []


def test_too_few_faces_teach_nothing(detector, tmp_path):
    with pytest.raises(DatasetError, match="10 faces or more"):
        refitting.addition(detector, pictures(tmp_path, count=4))


def test_files_without_a_face_or_a_picture_are_counted_and_left_out(detector, tmp_path):
    items = pictures(tmp_path, count=8)
    items[0].path.write_bytes(b"no picture")
    assert refitting.addition(detector, items).faceless == 1


def test_a_release_without_a_rehearsal_cannot_learn(tmp_path):
    with pytest.raises(ReleaseError, match="no rehearsal"):
        refitting.opened(releases.read())


@pytest.mark.parametrize("content", [b"", b"PK", b"not arrays"])
def test_a_broken_rehearsal_is_refused(tmp_path, content):
    (tmp_path / "rehearsal.npz").write_bytes(content)
    with pytest.raises(ReleaseError, match="no rehearsal"):
        rehearsal.read(tmp_path / "rehearsal.npz")


def test_a_rehearsal_stands_for_every_source_and_class():
    from tests.model.lab.made import samples

    known = samples(count=100)
    chosen = known.where(np.isin(np.arange(len(known)), rehearsing.drawn(known, 60)))
    assert len(chosen) == 60
    assert {(source, label) for source, label in zip(chosen.sources, chosen.fake, strict=True)} == {
        (source, label) for source in ("alpha", "beta", "gamma") for label in (0, 1)
    }
    assert len(rehearsing.drawn(known, 10_000)) == len(known)


def test_the_documents_worked_example_runs(release, cache, tmp_path, monkeypatch):
    (line,) = re.findall(r"^unmask (release refit .*)$", GUIDE.read_text(), re.MULTILINE)
    pictures(tmp_path / "new-generator")
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line.replace("RELEASE", str(release.directory)))
    told = CliRunner().invoke(unmask, [*words, "--encoder-cache", str(cache)])

    assert told.exit_code == 0, told.output
    assert "| new-generator |" in told.output
    assert "The gate accepts it." in told.output
    candidate = releases.read(tmp_path / "candidate")
    assert candidate.version == f"{release.version}+new-generator"
    again = CliRunner().invoke(unmask, [*words, "--encoder-cache", str(cache)])
    assert again.exit_code != 0
    assert "is not empty" in str(again.exception)
