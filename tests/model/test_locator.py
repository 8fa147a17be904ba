from __future__ import annotations

import csv
import dataclasses
import json

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from skimage import data

from cli import locator as command
from model import faces, rows, views
from model.locator import (
    evaluation,
    lights,
    network,
    photographs,
    questions,
    restoring,
    scenes,
    teacher,
    training,
    traits,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty-four differently compressed crops of one portrait, half of them in one group."""
    home = tmp_path_factory.mktemp("pictures")
    source = home / "portraits"
    source.mkdir()
    for turn in range(24):
        crop = data.astronaut()[: 250 + turn, 80 : 350 + turn]
        cv2.imwrite(str(source / f"{turn}.jpg"), crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70 + turn])
    with (source / "groups.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerows([("file", "label", "group"), *((f"{turn}.jpg", 0, "one") for turn in range(12))])
    return home


@pytest.fixture(scope="module")
def taught(folder, tmp_path_factory):
    return teacher.ask(folder, faces.LOCATOR, tmp_path_factory.mktemp("cache"), 100, lambda *_: None)


PICTURES = [data.brick()[:200, :200, None].repeat(3, 2), data.coffee()[:200, :200]]


def a_row(x, y, width, height, confidence=1.0):
    points = [x + 0.3 * width, y + 0.4 * height, x + 0.7 * width, y + 0.4 * height, x + 0.5 * width, y + 0.6 * height]
    points += [x + 0.35 * width, y + 0.8 * height, x + 0.65 * width, y + 0.8 * height]
    return [x, y, width, height, *points, confidence]


def test_the_teacher_answers_once_and_is_remembered(folder, tmp_path):
    heard = []
    first = teacher.ask(folder, faces.LOCATOR, tmp_path, 100, lambda done, total: heard.append((done, total)))
    again = teacher.ask(folder, faces.LOCATOR, tmp_path, 100, lambda *_: pytest.fail("asked twice"))
    assert heard[-1] == (24, 24)
    assert all(len(one.sure) == 1 for one in first)
    assert [one.rows.tolist() for one in first] == [one.rows.tolist() for one in again]


def test_a_group_is_never_parted(folder, taught):
    names = [path.name for path in teacher.images(folder, 100)]
    grouped = {one.held_out for name, one in zip(names, taught, strict=True) if int(name[:-4]) < 12}
    assert len(grouped) == 1


def test_no_background_of_the_evaluation_is_trained_on():
    assert not set(photographs.HELD_OUT) & set(photographs.TRAINED)


@pytest.fixture(scope="module")
def stock():
    return photographs.Stock(photographs.samples(photographs.TRAINED), [])


@pytest.fixture
def a_calm_teacher(monkeypatch):
    """Our own locator suspects more than a YuNet file does."""
    monkeypatch.setattr(teacher, "DOUBT", 0.6)


@pytest.fixture
def collections(tmp_path, a_calm_teacher):
    """Two collections of two pictures, one held out; beside them a portrait, an icon and what is no image."""
    for name, home in (("bricks", tmp_path), ("cells", tmp_path / "held_out")):
        (home / name).mkdir(parents=True)
        for turn in range(2):
            cv2.imwrite(str(home / name / f"{turn}.png"), np.full((200, 300 + turn), 40 * len(name), np.uint8))
    cv2.imwrite(str(tmp_path / "bricks" / "portrait.png"), data.astronaut()[..., ::-1])
    cv2.imwrite(str(tmp_path / "bricks" / "icon.png"), np.full((32, 32), 90, np.uint8))
    (tmp_path / "bricks" / "torn.png").write_bytes(b"no image")
    return tmp_path


def test_backdrops_are_what_the_teacher_sees_no_face_in(collections, tmp_path):
    told = []
    found = photographs.gathered(collections, faces.LOCATOR, tmp_path / "cache", lambda *count: told.append(count))
    assert sorted((one.source, one.held_out) for one in found) == [("bricks", False)] * 2 + [("cells", True)] * 2
    assert told[-1] == (7, 7)
    again = photographs.gathered(collections, faces.LOCATOR, tmp_path / "cache", lambda *_: pytest.fail("asked twice"))
    assert all(np.array_equal(first.pixels, second.pixels) for first, second in zip(found, again, strict=True))


@pytest.mark.usefixtures("a_calm_teacher")
def test_what_is_transparent_becomes_white(tmp_path):
    stamp = np.zeros((120, 120, 4), np.uint8)
    stamp[40:80] = (0, 0, 200, 255)
    (tmp_path / "stamps").mkdir()
    cv2.imwrite(str(tmp_path / "stamps" / "red.png"), stamp)
    (found,) = photographs.gathered(tmp_path, faces.LOCATOR, tmp_path / "cache", lambda *_: None)
    assert found.pixels[0, 0].tolist() == [255, 255, 255]
    assert found.pixels[60, 60].tolist() == [200, 0, 0]


def test_a_folder_without_backdrops_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no face-free pictures"):
        photographs.gathered(tmp_path, faces.LOCATOR, tmp_path / "cache", lambda *_: None)


def test_a_mistake_is_kept_with_what_surrounds_it():
    """Whatever a finder finds in a face-free picture is a mistake; here the picture is a portrait."""
    (square,) = photographs.mistakes(faces.NetworkFinder(faces.LOCATOR), [data.astronaut()])
    height, width = square.shape[:2]
    assert height == width
    assert 200 < height <= 400
    assert faces.load(None).find(square)


def test_small_sources_are_repeated_by_the_root_of_their_size(taught):
    few = [dataclasses.replace(one, source="few") for one in taught[:6]]
    repeated = training.balanced([*taught, *few])
    assert sum(one.source == "few" for one in repeated) == 12
    assert sum(one.source == "portraits" for one in repeated) == 24


def test_faces_afar_have_the_sizes_that_are_promised(taught):
    asked = list(questions.afar(taught, [], 8))
    assert len(asked) == 8
    for _, image, truth in asked:
        assert image.shape == (320, 320, 3)
        assert questions.AFAR[0] <= np.sqrt(truth[:, 2] * truth[:, 3]).max() <= questions.AFAR[1]


def test_the_same_seed_gives_the_same_scene(taught, stock):
    first, second = (scenes.compose(np.random.default_rng(7), taught, stock, 192) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.rows, second.rows)


def test_labels_follow_the_pixels_of_a_composed_scene(taught):
    """A finder that knows the portrait finds most faces of unworn scenes where their labels say they are."""
    finder, rng = faces.load(None), np.random.default_rng(3)
    truths = found = 0
    for _ in range(12):
        scene = scenes.Scene(np.full((320, 320, 3), 100, np.uint8))
        scenes.add(rng, scene, taught[0])
        boxes = np.array([face.box for face in finder.find(scene.image)], np.float32).reshape(-1, 4)
        for row in scene.rows[(scene.rows[:, 14] >= teacher.SURE) & (scene.rows[:, 2] > 40)]:
            truths += 1
            found += evaluation.overlaps(row[None, :4], boxes).max(initial=0) > 0.5
    assert truths >= 3
    assert found >= 0.7 * truths


def test_a_mirrored_and_shifted_row_lands_where_its_pixels_do():
    row = np.array([a_row(10, 20, 40, 60)], np.float32)
    moving = np.array([[-2.0, 0.0, 300.0], [0.0, 2.0, 5.0]])
    moved = scenes.moved(row, moving)[0]
    assert moved[:4].tolist() == [300 - 2 * 50, 45, 80, 120]
    assert moved[4:6].tolist() == pytest.approx([300 - 2 * 22, 2 * 44 + 5])


def test_what_the_network_shall_say_decodes_to_the_faces_it_was_made_from():
    wished = np.array([a_row(30, 40, 24, 30), a_row(120, 20, 60, 80), a_row(90, 120, 170, 190)], np.float32)
    states, wanted = scenes.targets(wished, views.CANVAS)
    outputs, start = {}, 0
    for stride in rows.STRIDES:
        cells = slice(start, start + (views.CANVAS // stride) ** 2)
        start = cells.stop
        score = (states[cells, None] == 1).astype(np.float32)
        parts = {"cls": score, "obj": score, "bbox": wanted[cells, :4], "kps": wanted[cells, 4:]}
        outputs |= {f"{kind}_{stride}": part for kind, part in parts.items()}
    decoded = rows.suppressed(rows.decoded(outputs, 0.5))
    assert np.allclose(decoded[decoded[:, 0].argsort()], wished[wished[:, 0].argsort()], atol=1e-3)


def test_a_doubtful_face_is_neither_face_nor_background():
    states, _ = scenes.targets(np.array([a_row(100, 100, 80, 80, confidence=0.4)], np.float32), views.CANVAS)
    assert set(states.tolist()) == {0, -1}


@pytest.fixture
def one_thread():
    """Torch's second thread waits by spinning, which on a busy machine costs a hundred times what it saves."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_two_steps_of_training_export_a_network_that_answers(taught, tmp_path):
    heard = []
    out = tmp_path / "locator.onnx"
    plan = training.Plan(minutes=0, batch=2)
    training.train(taught, PICTURES, plan, out, lambda share, step, loss: heard.append((share, step, loss)), workers=0)
    assert [step for _, step, _ in heard] == [1, 2]
    assert all(np.isfinite(loss) for *_, loss in heard)
    assert isinstance(faces.NetworkFinder(out, threshold=0.5).find(data.astronaut()), list)
    batch = onnxruntime.InferenceSession(out).run(["cls_8"], {"input": np.zeros((3, 3, 320, 320), np.float32)})
    assert batch[0].shape == (3, 1600, 1)


@pytest.mark.usefixtures("one_thread")
def test_a_run_goes_on_from_the_weights_of_another(taught, tmp_path):
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    training.train(taught, PICTURES, training.Plan(minutes=0, batch=2), first, lambda *_: None, workers=0)
    still = training.Plan(minutes=0, batch=2, peak=0.0)
    training.train(taught, PICTURES, still, second, lambda *_: None, start=first.with_suffix(".pt"), workers=0)
    weights = [torch.load(file.with_suffix(".pt"), weights_only=True)["heads.0.1.weight"] for file in (first, second)]
    assert torch.allclose(*weights)


def test_the_learning_rate_rises_then_falls_to_nothing():
    plan = training.Plan()
    paces = [plan.pace(share) for share in (0.0, 0.05, 0.5, 1.0)]
    assert paces[0] < paces[2] < paces[1] <= plan.peak
    assert paces[3] == pytest.approx(0)


def test_figures_tell_a_perfect_finder_from_a_blind_and_a_seeing_things_one():
    truth = np.array([a_row(50, 50, 100, 100)], np.float32)
    face = faces.FoundFace((50.0, 50.0, 100.0, 100.0), truth[0, 4:14].reshape(5, 2), 0.9)
    ghost = faces.FoundFace((250.0, 10.0, 30.0, 30.0), None, 0.9)
    asked = [("source", np.zeros((300, 300, 3), np.uint8), truth)] * 2

    class Answering:
        def __init__(self, *answers):
            self.answers = list(answers)

        def find(self, image):
            return self.answers

    perfect, blind, seeing = (
        evaluation.ask(finder, asked)["source"].figures()
        for finder in (Answering(face), Answering(), Answering(face, ghost))
    )
    assert (perfect["recall"], perfect["false_per_image"], perfect["median_landmark_error"]) == (1, 0, 0)
    assert (blind["recall"], blind["false_per_image"], blind["median_iou"]) == (0, 0, None)
    assert (seeing["recall"], seeing["false_per_image"]) == (1, 1)


def test_the_shipped_locator_is_small_and_says_how_it_wants_its_pixels():
    assert faces.LOCATOR.stat().st_size < 500_000
    pinned = onnxruntime.InferenceSession(faces.LOCATOR).get_modelmeta().custom_metadata_map
    assert pinned["layout"] == "yunet"
    assert pinned["input"].startswith("BGR 0..255, 320x320")
    assert 0.3 <= float(pinned["threshold"]) <= 0.8


def test_opencv_reads_the_shipped_locator_as_it_reads_yunet():
    detector = cv2.FaceDetectorYN.create(str(faces.LOCATOR), "", (320, 320), 0.5)
    _, found = detector.detect(cv2.resize(data.astronaut(), (320, 320), interpolation=cv2.INTER_AREA)[..., ::-1].copy())
    (face,) = faces.load(None).find(data.astronaut())
    assert np.allclose(found[0, :4] * 512 / 320, face.box, atol=8)


def test_the_command_measures_a_locator_beside_its_teacher(folder, collections, tmp_path):
    arguments = ["evaluate", str(folder), "--teacher", str(faces.LOCATOR), "--cache", str(tmp_path / "cache")]
    arguments += ["--backdrops", str(collections), "--scenes", "3"]
    answer = CliRunner().invoke(command.locator, [*arguments, "--json"], catch_exceptions=False)
    told = json.loads(answer.stdout)
    assert set(told["figures"]) == {"locator", "yunet", "haar"}
    assert told["figures"]["locator"] == told["figures"]["yunet"]
    assert told["figures"]["locator"]["free: cells"]["images"] == 2
    assert "free: bricks" not in told["figures"]["locator"]
    assert all(value > 0 for value in told["milliseconds"].values())


@pytest.mark.usefixtures("one_thread")
def test_the_commands_train_and_measure_the_measure_of_covers(folder, tmp_path):
    shared = [str(folder), "--teacher", str(faces.LOCATOR), "--cache", str(tmp_path / "cache")]
    out = tmp_path / "covers.onnx"
    made = CliRunner().invoke(
        command.locator, ["train-covers", *shared, "--out", str(out), "--count", "4", "--epochs", "1"]
    )
    assert made.exit_code == 0, made.output
    assert onnxruntime.InferenceSession(out).get_outputs()[0].name == "covered"
    answer = CliRunner().invoke(command.locator, ["evaluate-covers", *shared, "--count", "4", "--masked", "portraits"])
    assert answer.exit_code == 0, answer.output
    assert "caption" in answer.output


@pytest.mark.usefixtures("one_thread")
def test_an_exported_locator_is_made_trainable_again_and_answers_as_before():
    canvas = cv2.resize(data.astronaut(), (320, 320), interpolation=cv2.INTER_AREA)[..., ::-1].transpose(2, 0, 1)
    blob = np.ascontiguousarray(canvas[None], np.float32)
    locator = restoring.restored(faces.LOCATOR, [torch.from_numpy(blob)])
    with torch.no_grad():
        answers = [answer.numpy() for answer in network.Served(locator.eval())(torch.from_numpy(blob))]
    exported = onnxruntime.InferenceSession(faces.LOCATOR).run(None, {"input": blob})
    assert max(np.abs(one - other).max() for one, other in zip(answers, exported, strict=True)) < 1e-3
    with torch.no_grad():
        learning = locator.train()(torch.from_numpy(blob))[0, :, 14].sigmoid().max()
    assert learning > 0.5  # with the statistics of the batch, as training has them


@pytest.mark.usefixtures("one_thread")
def test_a_run_goes_on_from_an_exported_locator(taught, tmp_path):
    out = tmp_path / "again.onnx"
    plan = training.Plan(minutes=0, batch=2, peak=1e-5)
    training.train(taught, PICTURES, plan, out, lambda *_: None, start=faces.LOCATOR, workers=0)
    assert faces.NetworkFinder(out, threshold=0.5).find(data.astronaut())


def test_another_network_is_no_locator_to_go_on_from(tmp_path):
    from model import occlusion

    with pytest.raises(ValueError, match="convolutions"):
        restoring.restored(occlusion.COVERS, [])


def test_a_dark_room_is_dark_and_a_shadow_stays_near_its_face(taught):
    for seed in range(8):
        rng, image = np.random.default_rng(seed), taught[0].pixels.copy()
        assert lights.dim(rng, image).mean() < 0.75 * image.mean()
        wide = np.full((600, 900, 3), 150, np.uint8)
        lights.shadow(rng, wide, np.array(a_row(300, 200, 100, 120), np.float32))
        assert wide.min() < 130
        assert (wide[:50] == 150).all()
        assert (wide[:, 550:] == 150).all()


@pytest.mark.parametrize("kind", questions.HARD)
def test_hard_questions_change_the_picture_and_keep_its_faces(taught, kind):
    asked = [one for one in questions.hard(taught, 2 * len(questions.HARD)) if one[0] == kind]
    assert len(asked) == 2
    kept = [one for one in taught if one.held_out and len(one.sure)]
    for _, image, truth in asked:
        assert not any(np.array_equal(image, one.pixels) for one in kept)
        assert (truth[:, 14] >= teacher.SURE).any()


@pytest.mark.parametrize("name", questions.LARGE)
def test_faces_in_large_pictures_are_small_and_lie_where_they_are_told_to(taught, name):
    (question,) = [one for one in questions.large(taught, [], 3) if one[0] == name]
    _, image, truth = question
    assert image.shape[:2] == questions.LARGE[name]
    sizes = np.sqrt(truth[:, 2] * truth[:, 3]) / max(image.shape)
    assert len(truth) >= 1
    assert (sizes <= questions.SHARE[1] + 1e-6).all()
    boxes = np.array([face.box for face in faces.load(None).find(image)], np.float32).reshape(-1, 4)
    assert evaluation.overlaps(truth[:, :4], boxes).max() > 0.5


def test_traits_name_the_light_the_pose_and_the_tone():
    image = np.full((200, 200, 3), (224, 182, 155), np.uint8)
    row = np.array(a_row(50, 50, 100, 100), np.float32)
    assert traits.traits(image, row) == ["pose: frontal", "light: over 100", "tone: light"]
    dark = np.full((200, 200, 3), (70, 45, 30), np.uint8)
    assert traits.traits(dark, row)[1:] == ["light: under 50", "tone: dark"]
    assert traits.traits(np.full((200, 200, 3), 120, np.uint8), row)[2] == "tone: grey picture"
    row[8] += 30  # the nose, beside the line from eyes to mouth
    assert traits.pose(row) > 0.5


def test_images_as_they_are_are_counted_by_their_traits():
    truth = np.array([a_row(50, 50, 100, 100)], np.float32)

    class Blind:
        def find(self, image):
            return []

    image = np.full((300, 300, 3), (224, 182, 155), np.uint8)
    tallies = evaluation.ask(Blind(), [("source", image, truth), ("dim", image, truth)])
    assert tallies["pose: frontal"].truths == 1
    assert tallies["dim: 80-160 px"].truths == 1
    assert tallies["all: 80-160 px"].truths == 1
