"""`unmask evaluate` from files to a folder, a second time without asking the detector, and several reports in one."""

import json

import pytest
from click.testing import CliRunner
from PIL import ImageFilter

from cli.evaluate import evaluate
from model import releases
from model.detector import Detector
from model.errors import DatasetError, ReleaseError


@pytest.fixture(scope="module")
def images(tmp_path_factory, portrait):
    """Two photographs and two blurred ones that are said to be fake, of a source that no release knows."""
    home = tmp_path_factory.mktemp("images")
    for kind, radius in (("real", 0), ("fake", 2)):
        (home / "mine" / kind).mkdir(parents=True)
        for index in range(2):
            shown = portrait.crop((40 * index, 0, 512, 512)).filter(ImageFilter.GaussianBlur(radius))
            shown.save(home / "mine" / kind / f"{index}.png")
    return home


@pytest.fixture(scope="module")
def out(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    run(str(releases.default_path()), str(images), "--out", str(folder), "--gallery", "2")
    return folder


def run(*words, refused=None):
    result = CliRunner().invoke(evaluate, words, catch_exceptions=False)
    assert result.exit_code == (2 if refused else 0), result.output
    assert refused is None or refused in result.output
    return result.output


def test_it_leaves_a_whole_report(out):
    report = json.loads((out / "report.json").read_text())
    assert report["held_out"] == ["mine"]
    assert report["sets"]["mine (unseen)"]["submitted"] == 4
    assert {"report.md", "roc.png", "roc.svg", "confusion.png", "gallery.png", ".gitignore"} <= {path.name for path in out.iterdir()}  # fmt: skip


def test_a_second_time_nobody_is_asked(out, images, monkeypatch):
    before = (out / "report.json").read_text()

    def asked(*_):
        raise AssertionError("the answers were there")

    monkeypatch.setattr(Detector, "score", asked)
    told = run(str(releases.default_path()), str(images), "--out", str(out))
    assert (out / "report.json").read_text() == before
    assert "mine (unseen)" in told


def test_reports_are_collected(out, tmp_path):
    told = run("--collect", str(out / "report.json"), str(out / "report.json"), "--out", str(tmp_path))
    assert "| mine | 2 |" in told
    table = json.loads((tmp_path / "collection.json").read_text())
    assert table["sets"]["mine"]["auc"]["low"] == table["sets"]["mine"]["auc"]["high"] == table["macro"]["auc"]


def test_wrong_words_are_refused_in_a_line(out, images, tmp_path):
    run(str(images), "--out", str(tmp_path), refused="name a RELEASE and a DATASET")
    run("--collect", "--out", str(tmp_path), refused="at least one report.json")
    with pytest.raises(ReleaseError):
        run(str(images), str(images), "--out", str(tmp_path))
    with pytest.raises(DatasetError, match="no report"):
        run("--collect", str(images / "mine" / "real" / "0.png"), "--out", str(tmp_path))
