"""Only the very text that the sender made is a proof; anything one step beside it is refused."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from moderation import sources
from moderation.errors import BadSignature, Refused
from moderation.sources import proofs
from moderation.sources.events import Message, Terms
from tests.moderation.sources import conftest as senders
from tests.moderation.sources.conftest import SECRET, WHSEC

bodies = st.binary(max_size=300)
HUB = "X-Hub-Signature"


def changed(text: str, place: int, bit: int) -> str:
    place %= len(text)
    return text[:place] + chr(ord(text[place]) ^ (1 << bit)) + text[place + 1 :]


def hub(raw: bytes, sent: str, *secrets: str) -> str:
    return proofs.hub(senders.terms(*secrets), senders.message(raw, {HUB: sent}), HUB)


@given(bodies)
def test_a_hub_signature_of_the_body_is_accepted(raw: bytes) -> None:
    assert "HMAC-SHA256" in hub(raw, senders.hub(raw))


@given(bodies, st.integers(0, 10_000), st.integers(0, 6))
def test_a_hub_signature_with_one_bit_changed_is_refused(raw: bytes, place: int, bit: int) -> None:
    with pytest.raises(BadSignature):
        hub(raw, changed(senders.hub(raw), place, bit))


@given(bodies, st.integers(0, 70))
def test_a_hub_signature_that_is_cut_is_refused(raw: bytes, length: int) -> None:
    with pytest.raises(BadSignature):
        hub(raw, senders.hub(raw)[:length])


@given(st.binary(min_size=1, max_size=300), st.integers(0, 10_000), st.integers(0, 7))
def test_a_body_with_one_bit_changed_is_refused(raw: bytes, place: int, bit: int) -> None:
    signed = senders.hub(raw)
    place %= len(raw)
    with pytest.raises(BadSignature):
        hub(raw[:place] + bytes([raw[place] ^ (1 << bit)]) + raw[place + 1 :], signed)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "sha256=",
        "sha1=" + "0" * 40,
        "SHA256=" + "0" * 64,
        "sha256=" + "ä" * 64,
        "sha256=" + "0" * 64 + "\n",
        "\x00",
    ],
)
def test_a_malformed_hub_signature_is_refused(sent: str) -> None:
    with pytest.raises(BadSignature):
        hub(b"{}", sent)


@pytest.mark.parametrize("change", [str.upper, str.title, lambda text: f" {text}", lambda text: f"{text},{text}"])
def test_a_hub_signature_is_spelled_in_one_way(change) -> None:
    with pytest.raises(BadSignature):
        hub(b"{}", change(senders.hub(b"{}")))


def test_a_header_that_is_missing_is_named() -> None:
    with pytest.raises(BadSignature, match=HUB):
        proofs.hub(senders.terms(), senders.message(b"{}", {}), HUB)


def test_any_live_secret_verifies_and_no_other() -> None:
    signed = senders.hub(b"{}", "the-secret-before-this-one")
    assert hub(b"{}", signed, SECRET, "the-secret-before-this-one")
    with pytest.raises(BadSignature):
        hub(b"{}", signed, SECRET)


def standard(headers: dict[str, str], raw: bytes, at: float, *secrets: str) -> str:
    return proofs.standard(Terms(secrets or (WHSEC,)), Message(headers, raw, at))


@given(st.text(st.characters(codec="utf-8"), max_size=100), st.integers(-300, 300))
def test_standard_webhooks_are_accepted_within_five_minutes(text: str, off: int) -> None:
    at = 1_760_000_000
    assert standard(senders.generic(text.encode(), at=at), text.encode(), at + off)


@given(st.integers(301, 10**9), st.sampled_from([1, -1]))
def test_a_stale_or_future_timestamp_is_refused(off: int, sign: int) -> None:
    at = 1_760_000_000
    with pytest.raises(BadSignature, match="off"):
        standard(senders.generic(b"{}", at=at), b"{}", at + sign * off)


@given(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.integers(0, 99), st.integers(0, 6))
def test_any_changed_bit_of_any_standard_header_is_refused(name: str, place: int, bit: int) -> None:
    at = 1_760_000_000
    headers = senders.generic(b"{}", at=at)
    headers[name] = changed(headers[name], place, bit)
    with pytest.raises(BadSignature):
        standard(headers, b"{}", at)


@given(st.integers(0, 46))
def test_a_standard_signature_that_is_cut_is_refused(length: int) -> None:
    headers = senders.generic(b"{}", at=1_760_000_000)
    headers["webhook-signature"] = headers["webhook-signature"][:length]
    with pytest.raises(BadSignature):
        standard(headers, b"{}", 1_760_000_000)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_made_up_standard_headers_are_refused_and_break_nothing(name: str, at: str, signature: str) -> None:
    headers = {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": signature}
    with pytest.raises(BadSignature):
        standard(headers, b"{}", 1_760_000_000)


def test_one_good_signature_among_others_is_enough() -> None:
    headers = senders.generic(b"{}", at=1_760_000_000)
    headers["webhook-signature"] = f"v1a,xyz v1,{'A' * 43}= {headers['webhook-signature']}"
    assert standard(headers, b"{}", 1_760_000_000)


def test_what_the_reference_library_signs_verifies() -> None:
    from datetime import UTC, datetime

    now, text = datetime.now(UTC), '{"type": "media.created"}'
    signature = Webhook(WHSEC).sign("msg_9", now, text)
    headers = {"webhook-id": "msg_9", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    assert standard(headers, text.encode(), time.time())


@given(st.text(max_size=80))
def test_only_the_token_itself_opens_a_bucket(sent: str) -> None:
    assume(sent != f"Bearer {SECRET}")
    with pytest.raises(BadSignature):
        proofs.bearer(senders.terms(), senders.message(b"", {"Authorization": sent}))
    assert proofs.bearer(senders.terms(), senders.message(b"", senders.bucket()))


@pytest.mark.parametrize(
    "secret", ["", "short", "with a blank in it, but long", "ünïcode-that-is-long-enough", "x" * 300]
)
def test_a_secret_that_can_be_guessed_or_not_be_sent_is_refused(secret: str) -> None:
    with pytest.raises(Refused):
        sources.find("mastodon").check_secret(secret)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_not base64 at all, is it", SECRET, WHSEC[6:]])
def test_a_secret_of_standard_webhooks_is_24_bytes_or_more(secret: str) -> None:
    with pytest.raises(Refused):
        sources.find("generic").check_secret(secret)
