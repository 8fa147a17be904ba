from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from skimage import data

from model import faces, rows, searches, views

ASTRONAUT = (180.0, 58.0, 93.0, 118.0)  # her face in scikit-image's portrait, measured by hand


@pytest.fixture(scope="module")
def finder() -> faces.FaceFinder:
    return faces.load(None)


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    low = np.maximum(first[:2], second[:2])
    high = np.minimum(np.add(first[:2], first[2:]), np.add(second[:2], second[2:]))
    shared = float((high - low).clip(0).prod())
    return shared / (first[2] * first[3] + second[2] * second[3] - shared)


def test_the_portrait_has_one_face_in_its_place(finder):
    (face,) = finder.find(data.astronaut())
    assert overlap(face.box, ASTRONAUT) > 0.5
    assert 0 < face.confidence <= 1


def test_landmarks_lie_in_the_box_in_the_order_that_is_promised(finder):
    (face,) = finder.find(data.astronaut())
    eye, other_eye, nose, mouth, other_mouth = face.landmarks
    x, y, width, height = face.box
    assert ((face.landmarks >= (x, y)) & (face.landmarks <= (x + width, y + height))).all()
    assert eye[0] < nose[0] < other_eye[0]
    assert mouth[0] < other_mouth[0]
    assert max(eye[1], other_eye[1]) < nose[1] < min(mouth[1], other_mouth[1])


@pytest.mark.parametrize("name", ["coffee", "brick", "text", "cell"])
def test_pictures_without_a_face_have_none(finder, name):
    picture = getattr(data, name)()
    picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    assert finder.find(np.ascontiguousarray(picture)) == []


@pytest.mark.parametrize("scale", [0.25, 0.6, 1.0, 3.0, 7.0])
def test_boxes_are_in_the_pixels_of_the_image_given(finder, scale):
    image = cv2.resize(data.astronaut(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    largest = finder.find(image)[0]
    assert overlap(largest.box, tuple(scale * value for value in ASTRONAUT)) > 0.5


@pytest.mark.parametrize(("height", "width"), [(512, 1400), (1400, 512), (1100, 1300)])
def test_a_face_in_the_corner_of_a_long_image_is_found_in_its_place(finder, height, width):
    image = np.full((height, width, 3), 90, np.uint8)
    image[-512:, -512:] = data.astronaut()
    x, y = ASTRONAUT[0] + width - 512, ASTRONAUT[1] + height - 512
    assert overlap(finder.find(image)[0].box, (x, y, *ASTRONAUT[2:])) > 0.5


def test_a_small_face_in_a_large_image_is_found_by_the_closer_look(finder):
    image = np.full((2800, 2800, 3), 120, np.uint8)
    image[900:1412, 300:812] = data.astronaut()
    expected = (300 + ASTRONAUT[0], 900 + ASTRONAUT[1], *ASTRONAUT[2:])
    whole = faces.NetworkFinder(faces.LOCATOR).look(image, views.centred(image, views.CANVAS))
    assert not len(whole)
    assert any(overlap(face.box, expected) > 0.5 for face in finder.find(image))


@pytest.mark.parametrize("side", range(321, 577, 17))
def test_an_image_that_the_closer_look_enlarges_is_looked_at_whole(finder, side):
    """Views of such sizes begin between two pixels."""
    assert isinstance(finder.find(np.full((side, 300, 3), 90, np.uint8)), list)


def test_a_face_that_fills_the_picture_is_found(finder):
    x, y, width, height = (int(value) for value in ASTRONAUT)
    tight = data.astronaut()[y : y + height, x : x + width]
    assert overlap(finder.find(tight)[0].box, (0, 0, width, height)) > 0.5


def test_a_grey_picture_has_the_same_face(finder):
    grey = np.repeat(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    assert overlap(finder.find(grey)[0].box, ASTRONAUT) > 0.5


def test_faces_come_largest_first(finder):
    image = np.zeros((512, 1024, 3), np.uint8)
    image[:256, 100:356] = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    image[:, 512:] = data.astronaut()
    areas = [face.box[2] * face.box[3] for face in finder.find(image)]
    assert len(areas) == 2
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (2500, 2, 3), (15, 15, 3)])
def test_an_image_too_small_for_a_face_has_none(finder, shape):
    assert finder.find(np.full(shape, 127, np.uint8)) == []


def test_four_threads_get_the_answers_of_one(finder):
    images = [data.astronaut()[:, shift:] for shift in range(0, 96, 8)]
    alone = [[face.box for face in finder.find(image)] for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = [[face.box for face in found] for found in pool.map(finder.find, images)]
    assert together == alone


def test_many_images_at_once_get_the_answers_of_one_by_one(finder):
    portrait = data.astronaut()
    far = np.full((900, 1600, 3), 120, np.uint8)
    far[200:712, 300:812] = portrait
    tight = portrait[58:176, 180:273]
    images = [
        portrait,
        far,
        tight,
        np.full((400, 300, 3), 127, np.uint8),
        cv2.resize(portrait, (2000, 2000)),
        far[:, ::-1],
    ]
    together = finder.find_many(images)
    assert [len(found) for found in together] == [1, 1, 1, 0, 1, 1]
    for image, found in zip(images, together, strict=True):
        (alone, at_once) = ([(*face.box, face.confidence) for face in faced] for faced in (finder.find(image), found))
        assert np.allclose(alone, at_once, atol=1e-2)
    assert finder.find_many([]) == []


def test_a_network_that_takes_one_canvas_at_a_time_gets_one(finder, tmp_path):
    """As YuNet's published files do."""
    graph = onnx.load(faces.LOCATOR)
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(graph, tmp_path / "one.onnx")
    images = [data.astronaut(), data.astronaut()[:, ::-1]]
    found = faces.NetworkFinder(tmp_path / "one.onnx").find_many(images)
    assert [len(each) for each in found] == [1, 1]


@pytest.mark.parametrize(("height", "width"), [(3000, 4000), (577, 1139), (1136, 568), (2, 2000)])
@pytest.mark.parametrize("scale", [1.0, 0.9, 0.5, 0.32, 0.142])
def test_a_resized_image_has_its_size_and_its_mean(height, width, scale):
    ramp = np.linspace(0, 255, width, dtype=np.float32)[None, :, None].repeat(height, 0).repeat(3, 2).astype(np.uint8)
    small = views.resized(ramp, scale)
    assert np.abs(np.array(small.shape[:2]) - np.maximum(1, np.array([height, width]) * scale)).max() <= 1
    assert abs(float(small.mean()) - float(ramp.mean())) < 2 + 130 / width


def test_a_file_that_is_no_face_network_is_refused(tmp_path):
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(faces.LOCATOR.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"torn\.onnx"):
        faces.load(torn)
    with pytest.raises(ValueError, match="missing"):
        faces.load(Path(tmp_path / "missing.onnx"))


def test_of_boxes_that_share_most_of_the_smaller_one_the_surest_stays():
    def row(x: float, size: float, confidence: float) -> list[float]:
        return [x, 0, size, size, *[0] * 10, confidence]

    boxes = np.array([row(0, 100, 0.7), row(10, 100, 0.9), row(40, 30, 0.8), row(300, 100, 0.6)], np.float32)
    assert rows.suppressed(boxes)[:, 14].tolist() == pytest.approx([0.9, 0.6])


def test_a_second_look_sees_a_box_in_its_middle_at_one_size():
    box = np.array([180, 58, 93, 118], np.float32)
    view = views.close(box)
    (left, top), (width, height) = (box[:2] - (view.left, view.top)) * view.scale, box[2:] * view.scale
    assert np.sqrt(width * height) == pytest.approx(views.CLOSE)
    assert (left + width / 2, top + height / 2) == pytest.approx((views.BESIDE / 2, views.BESIDE / 2))


def test_four_pieces_lie_row_by_row_on_a_canvas():
    pieces = [np.full((views.BESIDE, views.BESIDE, 3), value, np.uint8) for value in (1, 2, 3)]
    canvas = views.mosaic(pieces)
    assert canvas.shape == (views.CANVAS, views.CANVAS, 3)
    corners = [canvas[at][0].tolist() for at in ((0, 0), (0, -1), (-1, 0), (-1, -1))]
    assert corners == [1, 2, 3, 0]


def test_a_second_look_averages_what_both_saw_and_drops_what_one_alone_did(monkeypatch):
    """In place of the network stand the answers of two looks: two boxes at first, the second of them gone when close."""
    monkeypatch.setattr(faces, "decoded", lambda answers, _: answers["rows"].copy())
    finder = faces.NetworkFinder(faces.LOCATOR, 0.5, proposed=0.3)
    first = np.array([[20, 20, 40, 40, *[0] * 10, 0.6], [200, 200, 40, 40, *[0] * 10, 0.6]], np.float32)
    again = np.array([[30, 30, 100, 100, *[0] * 10, 0.7]], np.float32)
    answers = iter([[{"rows": first}], [{"rows": again}]])
    monkeypatch.setattr(finder, "_run", lambda canvases: next(answers) if canvases else [])
    (found,) = finder.find(np.zeros((320, 320, 3), np.uint8))
    assert found.box == (20, 20, 40, 40)
    assert found.confidence == pytest.approx(0.65)


SHAPES = [(300, 20_000), (16_000, 1080), (3000, 4000), (1080, 1920), (2400, 1080), (568, 568), (9000, 12_000),
          (400, 65_000), (60_000, 60), (2, 2000), (321, 200), (1400, 512)]  # fmt: skip


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_looks_get_closer_within_a_bound_of_tiles(height, width):
    image = np.broadcast_to(np.uint8(0), (height, width, 3))
    scales = views.scales(height, width)
    assert scales == sorted(scales)
    assert sum(len(views.tiles(image, scale)) for scale in scales) <= views.MOST_TILES
    assert scales[-1] <= max(1, views.FINE / max(height, width))
    steps = np.divide(scales[1:], scales[:-1])
    assert (steps <= views.CLOSEST / views.FINE + 1e-6).all()


@pytest.mark.parametrize(("height", "width"), [(3000, 4000), (1080, 1920), (2400, 1080), (9000, 12_000), (300, 20_000)])
def test_the_closest_look_shows_a_face_of_one_and_a_half_percent_large_enough(height, width):
    assert 0.015 * max(height, width) * views.scales(height, width)[-1] > 16


@pytest.mark.parametrize("shape", [(10, 10), (320, 200)])
def test_an_image_that_fits_a_canvas_needs_no_closer_look(shape):
    assert views.scales(*shape) == []


def placed(height, width, scale, x, y):
    """The portrait at `scale` and (x, y) in a grey picture, and where the face then is."""
    image = np.full((height, width, 3), 120, np.uint8)
    portrait = cv2.resize(data.astronaut(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    portrait = portrait[: height - y, : width - x]
    image[y : y + portrait.shape[0], x : x + portrait.shape[1]] = portrait
    return image, (x + ASTRONAUT[0] * scale, y + ASTRONAUT[1] * scale, ASTRONAUT[2] * scale, ASTRONAUT[3] * scale)


@pytest.mark.parametrize(
    ("height", "width", "scale", "x", "y"),
    [
        pytest.param(300, 20_000, 1.2, 15_000, 0, id="a face that half fills a panorama's height"),
        pytest.param(300, 20_000, 0.6, 9990, 0, id="a smaller one, across the edge of a tile"),
        pytest.param(16_000, 1080, 1.0, 300, 9000, id="a face in a tall screenshot"),
        pytest.param(16_000, 1080, 2.1, 0, 9000, id="a large one"),
        pytest.param(6000, 720, 0.5, 333, 3000, id="one of a hundredth of its height"),
        pytest.param(3000, 4000, 0.57, 2900, 1800, id="1.5 percent of a large photograph's long side"),
        pytest.param(1080, 1920, 0.3, 1300, 600, id="1.7 percent of a frame's width"),
    ],
)
def test_a_small_face_in_a_large_picture_is_found_in_its_place(finder, height, width, scale, x, y):
    image, box = placed(height, width, scale, x, y)
    assert [overlap(face.box, box) > 0.5 for face in finder.find(image)] == [True]


def grid(count: int) -> np.ndarray:
    """`count` portraits of 150 pixels, eight to a row."""
    cell = cv2.resize(data.astronaut()[20:220, 120:320], (150, 150), interpolation=cv2.INTER_AREA)
    image = np.zeros((-(-count // 8) * 150, 8 * 150, 3), np.uint8)
    for turn in range(count):
        image[turn // 8 * 150 :, turn % 8 * 150 :][:150, :150] = cell
    return image


def test_every_face_of_a_crowd_is_told_unless_a_bound_is_given(finder):
    image = grid(40)
    found = finder.find(image)
    assert len(found) == 40
    few = faces.load(None, most=5).find(image)
    assert [face.box for face in few] == [face.box for face in found[:5]]


def test_there_is_a_limit_to_the_faces_told():
    crowd = np.array([[20 * at, 0, 18, 18 + at / 100, *[0] * 10, 0.9] for at in range(300)], np.float32)
    told = faces.largest(crowd)
    assert len(told) == faces.LIMIT
    assert told[0].box[0] == 20 * 299


@pytest.mark.parametrize("light", [1.0, 0.3, 0.1, 0.06, 0.04])
def test_a_face_is_found_in_little_light(finder, light):
    """At 0.04 the brightest pixel is 10 of 255, and only the brightened look sees her."""
    dark = (data.astronaut() * light).astype(np.uint8)
    assert overlap(finder.find(dark)[0].box, ASTRONAUT) > 0.5


def test_only_dark_pictures_are_looked_at_brightened():
    assert searches.Search(data.astronaut() // 8).lifted()
    assert not searches.Search(np.full((300, 300, 3), 120, np.uint8)).lifted()


def test_brightening_leaves_what_is_bright():
    image = np.full((200, 400, 3), 10, np.uint8)
    image[:, 200:] = 200
    lifted = views.lifted(image)
    assert lifted[100, 20, 0] > 60
    assert lifted[100, 380, 0] == 200


def test_a_brightened_look_counts_only_in_the_dark():
    image = np.full((100, 200, 3), 10, np.uint8)
    image[:, 100:] = 200
    boxes = np.zeros((2, 15), np.float32)
    boxes[:, :4] = [[10, 10, 50, 50], [140, 10, 50, 50]]
    assert rows.unlit(boxes, image)[:, 0].tolist() == [10]


def test_what_a_tile_cuts_is_left_to_its_neighbour_but_not_at_the_edge_of_the_image():
    boxes = np.zeros((3, 15), np.float32)
    boxes[:, :4] = [[-5, 100, 40, 40], [300, 100, 40, 40], [100, 100, 40, 40]]
    kept = rows.uncut(boxes, views.View(0, 0, 1.0), (320, 1000, 3), coarser=0.32)
    assert kept[:, 0].tolist() == [-5, 100]


@pytest.mark.parametrize("scale", [None, 0.75])
def test_tiles_cover_every_pixel_and_overlap(scale):
    image = np.zeros((900, 1600, 3), np.uint8)
    covered = np.zeros(image.shape[:2], int)
    for view in views.tiles(image, scale):
        reach = round(views.CANVAS / view.scale)
        covered[round(view.top) : round(view.top) + reach, round(view.left) : round(view.left) + reach] += 1
    assert covered.min() >= 1
    assert covered.max() >= 2
