"""Answers into dataclasses: what a newer server adds is ignored, what is missing or wrong is told."""

import dataclasses
import json
from datetime import UTC, datetime

import pytest

from unmask_client import BadAnswer, Submission, reading

SCORED = {
    "id": "sub_1",
    "state": "scored",
    "external_id": "post-1",
    "priority": "default",
    "context": {"author": "user-7"},
    "sha256": "ab",
    "received_at": "2026-11-21T08:00:00+00:00",
    "finished_at": "2026-11-21T08:00:01Z",
    "failure": None,
    "links": {"self": "/v1/submissions/sub_1"},
    "verdict": {
        "score": 1,
        "band": "fake",
        "reasons": ["blend_boundary"],
        "faces": [{"box": [1, 2, 3, 4], "score": 0.5, "quality": {"sharpness": 3}, "frame": 0}],
        "frames": [],
        "media": {"width": 4, "height": 3, "format": "jpeg", "bytes": 9, "frames": 1, "sha256": "ab"},
        "detector": {"name": "unmask", "version": "1.0.0"},
        "scored_at": "2026-11-21T08:00:01Z",
        "ms": 12,
    },
}


def changed(path, value):
    """A copy of SCORED with one field set, or taken away where ``value`` is ``...``."""
    copy = json.loads(json.dumps(SCORED))
    *way, last = path
    place = copy
    for name in way:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copy


def test_an_answer_becomes_typed_and_frozen():
    found = reading.read(Submission, SCORED)
    assert found.finished
    assert found.received_at == datetime(2026, 11, 21, 8, tzinfo=UTC)
    assert found.verdict.score == 1.0
    assert isinstance(found.verdict.score, float)
    assert found.verdict.faces[0].box == (1.0, 2.0, 3.0, 4.0)
    assert found.verdict.detector.version == "1.0.0"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.state = "failed"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["new_field"], {"deep": [1]}),
        (["verdict", "explanation"], "x"),
        (["verdict", "faces", 0, "identity"], None),
        (["verdict", "media", "seconds"], 3),
        (["state"], "archived"),
        (["verdict", "band"], "satire"),
        (["sha256"], ...),
        (["verdict", "frames"], ...),
    ],
)
def test_a_newer_or_an_older_server_breaks_nothing(path, value):
    assert reading.read(Submission, changed(path, value)).id == "sub_1"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (["id"], ..., "has no field id"),
        (["id"], 7, r"answer\.id is not text"),
        (["verdict", "score"], "0.9", r"verdict\.score is not a number"),
        (["verdict", "score"], True, r"verdict\.score is not a number"),
        (["verdict", "media", "width"], True, "not an integer"),
        (["verdict", "media", "width"], 1.5, "not an integer"),
        (["verdict", "faces"], {}, "no list"),
        (["verdict", "faces", 0, "box"], [1, 2, 3], "3 items where 4"),
        (["verdict"], [], "no JSON object"),
        (["context"], [], "not a JSON object"),
        (["received_at"], "yesterday", "no time"),
    ],
)
def test_what_a_program_would_trip_over_is_told(path, value, complaint):
    with pytest.raises(BadAnswer, match=complaint):
        reading.read(Submission, changed(path, value))


@pytest.mark.parametrize("body", [b"", b"\xff", b"<html>", b"[" * 100_000])
def test_no_json_is_told(body):
    with pytest.raises(BadAnswer):
        reading.document(Submission, body)
