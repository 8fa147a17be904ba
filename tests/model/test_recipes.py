"""Recipes: what they refuse, how they are changed, and that the committed ones can be read."""

from pathlib import Path

import pytest

from model import recipes
from model.errors import DatasetError
from model.training import sweeping

FOLDER = Path(__file__).parents[2] / "recipes"
COMMITTED = [path for path in sorted(FOLDER.glob("*.toml")) if "[folds." not in path.read_text()]  # those are studies


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_the_committed_recipes_are_true(path):
    recipe = recipes.read(path)
    assert recipe.data.path is None  # no folder of anybody's machine
    assert recipes.of(recipe.model_dump(exclude_unset=True)) == recipe


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"optimizer": {}}, "optimizer is not known"),
        ({"schedule": {"batchsize": 3}}, "schedule.batchsize is not known"),
        ({"forgeries": {"blend": 0.1}}, "forgeries.blend is not known"),
        ({"schedule": {"batch": 3}}, "schedule.batch"),
        ({"network": {"dropout": 1.5}}, "network.dropout"),
        ({"schedule": {"steps": 3, "epochs": 2}}, "steps or epochs, not both"),
        ({"schedule": {"patience": 3}}, "patience needs validate_every"),
        ({"schedule": {"earlier": [{"size": 64, "until": 0.5}, {"size": 96, "until": 0.2}]}}, "schedule"),
        ({"forgeries": {"blended": 0.9, "spliced": 0.2}}, "more than 1"),
        ({"data": {"sampling": "fair"}}, "data.sampling"),
    ],
)
def test_a_wrong_key_is_named(values, told):
    with pytest.raises(DatasetError, match=told.replace(".", r"\.")):
        recipes.of(values)


def test_every_wrong_key_is_told_at_once():
    with pytest.raises(DatasetError, match=r"seed: .*; schedule\.size: "):
        recipes.of({"seed": -1, "schedule": {"size": 8}})


def test_settings_go_over_the_file(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("seed = 3\n[schedule]\nsteps = 10\n")
    told = recipes.read(path, ["schedule.steps=20", "network.backbone=resnet50", "data.held_out=['a', 'b']", "seed=4"])
    assert (told.schedule.steps, told.network.backbone, told.data.held_out, told.seed) == (
        20,
        "resnet50",
        ("a", "b"),
        4,
    )
    with pytest.raises(DatasetError, match="KEY=VALUE"):
        recipes.read(path, ["schedule.steps"])
    with pytest.raises(DatasetError, match="no recipe"):
        recipes.read(tmp_path / "none.toml")


def test_a_release_is_told_of_no_folder_of_this_machine():
    recipe = recipes.of({
        "data": {"path": "/home/somebody/faces", "face_model": "/home/somebody/yunet.onnx"},
        "network": {"pretrained": "/home/somebody/weights.safetensors"},
    })  # fmt: skip
    assert "somebody" not in str(recipe.told())
    assert recipe.told()["network"]["pretrained"] == "weights.safetensors"


def test_a_sweep_goes_on_where_it_was_and_writes_the_best_recipe(tmp_path):
    recipe = recipes.of({"schedule": {"epochs": 2.0}, "sweep": {"steps": 7, "hidden": [0, 32]}})
    asked = []

    def judged(tried, number):
        assert tried.schedule.steps == 7
        assert tried.schedule.epochs is None
        asked.append(number)
        if number == 1:
            raise sweeping.Diverged
        return 1 - tried.network.dropout

    sweeping.sweep(recipe, tmp_path, 3, judged)
    tried = sweeping.sweep(recipe, tmp_path, 5, judged)
    assert asked == [0, 1, 2, 3, 4]
    assert [each.number for each in tried if each.auc is None] == [1] == [tried[-1].number]
    best = recipes.read(tmp_path / sweeping.BEST)
    assert (
        best.network.dropout
        == tried[0].keys["network.dropout"]
        == min(each.keys["network.dropout"] for each in tried[:-1])
    )
    assert best.schedule.epochs == 2
    assert len((tmp_path / sweeping.TABLE).read_text().splitlines()) == 6
    with pytest.raises(DatasetError, match="another recipe"):
        sweeping.sweep(recipe.changed(seed=1), tmp_path, 6, judged)


def test_a_trial_that_was_killed_is_tried_again(tmp_path):
    recipe = recipes.of({})
    keys = []

    def killed(tried, number):
        keys.append(tried.optimiser.rate)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweeping.sweep(recipe, tmp_path, 1, killed)
    tried = sweeping.sweep(recipe, tmp_path, 1, lambda *_: 0.5)
    assert [each.keys["optimiser.rate"] for each in tried] == keys
