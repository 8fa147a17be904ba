"""Each step of the grid does what its name says, to bytes of any format, and the grid tells silence from strength."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model import splits
from model.errors import BadImage
from model.evaluation import pictures, processing, robustness, scoring
from model.evaluation.answers import Answer
from model.evaluation.choosing import Subject
from model.sources import Item


def opened(content):
    return Image.open(io.BytesIO(content))


def after(step, image):
    return opened(processing.apply(step, processing.png(image)))


@pytest.mark.parametrize("step", processing.STEPS)
def test_every_step_gives_an_image_and_the_same_one_again(step, portrait):
    content = processing.png(portrait.resize((96, 128)))
    once = processing.apply(step, content)
    assert min(opened(once).convert("RGB").size) > 20
    assert once != content
    assert processing.apply(step, content) == once


def test_unchanged_bytes_are_the_bytes():
    assert processing.apply(processing.UNCHANGED, b"anything") == b"anything"


def test_what_does_not_decode_is_refused():
    with pytest.raises(BadImage):
        processing.apply("mirror", b"no image")


@pytest.mark.parametrize(
    ("step", "form", "size"),
    [
        ("JPEG 30", "JPEG", (400, 300)),
        ("WebP 75", "WEBP", (400, 300)),
        ("scale 0.25", "PNG", (100, 75)),
        ("scale 1.5", "PNG", (600, 450)),
        ("rotation 90", "PNG", (300, 400)),
        ("rotation 180", "PNG", (400, 300)),
        ("crop 70 %", "PNG", (280, 210)),
        ("double JPEG 75, 60", "JPEG", (396, 296)),
        ("screenshot", "JPEG", (344, 288)),
        ("thumbnail (320, q60)", "JPEG", (320, 240)),
        ("photo feed (1080, q75)", "JPEG", (400, 300)),
    ],
)
def test_steps_leave_the_format_and_size_that_they_say(step, form, size, portrait):
    found = after(step, portrait.resize((400, 300)))
    assert (found.format, found.size) == (form, size)


def test_lossless_steps_move_pixels_and_change_none(portrait):
    picture = portrait.resize((96, 64))
    mirrored = np.asarray(after("mirror", picture))
    assert (mirrored == np.asarray(picture)[:, ::-1]).all()
    assert (np.asarray(after("rotation 180", picture)) == np.asarray(picture)[::-1, ::-1]).all()


def test_stronger_compression_loses_more(portrait):
    lost = [
        np.abs(np.asarray(after(f"JPEG {q}", portrait), float) - np.asarray(portrait)).mean() for q in (95, 75, 50, 30)
    ]
    assert lost == sorted(lost)
    assert lost[0] < lost[-1] / 2


class Brightness:
    """Calls bright pictures fake; has no opinion on small ones."""

    name, digest, cuts = "brightness", "1" * 64, {"even": 0.5, "fake": 0.9}

    def answers(self, files):
        shown = [np.asarray(opened(content).convert("L")) for content in files]
        return [
            Answer(float(image.mean() / 255), "clear" if image.shape[0] > 40 else "inconclusive") for image in shown
        ]


@pytest.fixture
def subjects(tmp_path):
    found = []
    for label, light in ((0, 60), (1, 200)):
        for index in range(4):
            path = tmp_path / f"{label}{index}.png"
            Image.new("RGB", (80, 80), (light + index,) * 3).save(path)
            found.append(Subject(Item(path, path.name, "s", label, path.name), splits.TEST, path.stem))
    return found


def test_the_grid_has_a_cell_for_every_step_and_set(subjects, tmp_path):
    scorer = Brightness()
    found = robustness.grid(scorer, subjects, (), scoring.memory(scorer, tmp_path))
    assert list(found["steps"]) == ["unchanged", *processing.STEPS]
    cell = found["steps"]["JPEG 50"]["s (test)"]
    assert (cell["auc"], cell["balanced_accuracy"], cell["files"], cell["inconclusive"]) == (1.0, 1.0, 8, 0)
    assert cell["false_positive_rate"] == {"even": 0.0, "fake": 0.0}
    assert found["steps"]["scale 0.5"]["s (test)"] == {"files": 0, "inconclusive": 8}
    figure = pictures._robustness(found["steps"])
    assert figure.axes[0].get_title() == "AUC"


def test_a_sample_takes_as_many_of_each_class(subjects):
    drawn = robustness.sampled(subjects, 2)
    assert [subject.item.label for subject in drawn] == [0, 0, 1, 1]
    assert robustness.sampled(subjects, 99) == subjects


def test_a_torn_file_goes_to_the_scorer_as_it_is(subjects, tmp_path):
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"no image")
    fetch = robustness._fetch(Subject(Item(torn, "torn", "s", 0, "g"), splits.TEST, "t"), "mirror")
    assert fetch() == b"no image"


def test_keys_of_steps_differ_and_the_unchanged_file_shares_its_own():
    subject = Subject(Item(Path(), "n", "s", 0, "g"), splits.TEST, "abc")
    keys = {robustness._key(subject, step) for step in robustness.ROWS}
    assert len(keys) == len(robustness.ROWS)
    assert "abc" in keys
