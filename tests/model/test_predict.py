"""The commands that people type: one answer a file, whatever the file."""

import json

import pytest
from click.testing import CliRunner

from cli.predict import predict
from cli.train import mates_of

# The bar is rich's own thread; it must not be what a test waits for.
QUIET = {"TERM": "dumb"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, portrait):
    found = tmp_path_factory.mktemp("folder")
    (found / "deeper").mkdir()
    portrait.save(found / "deeper" / "a.png")
    (found / "b.jpg").write_bytes(b"no image")
    return found


def lines(*arguments):
    done = CliRunner().invoke(predict, ["--json", "--device", "cpu", *map(str, arguments)], env=QUIET)
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_folder_is_walked_and_every_file_answered(folder):
    code, answers = lines(folder)
    assert code == 0
    assert [answer["file"] for answer in answers] == [str(folder / "b.jpg"), str(folder / "deeper" / "a.png")]
    assert answers[0]["failure"]["slug"] == "unsupported-media-type"
    assert {"score", "band", "reasons", "faces"} <= answers[1].keys()


def test_a_missing_file_is_a_failure_among_others(folder):
    code, answers = lines(folder / "gone.png", folder / "deeper" / "a.png")
    assert code == 0
    assert answers[0] == {"file": str(folder / "gone.png"), "failure": answers[0]["failure"]}
    assert answers[0]["failure"]["slug"] == "no-such-file"
    assert 0 <= answers[1]["score"] <= 1


def test_it_fails_when_nothing_could_be_scored(folder):
    code, answers = lines(folder / "gone.png", folder / "b.jpg")
    assert code == 1
    assert all("score" not in answer for answer in answers)


def test_people_get_a_table(folder):
    done = CliRunner().invoke(predict, ["--device", "cpu", str(folder)], env={**QUIET, "COLUMNS": "200"})
    assert done.exit_code == 0
    assert "unsupported-media-type" in done.stdout


def test_mates_are_read_as_pairs():
    assert mates_of(["fakes=reals", "fakes=others"]) == [("fakes", "reals"), ("fakes", "others")]
    with pytest.raises(Exception, match="FAKES=REALS"):
        mates_of(["fakes"])
