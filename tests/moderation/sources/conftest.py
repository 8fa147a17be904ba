"""Senders as tests know them: a fixture's payload, signed as its system would sign it."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from sqlalchemy.orm import Session as OrmSession

from moderation import signatures, sources
from moderation.platforms import NewPlatform
from moderation.sources import sns
from moderation.sources.events import Message, Terms
from moderation.tables import Source

PAYLOADS = Path(__file__).parents[2] / "fixtures" / "sources"
SECRET = "a-secret-that-is-long-enough"
WHSEC = signatures.PREFIX + base64.b64encode(bytes(range(32))).decode()
FORUM = "https://forum.example"
PLANTED = ("planted.person@mail.example", "203.0.113.77")  # in every payload that could carry them
Headers = dict[str, str]


def payload(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text())
    return found


def body(sent: str | dict[str, Any]) -> bytes:
    """The bytes of a fixture, by name, or of another object."""
    return json.dumps(payload(sent) if isinstance(sent, str) else sent).encode()


def hub(raw: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def generic(raw: bytes, *, secret: str = WHSEC, id: str = "msg_1", at: float | None = None) -> Headers:
    stamp = int(time.time() if at is None else at)
    signature = signatures.sign(secret, id, stamp, raw.decode())
    return {"webhook-id": id, "webhook-timestamp": str(stamp), "webhook-signature": signature}


def mastodon(raw: bytes) -> Headers:
    return {"X-Hub-Signature": hub(raw)}


def discourse(raw: bytes, event: str = "post_created") -> Headers:
    return {
        "X-Discourse-Instance": FORUM,
        "X-Discourse-Event-Id": "7",
        "X-Discourse-Event-Type": event.partition("_")[0],
        "X-Discourse-Event": event,
        "X-Discourse-Event-Signature": hub(raw),
    }


def bucket(_raw: bytes = b"") -> Headers:
    return {"Authorization": f"Bearer {SECRET}"}


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate(days: int = 30) -> str:
    """A certificate as SNS has them; with ``days`` below 0 one that has expired."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .sign(_key(), hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def signed_by_sns(sent: dict[str, Any]) -> dict[str, Any]:
    digest = hashes.SHA256() if sent["SignatureVersion"] == "2" else hashes.SHA1()
    signature = _key().sign(sns.signed_text(sent, sent["Type"]), padding.PKCS1v15(), digest)
    return sent | {"Signature": base64.b64encode(signature).decode()}


def terms(*secrets: str, documents: dict[str, str] | None = None, **options: str) -> Terms:
    return Terms(secrets or (SECRET,), options, documents or {})


def message(raw: bytes, headers: Headers, at: float | None = None) -> Message:
    return Message({name.lower(): value for name, value in headers.items()}, raw, time.time() if at is None else at)


@pytest.fixture
def source(session: OrmSession, platform: NewPlatform) -> Callable[..., Source]:
    """Makes a source of the test's platform: ``source("s3", bucket="chirper-media")``."""

    def _source(kind: str, **options: str) -> Source:
        secret = WHSEC if kind == "generic" else SECRET
        return sources.create(session, platform.platform.id, kind, secret=secret, options=options)

    return _source
