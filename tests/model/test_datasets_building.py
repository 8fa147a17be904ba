"""A build measures every picture once, survives what is broken and being interrupted, and parts no cluster."""

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import datasets, sources, splits
from model.datasets import building, duplicates, manifest, measuring, videos
from model.datasets.archives import MOST_BYTES, Archives
from model.datasets.building import Options
from model.errors import BadImage, DatasetError, UnsafeMember
from tests.model.pictures import encoded, film, pattern, put, source
from tests.model.test_datasets_layouts import open_forensics


def built(folder: Path, home: Path, **options: object) -> building.Summary:
    return building.build([folder], home, Options(**options), lambda _done, _total: None)


def failures(home: Path) -> dict[str, str]:
    with (home / building.UNREADABLE).open(newline="") as lines:
        return {row["path"]: row["slug"] for row in csv.DictReader(lines)}


def frozen(home: Path) -> dict[str, bytes]:
    """Everything that a build freezes, byte by byte."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.name != building.JOURNAL
    }


def test_a_row_says_what_the_file_is(tmp_path):
    put(tmp_path / "mine" / "real" / "a.jpg", pattern(1, 80), quality=70)
    put(tmp_path / "mine" / "fake" / "b.png", pattern(2, 64))
    built(tmp_path / "mine", tmp_path / "out")
    rows = manifest.read(tmp_path / "out").rows
    real, fake = rows["mine/real/a.jpg"], rows["mine/fake/b.png"]
    assert (real.label, real.format, real.width, real.height, real.jpeg_quality) == (0, "JPEG", 80, 80, 70)
    assert (fake.label, fake.format, fake.width, fake.jpeg_quality) == (1, "PNG", 64, None)
    assert real.sha256 == manifest.digest(tmp_path / "mine" / "real" / "a.jpg")
    assert len(real.pdq) == 64
    assert real.pdq_quality >= duplicates.QUALITY


def test_a_built_dataset_opens_like_its_folder(tmp_path):
    source(tmp_path / "mine", 30, 30)
    built(tmp_path / "mine", tmp_path / "out")
    plain, frozen_lists = datasets.opened(tmp_path / "mine"), datasets.opened(tmp_path / "out")
    for name in (splits.TRAIN, splits.VALIDATION, splits.TEST):
        assert {item.name for item in plain[name]} == {item.name for item in frozen_lists[name]}
    assert all(item.path.is_file() and item.sha256 for item in frozen_lists[splits.TRAIN])


def test_what_shares_a_component_with_a_held_out_source_teaches_nothing(tmp_path):
    source(tmp_path / "data" / "home", 20, 20)
    source(tmp_path / "data" / "away", 5, 5, first=100)
    put(tmp_path / "data" / "home" / "real" / "copy.jpg", pattern(100), quality=60)
    built(tmp_path / "data", tmp_path / "out")
    divided = datasets.opened(tmp_path / "out", {"away"})
    assert {item.source for item in divided[splits.UNSEEN]} == {"away"}
    assert len(divided[splits.UNSEEN]) == 10
    taught = [item.name for name, items in divided.items() if name != splits.UNSEEN for item in items]
    assert len(taught) == 40
    assert "home/real/copy.jpg" not in taught


def test_duplicates_go_where_their_earliest_group_goes(tmp_path):
    source(tmp_path / "mine", 40, 0)
    for number in range(40):  # a copy of each, smaller and coded again
        small = Image.open(tmp_path / "mine" / "real" / f"{number}.jpg").resize((72, 72))
        put(tmp_path / "mine" / "fake" / f"copy{number}.jpg", np.asarray(small), quality=60)
    summary = built(tmp_path / "mine", tmp_path / "out")
    assert (summary.components.groups, summary.components.count) == (80, 40)
    where = {item.name: name for name, items in datasets.opened(tmp_path / "out").items() for item in items}
    order = [splits.TRAIN, splits.VALIDATION, splits.TEST]
    before = {item.name: splits.split_of(item) for item in sources.read(tmp_path / "mine")}
    for number in range(40):
        pair = (f"mine/real/{number}.jpg", f"mine/fake/copy{number}.jpg")
        assert {where[name] for name in pair} == {min((before[name] for name in pair), key=order.index)}


def test_classes_are_balanced_in_every_split_as_asked(tmp_path):
    source(tmp_path / "data" / "two", 40, 15)
    source(tmp_path / "data" / "one", 0, 7, first=100)
    summary = built(tmp_path / "data", tmp_path / "out", balance=True)
    for split in summary.record["sources"]["two"]["splits"].values():
        assert split["real"] == split["fake"]
    assert sum(split["fake"] for split in summary.record["sources"]["one"]["splits"].values()) == 7
    listed = (tmp_path / "out" / building.DROPPED).read_text().splitlines()[1:]
    assert len(listed) == len(summary.dropped) >= 25
    assert all(line.startswith("two/") for line in listed)


def test_shares_are_as_asked(tmp_path):
    source(tmp_path / "mine", 20, 0)
    summary = built(tmp_path / "mine", tmp_path / "out", shares=(0.0, 0.0, 1.0))
    assert summary.record["sources"]["mine"]["splits"]["test"]["real"] == 20


def test_an_interrupted_build_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    source(tmp_path / "mine", 12, 12)
    built(tmp_path / "mine", tmp_path / "whole")

    def interrupt(done: int, _total: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        building.build([tmp_path / "mine"], tmp_path / "out", Options(), interrupt)
    assert not manifest.is_built(tmp_path / "out")
    with (tmp_path / "out" / building.JOURNAL).open("ab") as journal:
        journal.write(b'{"key": "torn by a ki')
    measured: list[bytes] = []
    measure = measuring.measured
    monkeypatch.setattr(measuring, "measured", lambda content: measured.append(content) or measure(content))
    built(tmp_path / "mine", tmp_path / "out")
    assert len(measured) <= 14
    assert frozen(tmp_path / "out") == frozen(tmp_path / "whole")


def test_a_changed_file_is_measured_again(tmp_path):
    source(tmp_path / "mine", 2, 2)
    built(tmp_path / "mine", tmp_path / "out")
    changed = put(tmp_path / "mine" / "real" / "0.jpg", pattern(50, 120))
    built(tmp_path / "mine", tmp_path / "out")
    row = manifest.read(tmp_path / "out").rows["mine/real/0.jpg"]
    assert (row.width, row.sha256) == (120, manifest.digest(changed))


def test_unreadable_files_are_listed_and_stop_nothing(tmp_path):
    source(tmp_path / "mine", 2, 2)
    whole = encoded(pattern(9))
    for name, content in {"torn.jpg": whole[: len(whole) // 2], "empty.png": b"", "text.webp": b"hello"}.items():
        (tmp_path / "mine" / "real" / name).write_bytes(content)
    (tmp_path / "mine" / "fake" / "no.mp4").write_bytes(b"no film")
    summary = built(tmp_path / "mine", tmp_path / "out")
    assert summary.record["unreadable"] == 4
    assert failures(tmp_path / "out") == {
        "mine/real/torn.jpg": "torn-file",
        "mine/real/empty.png": "empty-file",
        "mine/real/text.webp": "unsupported-media-type",
        "mine/fake/no.mp4": "undecodable",
    }
    assert len(manifest.read(tmp_path / "out").rows) == 4


def test_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "mine" / "real").mkdir(parents=True)
    (tmp_path / "mine" / "real" / "a.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match="none of 1 files"):
        built(tmp_path / "mine", tmp_path / "out")


def test_unsafe_members_of_an_archive_are_refused_and_the_others_read(tmp_path):
    home = tmp_path / "challenge"
    home.mkdir()
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(home / "CelebA.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.jpg", encoded(pattern(1)))
        archive.writestr("../../2.jpg", encoded(pattern(2)))
        archive.writestr("/etc/3.jpg", encoded(pattern(3)))
        archive.writestr("C:\\4.jpg", encoded(pattern(4)))
        archive.writestr("bomb.jpg", b"\0" * 2**22)
        archive.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(home / "StarGAN.zip", "w") as archive:
        archive.writestr("1_hair.jpg", encoded(pattern(5)))
    built(home, tmp_path / "out")
    assert set(manifest.read(tmp_path / "out").rows) == {
        "challenge-celeba/celeba/1.jpg",
        "challenge-celeba/stargan/1_hair.jpg",
    }
    assert set(failures(tmp_path / "out").values()) == {"unsafe-member"}
    assert len(failures(tmp_path / "out")) == 5
    written = set(tmp_path.rglob("*.jpg"))
    assert written == {tmp_path / "out" / "media" / path for path in manifest.read(tmp_path / "out").rows}


def test_a_member_larger_than_any_picture_is_refused_unread(tmp_path):
    with zipfile.ZipFile(tmp_path / "large.zip", "w") as archive, archive.open("large.jpg", "w") as member:
        for _ in range(MOST_BYTES // 2**22 + 1):
            member.write(b"\0" * 2**22)
    with Archives() as archives, pytest.raises(UnsafeMember):
        archives.read(tmp_path / "large.zip", "large.jpg")
    with Archives() as archives, pytest.raises(BadImage):
        archives.read(tmp_path / "large.zip", "another.jpg")


def test_faces_in_a_photograph_become_crops_of_its_own_pixels(tmp_path):
    home = open_forensics(tmp_path / "OF")
    built(home, tmp_path / "out")
    read = manifest.read(tmp_path / "out")
    assert {path: (row.label, row.group, row.faces) for path, row in read.rows.items()} == {
        "OF/Images/Train/a/fake/000.png": (1, "Images/Train/a", 1),
        "OF/Images/Train/a/real/000.png": (0, "Images/Train/a", 1),
    }
    crop = np.asarray(Image.open(read.file(read.rows["OF/Images/Train/a/real/000.png"])))
    photograph = np.asarray(Image.open(home / "Images" / "Train" / "a.jpg"))
    assert (crop == photograph[: crop.shape[0], : crop.shape[1]]).all()


def test_videos_become_faces_of_sampled_frames_in_one_group(tmp_path, portrait):
    face = np.asarray(portrait.resize((256, 256)))
    home = tmp_path / "FF"
    film(home / "original_sequences/youtube/c23/videos/000.mp4", [face] * 9)
    film(home / "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4", [face[:, ::-1]] * 9)
    film(home / "original_sequences/youtube/c23/videos/007.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 3)
    built(home, tmp_path / "out", frames=3)
    read = manifest.read(tmp_path / "out")
    assert sorted((row.source, row.label, row.group, row.generator) for row in read.rows.values()) == [
        *[("FF", 0, "000", "")] * 3, *[("FF", 1, "000", "Deepfakes")] * 3
    ]  # fmt: skip
    for row in read.rows.values():
        with Image.open(read.file(row)) as crop:
            assert crop.format == "PNG"
            assert 60 < min(crop.size) < 256
    assert failures(tmp_path / "out") == {"FF/original_sequences/youtube/c23/videos/007": "no-face"}


def test_frames_are_spread_and_upright(tmp_path):
    frames = [np.full((32, 64, 3), 8 * number, np.uint8) for number in range(20)]
    for frame in frames:
        frame[:16, :32] = 255  # bright at the upper left
    path = film(tmp_path / "a.mp4", frames)
    plain = dict(videos.sampled(path, 4))
    assert list(plain) == [2, 7, 12, 17]
    assert [round(float(plain[number][24, 50].mean()) / 8) for number in plain] == [2, 7, 12, 17]
    content = path.read_bytes()
    at = content.index(b"tkhd") + 44  # the matrix of a clip to be shown turned by 90 degrees clockwise
    turn = b"".join(value.to_bytes(4, signed=True) for value in (0, 65536, 0, -65536, 0, 0, 0, 0, 2**30))
    path.write_bytes(content[:at] + turn + content[at + len(turn) :])
    number, turned = next(videos.sampled(path, 4))
    assert (number, turned.shape) == (2, (64, 32, 3))
    assert turned[8, 24].mean() > 200 > turned[8, 4].mean()


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 86, 95, 100])
def test_jpeg_quality_is_read_from_the_tables(quality):
    assert measuring.measured(encoded(pattern(1), quality=quality)).jpeg_quality == quality


def test_near_duplicates_are_those_within_the_distance(monkeypatch):
    monkeypatch.setattr(duplicates, "_ROWS", 3)
    monkeypatch.setattr(duplicates, "_COLUMNS", 5)
    chance = np.random.default_rng(4)
    hashes = chance.integers(0, 2, (40, 256), np.uint8)
    for number in range(20):  # near, on the limit, just beyond it, and the very opposite
        hashes[20 + number] = hashes[number]
        flipped = chance.permutation(256)[: (4, duplicates.DISTANCE, duplicates.DISTANCE + 1, 256)[number % 4]]
        hashes[20 + number, flipped] ^= 1
    rows = [
        manifest.Row(
            str(number), 0, 0, "s", "", str(number), "", np.packbits(bits).tobytes().hex(), 100, 1, 1, "PNG", 1
        )
        for number, bits in enumerate(hashes)
    ]
    expected = [[number, 20 + number] for number in range(20) if number % 4 < 2]
    assert sorted(duplicates.near(rows).tolist()) == expected


def test_flat_pictures_are_not_near_duplicates(tmp_path):
    for number in range(4):
        put(tmp_path / "mine" / "real" / f"{number}.png", np.full((64, 64, 3), 60 * number, np.uint8))
    assert built(tmp_path / "mine", tmp_path / "out").components.count == 4


def test_the_record_names_what_was_asked_and_found(tmp_path):
    source(tmp_path / "mine", 3, 2)
    built(tmp_path / "mine", tmp_path / "out", shares=(0.5, 0.25, 0.25))
    record = json.loads((tmp_path / "out" / manifest.RECORD).read_text())
    assert record["options"]["shares"] == [0.5, 0.25, 0.25]
    assert record["sources"]["mine"] | {"splits": None} == {
        "layout": "plain", "real": 3, "fake": 2, "generators": {}, "groups": 5, "splits": None
    }  # fmt: skip
    assert record["components"]["largest"] == [1] * 5
