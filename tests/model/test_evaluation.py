"""A release is tested on what it has not seen, and its report and card leave nothing out."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import cards, evaluation, releases, reporting, sources, splits
from model.detector import Failure, Judgement
from model.errors import DatasetError
from model.evaluation import Trial
from model.sources import Item


def trial(source, label, index, score, band="clear", reasons=()):
    item = Item(Path(), f"{source}/{index}", source, label, str(index))
    return Trial(item, splits.TEST, Judgement(score, band, reasons, (), 9, 9))


@pytest.fixture
def trials():
    """Ten of each class at their right ends, two without a face, one torn, and a source of reals that is all wrong."""
    sure = [trial("good", label, index + 10 * label, 0.1 + 0.8 * label) for label in (0, 1) for index in range(10)]
    faceless = [trial("good", 1, 30 + index, 0.0, "inconclusive", ("no_face",)) for index in range(2)]
    wrong = [trial("bad", 0, index, 0.95, "fake") for index in range(4)]
    torn = Trial(Item(Path(), "good/99", "good", 0, "99"), splits.TEST, Failure("torn-file", "torn"))
    return [*sure, *faceless, *wrong, torn]


@pytest.fixture
def release(tmp_path):
    shutil.copytree(releases.default_path(), tmp_path / "copy")
    return releases.read(tmp_path / "copy")


@pytest.fixture
def folder(tmp_path):
    chance = np.random.default_rng(0)
    (tmp_path / "images" / "new" / "real").mkdir(parents=True)
    for index in range(6):
        pixels = chance.integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / "new" / "real" / f"{index}.png")
    return tmp_path / "images"


def test_a_source_it_never_learnt_from_is_used_whole(release, folder):
    chosen = evaluation.choose(release, sources.read(folder))
    assert [split for _, split in chosen] == [splits.UNSEEN] * 6


def test_of_a_source_it_learnt_from_only_the_test_split_is_used(release, folder):
    (folder / "new").rename(folder / "dfdc")
    items = sources.read(folder)
    assert [item for item, _ in evaluation.choose(release, items)] == splits.divide(items)[splits.TEST]


def test_an_image_it_learnt_from_is_left_out_under_any_name(release, folder):
    items = sources.read(folder)
    releases.write_list(release.directory, [Item(items[0].path, "elsewhere/real/x.png", "elsewhere", 0, "x")])
    assert [item for item, _ in evaluation.choose(release, items)] == items[1:]


def test_with_nothing_left_to_test_on_it_refuses(release, folder):
    items = sources.read(folder)
    releases.write_list(release.directory, [Item(item.path, "x/real/x.png", "x", 0, "x") for item in items[:1]])
    with pytest.raises(DatasetError, match="nothing to test"):
        evaluation.choose(release, items[:1])


def test_what_is_inconclusive_or_failed_is_counted_and_not_measured(release, trials):
    figures = evaluation.report(release, trials, {})["sets"]["good (test)"]
    assert (figures["submitted"], figures["files"], figures["failed"]) == (23, 20, 1)
    assert figures["inconclusive"] == {"no_face": 2}
    assert figures["auc"] == 1.0


def test_every_source_has_its_own_row_and_mates_one_together(release, trials):
    report = evaluation.report(release, trials, {"good": "bad"})
    assert list(report["sets"]) == ["all (test)", "bad (test)", "good (test)", "good against bad (test)"]
    assert report["sets"]["bad (test)"]["false_positive_rate"]["even"] == 1.0
    assert all(f"| {name} |" in reporting.table(report) for name in report["sets"])


def test_a_report_is_written_with_its_pictures(release, trials, tmp_path):
    reporting.write(tmp_path / "out", evaluation.report(release, trials, {}), trials)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.json",
        "report.md",
        "roc.png",
        "reliability.png",
    }


def test_a_card_holds_the_table_and_the_notes_and_the_release_stays_whole(release, trials):
    report = evaluation.report(release, trials, {})
    sealed = cards.write(release, report, "A note of the author's.")
    text = (release.directory / releases.CARD).read_text()
    assert reporting.table(report) in text
    assert "A note of the author's." in text
    assert sealed.metrics.keys() == report["sets"].keys()
