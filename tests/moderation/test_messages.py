import json

import pytest

from moderation import messages


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ({"verdict": {"score": 0.5, "faces": [1], "frames": ["f" * 30_000]}, "context": {"a": 1}},
         {"verdict": {"score": 0.5, "faces": [1], "frames": []}, "context": {"a": 1}, "truncated": True}),
        ({"verdict": {"faces": [{"box": "b" * 30_000}], "frames": [1]}, "context": {"a": 1}},
         {"verdict": {"faces": [], "frames": []}, "context": {"a": 1}, "truncated": True}),
        ({"id": "sub_1", "submission": {"context": {"note": "🦊" * 3_000}}},
         {"id": "sub_1", "submission": {"context": {}}, "truncated": True}),
        ({"id": "sub_1", "note": "n" * 30_000}, {"id": "sub_1", "note": "n" * 200, "truncated": True}),
    ],
)  # fmt: skip
def test_data_that_is_too_long_loses_its_bulk_and_says_so(data, kept):
    text = messages.compose("submission.scored", data)
    assert len(text.encode()) < 20_000
    assert json.loads(text)["data"] == kept
