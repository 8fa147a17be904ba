"""Peers are read strictly and see the same faces: MesoNet's arithmetic is the paper's, whatever the weights."""

import json

import h5py
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy.signal import correlate2d

from model import releases
from model.crops import Cutting
from model.errors import ReleaseError
from model.peers import bare, faces, mesonet, opening

INCEPTION_NORMS, MESO4_NORMS = (11, 12, 16, 16), (8, 8, 16, 16)


def keras_file(path, kernels, norms, first=1, **spoilt):
    """Random weights laid out as Keras 2.1 saves them, layers numbered from `first`; `spoilt` replaces shapes."""
    chance = np.random.default_rng(0)
    shapes = {}
    for index, kernel in enumerate(kernels):
        shapes[f"conv2d_{first + index}", "kernel"] = kernel
        shapes[f"conv2d_{first + index}", "bias"] = kernel[-1:]
    for index, width in enumerate(norms):
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"batch_normalization_{first + index}", part] = (width,)
    for index, kernel in enumerate(((1024, 16), (16, 1))):
        shapes[f"dense_{first + index}", "kernel"] = kernel
        shapes[f"dense_{first + index}", "bias"] = kernel[-1:]
    with h5py.File(path, "w") as file:
        for (layer, part), shape in shapes.items():
            values = chance.normal(0, 0.2, spoilt.get(f"{layer}_{part}", shape))
            file[f"{layer}/{layer}/{part}:0"] = (np.abs(values) + 0.5 if part == "moving_variance" else values).astype("f4")  # fmt: skip
    return path


@pytest.fixture(scope="module")
def meso4(tmp_path_factory):
    return keras_file(tmp_path_factory.mktemp("h5") / "meso4.h5", mesonet._MESO4, MESO4_NORMS, first=5)


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    return keras_file(tmp_path_factory.mktemp("h5") / "inception.h5", mesonet._INCEPTION, INCEPTION_NORMS)


def convolved(image, kernel, bias, dilation=1):
    """Keras' `same` convolution and ReLU, channels last, by SciPy."""
    wide = np.zeros((dilation * (kernel.shape[0] - 1) + 1, dilation * (kernel.shape[1] - 1) + 1, *kernel.shape[2:]))
    wide[::dilation, ::dilation] = kernel
    found = [
        sum(correlate2d(image[..., i], wide[..., i, o], "same") for i in range(image.shape[-1])) + bias[o]
        for o in range(kernel.shape[-1])
    ]
    return np.maximum(np.stack(found, -1), 0)


def normed_and_pooled(x, norm, pool):
    x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 1e-3) * norm["gamma"] + norm["beta"]
    return x.reshape(x.shape[0] // pool, pool, x.shape[1] // pool, pool, -1).max((1, 3))


def by_hand(layers, image):
    """P(real) of one float image (256, 256, 3), from the paper's figures."""
    convolutions = [(layer["kernel"], layer["bias"]) for layer in layers["conv2d"]]
    x = image
    for block, (pool, norm) in enumerate(zip((2, 2, 2, 4), layers["batch_normalization"], strict=True)):
        if len(convolutions) == 16 and block < 2:
            own = convolutions[7 * block : 7 * block + 7]
            branches = [convolved(x, *own[0])]
            for at, dilation in ((1, 1), (3, 2), (5, 3)):
                branches.append(convolved(convolved(x, *own[at]), *own[at + 1], dilation))
            x = np.concatenate(branches, -1)
        else:
            x = convolved(x, *convolutions[block + (12 if len(convolutions) == 16 else 0)])
        x = normed_and_pooled(x, norm, pool)
    (first, second) = layers["dense"]
    hidden = x.ravel() @ first["kernel"] + first["bias"]
    hidden = np.where(hidden > 0, hidden, 0.1 * hidden)
    return 1 / (1 + np.exp(-(hidden @ second["kernel"] + second["bias"])[0]))


@pytest.mark.parametrize("weights", ["meso4", "inception"])
def test_the_forward_pass_is_the_papers(weights, request):
    layers = mesonet.read(request.getfixturevalue(weights))
    image = np.random.default_rng(1).random((256, 256, 3)).astype(np.float32)
    assert mesonet.MesoNet(layers)(image[None])[0] == pytest.approx(by_hand(layers, image), abs=1e-4)


def test_a_high_sigmoid_is_a_real_face(meso4, portrait, encode):
    scorer = mesonet.load(meso4)
    content = encode(portrait, "PNG")
    crops = scorer._cut(content)
    real = mesonet.MesoNet(mesonet.read(meso4))(crops.astype(np.float32) / 255)
    assert scorer.answers([content])[0].score == pytest.approx(1 - real.min())


def test_layers_are_taken_by_number_not_by_name_order(tmp_path):
    late = keras_file(tmp_path / "late.h5", mesonet._INCEPTION, INCEPTION_NORMS, first=8)  # 8, 9, 10, ...
    early = keras_file(tmp_path / "early.h5", mesonet._INCEPTION, INCEPTION_NORMS, first=1)
    for one, other in zip(mesonet.read(late)["conv2d"], mesonet.read(early)["conv2d"], strict=True):
        assert np.array_equal(one["kernel"], other["kernel"])


@pytest.mark.parametrize(
    ("kernels", "norms", "spoilt", "words"),
    [
        (mesonet._MESO4[:3], MESO4_NORMS, {}, "no MesoNet"),
        (mesonet._MESO4, (8, 8, 16, 8), {}, "batch_normalization"),
        (mesonet._MESO4, INCEPTION_NORMS, {}, "batch_normalization"),
        (mesonet._MESO4, MESO4_NORMS, {"dense_1_kernel": (512, 16)}, "dense"),
        (mesonet._MESO4, MESO4_NORMS, {"conv2d_2_kernel": (3, 3, 8, 8)}, "no MesoNet"),
        (mesonet._MESO4, MESO4_NORMS, {"conv2d_2_bias": (7,)}, "bias"),
        (mesonet._MESO4, MESO4_NORMS, {"batch_normalization_3_beta": (4,)}, "beta"),
    ],
)
def test_weights_that_do_not_fit_are_refused(kernels, norms, spoilt, words, tmp_path):
    path = keras_file(tmp_path / "x.h5", kernels, norms, **spoilt)
    with pytest.raises(ReleaseError, match=words):
        mesonet.load(path)


def test_what_is_no_keras_file_is_refused(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with pytest.raises(ReleaseError, match="HDF5"):
        mesonet.load(tmp_path / "x.h5")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["lstm_1/lstm_1/kernel:0"] = np.zeros(3)
    with pytest.raises(ReleaseError, match="lstm_1"):
        mesonet.load(tmp_path / "y.h5")


def test_a_peer_sees_our_finders_faces_and_fails_file_by_file(meso4, portrait, landscape, encode):
    answers = mesonet.load(meso4).answers(
        [encode(landscape, "PNG"), encode(portrait, "JPEG"), b"", encode(portrait.resize((256, 256)), "PNG")]
    )
    assert [answer.failure for answer in answers] == ["no_face", "", "empty-file", "face_too_small"]
    assert 0 <= answers[1].score <= 1


def graph(path, kind, outputs=1, size=8, batch="n"):
    """An ONNX file whose output(s) are the means of the first channel(s) of its input, float NCHW or uint8 NHWC."""
    last = kind == TensorProto.UINT8
    shape = [batch, size, size, 3] if last else [batch, 3, size, size]
    source = helper.make_tensor_value_info("image", kind, shape)
    target = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", outputs])
    nodes = [helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT)]
    axes = numpy_helper.from_array(np.array([1, 2] if last else [2, 3]), "axes")
    nodes.append(helper.make_node("ReduceMean", ["real", "axes"], ["means"], keepdims=0))
    ends = [
        numpy_helper.from_array(np.array([value]), name) for name, value in (("from", 0), ("to", outputs), ("one", 1))
    ]
    nodes.append(helper.make_node("Slice", ["means", "from", "to", "one"], ["out"]))
    model = helper.make_graph(nodes, "means", [source], [target], [axes, *ends])
    onnx.save(helper.make_model(model, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_a_bare_graph_is_fed_and_read_as_the_words_beside_it_say(tmp_path):
    path = graph(tmp_path / "x.onnx", TensorProto.FLOAT)
    crops = np.full((2, 8, 8, 3), (255, 0, 0), np.uint8)
    plain = bare.load(path)._judge(crops)
    assert plain == pytest.approx([1 / (1 + np.exp(-(1 - 0.485) / 0.229))] * 2)
    words = {"mean": [0, 0, 0], "std": [1, 1, 1], "output": "probability", "polarity": "real", "cut": 0.3}
    (tmp_path / "x.json").write_text(json.dumps(words))
    told = bare.load(path)
    assert told._judge(crops // 2) == pytest.approx([1 - 127 / 255] * 2)
    assert told.cuts == {"even": 0.3}
    assert told.digest != bare.load(graph(tmp_path / "y.onnx", TensorProto.FLOAT)).digest


def test_of_two_outputs_the_named_one_is_fake(tmp_path):
    path = graph(tmp_path / "x.onnx", TensorProto.UINT8, outputs=2)
    crops = np.full((1, 8, 8, 3), (2, 1, 0), np.uint8)
    assert bare.load(path)._judge(crops) == pytest.approx([1 / (1 + np.e)])
    (tmp_path / "x.json").write_text('{"fake_index": 0}')
    assert bare.load(path)._judge(crops) == pytest.approx([np.e / (1 + np.e)])


@pytest.mark.parametrize("words", ['{"margins": 1}', '{"polarity": "yes"}', "nothing"])
def test_words_that_mean_nothing_are_refused(words, tmp_path):
    path = graph(tmp_path / "x.onnx", TensorProto.FLOAT)
    (tmp_path / "x.json").write_text(words)
    with pytest.raises(ReleaseError, match=r"x\.json"):
        bare.load(path)


def test_a_graph_of_any_size_must_be_told_one(tmp_path):
    path = graph(tmp_path / "x.onnx", TensorProto.FLOAT, size="s")
    with pytest.raises(ReleaseError, match="size"):
        bare.load(path)
    (tmp_path / "x.json").write_text('{"size": 8}')
    assert bare.load(path)._cutting.size == 8


def test_a_graph_for_one_crop_is_asked_crop_by_crop_and_for_two_is_refused(tmp_path):
    crops = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (0, 1, 2)])
    any_number = bare.load(graph(tmp_path / "any.onnx", TensorProto.UINT8))._judge(crops)
    assert bare.load(graph(tmp_path / "one.onnx", TensorProto.UINT8, batch=1))._judge(crops) == pytest.approx(
        any_number
    )
    with pytest.raises(ReleaseError, match="at a time"):
        bare.load(graph(tmp_path / "two.onnx", TensorProto.UINT8, batch=2))


def test_our_own_graph_is_read_as_our_release_reads_it(detector, portrait, encode):
    release = releases.read()
    peer = bare.load(release.file(releases.GRAPH), release.file(releases.FACES))
    answer = peer.answers([encode(portrait, "PNG")])[0].score
    crops = peer._cut(encode(portrait, "PNG"))
    assert crops.shape[1:] == (release.preprocessing.size, release.preprocessing.size, 3)
    ours = detector.score([encode(portrait, "PNG")])[0].score
    logit = (np.log(ours / (1 - ours)) - release.calibration.bias) * release.calibration.temperature
    assert answer == pytest.approx(faces.sigmoid(logit), abs=1e-3)


@pytest.mark.parametrize(("words", "through"), [({}, False), ({"through": True}, True), ({"through": False}, False)])
def test_what_lies_beside_a_graph_says_whether_faces_come_through_a_view(tmp_path, words, through):
    path = graph(tmp_path / "net.onnx", TensorProto.UINT8)
    path.with_suffix(".json").write_text(json.dumps(words))
    assert bare.load(path)._cutting == Cutting(8, 1.15, through)


def test_paths_are_told_apart_by_what_they_are(meso4, tmp_path):
    assert opening.opened(meso4).name == "meso4"
    assert opening.opened(releases.default_path(), "cpu").name.startswith("unmask-lite ")
    assert opening.opened(graph(tmp_path / "any.onnx", TensorProto.FLOAT)).name == "any"
    with pytest.raises(ReleaseError, match=r"\.h5"):
        opening.opened(tmp_path / "x.txt")
