"""A bucket's events by way of SNS: the topic is on the list, the certificate is the region's, and a worker fetched it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session as OrmSession

from moderation import sources
from moderation.errors import BadSignature
from moderation.sources import errands
from moderation.sources.events import Wanted
from moderation.tables import Source
from tests.moderation.sources import conftest as senders
from tests.moderation.sources.conftest import certificate, signed_by_sns

Make = Callable[..., Source]
TOPIC = "arn:aws:sns:eu-central-1:123456789012:uploads"
CERTIFICATE = senders.payload("sns_notification")["SigningCertURL"]


def verify(sent: dict[str, Any], *, pem: str | None = None, topic: str = TOPIC, **headers: str) -> str:
    raw = senders.body(sent)
    known = {CERTIFICATE: certificate() if pem is None else pem}
    message = senders.message(raw, {"x-amz-sns-message-type": sent.get("Type", "")} | headers)
    return sources.find("s3").verify(senders.terms(documents=known, topic=topic), message)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("name", ["sns_notification", "sns_confirmation"])
def test_both_versions_of_the_signature_verify(name: str, version: str) -> None:
    assert TOPIC in verify(signed_by_sns(senders.payload(name) | {"SignatureVersion": version}))


def test_a_subject_is_signed_only_where_there_is_one() -> None:
    sent = senders.payload("sns_notification")
    del sent["Subject"]
    assert verify(signed_by_sns(sent))


@pytest.mark.parametrize("field", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Signature"])
@given(place=st.integers(0, 9999), bit=st.integers(0, 6))
def test_one_changed_bit_is_refused(field: str, place: int, bit: int) -> None:
    sent = signed_by_sns(senders.payload("sns_notification"))
    place %= len(sent[field])
    sent[field] = sent[field][:place] + chr(ord(sent[field][place]) ^ (1 << bit)) + sent[field][place + 1 :]
    with pytest.raises(BadSignature):
        verify(sent)


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.eu-central-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://evil.example@sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-central-1.amazonaws.com:8443/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-central-1.amazonaws.com/bucket/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem/../x",
        "https://s3.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "",
    ],
)
def test_certificates_from_elsewhere_are_refused_and_not_wanted(url: str) -> None:
    with pytest.raises(BadSignature):
        verify(signed_by_sns(senders.payload("sns_notification") | {"SigningCertURL": url}))


def test_other_topics_types_and_versions_are_refused() -> None:
    sent = signed_by_sns(senders.payload("sns_notification"))
    with pytest.raises(BadSignature, match="option topic"):
        verify(sent, topic="arn:aws:sns:eu-central-1:123456789012:others")
    with pytest.raises(BadSignature, match="option topic"):
        verify(sent, topic="")
    with pytest.raises(BadSignature, match="agree"):
        verify(sent, **{"x-amz-sns-message-type": "SubscriptionConfirmation"})
    with pytest.raises(BadSignature, match="neither"):
        verify(sent | {"SignatureVersion": "3"})


def test_a_certificate_that_expired_or_is_none_is_refused() -> None:
    sent = signed_by_sns(senders.payload("sns_notification"))
    with pytest.raises(BadSignature, match="not valid now"):
        verify(sent, pem=certificate(-1))
    with pytest.raises(BadSignature, match="malformed"):
        verify(sent, pem="<html>")


def test_a_token_does_not_stand_in_for_the_signature() -> None:
    sent = senders.payload("sns_notification")
    with pytest.raises(BadSignature):
        verify(sent, **senders.bucket())


def test_a_certificate_is_wanted_once_fetched_by_a_worker_and_then_believed(session: OrmSession, source: Make) -> None:
    bucket = source("s3", bucket="chirper-media", topic=TOPIC)
    raw = senders.body(signed_by_sns(senders.payload("sns_notification")))
    headers = {"x-amz-sns-message-type": "Notification", "Content-Type": "text/plain; charset=UTF-8"}
    for _ in range(2):
        assert sources.receive(session, bucket, headers, raw).retry
    (errand,) = sources.outstanding(session)
    assert errand == (bucket.id, CERTIFICATE, True)
    sources.settle(session, errand, certificate())
    assert sources.outstanding(session) == []
    (row,) = sources.receive(session, bucket, headers, raw).submissions
    assert row.origin["key"] == "uploads/summer party/äda.jpg"
    assert sources.receive(session, bucket, headers, raw).duplicate


def test_a_verified_confirmation_is_visited_once(session: OrmSession, source: Make) -> None:
    bucket = source("s3", bucket="chirper-media", topic=TOPIC)
    sources.settle(session, errands.Errand(bucket.id, CERTIFICATE, True), certificate())
    sent = signed_by_sns(senders.payload("sns_confirmation"))
    raw, headers = senders.body(sent), {"x-amz-sns-message-type": "SubscriptionConfirmation"}
    assert sources.receive(session, bucket, headers, raw).ignored
    (errand,) = sources.outstanding(session)
    assert errand == (bucket.id, sent["SubscribeURL"], False)
    sources.settle(session, errand, "<ConfirmSubscriptionResponse/>")
    assert list(bucket.documents) == [CERTIFICATE]


def test_a_confirmation_that_leads_elsewhere_is_not_visited(session: OrmSession, source: Make) -> None:
    bucket = source("s3", bucket="chirper-media", topic=TOPIC)
    sources.settle(session, errands.Errand(bucket.id, CERTIFICATE, True), certificate())
    sent = signed_by_sns(senders.payload("sns_confirmation") | {"SubscribeURL": "https://evil.example/"})
    with pytest.raises(Exception, match="SubscribeURL does not begin"):
        sources.receive(session, bucket, {"x-amz-sns-message-type": "SubscriptionConfirmation"}, senders.body(sent))
    assert sources.outstanding(session) == []


def test_errands_are_few_and_those_that_fail_are_dropped(session: OrmSession, source: Make) -> None:
    bucket = source("s3", bucket="chirper-media", topic=TOPIC)
    for number in range(10):
        errands.want(session, bucket.id, f"https://sns.example/{number}", keep=True)
    waiting = sources.outstanding(session, 20)
    assert len(waiting) == errands.MOST_WANTED
    for errand in waiting:
        sources.settle(session, errand, None)
    assert bucket.documents == {}
    for number in range(20):
        sources.settle(session, errands.Errand(bucket.id, f"https://sns.example/{number}", True), "pem")
    assert len(bucket.documents) == errands.MOST_KEPT
    sources.disable(session, bucket.id)
    errands.want(session, bucket.id, "https://sns.example/x", keep=True)
    session.flush()
    assert sources.outstanding(session) == []


def test_what_is_wanted_is_an_address_and_no_error_of_the_senders() -> None:
    with pytest.raises(Wanted) as caught:
        sources.find("s3").verify(
            senders.terms(topic=TOPIC),
            senders.message(senders.body("sns_notification"), {"x-amz-sns-message-type": "Notification"}),
        )
    assert caught.value.url == CERTIFICATE
