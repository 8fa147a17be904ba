"""Training on a handful of images: what a step sees, that stopping changes nothing, and a release at the end."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from model import albums, augmentations, batches, forgeries, releases, selfblending, sources, splicing, training
from model.detector import Detector, Judgement
from model.errors import DatasetError
from model.faces import FoundFace
from model.training import Recipe

TINY = Recipe(backbone="test_resnet", size=64, steps=4, batch=8, map_weight=0)
ROOT = Path(__file__).parents[2]


class WholePicture:
    """Finds one face wherever it looks: these tests are about what comes after."""

    def find(self, image):
        height, width = image.shape[:2]
        marks = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.6], [0.4, 0.75], [0.6, 0.75]], np.float32)
        return [FoundFace((0.1 * width, 0.1 * height, 0.8 * width, 0.8 * height), marks * (width, height), 0.9)]


@pytest.fixture(scope="module")
def images(tmp_path_factory, portrait):
    """Two sources: one with both classes, one of reals alone."""
    folder = tmp_path_factory.mktemp("images")
    face = portrait.crop((100, 0, 360, 260))
    chance = np.random.default_rng(0)
    for name, count in (("both/real", 24), ("both/fake", 24), ("alone/real", 12)):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            moved = face.rotate(chance.uniform(-8, 8), Image.Resampling.BILINEAR)
            shown = moved.quantize(6).convert("RGB") if "fake" in name else moved
            shown.save(folder / name / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def album(images, tmp_path_factory):
    return albums.open_or_build(
        tmp_path_factory.mktemp("album"), sources.read(images), WholePicture(), "whole", lambda: 0
    )


@pytest.fixture(scope="module")
def kin(album):
    return batches.families(album, (), {})


def batches_of(album, kin, **changed):
    options = {"sizes": np.full(6, 64), "batch": 16, "margin": 1.15, "shares": forgeries.Shares(), "seed": 0}
    return batches.Batches(album, kin, **{**options, **changed})


def test_every_batch_is_half_real(album, kin):
    for crops, classes, maps, known in (batches_of(album, kin)[step] for step in range(6)):
        assert crops.shape == (16, 64, 64, 3)
        assert crops.dtype == maps.dtype == torch.uint8
        assert maps.shape == (16, 8, 8)
        assert (classes == forgeries.REAL).sum() == 8
        assert known[classes == forgeries.REAL].all()
        assert not maps[classes == forgeries.REAL].any()


def test_a_step_sees_the_same_batch_whenever_it_is_asked_for(album, kin):
    forwards, again = batches_of(album, kin), batches_of(album, kin)
    first = [forwards[step] for step in range(6)]
    for step in reversed(range(6)):
        assert all(torch.equal(one, other) for one, other in zip(first[step], again[step], strict=True))


def test_mates_are_one_family_and_generated_fakes_are_synthetic(album):
    kin = batches.families(album, {"both"}, {"both": "alone"})
    assert {name: family.fake_class for name, family in kin.items()} == {"alone": forgeries.SYNTHETIC}


def test_fakes_without_reals_are_not_learnt_from(album):
    fakes = dataclasses.replace(album, items=[item for item in album.items if item.label])
    with pytest.raises(DatasetError):
        batches.families(fakes, (), {})


def test_an_album_is_made_once(images, tmp_path):
    seen = []
    items = sources.read(images)[:3]
    for _ in range(2):
        albums.open_or_build(tmp_path, items, WholePicture(), "whole", lambda: seen.append(1))
    assert len(seen) == 3


def test_blending_changes_the_face_and_leaves_the_border(album):
    view, box, marks = album.views[0], album.boxes[0], album.landmarks[0]
    changed = []
    for seed in range(20):
        blended, where = selfblending.blend(view, box, marks, np.random.default_rng(seed))
        assert where[110, 110] > 0
        assert where[:3].mean() < 0.2 * where.max()
        target_moved = np.abs(blended[:3].astype(int) - view[:3]).mean()
        changed.append((np.abs(blended[80:140, 80:140].astype(int) - view[80:140, 80:140]).mean(), target_moved))
    assert min(face for face, _ in changed) > 0
    assert sum(border == 0 for _, border in changed) >= 5  # where the altered copy is the source, not the target


def test_another_face_is_set_in_where_the_map_says(album):
    marks = album.landmarks[0]
    donor = np.full_like(album.views[0], (0, 200, 0))
    view, where = splicing.splice(album.views[0], album.boxes[0], marks, donor, marks + 3, np.random.default_rng(3))
    changed = np.abs(view.astype(int) - album.views[0]).max(axis=2)
    assert changed[where > 200].mean() > 8  # the donor may be laid over in part only
    assert not changed[where == 0].any()


def test_a_donor_seen_from_another_side_is_refused(album):
    marks = album.landmarks[0]
    turned = marks.copy()
    turned[2] += 60  # the nose beside the eyes
    assert (
        splicing.splice(album.views[0], album.boxes[0], marks, album.views[1], turned, np.random.default_rng(0)) is None
    )


def test_the_equaliser_gives_the_size_asked_for(album):
    for seed in range(10):
        crop = augmentations.equalise(album.views[1], 96, np.random.default_rng(seed))
        assert crop.shape == (96, 96, 3)
        assert crop.dtype == np.uint8


def test_a_crop_and_its_map_are_placed_alike(album):
    box, marks = album.boxes[0], album.landmarks[0]
    spot = np.zeros((albums.SIDE, albums.SIDE, 3), np.uint8)
    spot[90:120, 70:100] = 255
    for seed in range(10):
        placed = augmentations.place(box, marks, 1.15, np.random.default_rng(seed))
        if placed.bar is not None:
            continue
        crop = cv2.resize(placed.cut(spot)[..., 0], (20, 20), interpolation=cv2.INTER_AREA).astype(int)
        cells = placed.cut_map(np.ascontiguousarray(spot[..., 0]), albums.SIDE, 20).astype(int)
        assert np.abs(crop - cells).max() <= 1
        assert cells.max() > 200


def test_a_forgery_of_the_same_frame_lies_on_its_original_and_knows_what_changed(tmp_path, portrait):
    face = portrait.crop((100, 0, 360, 260))
    forged = face.copy()
    forged.paste((200, 30, 30), (90, 120, 170, 180))
    other = face.rotate(25, Image.Resampling.BILINEAR)
    for name, picture in (("s/real/a.png", face), ("s/fake/b.png", forged), ("s/fake/c.png", other)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(tmp_path / name)
    (tmp_path / "s/groups.csv").write_text("file,label,group\nreal/a.png,0,g\nfake/b.png,1,g\nfake/c.png,1,g\n")
    made = albums.open_or_build(tmp_path / "album", sources.read(tmp_path), WholePicture(), "whole", lambda: 0)
    rows = {item.path.stem: row for row, item in enumerate(made.items)}
    assert made.originals[rows["b"]] == rows["a"]
    assert made.originals[rows["c"]] == made.originals[rows["a"]] == albums.NONE
    change = made.changes[rows["b"]]
    assert change[31, 28] == 255
    assert change[:6].max() == 0


def test_a_network_learns_to_point_at_what_was_altered():
    torch.manual_seed(0)
    network = training.start(dataclasses.replace(TINY, backbone="mobilenetv2_035", map_weight=1.0), None).network
    crops = torch.full((8, 64, 64, 3), 128, dtype=torch.uint8)
    crops += torch.randint(0, 20, crops.shape, dtype=torch.uint8)
    maps = torch.zeros(8, 8, 8, dtype=torch.uint8)
    for row in range(8):
        crops[row, 16:48, 8 * (row % 4) : 8 * (row % 4) + 24, 0] += 90
        maps[row, 2:6, row % 4 : row % 4 + 3] = 255
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        cells = network.train().everything(crops)[1]
        training.map_loss(cells, maps, torch.ones(8, dtype=torch.bool)).backward()
        optimiser.step()
    told = network.everything(crops)[1].sigmoid()
    assert told[maps > 0].mean() > 0.8
    assert told[maps == 0].mean() < 0.2


def test_the_rate_climbs_and_ends_at_nothing():
    rates = [training.schedule(progress) for progress in np.linspace(0, 1, 101)]
    assert rates[0] < 0.01
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert rates[-1] < 0.01
    assert np.argmax(rates) < 6


def test_the_loss_of_a_sure_right_answer_is_small():
    logits = torch.tensor([[-9.0, -9.0], [9.0, -9.0], [-9.0, 9.0]])
    assert training.loss_of(logits, torch.tensor([0, 1, 2]), 0.0) < 1e-3
    assert training.loss_of(logits, torch.tensor([1, 2, 0]), 0.0) > 5


def run_to(steps, run, album, kin, path):
    class Enough(Exception):
        pass

    def stop(state, _loss, _progress):
        if state.step == steps:
            state.save(path)
            raise Enough

    if steps < run.recipe.steps:
        with pytest.raises(Enough):
            training.train(run, album, kin, path, stop)
    else:
        training.train(run, album, kin, path, lambda *_: None)
    return run


def test_a_run_that_was_stopped_ends_where_an_unbroken_one_does(album, kin, tmp_path):
    unbroken = run_to(4, training.start(TINY, None), album, kin, tmp_path / "a.pt")
    run_to(2, training.start(TINY, None), album, kin, tmp_path / "b.pt")
    resumed = run_to(4, training.resume(tmp_path / "b.pt", TINY), album, kin, tmp_path / "b.pt")
    for name, tensor in unbroken.average.state_dict().items():
        assert torch.allclose(tensor, resumed.average.state_dict()[name], atol=1e-6), name


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    training.start(TINY, None).save(tmp_path / "a.pt")
    with pytest.raises(DatasetError, match="seed"):
        training.resume(tmp_path / "a.pt", dataclasses.replace(TINY, seed=1))


def test_two_steps_of_the_command_make_a_release_that_scores(images, tmp_path):
    out = tmp_path / "tiny-0.0.1"
    command = [sys.executable, "-m", "cli.main", "train", str(images), "--out", str(out), "--version", "0.0.1",
               "--architecture", "test_resnet", "--steps", "2", "--batch", "8", "--size", "64", "--threads", "1",
               "--cache", str(tmp_path / "albums")]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    release = releases.read(out)
    assert (release.version, release.preprocessing.size) == ("0.0.1", 64)
    answers = Detector.load(out, device="cpu").score([(images / "both/real/0.png").read_bytes(), b""])
    assert isinstance(answers[0], Judgement)
    report = tmp_path / "report"
    command = [sys.executable, "-m", "cli.main", "evaluate", str(out), str(images), "--out", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((report / "report.json").read_text())["sets"]["both (test)"]["submitted"] > 0
