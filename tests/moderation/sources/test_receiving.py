"""From a message to submissions: each medium once, whatever repeats, reorders or doubles; and nothing beside them."""

import itertools
import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import sessionmaker

from moderation import platforms, sources
from moderation.errors import BadEvent, BadSignature, SourceDisabled
from moderation.sources import receiving
from moderation.sources.receiving import Received
from moderation.tables import Base, Source, SourceEvent, Submission
from tests.moderation.sources import conftest as senders
from tests.moderation.sources.conftest import PLANTED, SECRET

Make = Callable[..., Source]
MASTODON = ["mastodon_status_created", "mastodon_status_edited", "mastodon_status_media_added"]


def tell(session: OrmSession, source: Source, name: str, event: str = "post_created") -> Received:
    raw = senders.body(name)
    headers = {
        "generic": lambda: senders.generic(raw),
        "mastodon": lambda: senders.mastodon(raw),
        "discourse": lambda: senders.discourse(raw, event),
        "s3": senders.bucket,
    }[source.kind]()
    return sources.receive(session, source, headers, raw)


def expected(session: OrmSession) -> list[Submission]:
    session.flush()
    return list(session.scalars(select(Submission).order_by(Submission.received_at, Submission.id)))


def test_a_medium_is_expected_where_it_is(session: OrmSession, source: Make) -> None:
    chirper = source("generic")
    received = tell(session, chirper, "generic_one")
    (row,) = expected(session)
    assert [made.id for made in received.submissions] == [row.id]
    assert (row.state, row.source_id, row.platform_id) == ("fetching", chirper.id, chirper.platform_id)
    assert row.origin == {"url": "https://files.chirper.example/a/1.jpg"}
    assert (row.external_id, row.context) == ("post-1", {"author": "user-7"})
    session.refresh(chirper)
    assert chirper.last_event_at is not None


def test_the_same_again_makes_nothing(session: OrmSession, source: Make) -> None:
    chirper = source("generic")
    tell(session, chirper, "generic_one")
    assert tell(session, chirper, "generic_one") == Received([], duplicate=True)
    assert len(expected(session)) == 1


def test_two_sources_do_not_know_each_others_events(session: OrmSession, source: Make) -> None:
    tell(session, source("generic"), "generic_one")
    tell(session, source("generic"), "generic_one")
    assert len(expected(session)) == 2


@pytest.mark.parametrize("order", list(itertools.permutations(MASTODON)))
def test_edits_in_any_order_bring_each_medium_once(session: OrmSession, source: Make, order: tuple[str, ...]) -> None:
    toot = source("mastodon")
    for name in order:
        tell(session, toot, name)
    assert sorted(row.external_id.rpartition("/")[2] for row in expected(session)) == ["901", "903", "904"]


HEARD = [("mastodon", name, "") for name in [*MASTODON, "mastodon_report_created", "mastodon_account_created"]]
HEARD += [
    ("discourse", "discourse_post_created", "post_created"),
    ("discourse", "discourse_post_edited", "post_edited"),
]
HEARD += [("s3", "s3_put", ""), ("s3", "minio_put", ""), ("generic", "generic_one", "")]
WHOLE = 3 + 2 + 4 + 2 + 1  # statuses, the report's, the post's, the bucket's, our own


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(again=st.lists(st.sampled_from(HEARD), max_size=12), order=st.permutations(HEARD))
def test_repeated_and_reordered_events_make_the_same_submissions(
    session: OrmSession, source: Make, again: list[tuple[str, str, str]], order: list[tuple[str, str, str]]
) -> None:
    with session.begin_nested() as attempt:
        made = {kind: source(kind) for kind in ("mastodon", "discourse", "generic")}
        made["s3"] = source("s3", bucket="chirper-media")
        for kind, name, event in [*again, *order, *again]:
            tell(session, made[kind], name, event)
        rows = expected(session)
        assert len(rows) == WHOLE
        assert len({(row.source_id, str(row.origin), row.context.get("report")) for row in rows}) == WHOLE
        attempt.rollback()


def test_two_at_once_make_one(Session: sessionmaker[OrmSession]) -> None:
    with Session.begin() as session:
        owner = platforms.create(session, "Chirper").platform
        toot = sources.create(session, owner.id, "mastodon", secret=SECRET)
    gate, made = threading.Barrier(8), []

    def send() -> None:
        gate.wait()
        with Session.begin() as session:
            made.append(len(tell(session, sources.get(session, toot.id), "mastodon_status_created").submissions))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0] * 7 + [2]
    with Session.begin() as session:
        assert session.scalar(select(func.count()).select_from(Submission)) == 2


def test_what_is_rolled_back_is_not_known(session: OrmSession, source: Make) -> None:
    chirper = source("generic")
    with session.begin_nested() as attempt:
        tell(session, chirper, "generic_one")
        attempt.rollback()
    assert len(tell(session, chirper, "generic_one").submissions) == 1


def test_no_personal_data_is_stored(Session: sessionmaker[OrmSession]) -> None:
    with Session.begin() as session:
        owner = platforms.create(session, "Chirper").platform
        made = {kind: sources.create(session, owner.id, kind, secret=SECRET) for kind in ("mastodon", "discourse")}
        made["s3"] = sources.create(session, owner.id, "s3", secret=SECRET, options={"bucket": "chirper-media"})
        for kind, name, event in HEARD:
            if kind in made:
                tell(session, made[kind], name, event)
    with Session.begin() as session:
        assert session.scalar(select(func.count()).select_from(Submission)) == WHOLE - 1
        for table in Base.metadata.sorted_tables:
            rows = "\n".join(session.scalars(text(f'SELECT row_to_json(t)::text FROM "{table.name}" t')))
            assert not any(word in rows for word in PLANTED), table.name


def test_an_attachment_without_an_address_is_asked_for_again_and_then_taken(session: OrmSession, source: Make) -> None:
    toot = source("mastodon")
    assert tell(session, toot, "mastodon_status_processing").retry == "1 media have no address yet"
    assert session.scalar(select(func.count()).select_from(SourceEvent)) == 0
    sent = senders.payload("mastodon_status_processing")
    sent["object"]["media_attachments"][0]["url"] = "https://files.toot.example/910.mp4"
    raw = senders.body(sent)
    assert len(sources.receive(session, toot, senders.mastodon(raw), raw).submissions) == 1


def test_what_is_there_is_taken_and_the_rest_is_named(session: OrmSession, source: Make) -> None:
    toot, sent = source("mastodon"), senders.payload("mastodon_status_created")
    sent["object"]["media_attachments"][2]["url"] = None
    raw = senders.body(sent)
    received = sources.receive(session, toot, senders.mastodon(raw), raw)
    assert (len(received.submissions), received.ignored) == (1, "1 media have no address yet")
    assert received.retry is None
    assert len(tell(session, toot, "mastodon_status_created").submissions) == 1


@pytest.mark.parametrize(
    ("kind", "name", "event"),
    [
        ("mastodon", "mastodon_account_created", ""),
        ("discourse", "discourse_ping", "ping"),
        ("discourse", "discourse_topic_created", "topic_created"),
        ("s3", "s3_test_event", ""),
        ("s3", "s3_removed", ""),
        ("s3", "s3_put", ""),
    ],
)
def test_what_brings_no_media_is_ignored_with_a_reason(
    session: OrmSession, source: Make, kind: str, name: str, event: str
) -> None:
    received = tell(session, source(kind), name, event)
    assert received.ignored
    assert not received.submissions
    assert not received.retry
    assert session.scalar(select(func.count()).select_from(SourceEvent)) == 0


def test_nothing_is_believed_without_a_signature(session: OrmSession, source: Make) -> None:
    for kind, name in (
        ("mastodon", "mastodon_status_created"),
        ("discourse", "discourse_ping"),
        ("s3", "s3_test_event"),
        ("generic", "generic_one"),
    ):
        one = source(kind)
        with pytest.raises(BadSignature):
            sources.receive(session, one, {}, senders.body(name))
        session.refresh(one)
        assert one.last_event_at is None


def test_a_disabled_source_takes_nothing_until_it_is_enabled(session: OrmSession, source: Make) -> None:
    chirper = source("generic")
    sources.disable(session, chirper.id)
    with pytest.raises(SourceDisabled):
        tell(session, chirper, "generic_one")
    sources.enable(session, chirper.id)
    assert tell(session, chirper, "generic_one").submissions


def test_of_an_event_with_too_many_media_the_first_are_taken(
    session: OrmSession, source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "MOST_MEDIA", 2)
    received = tell(session, source("discourse"), "discourse_post_created")
    assert len(received.submissions) == 2
    assert received.ignored == "only the first 2 of 4 media are taken"


def test_a_priority_is_the_sources_unless_the_event_has_one(session: OrmSession, source: Make) -> None:
    toot = source("mastodon", priority="bulk")
    tell(session, toot, "mastodon_status_created")
    tell(session, toot, "mastodon_report_created")
    assert {(row.context["event"], row.priority) for row in expected(session)} == {
        ("status.created", 2),
        ("report.created", 0),
    }


def test_a_long_name_can_still_be_asked_for(session: OrmSession, source: Make) -> None:
    sent = senders.payload("s3_put")
    sent["Records"][0]["s3"]["object"]["key"] = "a" * 1000 + ".jpg"
    raw = senders.body(sent)
    sources.receive(session, source("s3", bucket="chirper-media"), senders.bucket(), raw)
    (row,) = expected(session)
    assert len(row.external_id) == 255
    assert row.origin["key"] == "a" * 1000 + ".jpg"


def test_a_context_that_cannot_be_kept_is_the_senders_mistake(session: OrmSession, source: Make) -> None:
    sent = senders.payload("generic_one")
    sent["data"]["context"] = {"text": "x" * 17_000}
    raw = senders.body(sent)
    with pytest.raises(BadEvent, match="16384"):
        sources.receive(session, source("generic"), senders.generic(raw), raw)


def test_a_dry_run_tells_everything_and_writes_nothing(session: OrmSession, source: Make) -> None:
    toot, raw = source("mastodon"), senders.body("mastodon_status_created")
    before = _rows(session)
    dry = sources.examine(session, toot, senders.mastodon(raw), raw)
    assert (dry.verified, dry.kind, dry.duplicate, len(dry.media)) == (True, "media", False, 2)
    assert dry.key == "status.created 113500000000000001 2026-11-21T08:00:00.000Z"
    forged = sources.examine(session, toot, {"X-Hub-Signature": "sha256=" + "0" * 64}, raw)
    assert not forged.verified
    assert "does not match" in forged.proof
    assert len(forged.media) == 2
    assert sources.examine(session, toot, {}, b"nonsense").kind == "unreadable"
    assert _rows(session) == before
    tell(session, toot, "mastodon_status_created")
    again = sources.examine(session, toot, senders.mastodon(raw), raw)
    assert again.duplicate
    assert [medium["known"] for medium in again.document()["media"]] == [True, True]


def test_a_dry_run_of_a_saved_message_says_that_it_is_old(session: OrmSession, source: Make) -> None:
    raw = senders.body("generic_one")
    dry = sources.examine(session, source("generic"), senders.generic(raw, at=1_700_000_000), raw, at=1_700_001_000)
    assert not dry.verified
    assert "1000 s off" in dry.proof
    assert len(dry.media) == 1


def _rows(session: OrmSession) -> list[str]:
    session.flush()
    names = (table.name for table in Base.metadata.sorted_tables)
    return [row for name in names for row in session.scalars(text(f'SELECT row_to_json(t)::text FROM "{name}" t'))]
