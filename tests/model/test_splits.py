"""What is read from a folder, and that no group is ever parted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import sources, splits
from model.datasets import components
from model.datasets.manifest import Row
from model.errors import DatasetError
from model.sources import Item

names = st.text("abcdef0123456789", min_size=1, max_size=8)
items = st.builds(
    lambda name, source, label, group: Item(Path(name), f"{source}/{name}", source, label, group),
    names, st.sampled_from(["one", "two"]), st.sampled_from([0, 1]), names,
)  # fmt: skip

# Few digests and groups, so that files often share one.
rows = st.builds(
    lambda group, digest, number: Row(f"s/{group}/{number}", 0, 0, "s", "", group, digest, "0" * 64, 0, 1, 1, "PNG", 1),
    st.text("abc", min_size=1, max_size=3), st.text("0123456789", min_size=2, max_size=2), st.integers(0, 10**6),
)  # fmt: skip
ORDER = [splits.TRAIN, splits.VALIDATION, splits.TEST]


@pytest.fixture
def folder(tmp_path):
    for file in ("real/a.jpg", "real/b.JPG", "fake/c.png", "fake/notes.txt"):
        (tmp_path / "one" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "one" / file).write_bytes(b"")
    return tmp_path


@given(st.lists(items, max_size=60))
def test_no_group_is_parted(listed):
    where = {}
    for split, members in splits.divide(listed).items():
        for item in members:
            assert where.setdefault(item.key, split) == split


@given(st.lists(items, max_size=60), items)
def test_a_new_image_moves_none_that_were_there(listed, new):
    before = {id(item): splits.split_of(item) for item in listed}
    divided = splits.divide([new, *listed])
    assert all(item in divided[before[id(item)]] for item in listed)


def places(listed):
    """By path: component and split."""
    joined = components.joined(listed).rows
    return {row.path: (row.component, splits.split_at(splits.position(row.component))) for row in joined}


@given(st.lists(rows, max_size=30), st.lists(rows, max_size=10))
def test_new_images_move_only_what_they_join_and_only_towards_training(listed, new):
    before, after = places(listed), places([*listed, *new])
    for path, (component, split) in before.items():
        if after[path][0] == component:
            assert after[path][1] == split
        else:
            assert ORDER.index(after[path][1]) <= ORDER.index(split)


@given(st.lists(rows, max_size=30))
def test_neither_a_group_nor_equal_files_are_parted(listed):
    where = places(listed)
    for one in listed:
        for other in listed:
            if one.group == other.group or one.sha256 == other.sha256:
                assert where[one.path] == where[other.path]


@given(st.lists(rows, max_size=30))
def test_what_was_trained_on_before_there_were_components_is_never_tested_on(listed):
    where = places(listed)
    for row in listed:
        if splits.split_at(splits.position(row.key)) == splits.TRAIN:
            assert where[row.path][1] == splits.TRAIN


def test_a_component_found_in_a_dataset_decides_an_items_split():
    listed = [Item(Path(), f"s/{k}", "s", 0, str(k), component="s/1") for k in range(50)]
    assert {splits.split_of(item) for item in listed} == {splits.split_of(Item(Path(), "s/1", "s", 0, "1"))}


def test_shares_are_about_eight_one_and_one():
    listed = [Item(Path(), f"s/{k}", "s", 0, str(k)) for k in range(5000)]
    divided = splits.divide(listed)
    assert [round(len(divided[name]) / 500) for name in (splits.TRAIN, splits.VALIDATION, splits.TEST)] == [8, 1, 1]


def test_calibration_takes_half_of_the_groups_and_parts_none():
    listed = [Item(Path(), f"s/{k}", "s", 0, str(k % 2500)) for k in range(5000)]
    taken = {item.group for item in listed if splits.calibrates(item)}
    assert not taken & {item.group for item in listed if not splits.calibrates(item)}
    assert 0.46 < len(taken) / 2500 < 0.54


def test_a_source_held_out_is_in_no_other_split():
    listed = [Item(Path(), f"{s}/{k}", s, 0, str(k)) for k in range(50) for s in ("seen", "away")]
    divided = splits.divide(listed, {"away"})
    assert {item.source for item in divided[splits.UNSEEN]} == {"away"}
    assert all(item.source == "seen" for name in (splits.TRAIN, splits.TEST) for item in divided[name])


def test_a_bare_folder_is_a_source_of_its_own_name(folder):
    read = sources.read(folder / "one")
    assert [item.name for item in read] == ["one/real/a.jpg", "one/real/b.JPG", "one/fake/c.png"]


def test_a_folder_is_read_by_source_and_class(folder):
    read = sources.read(folder)
    assert [(item.name, item.label) for item in read] == [
        ("one/real/a.jpg", 0),
        ("one/real/b.JPG", 0),
        ("one/fake/c.png", 1),
    ]
    assert len({item.key for item in read}) == 3


def test_groups_join_files_of_one_source(folder):
    (folder / "one" / "groups.csv").write_text("file,label,group\nreal/a.jpg,0,x\nfake/c.png,1,x\n")
    groups = [item.group for item in sources.read(folder)]
    assert groups == ["x", "real/b.JPG", "x"]


def test_a_label_that_contradicts_its_folder_is_refused(folder):
    (folder / "one" / "groups.csv").write_text("file,label,group\nreal/a.jpg,1,x\n")
    with pytest.raises(DatasetError, match="contradicts"):
        sources.read(folder)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(DatasetError):
        sources.read(tmp_path)
