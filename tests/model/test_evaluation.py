"""A release is tested on what it has not seen, asked once, and its report and card leave nothing out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import calibration, cards, datasets, releases, sources, splits
from model.datasets import building, published
from model.errors import DatasetError
from model.evaluation import choosing, collection, gallery, pages, pictures, reporting, scoring, sets, words
from model.evaluation.answers import Answer, Memory
from model.evaluation.scoring import Trial
from model.sources import Item
from tests.model import pictures as made

CUTS = {"even": 0.5, "review": 0.66, "fake": 0.95}


class Oracle:
    """Knows the score of any bytes from their first, and counts what it is asked."""

    name, digest, cuts = "oracle", "0" * 64, CUTS

    def __init__(self):
        self.asked = 0

    def answers(self, files):
        self.asked += len(files)
        return [Answer(content[0] / 255, "clear") for content in files]


def trial(source, label, index, score, split=splits.TEST, band="clear", reasons=(), quality=None):
    item = Item(Path(f"{index}.png"), f"{source}/{index}", source, label, str(index))
    return Trial(item, split, Answer(score, band, reasons, quality=quality or {}))


@pytest.fixture
def trials():
    """Thirty of each class, three wrong; two without a face, one torn; and a source of reals that is all wrong."""
    good = [
        trial(
            "good",
            label,
            index + 30 * label,
            0.1 + 0.8 * label + index / 1000,
            quality={"size_px": 80 + 100 * (index % 2), "tone_angle": 20.0},
        )
        for label in (0, 1)
        for index in range(27)
    ]
    wrong = [trial("good", label, 60 + index + 3 * label, 0.8 - 0.6 * label) for label in (0, 1) for index in range(3)]
    faceless = [trial("good", 1, 90 + index, 0.0, band="inconclusive", reasons=("no_face",)) for index in range(2)]
    bad = [trial("bad", 0, index, 0.96, splits.UNSEEN, band="fake") for index in range(4)]
    torn = Trial(Item(Path(), "good/99", "good", 0, "99"), splits.TEST, Answer(None, failure="torn-file"))
    return [*good, *wrong, *faceless, *bad, torn]


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


@pytest.fixture
def report(release, trials):
    return reporting.assemble(release, CUTS, trials, (), "grouped", "f" * 64)


def test_a_source_it_never_learnt_from_is_used_whole(release, folder):
    assert [subject.split for subject in choosing.choose(release, folder)] == [splits.UNSEEN] * 6


def test_of_a_source_it_learnt_from_only_the_test_split_is_used(release, folder):
    (folder / "new").rename(folder / "dfdc")
    items = sources.read(folder)
    assert [subject.item for subject in choosing.choose(release, folder)] == splits.divide(items)[splits.TEST]


def test_an_image_it_learnt_from_is_left_out_under_any_name(release, folder):
    items = sources.read(folder)
    releases.write_list(release.directory, [Item(items[0].path, "elsewhere/real/x.png", "elsewhere", 0, "x")])
    assert [subject.item for subject in choosing.choose(release, folder)] == items[1:]


def test_a_source_that_was_calibrated_on_stays_unseen_but_for_those_images(release, folder):
    items = sources.read(folder)
    releases.write_list(release.directory, [], items[:2])
    chosen = choosing.choose(release, folder)
    assert [subject.item for subject in chosen] == items[2:]
    assert {subject.split for subject in chosen} == {splits.UNSEEN}


def test_a_near_duplicate_of_what_was_calibrated_on_is_no_test(release, tmp_path):
    made.source(tmp_path / "data" / "away", 6, 0)
    made.put(tmp_path / "data" / "away" / "real" / "again.jpg", made.pattern(0), quality=60)
    building.build([tmp_path / "data"], tmp_path / "built", building.Options(), lambda _done, _total: None)
    items = datasets.opened(tmp_path / "built", {"away"})[splits.UNSEEN]
    (again,) = [item for item in items if item.name == "away/real/again.jpg"]
    (twin,) = [item for item in items if item.component == again.component and item is not again]
    releases.write_list(release.directory, [], [twin])
    chosen = {subject.item.name for subject in choosing.choose(release, tmp_path / "built")}
    assert chosen == {item.name for item in items} - {again.name, twin.name}


def test_with_nothing_left_to_test_on_it_refuses(release, folder):
    items = sources.read(folder)
    releases.write_list(release.directory, [Item(item.path, "x/real/x.png", "x", 0, "x") for item in items])
    with pytest.raises(DatasetError, match="nothing to test"):
        choosing.choose(release, folder)


def test_a_sample_is_the_same_files_again_and_a_part_of_a_larger_one(release, folder):
    small, again, large = ({s.item.name for s in choosing.choose(release, folder, sample=n)} for n in (2, 2, 4))
    assert small == again < large
    assert len(large) == 4


def pairs(count):
    return [
        Item(Path(f"{kind}{index}.jpg"), f"dfdc/{kind}{index}", "dfdc", label, str(index))
        for kind, label, surplus in (("r", 0, 0), ("f", 1, 20))
        for index in range(count + surplus)
    ]


def test_the_published_split_is_balanced_disjoint_and_does_not_ask_for_the_order():
    divided = published.divide(pairs(100))
    assert {name: len(part) for name, part in divided.items()} == {"train": 160, "validation": 20, "test": 20}
    assert all(sum(item.label for item in part) * 2 == len(part) for part in divided.values())
    names = [item.name for part in divided.values() for item in part]
    assert len(set(names)) == len(names)
    assert published.digest(published.divide(reversed(pairs(100)))) == published.digest(divided)
    assert published.digest(published.divide(pairs(99))) != published.digest(divided)


def test_the_published_protocol_wants_both_classes_of_its_source():
    with pytest.raises(DatasetError, match="dfdc"):
        published.divide([item for item in pairs(10) if item.label])


def test_the_published_protocol_refuses_a_release_that_learnt_from_its_test_files(release, tmp_path):
    for kind in ("real", "fake"):
        (tmp_path / "x" / "dfdc" / kind).mkdir(parents=True)
        for index in range(20):
            (tmp_path / "x" / "dfdc" / kind / f"{index}.jpg").write_bytes(f"{kind} {index}".encode())
    drawn = published.divide(sources.read(tmp_path / "x"))
    releases.write_list(release.directory, drawn[splits.TRAIN])
    assert len(choosing.choose(release, tmp_path / "x", choosing.PUBLISHED)) == 4
    releases.write_list(release.directory, drawn[splits.TEST][:1])
    with pytest.raises(DatasetError, match="learnt from 1 of"):
        choosing.choose(release, tmp_path / "x", choosing.PUBLISHED)
    twin = next(item for item in drawn[splits.TRAIN] if item.label)  # the same bytes under another name
    twin.path.write_bytes(next(item for item in drawn[splits.TEST] if item.label).path.read_bytes())
    releases.write_list(release.directory, drawn[splits.TRAIN])
    assert len(choosing.choose(release, tmp_path / "x", choosing.PUBLISHED)) == 3


def test_what_was_answered_is_not_asked_again_even_after_a_torn_line(release, folder, tmp_path):
    subjects, oracle = choosing.choose(release, folder), Oracle()
    first = scoring.score(oracle, subjects[:4], scoring.memory(oracle, tmp_path / "out"))
    assert oracle.asked == 4
    (file,) = (tmp_path / "out" / "answers").glob("*.jsonl")
    file.write_text(file.read_text()[:-20])
    again = scoring.score(oracle, subjects, scoring.memory(oracle, tmp_path / "out"))
    assert oracle.asked == 4 + 1 + 2  # the torn one, and the two that are new
    assert again[:4] == first
    assert scoring.score(oracle, subjects, scoring.memory(oracle, tmp_path / "out")) == again
    assert oracle.asked == 7


def test_a_memory_keeps_an_answer_whole(tmp_path):
    told = {"a": Answer(0.25, "clear", ("x", "y"), quality={"size_px": 80.5}), "b": Answer(None, failure="torn-file")}
    Memory(tmp_path / "m" / "a.jsonl").add(told)
    read = Memory(tmp_path / "m" / "a.jsonl")
    assert {key: read.get(key) for key in "abc"} == {**told, "c": None}


def test_what_is_inconclusive_or_failed_is_counted_and_not_measured(report):
    figures = report["sets"]["good (test)"]
    assert (figures["submitted"], figures["files"], figures["failed"]) == (63, 60, 1)
    assert figures["inconclusive"] == {"no_face": 2}
    assert figures["confusion"] == [[27, 3], [3, 27]]


def test_every_source_has_its_own_row_and_mates_one_together(release, trials):
    report = reporting.assemble(release, CUTS, trials, [("good", "bad")], "grouped", "")
    assert list(report["sets"]) == ["all (test)", "all (unseen)", "bad (unseen)", "good (test)", "good against bad (unseen)"]  # fmt: skip
    assert report["sets"]["bad (unseen)"]["false_positive_rate"]["even"] == 1.0
    assert all(f"| {name} |" in pages.table(report) for name in report["sets"])


def test_the_worst_source_and_the_worst_mistakes_are_named(report):
    assert report["worst"]["auc"]["set"] == "good (test)"
    assert report["worst"]["false_positive_rate"] == {"set": "bad (unseen)", "value": 1.0}
    assert [row["score"] for row in report["mistakes"]["reals_called_fake"]][:5] == [0.96] * 4 + [0.8]
    assert report["mistakes"]["fakes_passed"][0]["score"] == 0.2


def test_real_only_sources_have_exact_intervals_and_thresholds_that_never_saw_them(report):
    rate = report["stress"]["bad"]["rates"]["fake"]
    assert (rate["hits"], rate["files"], rate["high"]) == (4, 4, 1.0)
    assert rate["low"] == pytest.approx(0.025 ** (1 / 4))
    told = report["bands_without_the_source"]["all reals together"]["sources"]
    # Thirty other reals can promise 10 % only if none is above, and nothing at 1 %.
    assert 0.8 < told["bad"]["review"]["threshold"] < 0.81
    assert (told["bad"]["review"]["hits"], told["bad"]["fake"]["threshold"]) == (4, 1.0)
    assert list(report["stress"]) == ["bad"]


def test_calibration_is_tried_on_a_source_it_was_not_fitted_on():
    """Two sources tell the truth; of the third the truth is turned round, so that no other source can calibrate it."""
    chance = np.random.default_rng(2)
    told = []
    for source in ("a", "b", "turned"):
        for index in range(600):
            score = chance.uniform(0.02, 0.98)
            label = int((chance.random() < score) != (source == "turned"))
            told.append(trial(source, label, index, score))
    found = sets.held_out_calibration(told, calibration.Calibration(), ())
    assert found["turned (test)"]["fitted_on_the_others"] > 0.3
    assert found["turned (test)"]["temperature"] == pytest.approx(1, abs=0.25)
    assert found["a (test)"]["as_released"] < 0.1


def test_one_class_sources_calibrate_as_mates_only(trials):
    known = calibration.Calibration(2.0, 0.1)
    assert sets.logits_by_source(trials, known, ()).keys() == {"good (test)"}
    logits, labels = sets.logits_by_source(trials, known, [("good", "bad")])["good against bad (unseen)"]
    assert known.apply(logits).max() == pytest.approx(0.96)
    assert (len(labels), labels.sum()) == (64, 30)


def test_figures_are_told_by_condition_where_there_are_enough_files(report):
    sizes = report["conditions"]["good (test)"]["size_px"]
    assert {name: (row["files"], row["fakes"]) for name, row in sizes.items()} == {
        "below 96 px": (28, 14),
        "128 to 192 px": (26, 13),
        "not measured": (6, 3),
    }
    assert report["conditions"]["good (test)"]["tone_angle"]["tan"]["auc"] == 1.0
    assert "auc" not in sizes["not measured"]


def test_generators_are_told_apart_against_the_same_reals():
    made = [trial("s", 0, index, index / 100) for index in range(30)]
    for index in range(40):
        item = Item(Path(), f"s/f{index}", "s", 1, f"f{index}", generator=("easy", "hard")[index % 2])
        made.append(Trial(item, splits.TEST, Answer((0.9, 0.001)[index % 2], "clear")))
    found = sets.breakdown(made, CUTS)["generator"]
    assert {name: (row["files"], row["fakes"]) for name, row in found.items()} == {"easy": (50, 20), "hard": (50, 20)}
    assert (found["easy"]["auc"], found["hard"]["auc"]) == (1.0, pytest.approx(1 / 30))


def test_a_report_is_written_with_its_pictures_and_without_anybody_elses(report, trials, tmp_path):
    (tmp_path / "out").mkdir()
    drawn = pictures.draw(tmp_path / "out", trials, (), report)
    pages.write(tmp_path / "out", report, drawn)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    names = ("roc", "precision_recall", "confusion", "reliability")
    assert written == {"report.json", "report.md", *(f"{name}.{kind}" for name in names for kind in ("png", "svg"))}
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == json.loads(json.dumps(report))
    text = (tmp_path / "out" / "report.md").read_text()
    assert all(f"({name}.png)" in text for name in names)


def test_the_same_figures_give_the_same_bytes(report, tmp_path):
    drawn = []
    for _ in range(2):
        pictures._save(pictures._confusion(report["sets"], ["good (test)"]), tmp_path, "confusion")
        drawn.append([(tmp_path / f"confusion.{kind}").read_bytes() for kind in ("png", "svg")])
    assert drawn[0] == drawn[1]


def test_words_say_where_it_fails(report):
    said = "\n".join(words.failings(report))
    assert "Of 4 reals in bad (unseen), 4 (100%) go to review and 4 (100.0%; at most 100.0%) are called fake." in said
    assert "The real picture with the highest score is bad/0 (unseen), at 0.960." in said


def test_words_rank_no_step_by_the_few_files_it_left_and_say_how_many_it_silenced(report):
    name = "all (test)"
    steps = {"unchanged": (60, 0, 0.9), "noise 8": (58, 2, 0.7), "rotation 90": (4, 56, 0.0)}
    report["robustness"] = {
        "steps": {
            step: {name: {"files": files, "inconclusive": silent, "auc": auc}}
            for step, (files, silent, auc) in steps.items()
        }
    }
    said = "\n".join(words.failings(report))
    assert "After processing, all (test): AUC falls from 0.900 to 0.700 (noise 8)." in said
    assert "Of 60 files in all (test), inconclusive after processing: 56 (rotation 90)." in said


def test_words_call_a_coin_a_coin():
    told = [trial("turned", index % 2, index, 0.1 + 0.8 * (index % 2 == 0) + index / 1e4) for index in range(60)]
    figures = sets.figures(told, CUTS)
    empty = {"sets": {"turned (unseen)": figures}, "stress": {}, "conditions": {}, "mistakes": reporting.mistakes([])}
    assert words.failings(empty)[0].startswith("**turned (unseen): worse than a coin** (AUC 0.000")


def test_a_gallery_shows_the_worst_and_keeps_out_of_version_control(folder, tmp_path):
    items = sources.read(folder)
    told = [Trial(item, splits.UNSEEN, Answer(index / 10, "clear")) for index, item in enumerate(items)]
    lost = Trial(Item(tmp_path / "gone.png", "gone.png", "x", 1, "g"), splits.UNSEEN, Answer(0.1, "clear"))
    gallery.write(tmp_path / "out", [*told, lost], 4)
    with Image.open(tmp_path / "out" / gallery.FILE) as sheet:
        shown = np.asarray(sheet)
    worst = np.asarray(Image.open(items[5].path).resize((gallery.TILE, gallery.TILE), Image.Resampling.BICUBIC), float)
    tile = shown[24 : 24 + gallery.TILE, gallery.GAP : gallery.GAP + gallery.TILE]
    assert np.abs(tile - worst).mean() < 12
    assert (tmp_path / "out" / ".gitignore").read_text() == "gallery.png\n"


def test_a_card_holds_figures_failings_and_notes_and_the_release_stays_whole(release, report):
    sealed = cards.write(release, report, "A note of the author's.")
    text = (release.directory / releases.CARD).read_text()
    assert pages.table(report) in text
    assert all(line in text for line in words.failings(report))
    assert "A note of the author's." in text
    assert sealed.metrics["sets"].keys() == report["sets"].keys()


def left_out(name, source, auc, files=40):
    """A report of a release that never saw `source`."""
    row = {"auc": auc, "balanced_accuracy": 0.6, "calibration_error": 0.1, "files": files, "fakes": files // 2, "false_positive_rate": {"fake": 0.02}}  # fmt: skip
    return {
        "release": {"name": name, "version": "1"},
        "path": name,
        "sets": {
            f"{source} (unseen)": row,
            "all (unseen)": row,
            "other (test)": {**row, "auc": 1.0},
            "reals (unseen)": {"files": 9},
        },
    }


def test_a_collection_takes_the_mean_over_left_out_sets_and_seeds_first():
    table = collection.collect([left_out("a", "x", 0.9), left_out("b", "x", 0.7), left_out("c", "y", 0.6)])
    assert table["sets"].keys() == {"x", "y"}
    assert table["sets"]["x"]["auc"] == pytest.approx({"mean": 0.8, "low": 0.7, "high": 0.9})
    assert table["macro"]["auc"] == pytest.approx(0.7)
    assert table["families"] == []
    assert "| x | 2 | 20 / 20 | 0.800 [0.700, 0.900] |" in collection.markdown(table)


def test_a_release_that_never_saw_several_sources_is_told_as_a_family():
    both = left_out("f", "x", 0.9)
    both["sets"]["y (unseen)"] = {**both["sets"]["x (unseen)"], "auc": 0.5}
    assert collection.collect([both])["families"] == [{"release": "f 1", "sets": ["x", "y"], "auc": pytest.approx(0.7)}]


def test_a_collection_of_seen_sources_is_refused():
    seen = left_out("a", "x", 0.9)
    seen["sets"] = {"x (test)": seen["sets"]["x (unseen)"]}
    with pytest.raises(DatasetError, match="never saw"):
        collection.collect([seen])
