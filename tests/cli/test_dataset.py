"""`unmask dataset`: folders in, frozen lists out, and a leak is an exit code."""

import json
import subprocess
from pathlib import Path

import pytest

from model.datasets import manifest
from tests.installations import command
from tests.model.pictures import source


def dataset(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command("dataset", *map(str, arguments)), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("data")
    source(home / "mine", 12, 12)
    (home / "mine" / "real" / "torn.jpg").write_bytes(b"torn")
    return home


def test_a_dataset_is_built_and_its_check_fails_once_a_list_is_edited(folder: Path, tmp_path: Path) -> None:
    built = dataset("build", folder, "--out", tmp_path / "out", "--shares", "50/25/25")
    assert built.returncode == 0, built.stderr
    assert "mine/real/torn.jpg" in built.stdout
    assert len(manifest.read(tmp_path / "out").rows) == 24

    checked = dataset("check", tmp_path / "out", "--sample", 0, "--json")
    assert checked.returncode == 0, checked.stderr
    said = json.loads(checked.stdout)
    assert said["leaks"] == 0
    assert {"gate", "about", "verdict", "figure", "limit", "words"} == set(said["findings"][0])

    manifest.list_file(tmp_path / "out", "train").write_text("path,sha256\n")
    checked = dataset("check", tmp_path / "out")
    assert checked.returncode == 1
    assert "leaked" in checked.stdout


def test_shares_that_make_no_sense_are_refused(folder: Path, tmp_path: Path) -> None:
    for shares in ("80/20", "a/b/c", "0/0/0", "-1/1/1"):
        assert dataset("build", folder, "--out", tmp_path / "out", "--shares", shares).returncode == 2


def test_a_folder_of_nothing_known_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused = dataset("build", tmp_path / "empty", "--out", tmp_path / "out")
    assert refused.returncode == 1
    assert "no known layout" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert dataset("check", tmp_path / "empty").returncode == 1
