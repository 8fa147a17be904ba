import pytest

from moderation import settings
from moderation.errors import BadSettings


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "REDIS_URL", "MEDIA", "SECRET_KEY"):
        monkeypatch.delenv(f"UNMASK_{name}", raising=False)
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


def test_every_missing_variable_is_named_on_one_line():
    with pytest.raises(BadSettings) as problem:
        settings.load()
    for name in ("UNMASK_DATABASE_URL", "UNMASK_REDIS_URL", "UNMASK_MEDIA", "UNMASK_SECRET_KEY"):
        assert name in str(problem.value)
    assert "\n" not in str(problem.value)


def test_no_secret_has_a_default_and_a_short_one_is_refused(monkeypatch):
    for name in ("DATABASE_URL", "REDIS_URL", "MEDIA"):
        monkeypatch.setenv(f"UNMASK_{name}", "x")
    monkeypatch.setenv("UNMASK_SECRET_KEY", "short")
    with pytest.raises(BadSettings, match="UNMASK_SECRET_KEY"):
        settings.load()
    monkeypatch.setenv("UNMASK_SECRET_KEY", "s" * 40)
    monkeypatch.setenv("UNMASK_ALLOWED_NETWORKS", "127.0.0.0/8, 10.0.0.0/8")
    assert settings.load().allowed_networks == ("127.0.0.0/8", "10.0.0.0/8")
