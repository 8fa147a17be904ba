"""What is read from a folder, and that no group is ever parted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import sources, splits
from model.errors import DatasetError
from model.sources import Item

names = st.text("abcdef0123456789", min_size=1, max_size=8)
items = st.builds(
    lambda name, source, label, group: Item(Path(name), f"{source}/{name}", source, label, group),
    names, st.sampled_from(["one", "two"]), st.sampled_from([0, 1]), names,
)  # fmt: skip


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


def test_shares_are_about_eight_one_and_one():
    listed = [Item(Path(), f"s/{k}", "s", 0, str(k)) for k in range(5000)]
    divided = splits.divide(listed)
    assert [round(len(divided[name]) / 500) for name in (splits.TRAIN, splits.VALIDATION, splits.TEST)] == [8, 1, 1]


def test_a_source_held_out_is_in_no_other_split():
    listed = [Item(Path(), f"{s}/{k}", s, 0, str(k)) for k in range(50) for s in ("seen", "away")]
    divided = splits.divide(listed, {"away"})
    assert {item.source for item in divided[splits.UNSEEN]} == {"away"}
    assert all(item.source == "seen" for name in (splits.TRAIN, splits.TEST) for item in divided[name])


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
