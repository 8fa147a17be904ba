"""Manifests are read by a process that can reach nothing and may die; what they say is a claim."""

import datetime as dt
import io
import json
import socket
import threading

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from moderation.errors import BadSettings
from tests.movies import clip, shades
from worker import provenance
from worker.manifests import Reader

MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
TAKEN = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def _certificate(name, key, issuer, issuer_key, *, authority):
    now = dt.datetime.now(dt.UTC)
    uses = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **uses),
            critical=True,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not authority:
        built = built.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return built.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def sign():
    """Signs a file with a certificate of our own making: ``sign(content, type, source type)``. ``sign.root`` is what it
    was issued under.
    """
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root, name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text), x509.NameAttribute(NameOID.ORGANIZATION_NAME, text)])
        for text in ("Root", "Test Press")
    )
    authority = _certificate(root, root_key, root, root_key, authority=True)
    chain = _certificate(name, key, root, root_key, authority=False) + authority
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    def signed(content, kind, source, address=None):
        info = c2pa.C2paSignerInfo(alg=c2pa.C2paSigningAlg.ES256, sign_cert=chain, private_key=secret, ta_url=None)
        action = {"action": "c2pa.created", "digitalSourceType": source, "softwareAgent": {"name": "Image Machine"}}
        told = {
            "claim_generator_info": [{"name": "Image Machine", "version": "2.0"}],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }
        out = io.BytesIO()
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(told)) as builder:
            if address:
                builder.set_no_embed()
                builder.set_remote_url(address)
            builder.sign(signer, kind, io.BytesIO(content), out)
        return out.getvalue()

    signed.root = authority
    return signed


@pytest.fixture
def stranger():
    """Another authority's certificate, under the very name of ours."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid, "Root") for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)])
    return _certificate(name, key, name, key, authority=True)


@pytest.fixture
def reader():
    reader = Reader()
    yield reader
    reader.close()


def photograph(form="JPEG"):
    file = io.BytesIO()
    Image.effect_noise((96, 96), 60).convert("RGB").save(file, form)
    return file.getvalue()


KINDS = [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp"), ("MP4", "video/mp4")]


@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_a_signed_claim_of_a_model_is_read(reader, sign, form, kind):
    plain = clip(shades(8)) if form == "MP4" else photograph(form)
    (told,) = provenance.read(reader, [sign(plain, kind, MADE)])
    assert told["c2pa"] == {
        "present": True,
        "valid": True,
        "state": "valid",
        "issuer": "Test Press",
        "generator": "Image Machine 2.0",
        "actions": ["c2pa.created"],
        "source_types": ["trainedAlgorithmicMedia"],
        "ai_generated": True,
    }


def test_a_camera_claims_no_model_and_a_file_without_a_manifest_nothing(reader, sign):
    taken, plain, words = provenance.read(
        reader, [sign(photograph(), "image/jpeg", TAKEN), photograph(), photograph() + b" c2pa "]
    )
    assert (taken["c2pa"]["valid"], taken["c2pa"]["ai_generated"]) == (True, False)
    assert plain["c2pa"] is None
    assert words["c2pa"] is None


def test_bytes_that_changed_after_signing_are_invalid_and_their_claim_stands(reader, sign):
    changed = bytearray(sign(photograph(), "image/jpeg", MADE))
    changed[-40] ^= 0xFF
    (told,) = provenance.read(reader, [bytes(changed)])
    assert (told["c2pa"]["valid"], told["c2pa"]["ai_generated"]) == (False, True)


@pytest.mark.parametrize(("listed", "state"), [("both", "trusted"), ("stranger", "untrusted")])
def test_a_signer_is_trusted_who_signs_under_a_listed_certificate(tmp_path, sign, stranger, listed, state):
    path = tmp_path / "anchors.pem"
    path.write_bytes(stranger + (sign.root if listed == "both" else b""))
    reader = Reader(trusted=path)
    try:
        whole = sign(photograph(), "image/jpeg", TAKEN)
        changed = bytearray(whole)
        changed[-40] ^= 0xFF
        told, broken, plain = provenance.read(reader, [whole, bytes(changed), photograph()])
    finally:
        reader.close()
    assert (told["c2pa"]["state"], told["c2pa"]["valid"]) == (state, True)
    assert (broken["c2pa"]["state"], broken["c2pa"]["valid"]) == ("invalid", False)
    assert plain["c2pa"] is None


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"trust me",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nü".encode(),
    ],
)
def test_a_broken_list_of_signers_is_refused_at_once(tmp_path, content):
    path = tmp_path / "anchors.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSettings, match="UNMASK_C2PA_ANCHORS"):
        Reader(trusted=path)


def test_a_manifest_elsewhere_is_not_fetched(reader, sign):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/m.c2pa"
        (told,) = provenance.read(reader, [sign(photograph(), "image/jpeg", MADE, address)])
        assert (told["c2pa"]["present"], told["c2pa"]["valid"], told["c2pa"]["state"]) == (True, None, "remote")
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_reader_can_open_neither_files_nor_connections(tmp_path):
    """The same limits as the reader's, and a program that tries."""
    told = tmp_path / "tries.py"
    program = (Reader.__init__.__defaults__ or ())[1].read_text()
    attempt = (
        "    import socket\n"
        "    tried = []\n"
        "    for attempt in (lambda: socket.socket(), lambda: open('/etc/hostname'), lambda: __import__('os').dup(0)):\n"
        "        try:\n"
        "            attempt()\n"
        "            tried.append('opened')\n"
        "        except OSError:\n"
        "            tried.append('refused')\n"
        "    return {'state': 'valid', 'actions': tried}\n"
    )
    marker = "    try:\n        with c2pa.Reader("
    assert marker in program
    told.write_text(program.replace(marker, attempt + marker, 1))
    reader = Reader(program=told)
    try:
        assert reader.read(b"c2pa", "image/jpeg")["actions"] == ["refused"] * 3
    finally:
        reader.close()


@pytest.mark.parametrize("seed", range(8))
def test_a_hostile_manifest_is_unreadable_at_worst(reader, sign, seed):
    content = bytearray(sign(photograph(), "image/jpeg", MADE))
    start = content.find(b"jumb")
    for at in range(start + seed, start + 3000, 37):
        content[at] = (content[at] + 1 + seed) % 256
    (told,) = provenance.read(reader, [bytes(content)])
    assert told["c2pa"] is None or told["c2pa"]["valid"] in {None, False, True}
    assert provenance.read(reader, [sign(photograph(), "image/jpeg", TAKEN)])[0]["c2pa"]["valid"] is True


@pytest.mark.parametrize(
    "body",
    ["import os; os.abort()", "import time; time.sleep(60)", "print('x' * 10**6)", 'print(\'{"state": "lies"}\')'],
)
def test_a_reader_that_dies_hangs_or_babbles_costs_a_manifest_and_no_more(tmp_path, body):
    program = tmp_path / "broken.py"
    program.write_text(f"import sys\nsys.stdin.buffer.readline()\n{body}\n")
    reader = Reader(seconds=0.5, program=program)
    for _ in range(2):  # a new process each time
        told = reader.read(b"c2pa" * 100_000, "image/jpeg")
        assert (told["present"], told["valid"], told["state"], told["ai_generated"]) == (
            True,
            None,
            "unreadable",
            False,
        )
    reader.close()


def test_many_threads_share_one_reader(reader, sign):
    content = sign(photograph(), "image/jpeg", MADE)
    told = []
    threads = [threading.Thread(target=lambda: told.append(reader.read(content, "image/jpeg"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["ai_generated"] for answer in told] == [True] * 6
