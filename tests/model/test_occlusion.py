from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from skimage import data

from model import faces, occlusion
from model.locator.teacher import Taught, pyramid
from model.occlusion import drawing, evaluation, training


@pytest.fixture(scope="module")
def face() -> faces.FoundFace:
    return faces.load(None).find(data.astronaut())[0]


@pytest.fixture(scope="module")
def place(face) -> drawing.Place:
    return drawing.Place(np.array(face.box, np.float32), face.landmarks)


@pytest.fixture(scope="module")
def taught(face) -> list[Taught]:
    row = np.array([[*face.box, *face.landmarks.ravel(), 0.9]], np.float32)
    return [Taught(pyramid(data.astronaut()), row, "portraits", held_out) for held_out in (False, True)]


def covering(place: drawing.Place, corners: list[tuple[float, float]], colour: tuple[int, int, int]) -> np.ndarray:
    image = data.astronaut()
    points = np.array([place.at(*corner) for corner in corners]).round().astype(np.int32)
    cv2.fillPoly(image, [points], colour)
    return image


BARE = 0.12
COVERS = {
    "a blue mask over nose and mouth": ([(-1, 0.4), (1, 0.4), (0.8, 1.8), (-0.8, 1.8)], (120, 170, 210)),
    "a black bar over the eyes": ([(-1.5, -0.4), (1.5, -0.4), (1.5, 0.4), (-1.5, 0.4)], (0, 0, 0)),
    "a white bar over the mouth": ([(-2, 0.6), (2, 0.6), (2, 1.5), (-2, 1.5)], (255, 255, 255)),
    "a red bar over the forehead and the eyes": ([(-2, -1.0), (2, -1.0), (2, 0.2), (-2, 0.2)], (220, 20, 30)),
    "everything but the chin": ([(-2, -1.4), (2, -1.4), (2, 1.2), (-2, 1.2)], (30, 120, 40)),
}


def test_a_bare_face_is_hardly_covered(face):
    assert occlusion.covered(data.astronaut(), face.landmarks) < BARE


@pytest.mark.parametrize("name", COVERS)
def test_a_covered_face_is_told(face, place, name):
    image = covering(place, *COVERS[name])
    assert occlusion.covered(image, face.landmarks) > BARE + 0.08


def test_a_caption_over_forehead_and_chin_is_told(face, place):
    image = data.astronaut()
    for down in (-0.5, 1.5):
        at = tuple(int(value) for value in place.at(-1.3, down))
        for ink, thick in (((0, 0, 0), 9), ((255, 255, 255), 4)):
            cv2.putText(image, "WHEN YOU SEE IT", at, cv2.FONT_HERSHEY_DUPLEX, 0.9, ink, thick, cv2.LINE_AA)
    assert occlusion.covered(image, face.landmarks) > BARE + 0.05


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("turn", [0, 20, 180])
def test_neither_size_nor_a_tilt_covers_a_face(face, scale, turn):
    image = data.astronaut()
    moving = cv2.getRotationMatrix2D((226, 117), turn, scale)
    moving[:, 2] += np.array([300, 300]) * scale - moving[:, :2] @ (226, 117) - moving[:, 2]
    side = round(600 * scale)
    turned = cv2.warpAffine(image, moving, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    points = (face.landmarks @ moving[:, :2].T + moving[:, 2]).astype(np.float32)
    assert occlusion.covered(turned, points) < BARE + 0.05


def test_a_dim_face_is_not_covered(face):
    assert occlusion.covered(data.astronaut() // 4, face.landmarks) < BARE + 0.1


def test_eyes_and_mouth_come_to_lie_where_they_are_promised(face):
    moving = occlusion.turn(face.landmarks)
    points = face.landmarks @ moving[:, :2].T + moving[:, 2]
    assert points[:2].mean(0) == pytest.approx(occlusion.EYES, abs=1e-3)
    assert points[3:].mean(0) == pytest.approx(occlusion.MOUTH, abs=1e-3)
    assert occlusion.upright(data.astronaut(), face.landmarks).shape == (64, 64, 3)


def test_landmarks_in_one_point_are_refused():
    with pytest.raises(ValueError, match="apart"):
        occlusion.covered(data.astronaut(), np.full((5, 2), 30, np.float32))


def test_four_threads_measure_what_one_does(face):
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: occlusion.covered(data.astronaut(), face.landmarks), range(8)))
    assert set(together) == {occlusion.covered(data.astronaut(), face.landmarks)}


@pytest.mark.parametrize("kind", drawing.KINDS)
def test_a_cover_says_which_pixels_it_changed(place, kind):
    rng, inside = np.random.default_rng(5), 0
    for _ in range(6):
        image = data.astronaut()
        where = drawing.draw(rng, image, place, (kind,))
        changed = (np.abs(image.astype(int) - data.astronaut()) > 12).any(2)
        near = cv2.dilate(where, np.ones((9, 9), np.uint8)) > 0
        if kind != "mask":  # its straps are no part of it
            assert not (changed & ~near).any()
        inside += drawing.share(where, place) > 0
    assert inside >= 3


def test_the_share_of_a_face_that_a_cover_hides_is_of_its_oval(place):
    shape = (512, 512)
    assert drawing.share(np.zeros(shape, np.uint8), place) == 0
    assert drawing.share(np.full(shape, 255, np.uint8), place) == 1
    half = np.zeros(shape, np.uint8)
    half[:, : round(place.box[0] + place.box[2] / 2)] = 255
    assert drawing.share(half, place) == pytest.approx(0.5, abs=0.03)


def test_the_same_seed_draws_the_same_sample(taught):
    (first, where), (second, again) = (training.sampled(np.random.default_rng(4), taught[0], odds=1) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(where, again)
    assert 0 < training.share(where) < 1


def test_a_little_training_exports_a_network_that_answers(taught, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    heard = []
    training.train(taught, tmp_path / "covers.onnx", lambda *told: heard.append(told), count=8, epochs=2)
    torch.set_num_threads(threads)
    assert [(step, steps) for step, steps, _ in heard] == [(1, 2), (2, 2)]
    session = onnxruntime.InferenceSession(tmp_path / "covers.onnx")
    cells = session.run(None, {"faces": np.zeros((3, 3, 64, 64), np.float32)})[0]
    assert cells.shape == (3, 16, 16)
    assert ((cells >= 0) & (cells <= 1)).all()


def test_training_needs_a_face(tmp_path):
    with pytest.raises(ValueError, match="large enough"):
        training.train([], tmp_path / "covers.onnx", lambda *_: None)


def test_figures_tell_a_measure_that_sees_from_one_that_guesses(taught):
    seeing = evaluation.Figures(np.array([0.5, 0.6]), np.array([0.1, 0.2]))
    assert seeing.auc == 1
    assert seeing.rates(0.55) == (0.5, 0)
    assert evaluation.Figures(np.array([0.1, 0.6]), np.array([0.1, 0.6])).auc == 0.5


def test_drawn_covers_are_told_from_bare_faces(taught):
    figures = evaluation.drawn(taught, 12)
    assert set(figures) == {*drawing.KINDS, "all"}
    assert figures["all"].auc > 0.7
