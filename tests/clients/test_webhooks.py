"""Verifying webhooks: the reference implementation signs, we verify; and whatever is changed on the way is refused."""

import base64
import json
import time
from datetime import UTC, datetime
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from werkzeug.datastructures import Headers

from moderation import messages, signatures
from tests.clients.test_reading import SCORED
from unmask_client import BadAnswer, BadSignature, Event, FlagEvent, SubmissionEvent, verify_webhook

SECRET = signatures.new_secret()
OTHER = signatures.new_secret()
NOW = 1_763_712_000
FLAG = {
    "id": "flg_1",
    "submission_id": "sub_1",
    "external_id": None,
    "state": "decided",
    "escalated": False,
    "score": 0.9,
    "band": "fake",
    "reasons": [],
    "opened_at": "2026-11-21T08:00:00Z",
    "decision": {"id": "dec_1", "answer": "fake", "decided_at": "2026-11-21T08:00:00Z", "moderator": "per_1"},
}


def signed(body, *, secret=SECRET, message="msg_1", at=NOW):
    """The headers that the reference implementation makes."""
    text = body if isinstance(body, str) else body.decode()
    moment = datetime.fromtimestamp(at, tz=UTC)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": Webhook(secret).sign(message, moment, text),
    }


def told(kind, data):
    return messages.compose(kind, data)


@pytest.mark.parametrize("kind", ["submission.scored", "submission.failed"])
def test_a_submission_is_told_typed(kind):
    body = told(kind, SCORED)
    event = verify_webhook(SECRET, signed(body), body, now=NOW)
    assert isinstance(event, SubmissionEvent)
    assert (event.id, event.type, event.truncated) == ("msg_1", kind, False)
    assert event.occurred_at.tzinfo is not None
    assert event.submission.verdict.band == "fake"


@pytest.mark.parametrize("kind", ["flag.opened", "flag.decided", "decision.revised"])
def test_a_flag_is_told_typed(kind):
    body = told(kind, FLAG | {"revised": "dec_0"})
    event = verify_webhook(SECRET, signed(body), body, now=NOW)
    assert isinstance(event, FlagEvent)
    assert event.flag.decision.answer == "fake"
    assert event.flag.revised == "dec_0"


@pytest.mark.parametrize("kind", ["endpoint.test", "something.newer"])
def test_other_events_come_with_their_data(kind):
    body = told(kind, {"endpoint_id": "wep_1"})
    event = verify_webhook(SECRET, signed(body), body.encode(), now=NOW)
    assert type(event) is Event
    assert (event.type, event.data) == (kind, {"endpoint_id": "wep_1"})


def test_what_was_too_long_says_so():
    body = told("submission.scored", SCORED | {"context": {"text": "x" * 20_000}})
    assert verify_webhook(SECRET, signed(body), body, now=NOW).truncated


def _message(sent):
    message = Message()
    for name, value in sent.items():
        message[name] = value
    return message


@pytest.mark.parametrize("make", [dict, Headers, _message])
def test_headers_of_any_framework_and_case_will_do(make):
    body = told("endpoint.test", {})
    sent = make({name.title(): value for name, value in signed(body).items()})
    assert verify_webhook(SECRET, sent, body, now=NOW).id == "msg_1"


def test_while_a_secret_is_rotated_either_verifies():
    body = told("endpoint.test", {})
    old, new = signed(body, secret=OTHER), signed(body)
    both = new | {"webhook-signature": f"{new['webhook-signature']} {old['webhook-signature']}"}
    for secret in (SECRET, OTHER):
        assert verify_webhook(secret, both, body, now=NOW).id == "msg_1"


def test_other_versions_of_signatures_are_passed_over():
    body = told("endpoint.test", {})
    ours = signed(body)["webhook-signature"]
    for signature in (f"v1a,{ours[3:]} {ours}", f"  {ours}  ", f"v2, {ours} nonsense"):
        assert verify_webhook(SECRET, signed(body) | {"webhook-signature": signature}, body, now=NOW)
    for signature in (f"v1a,{ours[3:]}", ours[3:], ours.replace("v1", "V1"), f"{ours}x", "v1,", "v1", "", "\ud800"):
        with pytest.raises(BadSignature):
            verify_webhook(SECRET, signed(body) | {"webhook-signature": signature}, body, now=NOW)


@pytest.mark.parametrize(("off", "fine"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_five_minutes_are_tolerated_either_way(off, fine):
    body = told("endpoint.test", {})
    if fine:
        assert verify_webhook(SECRET, signed(body, at=NOW + off), body, now=NOW)
    else:
        with pytest.raises(BadSignature, match="five minutes"):
            verify_webhook(SECRET, signed(body, at=NOW + off), body, now=NOW)


def test_without_a_time_of_its_own_the_present_counts():
    body = told("endpoint.test", {})
    assert verify_webhook(SECRET, signed(body, at=int(time.time())), body)


@pytest.mark.parametrize(
    "timestamp", ["", "now", "1e9", "1_763_712_000", " 1763712000", "-1", "٣", "9" * 5000, "\ud800"]
)
def test_an_odd_timestamp_is_refused(timestamp):
    body = told("endpoint.test", {})
    with pytest.raises(BadSignature):
        verify_webhook(SECRET, signed(body) | {"webhook-timestamp": timestamp}, body, now=NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_needed(missing):
    body = told("endpoint.test", {})
    headers = signed(body)
    del headers[missing]
    with pytest.raises(BadSignature):
        verify_webhook(SECRET, headers, body, now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_*", "ü"])
def test_what_is_no_secret_is_our_own_mistake(secret):
    with pytest.raises(ValueError, match="secret"):
        verify_webhook(secret, {}, b"")


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"type":"x","timestamp":"then","data":{}}', '{"type":"x"}'])
def test_what_is_signed_and_no_event_is_told_apart(body):
    with pytest.raises(BadAnswer):
        verify_webhook(SECRET, signed(body), body, now=NOW)


texts = st.text(st.characters(codec="utf-8"), max_size=60)


@given(texts, st.binary(min_size=24, max_size=64), st.integers(0, 2**33), st.text("abc_123", min_size=1, max_size=30))
def test_whatever_the_reference_signs_is_believed(text, key, at, message):
    body = json.dumps({"type": text, "timestamp": "2026-11-21T08:00:00Z", "data": {"text": text}}, ensure_ascii=False)
    secret = "whsec_" + base64.b64encode(key).decode()
    event = verify_webhook(secret, signed(body, secret=secret, message=message, at=at), body, now=at)
    assert (event.id, event.data["text"]) == (message, text)


@given(st.data())
def test_whatever_is_changed_on_the_way_is_refused(data):
    body = told("endpoint.test", {"endpoint_id": "wep_1"}).encode()
    headers = signed(body)
    what = data.draw(st.sampled_from(["body", *headers]))
    before = body if what == "body" else headers[what].encode()
    place = data.draw(st.integers(0, len(before) - 1))
    other = data.draw(st.integers(0x21, 0x7E).filter(lambda value: value != before[place]))
    after = before[:place] + bytes([other]) + before[place + 1 :]
    changed = headers if what == "body" else headers | {what: after.decode()}
    with pytest.raises(BadSignature):
        verify_webhook(SECRET, changed, after if what == "body" else body, now=NOW)


@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()), st.binary()
)
def test_a_stranger_is_refused_whatever_he_sends(headers, body):
    with pytest.raises(BadSignature):
        verify_webhook(SECRET, headers, body, now=NOW)
