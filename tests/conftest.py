"""Real engines for every test: embedded PostgreSQL and Redis, migrated once, emptied or rolled back after each test."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from moto import moto_api
from moto.server import ThreadedMotoServer
from PIL import Image
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker

from cli import engines as embedded
from cli import migrate
from model.releases import Release
from moderation import acceptance, database, media, people, platforms, tables
from moderation import blobs as storage
from moderation.acceptance import Draft
from moderation.blobs import Blobs
from moderation.platforms import NewPlatform
from moderation.settings import Settings
from moderation.tables import Person, Submission

PASSWORD = "correct horse battery staple"


class Engines(NamedTuple):
    database_url: str
    redis_url: str


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    home = tmp_path_factory.mktemp("engines")
    with (
        embedded.postgres(home / "postgres", durable=False) as database_url,
        embedded.redis(home / "redis") as redis_url,
    ):
        migrate.run(database_url)
        yield Engines(database_url, redis_url)


@pytest.fixture(scope="session")
def labelled() -> Path:
    """A folder `SOURCE/{real,fake}/*` of images: UNMASK_TEST_DATA, or a folder `data` in one beside the checkout."""
    beside = [str(found) for found in Path(__file__).resolve().parents[2].glob("*/data") if any(found.glob("*/real"))]
    folder = os.environ.get("UNMASK_TEST_DATA") or next(iter(beside), None)
    if folder is None:
        pytest.skip("no labelled images: set UNMASK_TEST_DATA")
    return Path(folder)


class Full(NamedTuple):
    """A tiny full release, and the cache that holds its encoder."""

    release: Release
    cache: Path


@pytest.fixture(scope="session")
def full_release(tmp_path_factory: pytest.TempPathFactory) -> Full:
    from tests.model import full

    home = tmp_path_factory.mktemp("full")
    return Full(full.build(home / "release", home / "cache"), home / "cache")


@pytest.fixture(scope="session")
def engine(engines: Engines) -> Iterator[Engine]:
    engine = database.connect(engines.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[OrmSession]:
    """A session whose every commit is inside a transaction that is rolled back."""
    with engine.connect() as connection:
        outer = connection.begin()
        with OrmSession(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            yield session
        outer.rollback()


@pytest.fixture
def Session(engine: Engine) -> Iterator[sessionmaker[OrmSession]]:  # noqa: N802 - the factory of an edge
    """A factory whose commits are real; every table is emptied afterwards."""
    yield database.sessions(engine)
    names = ", ".join(f'"{table.name}"' for table in tables.Base.metadata.sorted_tables)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))


@pytest.fixture
def redis_url(engines: Engines) -> str:
    return engines.redis_url


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Where something that speaks S3 answers."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The usual variables lead to an S3 without a bucket; returns its address."""
    moto_api._internal.models.moto_api_backend.reset()
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    return s3


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return storage.connect(f"file://{tmp_path / 'media'}")


@pytest.fixture
def settings(engines: Engines, tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        database_url=engines.database_url,
        redis_url=engines.redis_url,
        media=f"file://{tmp_path / 'media'}",
        secret_key="not a secret, but long enough for tests",
        home=tmp_path / "home",
        allowed_networks="127.0.0.0/8",
    )


@pytest.fixture
def platform(session: OrmSession) -> NewPlatform:
    return platforms.create(session, "Chirper")


@pytest.fixture
def person(session: OrmSession) -> Person:
    return people.create(session, "mo@example.org", "moderator", PASSWORD)


def jpeg(colour: str = "red", size: tuple[int, int] = (64, 48)) -> bytes:
    """A small honest JPEG; another colour or size gives other bytes."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def submit(session: OrmSession, blobs: Blobs, platform: NewPlatform) -> Callable[..., Submission]:
    """Submits a picture for the test's platform: ``submit(b"...", priority=0)``."""

    def _submit(body: bytes | None = None, **fields: object) -> Submission:
        file = io.BytesIO(jpeg() if body is None else body)
        draft = Draft(**{"platform_id": platform.platform.id, **fields})  # type: ignore[arg-type]
        return acceptance.submit(session, blobs, draft, media.inspect(file, max_pixels=10**8, max_frames=100), file)

    return _submit
