"""Tuning learns what it is shown, only in the LayerNorms, and from nothing that a fold leaves out."""

import numpy as np
import pytest
import torch

from model.encoder import delta as deltas
from model.encoder import golden
from model.encoder.running import TorchEncoder
from model.errors import DatasetError, Diverged, EncoderError, ModelError
from model.lab import balance, probing, stages, tuning
from model.lab.feeds import Crops, Tokens
from model.lab.pairing import Pairs, Table
from model.lab.stages import Job
from model.lab.tower import Tower
from model.lab.tuning import Settings
from tests.model import encoders

CPU = torch.device("cpu")
MATES = {"alpha": ["alpha"], "beta": ["alpha"]}
REALS, MANIPULATED, SYNTHETIC = balance.REAL, balance.MANIPULATED, balance.SYNTHETIC


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of torch that wait for one another are slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def table(*rows):
    """A table of (source, component, view, class, half) rows, all for training."""
    sources, components, views, classes, half = zip(*rows, strict=True)
    count = len(rows)
    return Table(
        np.array(sources), np.array(components), np.array(views), np.array(classes), np.array(half),
        np.ones(count, bool), np.arange(count),
    )  # fmt: skip


def learnable(count=16):
    """A table of `count` reals of two sources, and as many synthetic and manipulated ones, with their crops: fakes are
    darker in one half, so that the mean patch token tells.
    """
    chance = np.random.default_rng(0)
    rows, crops = [], []
    for place in range(count):
        for source, kind in (("alpha", REALS), ("gamma", REALS), ("alpha", SYNTHETIC), ("beta", MANIPULATED)):
            crop = chance.integers(60, 200, (224, 224, 3)).astype(np.uint8)
            if kind == SYNTHETIC:
                crop[:112] //= 3
            if kind == MANIPULATED:
                crop[..., 0] //= 3
            rows.append((source, f"{source} {place}", "plain", kind, place % 2 == 0))
            crops.append(crop)
    return table(*rows), np.stack(crops)


# The tower


@pytest.mark.parametrize("blocks", [encoders.BLOCKS, (2, 4), (3,)])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_tower_gives_the_encoders_features_from_any_block_on(blocks, first):
    weights, crops = encoders.tiny(), golden.crops()[:2]
    tower = Tower(weights, blocks, first)
    with torch.no_grad():
        tokens, fixed = tower.below(torch.from_numpy(crops))
        found = tower.above(tokens, fixed).numpy()
    assert np.abs(found - TorchEncoder(weights, blocks).features(crops)).max() < 1e-4
    assert tokens.shape == (2, tower.tokens, tower.width)


@pytest.mark.parametrize("first", [0, 2])
def test_only_the_layer_norms_after_the_first_blocks_learn(first):
    tower = Tower(encoders.tiny(), encoders.BLOCKS, first)
    learning = [name for name, each in tower.network.named_parameters() if each.requires_grad]
    assert sorted(learning) == sorted(deltas.names(encoders.SHAPE, first))


@pytest.mark.parametrize("first", [-1, 4, 9])
def test_a_tower_with_nothing_to_tune_is_refused(first):
    with pytest.raises(EncoderError, match="nothing is left to tune"):
        Tower(encoders.tiny(), encoders.BLOCKS, first)


# What is learnt from


def test_a_fold_learns_nothing_of_the_kind_left_out_nor_of_the_reals_it_is_held_against():
    known = table(
        ("alpha", "a", "plain", SYNTHETIC, True),  # the kind that is left out, in any view
        ("alpha", "a", "varied", SYNTHETIC, False),
        ("alpha", "b", "plain", REALS, False),
        ("alpha", "c", "plain", REALS, True),
        ("beta", "d", "plain", MANIPULATED, False),
        ("blended", "b", "blended", MANIPULATED, False),  # made of a real face that is held back
        ("blended", "c", "blended", MANIPULATED, True),
    )
    assert known.taught(["alpha"]).tolist() == [False, False, False, True, True, False, True]
    assert known.taught(()).all()


def test_each_step_pairs_fakes_of_both_kinds_alike_with_reals():
    known, _ = learnable()
    many = table(*[("alpha", f"n{n}", "plain", SYNTHETIC, True) for n in range(200)])
    known = Table(*(np.concatenate([getattr(known, name), getattr(many, name)]) for name in Table.__dataclass_fields__))
    pairs = Pairs(known, known.taught(()), MATES)
    drawn = np.concatenate([pairs.step(number, 64) for number in range(40)])
    classes = known.classes[drawn]
    assert (classes[1::2] == REALS).all()
    assert (classes[0::2] == SYNTHETIC).mean() == pytest.approx(0.5, abs=0.05)
    beside = known.sources[drawn][1::2]
    assert (beside == "alpha").mean() == pytest.approx(0.75, abs=0.05)  # half of the broad half is gamma's


def test_a_pair_shows_the_face_that_was_forged_where_it_is_known_and_is_worn_alike():
    known = table(
        ("alpha", "a", "plain", REALS, True), ("alpha", "a", "varied", REALS, True),
        ("alpha", "b", "plain", REALS, True), ("alpha", "b", "varied", REALS, True),
        ("blended", "b", "blended", MANIPULATED, True),
    )  # fmt: skip
    pairs = Pairs(known, known.taught(()), MATES)
    drawn = np.concatenate([pairs.step(number, 8) for number in range(40)])[1::2]
    assert set(drawn.tolist()) == {1, 3}
    assert (drawn == 3).mean() > 0.6


def test_a_step_follows_from_its_number_and_the_seed():
    known, _ = learnable()
    one, same, other = (Pairs(known, known.taught(()), MATES, seed).step(7, 16).tolist() for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize("kind", [REALS, SYNTHETIC])
def test_a_class_that_is_missing_is_refused(kind):
    known = table(("alpha", "a", "plain", kind, True))
    with pytest.raises(DatasetError, match="one of them is missing"):
        Pairs(known, known.taught(()), MATES)


# Where crops lie


@pytest.mark.parametrize("room", [10**9, 1000])
def test_crops_move_to_a_device_as_a_whole_where_it_has_room(monkeypatch, room):
    parts = [np.random.default_rng(count).integers(0, 255, (count, 8, 8, 3)).astype(np.uint8) for count in (5, 5, 3)]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (room, room))
    moved = Crops(parts, CPU)._moved()
    assert (moved is None) == (room == 1000)
    assert moved is None or np.array_equal(moved.numpy(), np.concatenate(parts))


# Tuning


def tuned(path, feed, known, first=0, **changes):
    tower, losses = Tower(encoders.tiny(), encoders.BLOCKS, first), []
    settings = Settings(**{"batch": 16, "steps": 30, "rate": 3e-3, "head_rate": 3e-3, **changes})
    pairs = Pairs(known, known.taught(()), MATES)
    tuning.tune(tower, feed, known, pairs, settings, path, lambda step: losses.append(step.loss))
    return tower, losses


def test_tuning_learns_to_tell_fakes(tmp_path):
    known, crops = learnable()
    tower, losses = tuned(tmp_path / "c.pt", Crops([crops], CPU), known)
    assert losses[0] == pytest.approx(np.log(3), abs=1e-3)  # the head starts from 0
    assert np.mean(losses[-5:]) < 0.6 * losses[0]
    assert all(np.abs(change).max() > 1e-4 for change in tower.delta().values())
    tower.reset()
    assert all((change == 0).all() for change in tower.delta().values())


def test_the_last_blocks_learn_from_cached_tokens_as_from_crops(tmp_path):
    known, crops = learnable(4)
    with torch.no_grad():
        tokens, fixed = (each.numpy().astype(np.float16)
                         for each in Tower(encoders.tiny(), encoders.BLOCKS, 2).below(torch.from_numpy(crops)))  # fmt: skip
    one, _ = tuned(tmp_path / "1.pt", Crops([crops[:7], crops[7:14], crops[14:]], CPU), known, 2, steps=4)
    other, _ = tuned(tmp_path / "2.pt", Tokens(tokens, fixed, CPU), known, 2, steps=4)
    for name, change in one.delta().items():
        assert np.corrcoef(change, other.delta()[name])[0, 1] > 0.9  # half precision moves single steps
        assert name.split(".")[1] in ("2", "3")


def test_a_checkpoint_of_other_settings_or_of_nothing_is_refused(tmp_path):
    known, crops = learnable(4)
    feed = Crops([crops], CPU)
    tuned(tmp_path / "c.pt", feed, known, steps=2)
    with pytest.raises(ModelError, match="other settings"):
        tuned(tmp_path / "c.pt", feed, known, steps=3)
    with pytest.raises(ModelError, match="other settings"):
        tuned(tmp_path / "c.pt", feed, known, 2, steps=2)
    for content in (b"", b"nonsense", (tmp_path / "c.pt").read_bytes()[:-50]):
        (tmp_path / "d.pt").write_bytes(content)
        with pytest.raises(ModelError, match="no checkpoint of a tuning"):
            tuned(tmp_path / "d.pt", feed, known, steps=2)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    known, crops = learnable(4)
    with pytest.raises(Diverged, match="a smaller rate may do"):
        tuned(tmp_path / "c.pt", Crops([crops], CPU), known, head_rate=1e30, steps=5)


@pytest.mark.parametrize(("number", "steps"), [(0, 4), (3, 4), (0, 1), (0, 1000), (19, 1000), (999, 1000)])
def test_rates_climb_and_fall_and_are_never_none(number, steps):
    assert 0 < tuning.rates(number / steps, number, steps) <= 1.001
    assert tuning.rates(0.5, 500, 1000) == pytest.approx(0.501)
    assert tuning.rates(0.02, 20, 1000) > tuning.rates(0.0, 0, 1000)
    assert tuning.rates(0.02, 20, 1000) > tuning.rates(0.99, 990, 1000)


# What is said of it


def test_heads_tell_kinds_that_share_a_clue_and_not_one_that_nobody_knew():
    chance = np.random.default_rng(0)
    known = table(*[("alpha", f"{n}", "plain", SYNTHETIC if n % 2 else REALS, True) for n in range(120)])
    values = chance.standard_normal((120, 12)).astype(np.float32)
    values[1::2, 3] += 3
    near, far, reals = (chance.standard_normal((40, 12)).astype(np.float32) for _ in range(3))
    near[:, 3] += 3
    far[:, 4] += 3
    rows = np.arange(40)
    asked = [(probing.Question(name, rows, rows), torch.from_numpy(fakes), torch.from_numpy(reals))
             for name, fakes in (("near", near), ("far", far))]  # fmt: skip
    found = probing.answers(torch.from_numpy(values), known, np.arange(120), asked)
    assert found["near"] > 0.9
    assert abs(found["far"] - 0.5) < 0.2


def test_questions_ask_for_plain_crops_against_the_other_half_of_reals():
    known, _ = learnable()
    (question,) = probing.questions(known, ["beta"], MATES)
    assert set(known.sources[question.reals]) == {"alpha"}
    assert not known.half[question.reals].any()
    assert (known.classes[question.fakes] == MANIPULATED).all()
    assert probing.questions(learnable(6)[0], ["beta"], MATES) == []  # three reals give no figure


def test_a_whole_tuning_says_what_it_gained_and_does_nothing_twice(tmp_path):
    known, crops = learnable()
    tower = Tower(encoders.tiny(), encoders.BLOCKS)
    settings = Settings(batch=8, steps=3)
    job = Job(tower, Crops([crops], CPU), known, {"one": ["alpha"], "none": ["gamma"]}, MATES, settings)
    done = stages.run(job, tmp_path, lambda *_: None)
    assert done["stages"]["none"] == {"skipped": "too few crops"}
    assert done["stages"]["one"]["taught"] == known.taught(["alpha"]).sum()
    assert done["stages"]["one"]["steps"] == 3
    assert set(done["macro"]) == {"frozen", "tuned", "gain"}

    def never(*_):
        raise AssertionError

    again = stages.run(Job(tower, never, known, job.folds, MATES, settings), tmp_path, lambda *_: None)
    assert again["stages"] == done["stages"]
    with pytest.raises(ModelError, match="other settings"):
        stages.run(Job(tower, never, known, {}, MATES, settings), tmp_path, lambda *_: None)
