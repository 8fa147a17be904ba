"""A small deterministic detector, and a bench around it whose commits are real."""

import datetime as dt
import io
import ssl
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from PIL import Image

from model.detector import Face, Failure, Judgement, Sheet
from moderation import acceptance, media, platforms
from moderation.acceptance import Draft
from tests.conftest import jpeg
from worker import connections
from worker.looking import Look
from worker.scoring import Bench


class RedDetector:
    """Says that red is fake. It stands in for the detector's three members; a trap is called on what it judges."""

    release = SimpleNamespace(name="red", version="1")

    def __init__(self):
        self.judged = []  # one list of contents a batch
        self.trap = lambda _: None
        self.looks = (Look(0, None, "0f" * 32, 90, None),)

    def prepare(self, files):
        return SimpleNamespace(files=list(files), sheets=[Sheet(64, 48, (), self.looks) for _ in files])

    def judge(self, prepared):
        self.judged.append(prepared.files)
        self.trap(prepared.files)
        return [self._judgement(content) for content in prepared.files]

    def _judgement(self, content):
        try:
            image = Image.open(io.BytesIO(content)).convert("RGB")
        except OSError:
            return Failure("torn-file", "the file ends before its image does")
        width, height = image.size
        red, *_ = image.getpixel((width // 2, height // 2))
        fake = red > 127
        face = Face((1, 2, 30, 40), 0.9 if fake else 0.1, {"size_px": 40.0}, 0)
        return Judgement(face.score, "fake" if fake else "clear", ("manipulated_face",) if fake else (), (face,),
                         width, height)  # fmt: skip


@pytest.fixture
def detector():
    return RedDetector()


@pytest.fixture
def bench(Session, blobs, detector):
    return Bench(Session, blobs, detector, limit=4, lease_seconds=60)


@pytest.fixture
def home(Session):
    """A platform's id, committed."""
    with Session.begin() as session:
        return platforms.create(session, "Chirper").platform.id


@pytest.fixture
def send(Session, blobs, home):
    """Commits a submission; returns its id. ``torn`` passes inspection and fails at decoding."""

    def _send(colour="red", size=(64, 48), torn=False, **fields):
        body = jpeg(colour, size)
        body = body[: len(body) * 2 // 3] if torn else body
        file = io.BytesIO(body)
        facts = media.inspect(file, max_pixels=10**8, max_frames=100)
        fields = fields if "person_id" in fields else {"platform_id": home, **fields}
        with Session.begin() as session:
            return acceptance.submit(session, blobs, Draft(**fields), facts, file).id

    return _send


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for hooks.test, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.test")])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "hooks.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + made.public_bytes(pem)
    )
    return file


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate, monkeypatch):
    """As if an authority had signed the certificate."""
    monkeypatch.setattr(connections, "_tls", lambda: ssl.create_default_context(cafile=certificate))
