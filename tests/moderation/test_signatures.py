import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from moderation import signatures

BODY = '{"type":"submission.scored","data":{"name":"Zoë \\u0000"}}'


def headers(signature, at):
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def test_what_we_sign_the_reference_library_verifies():
    at, secret = int(datetime.now(UTC).timestamp()), signatures.new_secret()
    signed = headers(signatures.sign(secret, "msg_1", at, BODY), at)
    assert Webhook(secret).verify(BODY, signed)["type"] == "submission.scored"
    for spoiled in (BODY + " ", BODY.replace("scored", "failed")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(spoiled, signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(signatures.new_secret()).verify(BODY, signed)


def test_a_signature_covers_the_message_id_and_the_time():
    secret = signatures.new_secret()
    assert len({signatures.sign(secret, name, at, BODY) for name in ("msg_1", "msg_2") for at in (1, 2)}) == 4


def test_a_secret_carries_32_bytes_and_is_never_given_twice():
    first, second = signatures.new_secret(), signatures.new_secret()
    assert first != second
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32


def test_a_secret_that_is_not_base64_is_an_error_rather_than_a_weak_key():
    with pytest.raises(ValueError, match="base64"):
        signatures.sign("whsec_not base64!", "msg_1", 1, BODY)


@given(
    times=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 5_000)), max_size=8),
    later=st.integers(0, 20_000),
)
@example(times=[(0, 2), (0, 1), (0, 1), (0, 1)], later=1)  # the oldest goes, though its time were the longest
def test_a_secret_signs_until_its_time_is_up_however_often_it_is_rotated(times, later):
    """Each rotation is (seconds since the one before, its overlap); beyond the most that are kept the oldest goes."""
    now, secret, previous, promised = datetime.now(UTC), "0", [], {}
    for number, (pause, overlap) in enumerate(times, 1):
        now += timedelta(seconds=pause)
        previous = signatures.rotated(secret, previous, now, overlap)
        promised = {**promised, secret: now + timedelta(seconds=overlap)} if overlap else {}
        secret = str(number)
    at = now + timedelta(seconds=later)
    (present, *others) = signatures.live(secret, previous, at)
    assert present == secret
    assert len(previous) <= signatures.MOST_PREVIOUS
    due = {name for name, until in promised.items() if until > at}
    newest = set(list(promised)[-signatures.MOST_PREVIOUS :])
    assert due & newest <= set(others) <= due
