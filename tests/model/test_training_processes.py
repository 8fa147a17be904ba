"""Training in processes of its own: killed in the middle and resumed, and shared by several under torchrun."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model import training
from model.training.devices import joined
from tests.model.learning import tiny

ROOT = Path(__file__).parents[2]
STEPS = 8

# One process of a run: its album and recipe as the parent made them, a line a step on stdout.
PROGRAM = """
import pickle, sys
from pathlib import Path
import torch
from model import batches, training
from model.training.devices import joined

torch.set_num_threads(1)
album, recipe, checkpoint = pickle.loads(Path(sys.argv[1]).read_bytes())
with joined("cpu") as place:
    run = training.resume(checkpoint, recipe) if checkpoint.exists() else training.start(recipe)
    kin = batches.families(album, (), {})
    told = lambda run, step: place.first and print(run.step, step.loss, flush=True)
    training.train(run, album, kin, checkpoint, told, place=place)
    torch.save(run.average.state_dict(), f"{checkpoint}.{place.rank}")
"""


@pytest.fixture
def job(album, tmp_path):
    """Writes what a process of a recipe reads; gives its arguments and its checkpoint."""

    def write(recipe):
        checkpoint = tmp_path / "checkpoint.pt"
        (tmp_path / "program.py").write_text(PROGRAM)
        (tmp_path / "job").write_bytes(pickle.dumps((album, recipe, checkpoint)))
        return [str(tmp_path / "program.py"), str(tmp_path / "job")], checkpoint

    return write


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def alone(recipe, album, kin, path):
    torch.set_num_threads(1)
    run = training.start(recipe)
    losses = []
    training.train(run, album, kin, path, lambda _, step: losses.append(step.loss))
    return run, losses


def test_a_run_that_was_killed_ends_where_an_unbroken_one_does(job, album, kin, tmp_path):
    recipe = tiny(schedule={"steps": STEPS, "save_every": 2}, optimiser={"name": "adamw"}).changed(workers=1)
    arguments, checkpoint = job(recipe)
    with subprocess.Popen([sys.executable, *arguments], env=environment(), stdout=subprocess.PIPE, text=True) as killed:
        for line in killed.stdout:
            if line.startswith("5 "):
                killed.send_signal(signal.SIGKILL)
                break
    assert torch.load(checkpoint, weights_only=True)["step"] < STEPS
    done = subprocess.run([sys.executable, *arguments], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    unbroken, _ = alone(recipe, album, kin, tmp_path / "unbroken.pt")
    resumed = torch.load(checkpoint.with_name("checkpoint.pt.0"), weights_only=True)
    for name, tensor in unbroken.average.state_dict().items():
        assert torch.equal(tensor, resumed[name]), name


def test_two_processes_learn_what_one_does(job, album, kin, tmp_path):
    # Batch normalisation sees each device's share of a batch by itself, so a network without it is compared.
    recipe = tiny(network={"backbone": "test_convnext", "dropout": 0.0}, schedule={"steps": 3})
    arguments, checkpoint = job(recipe)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(f"{checkpoint}.{rank}", weights_only=True) for rank in range(2))
    single, losses = alone(recipe, album, kin, tmp_path / "single.pt")
    for name, tensor in single.average.state_dict().items():
        assert torch.equal(one[name], other[name]), name
        assert torch.allclose(tensor, one[name], atol=1e-5), name
    told = [float(line.split()[1]) for line in done.stdout.splitlines()]
    assert told == pytest.approx(losses, abs=1e-5)  # of the whole batch, not of one process's share


def test_a_process_alone_is_the_first_one():
    with joined("cpu") as place:
        assert place.first
        assert place.agreed(0.25) == 0.25
        assert place.shared(torch.nn.Linear(1, 1)).weight.shape == (1, 1)
