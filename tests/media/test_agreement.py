"""The same file gives the same answer to intake, to `unmask predict` and in the pictures that moderators see."""

import io
import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from moderation import media
from moderation.errors import BadMedia
from tests.installations import command
from tests.media.cards import corners
from tests.media.test_table import CASES, LIMITS, REFUSED, TAKEN
from worker import previews

SOME = [name for number, name in enumerate(TAKEN) if number % 8 == 0]  # of every kind
STILLS = [name for name, case in TAKEN.items() if not case.content_type.startswith("video") and case.says.parts == 1]


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """What `unmask predict` says of some files, by name."""
    folder, nowhere = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("nowhere")
    names = {f"{number:03}": name for number, name in enumerate([*SOME, *REFUSED])}
    for number, name in names.items():
        (folder / number).write_bytes(CASES[name].body())
    # without the encoder of full releases: what is asked here is none of its business
    done = subprocess.run(
        command("predict", str(folder), "--json", "--encoder-cache", str(nowhere)),
        capture_output=True,
        text=True,
        check=False,
    )
    return {names[answer["file"][-3:]]: answer for answer in map(json.loads, done.stdout.splitlines())}


def test_predict_tells_the_size_that_intake_tells(predicted):
    for name in SOME:
        facts = media.inspect(io.BytesIO(CASES[name].body()), **LIMITS)
        answer = predicted[name]
        assert (answer.get("width"), answer.get("height")) == (facts.width, facts.height), name


def test_predict_tells_the_slug_that_intake_tells(predicted):
    for name, case in REFUSED.items():
        assert predicted[name]["failure"]["slug"] == (case.says.detector or case.says.door), name
        if case.says.door:
            with pytest.raises(BadMedia) as refusal:
                media.inspect(io.BytesIO(case.body()), **LIMITS)
            assert refusal.value.slug == case.says.door


@pytest.mark.parametrize("name", STILLS[::3])
def test_moderators_see_what_is_judged(name):
    says = CASES[name].says
    preview, thumbnail = previews.render(CASES[name].body())
    for picture in (preview, thumbnail):
        shown = Image.open(io.BytesIO(picture)).convert("RGB")
        assert corners(np.asarray(shown)) == says.corners
    assert Image.open(io.BytesIO(preview)).size == says.size
