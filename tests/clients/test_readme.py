"""The Python of the documents, run as it is written there: only the address is the test's."""

import os
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from moderation import messages, signatures
from tests.clients.test_reading import SCORED
from tests.conftest import jpeg
from unmask_client import SubmissionEvent

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = re.compile(r"http://127\.0\.0\.1:8000|https://unmask\.example\.org")


def blocks(document, word):
    """The Python blocks of a document that speak of ``word``, joined."""
    found = re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)
    wanted = [block for block in found if word in block]
    assert wanted
    return "\n".join(wanted)


@pytest.fixture
def place(tmp_path, monkeypatch, served):
    """A folder with what the documents send, and the environment they read."""
    (tmp_path / "pictures").mkdir()
    for name in ("upload.jpg", "holiday.mp4", "pictures/one.jpg", "pictures/two.jpg"):
        (tmp_path / name).write_bytes(jpeg())
    (tmp_path / "pictures" / "notes.txt").write_text("words")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNMASK_API_KEY", served.caller.api_key)
    monkeypatch.setenv("UNMASK_WEBHOOK_SECRET", signatures.new_secret())


def signed(secret, body):
    now = int(time.time())
    signature = signatures.sign(secret, "msg_1", now, body)
    headers = {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(now), "Webhook-Signature": signature}
    return SimpleNamespace(headers=headers, body=body.encode())


@pytest.fixture
def judged(client, score):
    """The picture is known, so that every submission of it is scored at once."""
    client.submit(jpeg())
    score()


@pytest.fixture
def said():
    """What was printed, apart from the server's log."""
    return []


@pytest.fixture
def names(said):
    return {"print": lambda *words: said.append(" ".join(map(str, words)))}


def test_the_projects_readme(place, judged, served, names, said):
    exec(ADDRESS.sub(served.address, blocks("README.md", "verify_webhook")), names)
    assert said[0] == "fake"
    assert len(said) == 4
    assert sum("unsupported-media-type" in line for line in said) == 1
    body = messages.compose("submission.scored", SCORED)
    event = names["receive"](signed(os.environ["UNMASK_WEBHOOK_SECRET"], body))
    assert isinstance(event, SubmissionEvent)


def test_the_clients_readme(place, judged, served, client, names, said):
    document = "clients/python/README.md"
    exec(ADDRESS.sub(served.address, blocks(document, "with Client(")), names)
    assert said == ["fake 0.93"]
    names["client"] = client  # the block above has closed its own
    exec(blocks(document, "submit_url"), names)
    assert len(list(client.list(state="fetching"))) == 4
    exec(blocks(document, "submit_folder"), names)
    assert len(said) == 4


def test_the_receiver_of_the_clients_readme(names, said):
    secret = signatures.new_secret()
    exec(blocks("clients/python/README.md", "def receive").replace("whsec_…", secret), names)
    scored = messages.compose("submission.scored", SCORED)
    assert names["receive"](signed(secret, scored)) == 204
    assert said == ["post-1 fake"]
    assert names["receive"](signed(signatures.new_secret(), scored)) == 401
    assert names["receive"](signed(secret, messages.compose("endpoint.test", {}))) == 204
