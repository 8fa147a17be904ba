"""What each adapter reads in what its system sends: media, their names and keys, and nothing that nobody needs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation import sources
from moderation.errors import BadEvent
from moderation.sources import bodies
from moderation.sources.adapters.discourse import addresses
from moderation.sources.events import URGENT, Event
from tests.moderation.sources import conftest as senders
from tests.moderation.sources.conftest import PLANTED

FILES = "https://files.toot.example/media_attachments"


def read(kind: str, raw: bytes, headers: dict[str, str] | None = None, **options: str) -> Event:
    return sources.find(kind).read(senders.terms(**options), senders.message(raw, headers or {}))


def urls(event: Event) -> list[str]:
    return [medium.origin["url"] for medium in event.media]


def test_there_are_four_adapters() -> None:
    assert sources.kinds() == ("discourse", "generic", "mastodon", "s3")


def test_generic_takes_one_url() -> None:
    event = read("generic", senders.body("generic_one"), {"webhook-id": "msg_1"})
    (medium,) = event.media
    assert (event.kind, event.key) == ("media", "msg_1")
    assert medium.origin == {"url": "https://files.chirper.example/a/1.jpg"}
    assert (medium.external_id, medium.context) == ("post-1", {"author": "user-7"})


def test_generic_takes_several_and_says_what_it_leaves() -> None:
    event = read("generic", senders.body("generic_many"), {"webhook-id": "msg_1"})
    assert [medium.external_id for medium in event.media] == ["post-2", "post-2-video"]
    assert event.media[1].context == {"kind": "reply"}
    assert event.note == "1 of 3 have no http(s) url"
    assert len({medium.key for medium in event.media}) == 2


def test_mastodon_takes_what_can_be_looked_at_and_names_it() -> None:
    event = read("mastodon", senders.body("mastodon_status_created"))
    assert urls(event) == [f"{FILES}/901/original/a1b2.jpg", f"{FILES}/903/original/d4.mp4"]
    assert event.key == "status.created 113500000000000001 2026-11-21T08:00:00.000Z"
    assert event.media[0].external_id == "status/113500000000000001/media/901"
    assert event.media[0].context == {
        "event": "status.created",
        "page": "https://toot.example/@ada/113500000000000001",
        "author": "ada",
        "visibility": "public",
        "sensitive": False,
    }


def test_an_edit_is_another_event_about_the_same_media() -> None:
    created, edited = (read("mastodon", senders.body(f"mastodon_status_{what}")) for what in ("created", "edited"))
    assert created.key != edited.key
    assert [medium.key for medium in created.media] == [medium.key for medium in edited.media]


def test_a_report_is_urgent_and_a_reason_to_look_again_once() -> None:
    sent = senders.payload("mastodon_report_created")
    event = read("mastodon", senders.body(sent))
    sent["object"]["id"] = "78"
    another = read("mastodon", senders.body(sent))
    assert another.key != event.key
    assert [medium.key for medium in another.media] == [medium.key for medium in event.media]
    created = read("mastodon", senders.body("mastodon_status_created"))
    assert urls(event) == urls(created)
    assert not {medium.key for medium in event.media} & {medium.key for medium in created.media}
    assert {medium.priority for medium in event.media} == {URGENT}
    assert (event.media[0].context["report"], event.media[0].context["category"]) == ("77", "violation")


def test_media_without_an_address_yet_are_counted() -> None:
    event = read("mastodon", senders.body("mastodon_status_processing"))
    assert (event.media, event.unready) == ((), 1)


def test_another_servers_media_are_taken_from_there() -> None:
    sent = senders.payload("mastodon_status_processing")
    sent["object"]["media_attachments"][0] |= {"type": "unknown", "remote_url": "https://other.example/1.jpg"}
    assert urls(read("mastodon", senders.body(sent))) == ["https://other.example/1.jpg"]


def test_private_mentions_are_left_alone_unless_asked_for() -> None:
    sent = senders.payload("mastodon_status_created")
    sent["object"]["visibility"] = "direct"
    assert "direct=yes" in read("mastodon", senders.body(sent)).note
    assert not read("mastodon", senders.body(sent)).media
    assert len(read("mastodon", senders.body(sent), direct="yes").media) == 2


@pytest.mark.parametrize("name", ["mastodon_status_created", "mastodon_report_created", "mastodon_account_created"])
def test_nothing_of_mastodons_accounts_but_the_handle_is_read(name: str) -> None:
    event = repr(read("mastodon", senders.body(name)))
    assert not any(word in event for word in PLANTED)


def test_discourse_takes_originals_videos_and_no_decoration() -> None:
    raw = senders.body("discourse_post_created")
    event = read("discourse", raw, senders.discourse(raw))
    assert urls(event) == [
        "https://forum.example/uploads/default/original/1X/aa11.jpeg",
        "https://cdn.forum.example/original/1X/bb22.png",
        "https://forum.example/uploads/default/original/1X/cc33.mp4",
        "https://files.forum.example/dd44.webm",
    ]
    assert event.key == "https://forum.example post_created 4711 1"
    assert event.media[0].external_id == "post/4711"
    assert event.media[0].context == {
        "event": "post_created",
        "page": "https://forum.example/t/99/3",
        "author": "ada",
    }
    assert not any(word in repr(event) for word in PLANTED)


def test_a_forum_in_a_folder_and_one_that_the_operator_named() -> None:
    assert addresses('<img src="uploads/1.png">', "https://a.example/forum") == [
        "https://a.example/forum/uploads/1.png"
    ]
    raw = senders.body("discourse_post_created")
    named = read("discourse", raw, senders.discourse(raw), instance="https://real.example")
    assert urls(named)[0].startswith("https://real.example/uploads/")


@given(st.text(st.sampled_from([*"<>='/ aimgsrcvideo&#;!-[]:", '"', "\n", "ä", "\x00"]), max_size=200))
def test_hostile_html_breaks_nothing(cooked: str) -> None:
    for address in addresses(cooked, "https://forum.example"):
        assert address.startswith(("http://", "https://"))
        assert address.isascii()


def test_discourses_ping_is_a_probe_and_topics_are_ignored() -> None:
    raw = senders.body("discourse_ping")
    assert read("discourse", raw, senders.discourse(raw, "ping")).kind == "probe"
    raw = senders.body("discourse_topic_created")
    assert read("discourse", raw, senders.discourse(raw, "topic_created")).kind == "ignored"


def test_private_messages_of_a_forum_are_left_alone_unless_asked_for() -> None:
    sent = senders.payload("discourse_post_created")
    sent["post"]["topic_archetype"] = "private_message"
    raw = senders.body(sent)
    assert read("discourse", raw, senders.discourse(raw)).kind == "ignored"
    assert read("discourse", raw, senders.discourse(raw), direct="yes").media


def test_s3_names_are_unquoted_and_folders_are_no_media() -> None:
    (medium,) = read("s3", senders.body("s3_put"), bucket="other,chirper-media").media
    assert medium.origin == {
        "bucket": "chirper-media",
        "key": "uploads/summer party/äda.jpg",
        "version": "v1",
        "etag": "9b2cf535f27731c974343645a3985328",
        "bytes": 52341,
    }
    assert medium.external_id == "uploads/summer party/äda.jpg"
    assert medium.key == "chirper-media uploads/summer party/äda.jpg 9b2cf535f27731c974343645a3985328"


def test_minio_says_the_same_with_a_prefix() -> None:
    event = read("s3", senders.body("minio_put"), bucket="chirper-media")
    assert [medium.origin["key"] for medium in event.media] == ["uploads/cat.png"]
    assert not any(word in repr(event) for word in PLANTED)


def test_only_named_buckets_and_prefixes_are_taken() -> None:
    event = read("s3", senders.body("s3_put"))
    assert not event.media
    assert "chirper-media" in event.note
    assert not read("s3", senders.body("s3_put"), bucket="chirper-media", prefix="other/").media
    assert read("s3", senders.body("s3_put"), bucket="chirper-media", prefix="uploads/").media


def test_a_name_that_cannot_be_kept_as_it_is_is_no_other_objects() -> None:
    sent = senders.payload("s3_put")
    sent["Records"][0]["s3"]["object"]["key"] = "uploads/a%00b.jpg"
    assert not read("s3", senders.body(sent), bucket="chirper-media").media


def test_s3_probes_and_removals() -> None:
    assert read("s3", senders.body("s3_test_event")).kind == "probe"
    assert read("s3", senders.body("s3_removed"), bucket="chirper-media").kind == "ignored"


@pytest.mark.parametrize("kind", ["generic", "mastodon", "discourse", "s3"])
@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{", b"[" * 100_000, b'{"a": NaN}', b"\xff\xfe", b'"x"'])
def test_what_is_no_json_object_cannot_be_read(kind: str, raw: bytes) -> None:
    with pytest.raises(BadEvent):
        read(kind, raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = {
    "generic": ["generic_one", "generic_many"],
    "mastodon": ["mastodon_status_created", "mastodon_report_created"],
    "discourse": ["discourse_post_created"],
    "s3": ["s3_put", "minio_put", "sns_notification"],
}


@pytest.mark.parametrize("kind", sorted(PLACES))
@given(data=st.data())
def test_fields_of_other_types_than_expected_break_nothing(kind: str, data: st.DataObject) -> None:
    sent = senders.payload(data.draw(st.sampled_from(PLACES[kind])))
    place = sent
    while isinstance(place, dict | list) and place:
        name = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        if data.draw(st.booleans()) or not isinstance(place[name], dict | list):
            place[name] = data.draw(JSON)
            break
        place = place[name]
    headers = senders.discourse(b"") | {"webhook-id": "msg_1"}
    try:
        event = read(kind, json.dumps(sent).encode(), headers, bucket="chirper-media")
    except BadEvent:
        return
    for medium in event.media:
        bodies.context(medium.context)
        assert set(medium.origin) <= {"url", "bucket", "key", "version", "etag", "bytes"}


@pytest.mark.parametrize(
    ("address", "base", "found"),
    [
        ("https://a.example/ä b.jpg", "", "https://a.example/%C3%A4%20b.jpg"),
        ("https://bücher.example/1.jpg", "", "https://xn--bcher-kva.example/1.jpg"),
        ("//cdn.example/1.jpg#top", "https://a.example", "https://cdn.example/1.jpg"),
        ("/1.jpg", "", None),
        ("javascript:alert(1)", "https://a.example", None),
        ("data:image/png;base64,AAAA", "https://a.example", None),
        ("file:///etc/passwd", "", None),
        ("https://a\\b.example/", "", None),
        ("https://[::1", "", None),
        ("https://" + "a" * 3000, "", None),
        (7, "", None),
    ],
)
def test_addresses_are_made_whole_or_lead_nowhere(address: object, base: str, found: str | None) -> None:
    assert bodies.link(address, base) == found


def test_a_context_keeps_what_the_ledger_can_hold() -> None:
    assert bodies.context({"a\0": "b\0\ud800c", "d": [1, 2.5, None, {"e": True}]}) == {
        "a": "bc",
        "d": [1, 2.5, None, {"e": True}],
    }
    for wrong in ({"a": float("inf")}, {"a": "x" * 17_000}, json.loads('{"a":' * 40 + "1" + "}" * 40)):
        with pytest.raises(BadEvent):
            bodies.context(wrong)
