"""A chore finds the engines of the `unmask up` that runs here, also when the operator named one of them, or both."""

import os
from pathlib import Path

import psutil
import pytest

from cli import home
from cli.home import Child, Home
from moderation import settings as configuration
from moderation.errors import BadSettings

RUNS = {
    "UNMASK_DATABASE_URL": "postgresql://unmask:x@127.0.0.1:1/unmask",
    "UNMASK_REDIS_URL": "redis://:x@127.0.0.1:2/0",
    "UNMASK_MEDIA": "file:///somewhere",
    "UNMASK_SECRET_KEY": "a secret key that is long enough for it",
}
THEIRS = "postgresql://operator@db.example/unmask"


@pytest.fixture
def lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An `unmask up` that runs in a home, with some settings of its operator's."""
    for name in [name for name in os.environ if name.startswith("UNMASK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNMASK_HOME", str(tmp_path / "home"))
    configuration.load.cache_clear()

    def _lives(**named: str) -> None:
        place = Home(tmp_path / "home")
        place.make()
        this = psutil.Process()
        place.note([Child("api", this.pid, this.create_time(), 15)], RUNS | named)
        for name, value in named.items():
            monkeypatch.setenv(name, value)

    with pytest.MonkeyPatch.context() as restored:  # what `settings` sets goes again
        for name in RUNS:
            restored.setenv(name, "")
        yield _lives
    configuration.load.cache_clear()


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"UNMASK_DATABASE_URL": THEIRS},
        {"UNMASK_REDIS_URL": "redis://redis.example/0"},
        {"UNMASK_DATABASE_URL": THEIRS, "UNMASK_REDIS_URL": "redis://redis.example/0"},
        {"UNMASK_DATABASE_URL": THEIRS, "UNMASK_MEDIA": "s3://bucket/prefix"},
        {"UNMASK_SECRET_KEY": "an operator's secret key, long enough"},
    ],
)
def test_what_the_operator_left_out_is_found(lives, named):
    lives(**named)
    found = home.settings()
    for name, value in (RUNS | named).items():
        assert getattr(found, name.removeprefix("UNMASK_").lower()) == value


def test_other_engines_than_those_that_run_here_are_not_mixed_with_them(lives, monkeypatch):
    lives()
    monkeypatch.setenv("UNMASK_DATABASE_URL", THEIRS)
    monkeypatch.delenv("UNMASK_REDIS_URL")
    with pytest.raises(BadSettings, match="UNMASK_REDIS_URL"):
        home.settings()


def test_where_nothing_runs_and_nothing_is_named_it_says_so(lives):
    with pytest.raises(BadSettings, match="no `unmask up` runs"):
        home.settings()
