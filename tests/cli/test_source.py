"""Chores on sources: made, tried on paper, rotated, and held against what lies in the bucket."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker

from cli import home
from cli.main import unmask
from moderation import platforms, sources
from moderation import settings as configuration
from moderation.errors import NotFound, Refused
from moderation.settings import Settings
from moderation.sources import listing
from moderation.tables import SourceEvent, Submission
from tests.moderation.sources import conftest as senders

Sessions = sessionmaker[OrmSession]
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def invoke(Session: Sessions, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    monkeypatch.setattr(home, "settings", lambda: settings)
    with Session.begin() as session:
        platforms.create(session, "Chirper")
    yield lambda *arguments, given="": CliRunner().invoke(unmask, ["source", *arguments], input=given)
    configuration.load.cache_clear()


@pytest.fixture
def run(invoke: Callable[..., Result]) -> Run:
    def run(*arguments: str, given: str = "", code: int = 0) -> Any:
        done = invoke(*arguments, "--json", given=given)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines if arguments[0] == "list" else lines[0]

    return run


@pytest.mark.parametrize("kind", ["generic", "mastodon", "discourse", "s3"])
def test_a_source_is_made_with_its_address_and_secret(run: Run, kind: str) -> None:
    made = run("create", "--platform", "Chirper", "--kind", kind)
    assert set(made) == {"id", "url", "secret"}
    assert made["url"] == f"http://127.0.0.1:8000/v1/hooks/{made['id']}"
    (listed,) = run("list")
    assert (listed["id"], listed["kind"]) == (made["id"], kind)
    assert made["secret"] not in json.dumps(listed)


def test_a_bucket_without_a_name_is_told_what_it_lacks(invoke: Callable[..., Result]) -> None:
    done = invoke("create", "--platform", "Chirper", "--kind", "s3")
    assert "--option bucket=" in done.stderr
    assert not invoke("create", "--platform", "Chirper", "--kind", "s3", "--option", "bucket=b").stderr


def test_secrets_are_given_made_and_rotated(run: Run) -> None:
    made = run("create", "--platform", "Chirper", "--kind", "mastodon", "--secret", "-", given=f"{senders.SECRET}\n")
    assert made["secret"] == senders.SECRET
    rotated = run("rotate", made["id"], "--secret", "another-secret-altogether", "--overlap", "0")
    assert rotated["secret"] == "another-secret-altogether"
    with pytest.raises(Refused):
        run("rotate", made["id"], "--secret", "short")


def test_options_are_set_and_refused(run: Run) -> None:
    made = run("create", "--platform", "Chirper", "--kind", "s3", "--option", "bucket=a", "--option", "prefix=in/")
    assert run("set", made["id"], "--option", "prefix=", "--option", "bucket=b")["options"] == {"bucket": "b"}
    for wrong in ("bucket", "=x", "colour=red"):
        with pytest.raises(Refused):
            run("set", made["id"], "--option", wrong)
    with pytest.raises(NotFound):
        run("set", "src_nothing", "--option", "bucket=a")


def test_a_source_is_disabled_and_enabled(run: Run) -> None:
    made = run("create", "--platform", "Chirper", "--kind", "generic")
    assert run("disable", made["id"])["disabled_at"]
    assert run("enable", made["id"])["disabled_at"] is None


def test_a_dry_run_reads_files_and_stores_nothing(
    run: Run, invoke: Callable[..., Result], tmp_path: Path, Session: Sessions
) -> None:
    made = run("create", "--platform", "Chirper", "--kind", "mastodon", "--secret", senders.SECRET)
    raw = senders.body("mastodon_status_created")
    (tmp_path / "payload").write_bytes(raw)
    (tmp_path / "headers").write_text(f"> POST /hook HTTP/1.1\n> X-Hub-Signature: {senders.hub(raw)}\n>\n")
    files = ("--payload", str(tmp_path / "payload"), "--headers", str(tmp_path / "headers"))
    dry = run("test", made["id"], *files)
    assert (dry["verified"], dry["kind"], dry["duplicate"]) == (True, "media", False)
    assert dry["key"] == "status.created 113500000000000001 2026-11-21T08:00:00.000Z"
    assert [medium["known"] for medium in dry["media"]] == [False, False]
    unsigned = run("test", made["id"], *files[:2], code=1)
    assert not unsigned["verified"]
    assert len(unsigned["media"]) == 2
    assert "media_attachments/901/original" in invoke("test", made["id"], *files).output
    with Session.begin() as session:
        assert session.scalar(select(func.count()).select_from(SourceEvent)) == 0
        assert session.scalar(select(func.count()).select_from(Submission)) == 0


def test_headers_are_read_as_people_save_them() -> None:
    assert sources.headers_of("") == {}
    assert sources.headers_of('{"A": "b"}') == {"A": "b"}
    assert sources.headers_of("POST / HTTP/1.1\nA: b: c\n\nD:e\n") == {"A": "b: c", "D": "e"}
    for wrong in ('{"A": 1}', "{", "no colon", ": nothing"):
        with pytest.raises(Refused):
            sources.headers_of(wrong)


@pytest.fixture
def bucket(aws: str) -> Iterator[Any]:
    client = boto3.client("s3")
    client.create_bucket(Bucket="chirper-media")
    yield client
    client.close()


def test_what_was_never_told_is_found_once(
    run: Run, bucket: Any, Session: Sessions, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    for name in ("in/a.jpg", "in/b ä.jpg", "in/c.jpg", "in/folder/", "out/d.jpg"):
        bucket.upload_fileobj(io.BytesIO(b"" if name.endswith("/") else name.encode()), "chirper-media", name)
    made = run("create", "--platform", "Chirper", "--kind", "s3", "--option", "bucket=chirper-media")
    run("set", made["id"], "--option", "prefix=in/")
    with Session.begin() as session:
        told = senders.payload("minio_put")
        etag = bucket.head_object(Bucket="chirper-media", Key="in/a.jpg")["ETag"].strip('"')
        told["Records"][0]["s3"]["object"] |= {"key": "in%2Fa.jpg", "eTag": etag, "versionId": "v7"}
        source = sources.get(session, made["id"])
        headers = {"Authorization": f"Bearer {source.secret}"}
        assert len(sources.receive(session, source, headers, senders.body(told)).submissions) == 1
    counted = {"id": made["id"], "listed": 3, "new": 2}
    assert run("reconcile", made["id"], "--dry-run") == counted | {"dry_run": True}
    assert run("reconcile", made["id"], "--after", "chirper-media/in/b ä.jpg", "--dry-run")["listed"] == 1
    assert run("reconcile", made["id"], "--since", "2999-01-01", "--dry-run")["listed"] == 0
    assert run("reconcile", made["id"]) == counted | {"dry_run": False}
    assert run("reconcile", made["id"])["new"] == 0
    with Session.begin() as session:
        rows = session.scalars(select(Submission).order_by(Submission.external_id)).all()
        assert [row.external_id for row in rows] == ["in/a.jpg", "in/b ä.jpg", "in/c.jpg"]
        assert rows[2].origin == {
            "bucket": "chirper-media",
            "key": "in/c.jpg",
            "etag": bucket.head_object(Bucket="chirper-media", Key="in/c.jpg")["ETag"].strip('"'),
            "bytes": 8,
        }
        assert (rows[2].priority, rows[2].state) == (2, "fetching")
    bucket.put_object(Bucket="chirper-media", Key="in/a.jpg", Body=b"replaced")
    assert run("reconcile", made["id"])["new"] == 1


def test_an_interrupted_listing_says_where_to_go_on(
    invoke: Callable[..., Result], run: Run, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 1)
    for name in ("a.jpg", "b.jpg"):
        bucket.put_object(Bucket="chirper-media", Key=name, Body=b"x")
    made = run("create", "--platform", "Chirper", "--kind", "s3", "--option", "bucket=chirper-media,gone")
    done = invoke("reconcile", made["id"])
    assert isinstance(done.exception, NotFound)
    assert "go on with --after 'chirper-media/b.jpg'" in done.stderr
    bucket.create_bucket(Bucket="gone")
    bucket.put_object(Bucket="gone", Key="a.jpg", Body=b"x")
    assert run("reconcile", made["id"], "--after", "chirper-media/b.jpg")["listed"] == 1
    with pytest.raises(Refused):
        run("reconcile", made["id"], "--after", "elsewhere/b.jpg")


def test_only_buckets_are_listed(run: Run) -> None:
    for kind in ("generic", "s3"):
        with pytest.raises(Refused):
            run("reconcile", run("create", "--platform", "Chirper", "--kind", kind)["id"])
