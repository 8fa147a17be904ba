"""`unmask doctor`: all is well, or what is not."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import home
from cli.main import unmask
from moderation import blobs
from moderation.settings import Settings


def examined(monkeypatch: pytest.MonkeyPatch, settings: Settings, *arguments: str) -> Result:
    monkeypatch.setattr(home, "settings", lambda: settings)
    return CliRunner().invoke(unmask, ["doctor", *arguments])


def test_a_sound_installation_is_well(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    blobs.connect(settings.media).prepare()
    told = examined(monkeypatch, settings, "--json")
    answer = json.loads(told.stdout)
    assert answer["ok"], answer
    assert told.exit_code == 0
    names = [check["check"] for check in answer["checks"]]
    assert names == [
        "settings",
        "database",
        "migrations",
        "redis",
        "storage",
        "detector",
        "encoder",
        "device",
        "signers",
    ]


def test_each_thing_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    away = {
        "database_url": "postgresql://nobody@127.0.0.1:1/none",
        "redis_url": "redis://127.0.0.1:1/0",
        "media": f"file://{tmp_path / 'nowhere'}",
        "detector": tmp_path / "nothing",
        "device": "cuda:0",
        "c2pa_anchors": tmp_path / "nothing.pem",
    }
    told = examined(monkeypatch, settings.model_copy(update=away), "--json")
    assert told.exit_code == 1
    outcomes = {check["check"]: check["ok"] for check in json.loads(told.stdout)["checks"]}
    assert outcomes.pop("settings")
    assert outcomes.pop("encoder")  # the check of the detector fails where its release needs one that is missing
    assert not any(outcomes.values()), outcomes


def test_people_read_a_table(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    blobs.connect(settings.media).prepare()
    assert "PostgreSQL" in examined(monkeypatch, settings).output
