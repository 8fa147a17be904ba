import base64
from datetime import UTC, datetime

import pytest
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
