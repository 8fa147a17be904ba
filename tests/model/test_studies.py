"""A study on a handful of pictures: what a fold may see, what is done once, and the table."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.study import study as command
from cli.train import MEMORY
from model import albums, faces, sources, studies
from model.errors import DatasetError
from model.faces import FoundFace

STUDY = """
seeds = [0, 1]

[recipe]
workers = 0
threads = 1
[recipe.network]
backbone = "test_resnet"
[recipe.loss]
map_weight = 0
[recipe.schedule]
steps = 1
batch = 4
size = 64

[variants]
"no equaliser" = ["augmentations.equaliser=false"]

[folds.first]
left_out = ["one"]
[folds.second]
left_out = ["two"]
"""


class WholePicture:
    def find(self, image):
        height, width = image.shape[:2]
        marks = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.6], [0.4, 0.75], [0.6, 0.75]], np.float32)
        return [FoundFace((0.1 * width, 0.1 * height, 0.8 * width, 0.8 * height), marks * (width, height), 0.9)]


@pytest.fixture
def images(tmp_path):
    chance = np.random.default_rng(0)
    folder = tmp_path / "images"
    for source in ("one", "two"):
        for kind in ("real", "fake"):
            (folder / source / kind).mkdir(parents=True)
            for index in range(8):
                grey = chance.integers(0, 255, (6, 6, 3), np.uint8)
                picture = Image.fromarray(grey).resize((96, 96), Image.Resampling.BICUBIC)
                picture.save(folder / source / kind / f"{index}.png")
    return folder


@pytest.fixture
def asked(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


def test_every_variant_meets_every_fold_and_seed_without_what_the_fold_leaves_out(asked):
    trials = list(studies.trials(studies.read(asked)))
    assert len({trial.name for trial in trials}) == len(trials) == 2 * 2 * 2
    for trial in trials:
        assert trial.recipe.data.held_out == ({"first": "one", "second": "two"}[trial.fold],)
        assert trial.recipe.seed == trial.seed
        assert trial.recipe.augmentations.equaliser == (trial.variant == studies.FULL)


def test_mates_are_left_out_with_their_fakes(asked):
    asked.write_text(STUDY + 'mates = { two = "one" }\n')
    second = [trial for trial in studies.trials(studies.read(asked)) if trial.fold == "second"]
    assert {trial.recipe.data.held_out for trial in second} == {("one", "two")}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("[nonsense]\n", "nonsense"),
        ("[folds.third]\nleft_out = []\n", "folds.third.left_out"),
        ('[recipe.network2]\nbackbone = "x"\n', "network2"),
    ],
)
def test_what_a_study_does_not_know_is_named(asked, change, named):
    asked.write_text(STUDY + change)
    with pytest.raises(DatasetError, match=named):
        list(studies.trials(studies.read(asked)))


def test_chosen_rows_of_an_album_keep_their_originals_only_among_themselves(images, tmp_path):
    album = albums.open_or_build(tmp_path / "album", sources.read(images), WholePicture(), "whole", lambda: 0)
    originals = np.full(len(album.items), albums.NONE, np.int32)
    originals[[3, 5]] = [7, 0]
    linked = albums.Album(album.items, album.views, album.boxes, album.landmarks, album.changes, originals, 0)
    kept = {album.items[row].name for row in (3, 5, 7, 9)}
    part = albums.chosen(linked, lambda item: item.name in kept)
    assert [item.name for item in part.items] == [album.items[row].name for row in (3, 5, 7, 9)]
    assert list(part.originals) == [2, albums.NONE, albums.NONE, albums.NONE]
    assert np.array_equal(part.views[3], album.views[9])
    assert len(part.views) == 4


def test_a_study_is_run_once_and_tells_every_cell(asked, images, tmp_path, monkeypatch):
    monkeypatch.setattr(faces, "load", lambda _model=None: WholePicture())
    for name, value in MEMORY.items():
        monkeypatch.setenv(name, value)
    arguments = [str(asked), "--data", str(images), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    first = CliRunner().invoke(command, [*arguments, "--part", "1/2"], catch_exceptions=False)
    assert first.exit_code == 0
    results = sorted((tmp_path / "out").rglob("result.json"))
    assert len(results) == 4
    before = [path.stat().st_mtime_ns for path in results]
    assert CliRunner().invoke(command, arguments, catch_exceptions=False).exit_code == 0
    assert [path.stat().st_mtime_ns for path in results] == before
    rows = (tmp_path / "out" / "table.md").read_text().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| full", "| no equaliser", "| ensemble of seeds"]
    assert all(" - |" not in row for row in rows)
