"""Proofs that a message is the sender's: HMACs over the raw body, and tokens. Compared in constant time, as text.

As text, because base64 and hexadecimal spell the same bytes in several ways, and only one of them is what was sent.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable

from moderation import signatures
from moderation.errors import BadSignature, Refused
from moderation.sources.events import Message, Terms

TOLERANCE = 300  # seconds that a sender's clock may be off, and a message may have been on its way
SHORTEST_KEY = 24  # bytes, as Standard Webhooks asks
_HUB = re.compile(r"sha256=[0-9a-f]{64}")
_ID = re.compile(r"[!-~]{1,255}")
_SECONDS = re.compile(r"[0-9]{1,12}")
_V1 = re.compile(r"v1,[A-Za-z0-9+/]{43}=")


def header(message: Message, name: str) -> str:
    """Returns a header that a proof needs.

    Raises:
        BadSignature: when it is not there.
    """
    value = message.headers.get(name.lower())
    if value is None:
        raise BadSignature(f"there is no {name} header")
    return value


def hub(terms: Terms, message: Message, name: str) -> str:
    """Verifies `{name}: sha256=<hexadecimal HMAC-SHA256 of the body>`.

    Raises:
        BadSignature: when it is missing, malformed or not ours.
    """
    sent = header(message, name)
    if not _HUB.fullmatch(sent):
        raise BadSignature(f"{name} is not sha256= and 64 hexadecimal digits")
    wanted = ("sha256=" + hmac.new(key.encode(), message.body, hashlib.sha256).hexdigest() for key in terms.secrets)
    if not _among([sent], wanted):
        raise BadSignature(f"{name} does not match the body and the secret")
    return f"{name}: HMAC-SHA256 of the body"


def standard(terms: Terms, message: Message) -> str:
    """Verifies the headers of Standard Webhooks 1.0.0: id, timestamp and at least one `v1` signature of ours.

    Raises:
        BadSignature: when one is missing, malformed, too old or too new, or not ours.
    """
    name, at, sent = (header(message, f"webhook-{part}") for part in ("id", "timestamp", "signature"))
    if not _ID.fullmatch(name) or not _SECONDS.fullmatch(at):
        raise BadSignature("webhook-id or webhook-timestamp is malformed")
    candidates = [part for part in sent.split(" ") if _V1.fullmatch(part)]
    if not candidates:
        raise BadSignature("webhook-signature holds no signature v1,<base64 of 32 bytes>")
    content = f"{name}.{at}.".encode() + message.body
    if not _among(candidates, (f"v1,{_code(secret, content)}" for secret in terms.secrets)):
        raise BadSignature("webhook-signature does not match the body and the secret")
    off = message.at - int(at)
    if abs(off) > TOLERANCE:
        raise BadSignature(f"webhook-timestamp is {abs(off):.0f} s off; {TOLERANCE} are accepted")
    return "webhook-signature: HMAC-SHA256 of id, timestamp and body"


def _code(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(signatures.PREFIX))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def check_standard_secret(secret: str) -> None:
    """Accepts `whsec_` and the base64 of at least 24 bytes.

    Raises:
        Refused: for anything else.
    """
    try:
        key = base64.b64decode(secret.removeprefix(signatures.PREFIX), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not SHORTEST_KEY <= len(key) <= 256 or not secret.startswith(signatures.PREFIX):
        raise Refused("a secret of Standard Webhooks is whsec_ and the base64 of 24 to 64 random bytes")


def bearer(terms: Terms, message: Message) -> str:
    """Verifies `Authorization: Bearer <secret>`.

    Raises:
        BadSignature: when it is missing or not ours.
    """
    sent = header(message, "Authorization")
    if not _among([sent], (f"Bearer {secret}" for secret in terms.secrets)):
        raise BadSignature("Authorization is not Bearer and the secret")
    return "Authorization: the source's token"


def _among(sent: Iterable[str], wanted: Iterable[str]) -> bool:
    """Says whether one of ``sent`` is one of ``wanted``; how long that takes does not tell which, or how nearly."""
    ours = [text.encode() for text in wanted]
    return sum(hmac.compare_digest(text.encode(errors="replace"), our) for text in sent for our in ours) > 0
