"""The cache of tokens: a run that is killed goes on to the same bytes, and its size is bounded."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cli import packing as commands
from cli import train as training
from model.encoder import published
from model.encoder.record import EncoderRecord
from model.errors import DatasetError
from model.lab import listing, packed, tokens, views
from model.lab.feeds import Tokens
from model.lab.tower import Tower
from tests.model import encoders
from tests.model.lab import pictured

VIEWS = ("plain", "varied", "spliced")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return pictured.material(
        pictured.draw(tmp_path_factory.mktemp("pictures")), tmp_path_factory.mktemp("album")
    )  # fmt: skip


@pytest.fixture
def tower():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Tower(encoders.tiny(), encoders.BLOCKS, 2)
    torch.set_num_threads(before)


class Failing(Tower):
    """Stops after so many batches."""

    runs = 3

    def below(self, crops):
        if self.runs == 0:
            raise KeyboardInterrupt
        self.runs -= 1
        return super().below(crops)


def contents(folder):
    (home,) = folder.iterdir()
    return {path.name: path.read_bytes() for path in home.iterdir()}


def test_a_killed_cache_goes_on_to_the_same_bytes(material, tower, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "CHUNK", 8)
    monkeypatch.setattr(views, "MAKERS", {**views.MAKERS, "spliced": lambda *_: None})  # no donor ever fits
    crops = listing.listed(material, VIEWS, pictured.KINDS, 100, 40)
    whole = tokens.extract(tmp_path / "whole", material, crops, pictured.CUTTING, tower, "tiny")
    failing = Failing(encoders.tiny(), encoders.BLOCKS, 2)
    with pytest.raises(KeyboardInterrupt):
        tokens.extract(tmp_path / "killed", material, crops, pictured.CUTTING, failing, "tiny")
    done = []
    tokens.extract(tmp_path / "killed", material, crops, pictured.CUTTING, tower, "tiny", done=done.append)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert done[0] == 24
    assert sum(done) == len(crops)
    assert whole.there.sum() == sum(crop.view != "spliced" for crop in crops)

    known = listing.table(material, crops, whole.there, pictured.KINDS)
    assert known.places.tolist() == np.flatnonzero(whole.there).tolist()
    place = int(known.places[-1])
    crop = views.make(crops[place].view, material.album, crops[place].row, pictured.CUTTING)
    with torch.no_grad():
        found = Tokens(whole.tokens, whole.fixed, torch.device("cpu"))(tower, np.array([place]))
        wanted = tower(torch.from_numpy(crop[None]))
    assert found.numpy() == pytest.approx(wanted.numpy(), abs=0.02)  # half precision


def test_more_tokens_than_the_disk_should_hold_are_refused_before_any_is_made(material, tower, tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "MOST", 10_000)
    crops = listing.listed(material, ("plain",), pictured.KINDS, 100)
    with pytest.raises(DatasetError, match="ask for fewer crops"):
        tokens.extract(tmp_path / "cache", material, crops, pictured.CUTTING, tower, "tiny")
    assert not (tmp_path / "cache").exists()


def test_a_bound_on_crops_keeps_all_views_of_some_faces_of_each_source(material):
    found = listing.listed(material, ("plain", "varied"), pictured.KINDS, 100, 24)
    assert len(found) == 24
    shown = {}
    for crop in found:
        item = material.album.items[crop.row]
        shown.setdefault((item.source, item.label), {}).setdefault(crop.row, []).append(crop.view)
    assert {key: len(rows) for key, rows in shown.items()} == dict.fromkeys(shown, 3)
    assert len(shown) == 4
    assert all(each == ["plain", "varied"] for rows in shown.values() for each in rows.values())
    assert "cartoons" not in {source for source, _ in shown}


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ((), {"stripes": ["alpha"], "tints": ["beta"]}),
        (("tints",), {"tints": ["beta"]}),
        (("one",), {"one": ["alpha"]}),
    ],
)
def test_folds_are_named_by_kind_or_by_family(material, names, wanted):
    crops = listing.listed(material, ("plain",), pictured.KINDS, 100)
    known = listing.table(material, crops, np.ones(len(crops), bool), pictured.KINDS)
    assert listing.folds(known, pictured.KINDS, names) == wanted


def test_both_commands_work_with_a_tiny_encoder_in_place_of_the_published_one(material, tmp_path, monkeypatch):
    record = EncoderRecord(source="tiny", graph="", blocks=encoders.BLOCKS)
    monkeypatch.setattr(published, "RECORD", record)
    monkeypatch.setattr(training, "tune_memory", lambda: None)  # it would start the tests again
    monkeypatch.setattr(commands, "_gathered", lambda *_: (material, pictured.KINDS, encoders.tiny()))
    done = CliRunner().invoke(training.train, [str(tmp_path), "--pack", "--out", str(tmp_path / "pack")])
    assert done.exit_code == 0, done.output
    assert set(packed.opened(tmp_path / "pack").record["folds"]) == {"stripes", "tints"}

    arguments = [str(tmp_path), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--last", "2",
                 "--steps", "2", "--batch", "4", "--leave", "stripes", "--threads", "1", "--view", "plain"]  # fmt: skip
    done = CliRunner().invoke(commands.tune, arguments)
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["stages"]["stripes"]["sources"].keys() == {"alpha"}
    assert (tmp_path / "out/delta.npz").exists()
