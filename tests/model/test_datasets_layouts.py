"""Every folder convention is recognised, labelled and grouped, and nothing else is guessed at."""

import json
import zipfile
from pathlib import Path

import pytest

from cli import dataset as command
from model.datasets import layouts
from model.errors import DatasetError
from tests.model.pictures import pattern, put, source


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(*folders: Path, layout: str | None = None) -> dict[str, tuple]:
    """By path: label, group, generator."""
    return {find.path: (find.label, find.group, find.generator) for find in layouts.survey(folders, layout).finds}


def test_a_bare_folder_is_one_source(tmp_path):
    source(tmp_path / "mine", 1, 1)
    assert found(tmp_path / "mine") == {
        "mine/real/0.jpg": (0, "real/0.jpg", ""),
        "mine/fake/1.jpg": (1, "fake/1.jpg", ""),
    }


def test_a_folder_of_sources_is_read_and_the_rest_named(tmp_path):
    source(tmp_path / "one", 1, 0)
    source(tmp_path / "two", 0, 1)
    touched(tmp_path, "videos/loose.mp4")
    survey = layouts.survey([tmp_path])
    assert survey.layouts == {"one": "plain", "two": "plain"}
    assert survey.passed_over == [tmp_path / "videos"]


def test_sources_of_one_name_are_refused(tmp_path):
    one, two = (source(tmp_path / where / "faces", 1, 1) for where in "ab")
    with pytest.raises(DatasetError, match="both a source named faces"):
        layouts.survey([one, two])


def test_nothing_recognised_names_what_was_looked_for(tmp_path):
    touched(tmp_path, "stuff/a.jpg")
    with pytest.raises(DatasetError) as refused:
        layouts.survey([tmp_path])
    for kind in layouts.LAYOUTS.values():
        assert kind.looks_for in str(refused.value)


def test_a_layout_can_be_forced_and_may_then_be_empty(tmp_path):
    source(tmp_path / "mine", 1, 1)
    with pytest.raises(DatasetError, match="no image or video"):
        layouts.survey([tmp_path / "mine"], "celebdf")


def test_the_command_offers_every_layout():
    assert set(command.LAYOUTS) == set(layouts.LAYOUTS)


def archive(path: Path, *members: str) -> None:
    picture = put(path.with_suffix(".jpg"), pattern(1))
    with zipfile.ZipFile(path, "w") as packed:
        for member in members:
            packed.write(picture, member)
    picture.unlink()


def test_the_challenge_sets_each_generator_against_its_photographs(tmp_path):
    home = tmp_path / "challenge"
    home.mkdir()
    archive(home / "0-CelebA.zip", "CelebA/000012.jpg")
    archive(home / "1-StarGAN.zip", "StarGAN/12_black_hair.jpg", "StarGAN/readme.txt")
    archive(home / "1-STYLEGAN2.zip", "7.jpg")
    archive(home / "FFHQ.zip", "00007.jpg")
    assert found(tmp_path) == {
        "challenge-celeba/celeba/CelebA/000012.jpg": (0, "12", ""),
        "challenge-celeba/stargan/StarGAN/12_black_hair.jpg": (1, "12", "StarGAN"),
        "challenge-ffhq/ffhq/00007.jpg": (0, "ffhq/00007.jpg", ""),
        "challenge-ffhq/stylegan2/7.jpg": (1, "stylegan2/7.jpg", "StyleGAN2"),
    }


def test_an_archive_of_an_unknown_name_is_refused(tmp_path):
    archive(tmp_path / "CelebA.zip", "1.jpg")
    archive(tmp_path / "AttGAN.zip", "1.jpg")
    archive(tmp_path / "mystery.zip", "1.jpg")
    with pytest.raises(DatasetError, match=r"mystery\.zip is named for no generator"):
        layouts.survey([tmp_path])


def test_a_dfdc_fake_is_in_the_group_of_its_original(tmp_path):
    home = touched(tmp_path / "DFDC", "dfdc_train_part_0/aa.mp4", "dfdc_train_part_0/bb.mp4")
    rows = {
        "aa.mp4": {"label": "REAL", "split": "train", "original": None},
        "bb.mp4": {"label": "FAKE", "split": "train", "original": "aa.mp4"},
    }
    (home / "dfdc_train_part_0" / "metadata.json").write_text(json.dumps(rows))
    assert found(home) == {
        "DFDC/dfdc_train_part_0/aa": (0, "aa", ""),
        "DFDC/dfdc_train_part_0/bb": (1, "aa", "DFDC"),
    }
    assert {find.published for find in layouts.survey([home]).finds} == {"train"}


@pytest.mark.parametrize("row", [{"x.mp4": {"label": "PERHAPS"}}, {"../../etc/x.mp4": {"label": "REAL"}}])
def test_a_dfdc_table_that_makes_no_sense_is_refused(tmp_path, row):
    (tmp_path / "metadata.json").write_text(json.dumps(row))
    with pytest.raises(DatasetError):
        layouts.survey([tmp_path])


def test_faceforensics_groups_are_the_connected_videos(tmp_path):
    home = touched(
        tmp_path / "FF",
        "original_sequences/youtube/c23/videos/000.mp4", "original_sequences/youtube/c23/videos/003.mp4",
        "original_sequences/youtube/c23/videos/007.mp4", "original_sequences/actors/c23/videos/01__walk.mp4",
        "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4", "manipulated_sequences/Face2Face/c23/videos/003_000.mp4",
        "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__walk__ABC.mp4",
        "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4",
    )  # fmt: skip
    said = {path.removeprefix("FF/"): row for path, row in found(home).items()}
    assert said == {
        "original_sequences/youtube/c23/videos/000": (0, "000", ""),
        "original_sequences/youtube/c23/videos/003": (0, "000", ""),
        "original_sequences/youtube/c23/videos/007": (0, "007", ""),
        "original_sequences/actors/c23/videos/01__walk": (0, "actor01", ""),
        "manipulated_sequences/Deepfakes/c23/videos/000_003": (1, "000", "Deepfakes"),
        "manipulated_sequences/Face2Face/c23/videos/003_000": (1, "000", "Face2Face"),
        "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__walk__ABC": (1, "actor01", "DeepFakeDetection"),
    }


def test_a_celeb_df_fake_is_in_the_group_of_the_person_filmed(tmp_path):
    home = touched(
        tmp_path / "CDF", "Celeb-real/id0_0000.mp4", "YouTube-real/00170.mp4", "Celeb-synthesis/id0_id1_0000.mp4"
    )
    (home / "List_of_testing_videos.txt").write_text("1 YouTube-real/00170.mp4\n")
    assert found(home) == {
        "CDF/Celeb-real/id0_0000": (0, "id0", ""),
        "CDF/YouTube-real/00170": (0, "youtube-00170", ""),
        "CDF/Celeb-synthesis/id0_id1_0000": (1, "id0", "Celeb-DF"),
    }
    published = {find.path: find.published for find in layouts.survey([home]).finds}
    assert [name for name, split in published.items() if split == "test"] == ["CDF/YouTube-real/00170"]


def open_forensics(home: Path, **changed: object) -> Path:
    put(home / "Images" / "Train" / "a.jpg", pattern(3, 128))
    table = {
        "info": {},
        "images": [{"id": 1, "file_name": "Images/Train/a.jpg"}],
        "annotations": [
            {"image_id": 1, "category_id": 0, "bbox": [10, 10, 40, 40]},
            {"image_id": 1, "category_id": 1, "bbox": [70, 60, 30, 40]},
        ],
        "categories": [{"id": 0, "name": "Real"}, {"id": 1, "name": "Fake"}],
    }
    (home / "Train_poly.json").write_text(json.dumps(table | changed))
    return home


def test_openforensics_faces_are_labelled_one_by_one(tmp_path):
    finds = layouts.survey([open_forensics(tmp_path / "OF")]).finds
    assert [(find.path, find.label, find.group, find.boxes) for find in finds] == [
        ("OF/Images/Train/a/fake", 1, "Images/Train/a", ((70, 60, 30, 40),)),
        ("OF/Images/Train/a/real", 0, "Images/Train/a", ((10, 10, 40, 40),)),
    ]


def test_openforensics_with_other_categories_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="not Real and Fake"):
        layouts.survey([open_forensics(tmp_path, categories=[{"id": 0, "name": "cat"}])])


def test_openforensics_photographs_outside_the_folder_are_refused(tmp_path):
    put(tmp_path / "outside.jpg", pattern(1))
    with pytest.raises(DatasetError, match="leads out"):
        layouts.survey([open_forensics(tmp_path / "OF", images=[{"id": 1, "file_name": "../outside.jpg"}])])
