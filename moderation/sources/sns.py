"""Amazon SNS over HTTPS: a message is believed if its topic is on the list and its signature is the topic's region's.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
The certificate comes from `sns.{region}.amazonaws.com` of the topic's own region and from nowhere else. It is fetched
by a worker and kept with the source: a thread that answers a stranger makes no request of its own.
"""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from moderation.errors import BadEvent, BadSignature
from moderation.sources import bodies
from moderation.sources.events import Message, Terms, Wanted
from moderation.tables import Json

NOTIFICATION: Final = "Notification"
CONFIRMATION: Final = "SubscriptionConfirmation"
_SIGNED: Final = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{3,30}):[0-9]{12}:[\w-]{1,256}(\.fifo)?", re.ASCII)
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{8,64}\.pem")


def is_from(message: Message) -> bool:
    """Says whether a message claims to come from SNS."""
    return "x-amz-sns-message-type" in message.headers


def verify(topics: list[str], terms: Terms, message: Message) -> str:
    """Verifies topic and signature, version 1 (SHA-1) or 2 (SHA-256).

    Raises:
        BadSignature: for a topic that is not one of ``topics``, a certificate from elsewhere, or a wrong signature.
        Wanted: when the certificate is not here yet.
    """
    sent = bodies.parsed(message.body)
    topic, kind = bodies.word(sent.get("TopicArn"), 400), bodies.word(sent.get("Type"))
    if topic not in topics:
        raise BadSignature("the SNS topic is not one that this source takes (option topic)")
    if kind not in _SIGNED or kind != message.headers["x-amz-sns-message-type"]:
        raise BadSignature("x-amz-sns-message-type and Type do not agree")
    try:
        url = address(sent, "SigningCertURL")
    except BadEvent as error:
        raise BadSignature(error.detail) from None
    if not _CERTIFICATE.fullmatch(urlsplit(url).path):
        raise BadSignature("SigningCertURL is not that of a certificate of SNS")
    certificate = terms.documents.get(url)
    if certificate is None:
        raise Wanted(url)
    _check(certificate, sent, kind, message.at)
    return f"signature of SNS, version {sent['SignatureVersion']}, for {topic}"


def address(sent: Json, field: str) -> str:
    """Returns an https address of SNS in the region of the message's topic.

    Raises:
        BadEvent: for any other address.
    """
    arn, url = _ARN.fullmatch(bodies.word(sent.get("TopicArn"), 400)), bodies.link(sent.get(field)) or ""
    if arn is None:
        raise BadEvent("TopicArn is not the ARN of an SNS topic")
    host = f"sns.{arn[2]}.amazonaws.com" + (".cn" if arn[1] == "aws-cn" else "")
    if not url.startswith(f"https://{host}/"):
        raise BadEvent(f"{field} does not begin with https://{host}/")
    return url


def _check(certificate: str, sent: Json, kind: str, at: float) -> None:
    # the API's image has it; whoever only lists sources need not
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    version = sent.get("SignatureVersion")
    if version not in ("1", "2"):
        raise BadSignature("SignatureVersion is neither 1 nor 2")
    try:
        signature = base64.b64decode(bodies.word(sent.get("Signature"), 4096), validate=True)
        known = x509.load_pem_x509_certificate(certificate.encode())
        key = known.public_key()
    except (ValueError, binascii.Error) as error:
        raise BadSignature("the signature or its certificate is malformed") from error
    if not known.not_valid_before_utc <= datetime.fromtimestamp(at, UTC) <= known.not_valid_after_utc:
        raise BadSignature("the certificate of SNS is not valid now")
    if not isinstance(key, rsa.RSAPublicKey):
        raise BadSignature("the certificate of SNS holds no RSA key")
    digest = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - version 1 is what topics begin with
    try:
        key.verify(signature, signed_text(sent, kind), padding.PKCS1v15(), digest)
    except InvalidSignature:
        raise BadSignature("Signature does not match the message and the certificate of SNS") from None


def signed_text(sent: Json, kind: str) -> bytes:
    """Returns the text that SNS signs: name and value of the fields that are there, a line each."""
    fields = ((name, sent.get(name)) for name in _SIGNED[kind])
    return "".join(f"{name}\n{value}\n" for name, value in fields if isinstance(value, str)).encode(errors="replace")
