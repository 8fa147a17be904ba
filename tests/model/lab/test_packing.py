"""A pack holds all that tuning needs: it runs alone, without a network, and goes on after it was killed."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from model.encoder import delta as deltas
from model.errors import DatasetError
from model.lab import packed, packing, stages, unpacking, views
from tests.model import encoders
from tests.model.lab import pictured

# Runs a pack as a machine would that has torch, timm and numpy, and no network.
ALONE = """
import os, runpy, signal, sys
for name in ("cv2", "onnx", "onnxruntime", "pydantic", "sklearn", "rich", "click", "simplejpeg", "platformdirs", "cli"):
    sys.modules[name] = None  # importing it raises
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind"):
        raise RuntimeError(f"a pack uses no network: {event} {arguments}")
sys.addaudithook(watch)
import torch
torch.set_num_threads(1)
saves, save = int(os.environ.get("SAVES", "0")), torch.save
def saved(*arguments):
    global saves
    save(*arguments)
    saves -= 1
    if saves == 0:
        os.kill(os.getpid(), signal.SIGKILL)  # the checkpoint was written, but is not in its place yet
torch.save = saved
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
import model
assert "code.zip" in model.__file__, model.__file__
"""


def started(pack, out, *arguments, saves=0, code=0):
    command = [sys.executable, "-c", ALONE, str(pack / "run.py"), "--out", str(out), "--device", "cpu", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=pack.parent, check=False,
        env={**os.environ, "SAVES": str(saves), "PYTHONPATH": ""}, timeout=300,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of torch that wait for one another are slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return pictured.material(
        pictured.draw(tmp_path_factory.mktemp("pictures")), tmp_path_factory.mktemp("album")
    )  # fmt: skip


@pytest.fixture(scope="module")
def pack(material, tmp_path_factory):
    return packing.write(pictured.order(material), tmp_path_factory.mktemp("packs") / "pack", 2, pictured.silent)


STEPS = ("--seconds", "inf", "--steps", "6", "--batch", "8", "--keep", "2", "--leave", "stripes")


@pytest.fixture(scope="module")
def tuned(pack):
    started(pack, pack.parent / "whole", *STEPS)
    return pack.parent / "whole"


def test_a_pack_tunes_and_leaves_a_kind_out_on_a_machine_with_nothing_else(pack, tuned):
    delta = deltas.read(tuned / "delta.npz")
    assert set(delta) == set(deltas.names(encoders.SHAPE))
    assert all(np.abs(change).max() > 0 for change in delta.values())
    deltas.apply(encoders.tiny(), delta)

    results = json.loads((tuned / "results.json").read_text())
    assert set(results["stages"]) == {stages.WHOLE, "stripes"}
    assert results["stages"][stages.WHOLE]["delta"] == encoders.sha256(tuned / "delta.npz")
    left = results["stages"]["stripes"]["sources"]["alpha"]
    assert left["fakes"] == pictured.FACES
    assert 0 < left["reals"] < pictured.FACES
    assert 0 <= left["frozen"] <= 1
    assert 0 <= left["tuned"] <= 1
    assert results["macro"]["gain"] == pytest.approx(left["tuned"] - left["frozen"])

    rows = [line.split(",") for line in (tuned / "log.csv").read_text().splitlines()]
    assert rows[0] == list(stages.COLUMNS)
    assert [(row[0], row[1]) for row in rows[1:]] == [
        (stage, str(step)) for stage in (stages.WHOLE, "stripes") for step in range(1, 7)
    ]
    assert not list(tuned.glob("*.pt"))


def test_a_run_killed_in_each_stage_goes_on_to_the_same_delta(pack, tuned, tmp_path, monkeypatch):
    started(pack, tmp_path, *STEPS, saves=2, code=-signal.SIGKILL)
    assert not (tmp_path / "delta.npz").exists()

    save, saves = torch.save, []

    def interrupted(state, path):
        save(state, path)
        saves.append(path)
        if len(saves) == 4:  # two more of the first stage, two of the fold
            raise KeyboardInterrupt

    arguments = ["--out", str(tmp_path), "--device", "cpu", *STEPS]
    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unpacking.main(pack, arguments)
    assert (tmp_path / "delta.npz").exists()
    monkeypatch.setattr(torch, "save", save)
    unpacking.main(pack, arguments)
    assert (tmp_path / "delta.npz").read_bytes() == (tuned / "delta.npz").read_bytes()
    found, wanted = (json.loads((folder / "results.json").read_text()) for folder in (tmp_path, tuned))
    assert found["macro"] == pytest.approx(wanted["macro"])
    lost, whole = (
        [line.split(",")[:5] for line in (folder / "log.csv").read_text().splitlines()] for folder in (tmp_path, tuned)
    )
    assert lost == whole


def test_a_budget_of_time_ends_a_run_and_leaves_out_folds_that_do_not_fit(pack, tmp_path):
    unpacking.main(pack, ["--out", str(tmp_path), "--seconds", "3", "--batch", "4", "--device", "cpu"])
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["stages"]["stripes"] == {"skipped": "no time was left"}
    assert results["macro"] == {}
    assert (tmp_path / "delta.npz").exists()


# Refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--leave", "nothing"), "the pack has no fold 'nothing'; it has stripes, tints"), (("--rate", "1e-5"), "other settings")],
)  # fmt: skip
def test_what_a_pack_cannot_do_is_said(pack, tuned, arguments, words):
    with pytest.raises(SystemExit, match=words):
        unpacking.main(pack, ["--out", str(tuned), "--device", "cpu", *STEPS[:8], *arguments])


def copied(pack, folder):
    folder.mkdir()
    for path in pack.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("name", ["crops-000.npy", "encoder-00.part", "table.npz", "code.zip"])
@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content[:-1] + b"?", None],
                         ids=["torn", "changed", "missing"])  # fmt: skip
def test_a_damaged_file_is_refused_by_its_name(pack, tmp_path, name, damage):
    broken = copied(pack, tmp_path / "broken")
    if damage is None:
        (broken / name).unlink()
    else:
        (broken / name).write_bytes(damage((pack / name).read_bytes()))
    with pytest.raises(DatasetError, match=name):
        packed.opened(broken)


def test_run_refuses_code_that_was_changed_before_it_runs_it(pack, tmp_path):
    broken = copied(pack, tmp_path / "broken")
    (broken / "code.zip").write_bytes((pack / "code.zip").read_bytes() + b"?")
    done = subprocess.run([sys.executable, broken / "run.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "code.zip is damaged" in done.stderr


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 9, "files": {}}', '{"format": 1, "files": {"../x": ""}}']
)
def test_a_folder_that_is_no_pack_is_refused(tmp_path, content):
    (tmp_path / "pack.json").write_text(content)
    with pytest.raises(DatasetError):
        packed.opened(tmp_path)


# Packing


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_an_interrupted_pack_goes_on_to_the_same_bytes(material, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "PART", 20 * 224 * 224 * 3 + 128)
    whole = packing.write(pictured.order(material), tmp_path / "whole", 1, pictured.silent)
    make, calls = views.make, []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 50:
            raise KeyboardInterrupt
        return make(*arguments)

    monkeypatch.setattr(views, "make", failing)
    with pytest.raises(KeyboardInterrupt):
        packing.write(pictured.order(material), tmp_path / "killed", 1, pictured.silent)
    assert not (tmp_path / "killed/pack.json").exists()
    with pytest.raises(DatasetError, match="no whole pack"):
        packed.opened(tmp_path / "killed")
    calls.clear()
    monkeypatch.setattr(views, "make", lambda *arguments: calls.append(arguments) or make(*arguments))
    packing.write(pictured.order(material), tmp_path / "killed", 1, pictured.silent)
    assert contents(tmp_path / "killed") == contents(whole)
    assert len(calls) == len(packed.opened(whole).table) - 40


def test_every_file_of_a_pack_is_below_the_limit(material, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "PART", 400_000)
    pack = packing.write(pictured.order(material, at_most=9), tmp_path / "pack", 1, pictured.silent)
    assert max(path.stat().st_size for path in pack.iterdir()) <= 400_000
    assert len(list(pack.glob("encoder-*"))) > 1
    found = packed.opened(pack)
    assert len(found.table) == sum(map(len, found.crops)) <= 9
    assert all(np.array_equal(found.weights[name], encoders.tiny()[name]) for name in found.weights)


def test_a_pack_is_not_written_over_something_else(material, pack, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(DatasetError, match="a folder of its own"):
        packing.write(pictured.order(material), tmp_path, 1, pictured.silent)
    with pytest.raises(DatasetError, match="a folder of its own"):
        packing.write(pictured.order(material, seed=1), pack, 1, pictured.silent)


def test_what_cannot_be_made_is_left_out(material, tmp_path, monkeypatch):
    monkeypatch.setattr(views, "MAKERS", {**views.MAKERS, "spliced": lambda *_: None})
    pack = packing.write(pictured.order(material, views=("plain", "spliced")), tmp_path / "pack", 1, pictured.silent)
    assert set(packed.opened(pack).table.views) == {"plain"}


def test_drawings_are_not_packed_and_every_kind_is_a_fold(pack):
    found = packed.opened(pack)
    assert set(found.table.sources) == {"alpha", "beta", "gamma", "blended"}
    assert found.record["folds"] == {"stripes": ["alpha"], "tints": ["beta"]}
    assert found.record["mates"] == {"alpha": ["alpha"], "beta": ["alpha"]}


def test_a_fold_that_nobody_holds_is_refused(material, tmp_path):
    with pytest.raises(DatasetError, match="'swap'"):
        packing.write(pictured.order(material, folds=("swap",)), tmp_path / "pack", 1, pictured.silent)


def test_the_code_in_a_pack_is_this_program(pack):
    with zipfile.ZipFile(pack / "code.zip") as archive:
        for name in archive.namelist():
            assert archive.read(name) == (Path(packing.__file__).parents[2] / name).read_bytes()
