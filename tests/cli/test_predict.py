"""`unmask predict`: files in, one line each out, no server."""

import json
import subprocess
from pathlib import Path

import pytest

from cli import samples
from tests.installations import command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kept = {"portrait.jpg", "rocket.jpg", "torn.jpg"}
    for sample in samples.all_kinds():
        if sample.name in kept:
            (tmp_path / sample.name).write_bytes(sample.content)
    return tmp_path


def predict(*arguments: str) -> tuple[int, list[dict[str, object]]]:
    done = subprocess.run(command("predict", *arguments, "--json"), capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_folder_is_walked_and_a_torn_file_fails_alone(folder: Path) -> None:
    code, answers = predict(str(folder), str(folder / "missing.jpg"))
    assert code == 0
    by_name = {Path(str(answer["file"])).name: answer for answer in answers}
    assert set(by_name) == {"portrait.jpg", "rocket.jpg", "torn.jpg", "missing.jpg"}
    assert {"score", "band", "reasons", "faces"} <= set(by_name["portrait.jpg"])
    assert by_name["portrait.jpg"]["faces"]
    assert by_name["rocket.jpg"]["reasons"] == ["no_face"]
    for name in ("torn.jpg", "missing.jpg"):
        assert by_name[name]["failure"]
        assert "score" not in by_name[name]


def test_nothing_scored_is_an_error(folder: Path) -> None:
    code, answers = predict(str(folder / "torn.jpg"))
    assert code == 1
    assert len(answers) == 1
