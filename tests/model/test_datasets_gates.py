"""Planted leaks are caught, each by its own gate, and an honest dataset passes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model import datasets, splits
from model.datasets import building, findings, gates, manifest
from model.datasets.building import Options
from model.datasets.findings import LEAKED, NOTED, PASSED, WARNED, Finding
from model.errors import DatasetError
from tests.model.pictures import pattern, put, source

FILES = 60  # of each class
CLEAN = {"quality": 98, "subsampling": 0}  # a JPEG that leaves next to nothing in the pixels
PICTURES = ("equalised metadata", "border alone", "8 x 8 thumbnail", "shuffled labels")


class NoFaces:
    """Finds none, so that the gates look at whole pictures."""

    def find(self, image: np.ndarray) -> list[object]:
        return []


def checked(home: Path, sample: int = FILES, **options: object) -> dict[tuple[str, str], Finding]:
    found = gates.check(home, NoFaces(), lambda _done, _total: None, sample=sample, **options)
    return {(finding.gate, finding.about): finding for finding in found}


def planted(tmp_path: Path, fake: Callable[[np.ndarray], np.ndarray], suffix: str = ".jpg", side: int = 64) -> Path:
    """A dataset whose fakes are made by `fake`, of the same kind of picture as its reals."""
    for number in range(FILES):
        put(tmp_path / "mine" / "real" / f"{number}.jpg", pattern(number, side), **CLEAN)
        coding = CLEAN if suffix == ".jpg" else {}
        put(tmp_path / "mine" / "fake" / f"{number}{suffix}", fake(pattern(FILES + number, side)), **coding)
    building.build([tmp_path / "mine"], tmp_path / "out", Options(), lambda _done, _total: None)
    return tmp_path / "out"


def leaks(found: dict[tuple[str, str], Finding]) -> set[str]:
    return {gate for (gate, _), finding in found.items() if finding.verdict == LEAKED}


def test_an_honest_dataset_passes_every_gate(tmp_path):
    found = checked(planted(tmp_path, lambda image: image))
    assert {finding.verdict for finding in found.values()} <= {PASSED, NOTED}
    assert all(found[gate, "dataset"].verdict == PASSED for gate, about in found if about == "dataset")
    assert {gate for gate, about in found if about == "mine"} == {"stored metadata", *PICTURES}


def test_a_format_that_tells_the_label_warns(tmp_path):
    found = checked(planted(tmp_path, lambda image: image, ".png"))
    assert found["stored metadata", "mine"].verdict == WARNED
    assert found["stored metadata", "mine"].figure > 0.95
    assert found["equalised metadata", "mine"].verdict == PASSED
    assert not leaks(found)


def test_a_size_that_tells_the_label_warns(tmp_path):
    found = checked(planted(tmp_path, lambda image: image[:60, :60]))
    assert found["stored metadata", "mine"].verdict == WARNED


def noisy(image: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 40, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def test_what_is_left_of_the_size_after_the_equaliser_is_a_leak(tmp_path):
    assert "equalised metadata" in leaks(checked(planted(tmp_path, noisy)))


def framed(image: np.ndarray) -> np.ndarray:
    framed = image.copy()
    framed[:3] = framed[-3:] = 240
    return framed


def test_a_border_that_tells_the_label_is_a_leak(tmp_path):
    found = checked(planted(tmp_path, framed))
    assert "border alone" in leaks(found)
    assert found["border alone", "mine"].figure > 0.9
    assert found["shuffled labels", "mine"].verdict == PASSED


def test_a_tint_that_tells_the_label_is_a_leak_that_the_thumbnail_shows(tmp_path):
    assert "8 x 8 thumbnail" in leaks(checked(planted(tmp_path, lambda image: image // 2)))


def test_too_few_files_prove_nothing(tmp_path):
    source(tmp_path / "mine", 4, 4)
    building.build([tmp_path / "mine"], tmp_path / "out", Options(), lambda _done, _total: None)
    assert {finding.verdict for finding in checked(tmp_path / "out").values()} <= {PASSED, NOTED}
    assert findings.judged("g", "s", 0.8, 0.6, findings.standard_error(8, 8)).verdict == NOTED
    assert findings.judged("g", "s", 0.8, 0.6, findings.standard_error(80, 80)).verdict == LEAKED


def test_one_class_sources_are_named_and_can_be_checked_as_mates(tmp_path):
    for number in range(FILES):
        put(tmp_path / "data" / "people" / "real" / f"{number}.jpg", pattern(number, 64))
        put(tmp_path / "data" / "made" / "fake" / f"{number}.jpg", pattern(FILES + number, 64) // 2)
    building.build([tmp_path / "data"], tmp_path / "out", Options(), lambda _done, _total: None)
    found = checked(tmp_path / "out")
    assert found["both classes", "people"].words == "all 60 files are real"
    assert found["both classes", "made"].verdict == NOTED
    assert not leaks(found)
    assert "8 x 8 thumbnail" in leaks(checked(tmp_path / "out", mates={"made": "people"}))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A dataset of 40 files; near and equal copies come in by `refrozen`."""
    source(tmp_path / "mine", 20, 20)
    building.build([tmp_path / "mine"], tmp_path / "out", Options(), lambda _done, _total: None)
    return tmp_path / "out"


def refrozen(home: Path, change: Callable[[dict[str, list[manifest.Row]], list[manifest.Row]], None]) -> Path:
    """The dataset with other lists or rows, frozen as a build with a bug would have frozen them."""
    read = manifest.read(home)
    rows = list(read.rows.values())
    lists = {name: [read.rows[path] for path in paths] for name, paths in read.lists.items()}
    change(lists, rows)
    manifest.write(home, read.record, rows, lists)
    return home


def test_an_edited_list_is_a_leak_and_is_not_opened(small):
    listed = manifest.list_file(small, splits.TEST)
    train = manifest.list_file(small, splits.TRAIN).read_text().splitlines()
    listed.write_text(listed.read_text() + train[1] + "\n")
    found = checked(small)
    assert found["lists unchanged", "dataset"].verdict == LEAKED
    assert "splits/test.csv" in found["lists unchanged", "dataset"].words
    with pytest.raises(DatasetError, match="changed"):
        datasets.opened(small)


def test_a_file_that_changed_or_went_is_a_leak(small, tmp_path):
    put(tmp_path / "mine" / "real" / "0.jpg", pattern(99))
    (tmp_path / "mine" / "real" / "1.jpg").unlink()
    assert checked(small)["files unchanged", "dataset"].figure == 2


def test_a_file_on_two_lists_is_a_leak(small):
    def twice(lists, _rows):
        lists[splits.TEST].append(lists[splits.TRAIN][0])

    expected = {"a file in one split", "groups apart", "equal files apart", "near-duplicates apart"}
    assert leaks(checked(refrozen(small, twice), sample=0)) == expected


def test_a_group_in_two_splits_is_a_leak(small):
    def parted(lists, rows):
        one, other = lists[splits.TRAIN][0], lists[splits.TEST][0]
        joined = dataclasses.replace(other, group=one.group)
        lists[splits.TEST][0] = rows[rows.index(other)] = joined

    found = checked(refrozen(small, parted), sample=0)
    assert leaks(found) == {"groups apart"}
    assert "(train)" in found["groups apart", "dataset"].words
    assert "(test)" in found["groups apart", "dataset"].words


def test_a_picture_coded_again_in_another_split_is_a_leak(tmp_path):
    source(tmp_path / "mine", 20, 20)
    put(tmp_path / "mine" / "real" / "again.jpg", pattern(0), quality=50)
    building.build([tmp_path / "mine"], tmp_path / "out", Options(), lambda _done, _total: None)
    assert not leaks(checked(tmp_path / "out", sample=0))

    def parted(lists, rows):
        again = next(row for row in rows if row.path == "mine/real/again.jpg")
        home = next(name for name, members in lists.items() if again in members)
        lists[home].remove(again)
        lists[splits.TEST if home != splits.TEST else splits.TRAIN].append(again)

    assert leaks(checked(refrozen(tmp_path / "out", parted), sample=0)) == {"near-duplicates apart"}


def test_one_file_with_two_labels_is_a_leak(tmp_path):
    source(tmp_path / "mine", 3, 3)
    put(tmp_path / "mine" / "fake" / "same.jpg", pattern(0))
    building.build([tmp_path / "mine"], tmp_path / "out", Options(), lambda _done, _total: None)
    assert leaks(checked(tmp_path / "out", sample=0)) == {"one label a file"}
