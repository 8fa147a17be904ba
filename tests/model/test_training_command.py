"""What `unmask train` does around a run: sweeps, checkpoints of other recipes, and what it refuses."""

import pytest
from click.testing import CliRunner

from cli import train, training
from model import recipes, releases
from model import training as learning
from model.errors import DatasetError
from tests.model.learning import tiny


@pytest.fixture
def job(images, tmp_path):
    def asked(**sections):
        return training.Job(tiny(**sections), images, tmp_path / "run", tmp_path / "albums")

    return asked


def test_a_sweep_tries_trains_and_tells_the_best(job, capsys):
    asked = job(data={"held_out": ["alone"], "mates": {}}, sweep={"steps": 1, "optimisers": ["adamw"]})
    with pytest.raises(DatasetError, match="both classes"):
        training.sweep(asked, 1, "cpu")  # there are no fakes among what is held out
    asked = job(sweep={"steps": 1, "optimisers": ["adamw"], "hidden": [0, 8]})
    training.sweep(asked, 2, "cpu")
    assert "best recipe" in capsys.readouterr().out
    best = recipes.read(asked.out / "best.toml")
    assert best.schedule.steps == 4  # the recipe's own, not a trial's
    assert not list(asked.out.rglob("checkpoint.pt"))
    assert len(list((asked.out / "trials").glob("*/log.csv"))) == 2


def test_a_checkpoint_of_another_recipe_is_published(job, tmp_path):
    run = learning.start(tiny(optimiser={"rate": 0.1}))
    run.step = 3
    run.save(tmp_path / "a.pt")
    asked = job(release={"version": "0.0.7"})
    training.publish(asked, tmp_path / "a.pt")
    release = releases.read(asked.out / "release")
    assert (release.version, release.training["steps_taken"]) == ("0.0.7", 3)


def test_images_must_be_named(tmp_path, monkeypatch):
    (tmp_path / "a.toml").write_text("")
    monkeypatch.setattr(train, "tune_memory", lambda: None)
    said = CliRunner().invoke(train.train, [str(tmp_path / "a.toml")])
    assert said.exit_code == 2
    assert "--data" in said.output
