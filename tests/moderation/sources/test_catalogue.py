"""Sources are made, rotated, changed and disabled; a new kind of them is one file; what is old is forgotten in steps."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session as OrmSession

from moderation import audit, sources
from moderation.errors import BadSignature, NotFound, Refused
from moderation.platforms import NewPlatform
from moderation.sources import adapters, registry
from moderation.tables import Source, SourceEvent
from tests.moderation.sources import conftest as senders

Make = Callable[..., Source]
FIFTH = '''
"""A guest book, signed by nobody."""
from moderation.sources.events import Event, Medium
from moderation.sources.registry import Adapter, add

def read(terms, message):
    return Event("media", "signed", "1", (Medium("1", {"url": message.body.decode()}),))

add(Adapter("guestbook", "a guest book", verify=lambda terms, message: "a handshake", read=read))
'''


def test_a_fifth_adapter_is_one_file(
    session: OrmSession, platform: NewPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guestbook.py").write_text(FIFTH)
    monkeypatch.setattr(registry, "_adapters", dict(registry._adapters))
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(tmp_path)])
    assert sources.kinds() == ("discourse", "generic", "guestbook", "mastodon", "s3")
    made = sources.create(session, platform.platform.id, "guestbook")
    received = sources.receive(session, made, {}, b"https://guests.example/1.jpg")
    assert received.submissions[0].origin == {"url": "https://guests.example/1.jpg"}
    assert sources.receive(session, made, {}, b"https://guests.example/1.jpg").duplicate


def test_a_kind_without_an_adapter_is_refused(session: OrmSession, platform: NewPlatform) -> None:
    with pytest.raises(Refused, match="discourse, generic, mastodon, s3"):
        sources.create(session, platform.platform.id, "fax")


@pytest.mark.parametrize("kind", ["generic", "mastodon", "discourse", "s3"])
def test_a_fresh_secret_is_one_that_its_adapter_takes(session: OrmSession, platform: NewPlatform, kind: str) -> None:
    made = sources.create(session, platform.platform.id, kind)
    sources.find(kind).check_secret(made.secret)
    assert sources.create(session, platform.platform.id, kind).secret != made.secret


def test_a_source_needs_a_platform_and_options_that_are_known(session: OrmSession, platform: NewPlatform) -> None:
    with pytest.raises(NotFound):
        sources.create(session, "nobody", "generic")
    for options in ({"bucket": "x"}, {"priority": "soon"}, {"priority": "x\0"}):
        with pytest.raises(Refused):
            sources.create(session, platform.platform.id, "generic", options=options)


def test_after_a_rotation_both_secrets_verify_until_the_overlap_ends(session: OrmSession, source: Make) -> None:
    forum, raw = source("discourse"), senders.body("discourse_ping")
    old = senders.discourse(raw, "ping")
    sources.rotate(session, forum.id, secret="another-secret-altogether")
    new = old | {"X-Discourse-Event-Signature": senders.hub(raw, "another-secret-altogether")}
    assert sources.receive(session, forum, old, raw)
    assert sources.receive(session, forum, new, raw)
    sources.rotate(session, forum.id, overlap_seconds=0)
    for headers in (old, new):
        with pytest.raises(BadSignature):
            sources.receive(session, forum, headers, raw)


def test_options_change_one_by_one(session: OrmSession, source: Make) -> None:
    bucket = source("s3", bucket="a", prefix="b/")
    sources.set_options(session, bucket.id, {"bucket": "c", "prefix": ""})
    assert bucket.options == {"bucket": "c"}
    with pytest.raises(Refused):
        sources.set_options(session, bucket.id, {"buckets": "c"})


def test_each_step_is_in_the_audit_trail_and_no_secret_is(session: OrmSession, source: Make) -> None:
    made = source("mastodon")
    sources.rotate(session, made.id)
    for _ in range(2):
        sources.disable(session, made.id)
    for _ in range(2):
        sources.enable(session, made.id)
    session.flush()
    rows = audit.page(session, made.id)[::-1]
    assert [row.action for row in rows] == ["source.created", "source.rotated", "source.disabled", "source.enabled"]
    assert not any(secret in str(row.new) for row in rows for secret in (made.secret, senders.SECRET))


def test_sources_are_listed_by_platform(session: OrmSession, source: Make, platform: NewPlatform) -> None:
    made = [source("generic").id, source("s3").id]
    assert [row.id for row in sources.every(session, platform.platform.id)] == made
    assert sources.every(session, "plt_other") == []
    with pytest.raises(NotFound):
        sources.get(session, "src_" + "0" * 26)


def test_old_events_are_forgotten_in_steps_but_never_those_of_a_bucket(session: OrmSession, source: Make) -> None:
    forum, bucket = source("discourse"), source("s3", bucket="chirper-media")
    raw = senders.body("discourse_post_created")
    sources.receive(session, forum, senders.discourse(raw), raw)
    sources.receive(session, bucket, senders.bucket(), senders.body("s3_put"))
    assert sources.forget(session) == 0
    session.execute(text("UPDATE source_events SET forget_at = forget_at - interval '31 days'"))
    assert [sources.forget(session, limit=3), sources.forget(session, limit=3), sources.forget(session)] == [3, 2, 0]
    assert session.scalar(select(func.count()).select_from(SourceEvent)) == 2
    assert sources.receive(session, bucket, senders.bucket(), senders.body("s3_put")).duplicate
