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

from model import (
    albums,
    augmentations,
    batches,
    forgeries,
    networks,
    recipes,
    releases,
    selfblending,
    sources,
    splicing,
    training,
)
from model.crops import VIEW, Cutting
from model.detector import Detector, Judgement
from model.errors import DatasetError, Diverged, ReleaseError
from model.recipes import Augmentations, Shares
from model.training import logs, loop, objective, schedules
from model.training.teachers import Teacher
from model.training.validation import Validation
from tests.model.learning import TINY, WholePicture, tiny

ROOT = Path(__file__).parents[2]


def batches_of(album, kin, recipe=TINY, **options):
    recipe = recipe.changed(schedule={"batch": 16})
    return batches.Batches(album, kin, recipe, np.full(6, 64), **options)


def test_every_batch_is_half_real(album, kin):
    for crops, classes, maps, known, degraded in (batches_of(album, kin)[step] for step in range(6)):
        assert not len(degraded)
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
    spot = np.zeros((VIEW, VIEW, 3), np.uint8)
    spot[90:120, 70:100] = 255
    odds = Augmentations(blackout=0, tilt=0.5, quarter=0.5)
    for seed in range(20):
        placed = augmentations.place(box, marks, 1.15, np.random.default_rng(seed), odds)
        crop = cv2.resize(placed.cut(spot)[..., 0], (20, 20), interpolation=cv2.INTER_AREA).astype(int)
        cells = placed.cut_map(np.ascontiguousarray(spot[..., 0]), VIEW, 20).astype(int)
        assert np.abs(crop - cells).max() <= 1
        assert cells.max() > 200


def test_beyond_a_frame_lies_one_colour_that_is_no_forgery(album):
    box, marks = np.array([60, 60, 100, 100], np.float32), album.landmarks[0]
    odds = Augmentations(blackout=0, framed=1)
    everywhere = np.full((VIEW, VIEW), 255, np.uint8)
    colours = set()
    for seed in range(30):
        placed = augmentations.place(box, marks, 2.0, np.random.default_rng(seed), odds)
        crop, cells = placed.cut(album.views[0]), placed.cut_map(everywhere, VIEW, 40)
        rim = np.concatenate([crop[:8].reshape(-1, 3), crop[-8:].reshape(-1, 3)])
        assert (rim == placed.frame.colour).all()
        assert not cells[[0, 1, -1, -2]].any()
        assert (cells[18:22, 18:22] == 255).all()
        colours.add(placed.frame.colour)
    assert {(0, 0, 0), (255, 255, 255)} < colours


def test_splices_take_generated_faces_where_the_recipe_says_so(album):
    generated = [row for row, item in enumerate(album.items) if item.label][:3]
    real = next(row for row, item in enumerate(album.items) if not item.label)

    def donors(share):
        looked_at = []

        class Watched:
            def __getitem__(self, row):
                looked_at.append(row)
                return album.views[row]

        shares = Shares(blended=0, spliced=1, partial=0, generated=share)
        forger = forgeries.Forger(dataclasses.replace(album, views=Watched()), shares, generated)
        for seed in range(12):
            forger.pair(real, (), (), forgeries.MANIPULATED, np.random.default_rng(seed))
        return {*looked_at} - {real}

    assert donors(1.0) == {*generated}
    assert donors(0.0) - {*generated}


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
    network = training.start(tiny(network={"backbone": "mobilenetv2_035"}, loss={"map_weight": 1.0})).network
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
        objective.map_loss(cells, maps, torch.ones(8, dtype=torch.bool)).backward()
        optimiser.step()
    told = network.everything(crops)[1].sigmoid()
    assert told[maps > 0].mean() > 0.8
    assert told[maps == 0].mean() < 0.2


def test_every_change_can_be_made_sure_of_or_switched_off(album):
    view, box, marks = album.views[0], album.boxes[0], album.landmarks[0]
    names = [name for name, field in Augmentations.model_fields.items() if field.annotation is not bool]
    never = dict.fromkeys(names, 0.0) | {"equaliser": False}

    def made(odds):
        placed = augmentations.place(box, marks, 1.15, np.random.default_rng(1), odds)
        chance = np.random.default_rng(2)
        return augmentations.equalise(augmentations.alter(placed.cut(view), chance, odds), 96, chance, odds)

    plain = made(Augmentations(**never))
    assert np.array_equal(plain, made(Augmentations(**never)))
    for name in names:
        sure = never | {name: 1.0, "equaliser": name in {"shrink", "second_jpeg"}}
        assert not np.array_equal(plain, made(Augmentations(**sure))), name


def test_mirrored_and_flipped_crops_are_just_that(album):
    names = [name for name, field in Augmentations.model_fields.items() if field.annotation is not bool]
    never = dict.fromkeys(names, 0.0)
    box = np.array([40, 40, 120, 120], np.float32)
    plain, mirrored, flipped = (
        augmentations.place(
            box, album.landmarks[0], 1.15, np.random.default_rng(0), Augmentations(**never | changed)
        ).cut(album.views[0])
        for changed in ({}, {"mirror": 1.0}, {"flip": 1.0})
    )
    assert np.array_equal(mirrored, plain[:, ::-1])
    assert np.array_equal(flipped, plain[::-1])


def test_oversampling_shows_both_classes_alike_and_natural_sampling_shows_what_there_is(album, kin):
    over = batches_of(album, kin, tiny(data={"sampling": "oversample"}))
    assert all((over[step].classes == forgeries.REAL).sum() == 8 for step in range(6))
    natural = batches_of(album, kin, tiny(data={"sampling": "natural"}))
    reals = np.mean([(natural[step].classes == forgeries.REAL).float().mean().item() for step in range(6)])
    assert 0.45 < reals < 0.75  # 36 of 60 images are real


def test_devices_share_the_very_batch_that_one_would_see(album, kin):
    whole = batches_of(album, kin)[3]
    parts = [batches_of(album, kin, rank=rank, devices=2)[3] for rank in range(2)]
    seen = {crop.tobytes() for part in parts for crop in part.crops.numpy()}
    assert seen == {crop.tobytes() for crop in whole.crops.numpy()}
    with pytest.raises(DatasetError, match="3 devices"):
        batches_of(album, kin, devices=3)


def test_consistency_brings_a_worse_copy_of_every_crop_in_the_last_third(album, kin):
    wanted = batches_of(album, kin, tiny(loss={"consistency": 1.0}))
    assert [len(wanted[step].degraded) for step in range(6)] == [0, 0, 0, 0, 16, 16]
    batch = wanted[5]
    gap = (batch.degraded.float() - batch.crops.float()).abs().mean(dim=(1, 2, 3))
    assert (gap > 0).all()
    assert (gap < 40).all()


def test_the_rate_climbs_and_ends_at_nothing():
    rates = [schedules.rate(progress, 0.03) for progress in np.linspace(0, 1, 101)]
    assert rates[0] < 0.01
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert rates[-1] < 0.01
    assert np.argmax(rates) < 6


def test_the_loss_of_a_sure_right_answer_is_small():
    logits = torch.tensor([[-9.0, -9.0], [9.0, -9.0], [-9.0, 9.0]])
    assert objective.loss_of(logits, torch.tensor([0, 1, 2]), 0.0) < 1e-3
    assert objective.loss_of(logits, torch.tensor([1, 2, 0]), 0.0) > 5


def test_crops_grow_as_the_recipe_says_and_never_for_a_network_of_one_size():
    recipe = tiny(schedule={"size": 96, "earlier": [{"size": 32, "until": 0.25}, {"size": 64, "until": 0.5}]})
    assert schedules.sizes(recipe, 8).tolist() == [32, 32, 64, 64, 96, 96, 96, 96]
    with pytest.raises(DatasetError, match=r"schedule\.earlier: volo_d2_224 takes crops of one size only"):
        schedules.sizes(recipe.changed(network={"backbone": "volo_d2_224"}), 8)


@pytest.mark.parametrize("begin", [training.start, lambda recipe: training.finished(Path("no-checkpoint"), recipe)])
def test_a_release_of_another_size_is_refused_before_a_network_of_one_size_is_trained(begin):
    recipe = tiny(network={"backbone": "volo_d2_224"}, schedule={"size": 224}, release={"size": 160})
    with pytest.raises(DatasetError, match=r"release\.size: volo_d2_224 takes crops of one size only"):
        begin(recipe)


def test_two_answers_agree_when_they_are_the_same():
    one, other = torch.tensor([[1.0, -2.0]]), torch.tensor([[-1.0, 2.0]])
    for gap in (objective.divergence, objective.squares):
        assert gap(one, one) == 0
        assert gap(one, other) == gap(other, one) > 0
    assert objective.distance(one, one, 2.0) == 0
    # A teacher with one head is listened to on P(fake) alone.
    assert objective.distance(one, one.logsumexp(dim=1, keepdim=True), 2.0).abs() < 1e-6


def trained(recipe, album, kin, path, **options):
    run = training.start(recipe)
    steps = []
    training.train(run, album, kin, path, lambda _, step: steps.append(step), **options)
    return run, steps


def test_each_ingredient_of_the_loss_can_be_learnt_with(album, kin, tmp_path):
    for form in ("divergence", "squares"):
        recipe = tiny(
            schedule={"steps": 2}, loss={"consistency": 1.0, "consistency_form": form, "consistency_from": 0.0}
        )
        _, steps = trained(recipe, album, kin, tmp_path / "a.pt")
        assert len(steps) == 2
    taught = []

    def teacher(crops):
        taught.append(crops.shape)
        return torch.zeros(len(crops), 2)

    trained(tiny(schedule={"steps": 2}), album, kin, tmp_path / "a.pt", teacher=teacher)
    assert taught == [(8, 64, 64, 3)] * 2


def test_one_head_learns_real_against_fake(album, kin, tmp_path):
    recipe = tiny(network={"heads": "one", "hidden": 16}, schedule={"steps": 2})
    run, _ = trained(recipe, album, kin, tmp_path / "a.pt")
    crops = torch.zeros(3, 64, 64, 3, dtype=torch.uint8)
    assert run.average(crops).shape == (3, 1)
    mean, std = run.recipe.normalisation
    again = networks.restored("test_resnet", mean, std, run.average.state_dict(), 64)
    assert torch.equal(again(crops), run.average.eval()(crops))
    assert again.names == ("fake",)


def test_the_average_is_the_network_where_nothing_is_averaged(album, kin, tmp_path):
    run, _ = trained(tiny(optimiser={"averaging": 0.0, "name": "sgd"}), album, kin, tmp_path / "a.pt")
    for name, tensor in run.network.state_dict().items():
        assert torch.equal(tensor, run.average.state_dict()[name]), name


@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "lion"])
def test_optimisers_go_by_timms_names(album, kin, tmp_path, optimiser):
    trained(tiny(optimiser={"name": optimiser}, schedule={"steps": 1}), album, kin, tmp_path / "a.pt")


def test_an_unknown_optimiser_or_network_is_named():
    with pytest.raises(DatasetError, match=r"optimiser\.name"):
        training.start(tiny(optimiser={"name": "sdg"}))
    with pytest.raises(ReleaseError, match=r"network\.backbone"):
        training.start(tiny(network={"backbone": "resnet05"}))


def test_a_loss_that_is_no_number_ends_the_run(album, kin, tmp_path):
    recipe = tiny(optimiser={"rate": 1e9, "warm_up": 0.0, "clip": 0.0, "name": "sgd"}, schedule={"steps": 50})
    with pytest.raises(Diverged):
        trained(recipe, album, kin, tmp_path / "a.pt")


def test_patience_stops_and_keeps_the_best_average(album, kin, tmp_path):
    said = iter([0.6, 0.8, 0.7, 0.7, 0.9])
    kept = []

    def judge(run):
        kept.append({name: tensor.clone() for name, tensor in run.average.state_dict().items()})
        return next(said)

    recipe = tiny(schedule={"steps": 50, "validate_every": 1, "patience": 2})
    run, steps = trained(recipe, album, kin, tmp_path / "a.pt", judge=judge)
    assert [step.auc for step in steps] == [0.6, 0.8, 0.7, 0.7]
    assert steps[-1].progress == 1
    for name, tensor in run.average.state_dict().items():
        assert torch.equal(tensor, kept[1][name]), name
    resumed = training.resume(tmp_path / "a.pt", recipe)
    training.train(resumed, album, kin, tmp_path / "a.pt", lambda *_: pytest.fail("it had stopped"))
    assert torch.equal(resumed.average.state_dict()["heads.1.weight"], kept[1]["heads.1.weight"])


def test_validation_means_over_families_with_both_classes(album, kin, tmp_path):
    run, _ = trained(tiny(schedule={"steps": 1}), album, kin, tmp_path / "a.pt")
    joined = Validation(album, {}, loop.ALONE).auc(run)
    assert 0 <= joined <= 1
    assert Validation(album, {"both": "alone"}, loop.ALONE).auc(run) != joined


def run_to(steps, run, album, kin, path):
    class Enough(Exception):
        pass

    def stop(state, _step):
        if state.step == steps:
            state.save(path)
            raise Enough

    if steps < run.recipe.schedule.steps:
        with pytest.raises(Enough):
            training.train(run, album, kin, path, stop)
    else:
        training.train(run, album, kin, path, lambda *_: None)
    return run


def test_a_run_that_was_stopped_ends_where_an_unbroken_one_does(album, kin, tmp_path):
    unbroken = run_to(4, training.start(TINY), album, kin, tmp_path / "a.pt")
    run_to(2, training.start(TINY), album, kin, tmp_path / "b.pt")
    resumed = run_to(4, training.resume(tmp_path / "b.pt", TINY), album, kin, tmp_path / "b.pt")
    for name, tensor in unbroken.average.state_dict().items():
        assert torch.equal(tensor, resumed.average.state_dict()[name]), name


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    training.start(TINY).save(tmp_path / "a.pt")
    with pytest.raises(DatasetError, match=r"another seed, optimiser\.rate"):
        training.resume(tmp_path / "a.pt", TINY.changed(seed=1, optimiser={"rate": 0.1}))


def test_a_run_begins_from_anothers_weights_and_adds_a_map(tmp_path):
    first = training.start(tiny(network={"backbone": "mobilenetv2_035"}))
    first.save(tmp_path / "first.pt")
    recipe = tiny(
        network={"backbone": "mobilenetv2_035", "start": str(tmp_path / "first.pt")}, loss={"map_weight": 0.5}
    )
    run = training.start(recipe.changed(seed=5))
    assert torch.equal(run.network.backbone.conv_stem.weight, first.average.backbone.conv_stem.weight)
    assert run.network.has_map
    with pytest.raises(ReleaseError, match="another network"):
        training.start(recipe.changed(network={"backbone": "test_resnet"}, loss={"map_weight": 0}))
    published = training.finished(tmp_path / "first.pt", tiny(network={"backbone": "mobilenetv2_035"}))
    assert torch.equal(published.average.heads[1].weight, first.average.heads[1].weight)


def test_a_release_teaches_crops_of_any_size():
    teacher = Teacher(releases.default_path(), TINY.data.margin, loop.ALONE, 1)
    drawn = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    assert teacher(drawn).shape == (3, 2)
    with pytest.raises(ReleaseError, match="margin"):
        Teacher(releases.default_path(), 1.5, loop.ALONE, 1)


def test_a_resumed_log_has_every_step_once(tmp_path):
    run, step = training.start(TINY), training.Step(0.5, 1e-3, 64, 0.5, None)
    for first, last in ((0, 5), (3, 6)):  # killed after step 5, the checkpoint of step 3 is taken up
        with logs.Log(tmp_path, first) as log:
            for run.step in range(first + 1, last + 1):
                log.write(run, step)
    assert [int(line["step"]) for line in logs.read(tmp_path / "log.csv")] == [1, 2, 3, 4, 5, 6]


def test_two_steps_of_the_command_make_a_release_that_scores(images, tmp_path):
    out = tmp_path / "run" / "release"
    recipe = tmp_path / "tiny.toml"
    recipe.write_text("""
threads = 1
[network]
backbone = "test_resnet"
[schedule]
steps = 3
batch = 8
size = 64
validate_every = 2
[loss]
map_weight = 0
[release]
version = "0.0.1"
size = 48
""")
    command = [sys.executable, "-m", "cli.main", "train", str(recipe), "--data", str(images), "--out", str(out.parent),
               "--set", "schedule.steps=2", "--cache", str(tmp_path / "albums")]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line["step"] for line in logs.read(out.parent / "log.csv")] == ["1", "2"]
    assert list((out.parent / "events").glob("events.out.tfevents.*"))
    assert recipes.read(out.parent / "recipe.toml").schedule.steps == 2
    release = releases.read(out)
    assert (release.version, release.preprocessing.cutting) == ("0.0.1", Cutting(48, 1.15, through=True))
    answers = Detector.load(out, device="cpu").score([(images / "both/real/0.png").read_bytes(), b""])
    assert isinstance(answers[0], Judgement)
    report = tmp_path / "report"
    command = [sys.executable, "-m", "cli.main", "evaluate", str(out), str(images), "--out", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((report / "report.json").read_text())["sets"]["both (test)"]["submitted"] > 0
