"""Somebody else's network serves as a release, and says what it said before; what does not fit is told in a line."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from cli.release import release as command
from model import backends, bands, imports, procedural, releases, verification
from model.detector import Detector
from model.errors import ReleaseError
from model.imports import checkpoints, graphs
from model.imports.chains import Meaning
from model.imports.graphs import Framing

SIDE = 16
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
IMAGENET = Framing(MEAN, STD)
PLAIN = Meaning()
CROPS = np.stack([procedural.noise(SIDE, 0), procedural.gradient(SIDE), np.full((SIDE, SIDE, 3), 200, np.uint8)])


def network(classes=1, batch="n", channels=3, layout="nchw", last=None, kind=TensorProto.FLOAT, side=SIDE, opset=13):
    """A graph whose outputs are weighted means of the colours: simple enough to compute by hand."""
    chance = np.random.default_rng(0)
    weight = chance.normal(size=(channels if isinstance(channels, int) else 3, classes)).astype(np.float32)
    shape = [batch, channels, side, side] if layout == "nchw" else [batch, side, side, channels]
    nodes = [helper.make_node("Cast", ["seen"], ["real"], to=TensorProto.FLOAT)]
    if layout == "nhwc":
        nodes.append(helper.make_node("Transpose", ["real"], ["turned"], perm=[0, 3, 1, 2]))
    nodes += [
        helper.make_node("GlobalAveragePool", ["turned" if layout == "nhwc" else "real"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["crops" if last else "logits"]),  # names that we use ourselves
    ]
    if last:
        nodes.append(helper.make_node(last, ["crops"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("seen", kind, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), weight


def wrapped(tmp_path, model, framing=IMAGENET, meaning=PLAIN, **options):
    onnx.save_model(model, tmp_path / "theirs.onnx")
    return imports.wrap(
        tmp_path / "theirs.onnx",
        tmp_path / "ours",
        **{"framing": framing, "meaning": meaning, "margin": 1.3, "name": "theirs", "version": "1.0.0", **options},
    )


def said(model, framing=IMAGENET, meaning=PLAIN):
    served, size = graphs.served(model, framing, meaning)
    assert size == SIDE
    session = onnxruntime.InferenceSession(served.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"crops": CROPS})[0][:, 0]


def of_release(release, crops=CROPS):
    return backends.OnnxBackend(release, 1).forward(crops)[:, 0]


def by_hand(weight, crops=CROPS, mean=MEAN, std=STD):
    return ((crops / 255 - mean) / std).mean(axis=(1, 2)) @ weight


def test_a_logit_of_fake_is_what_it_was():
    model, weight = network()
    assert said(model) == pytest.approx(by_hand(weight)[:, 0], abs=1e-4)


def test_a_logit_of_real_changes_its_sign():
    model, weight = network()
    assert said(model, meaning=Meaning("real")) == pytest.approx(-by_hand(weight)[:, 0], abs=1e-4)


@pytest.mark.parametrize("polarity", ["fake", "real"])
def test_a_probability_becomes_its_logit(polarity):
    model, weight = network(last="Sigmoid")
    sign = 1 if polarity == "fake" else -1
    assert said(model, meaning=Meaning(polarity, "probability")) == pytest.approx(
        sign * by_hand(weight)[:, 0], abs=1e-3
    )


@pytest.mark.parametrize(("last", "scale"), [(None, "logit"), ("Softmax", "probability")])
@pytest.mark.parametrize("polarity", ["fake", "real"])
def test_one_class_of_several_is_set_against_all_others(last, scale, polarity):
    model, weight = network(classes=3, last=last)
    logits = by_hand(weight)
    expected = logits[:, 2] - np.logaddexp(logits[:, 0], logits[:, 1])
    sign = 1 if polarity == "fake" else -1
    assert said(model, meaning=Meaning(polarity, scale, index=2)) == pytest.approx(sign * expected, abs=1e-3)


def test_channels_last_and_blue_first():
    model, weight = network(layout="nhwc")
    assert said(model, Framing(MEAN, STD, bgr=True)) == pytest.approx(by_hand(weight, CROPS[..., ::-1])[:, 0], abs=1e-4)


def test_whole_numbers_are_given_as_they_are():
    model, weight = network(kind=TensorProto.UINT8)
    expected = CROPS.mean(axis=(1, 2)) @ weight
    assert said(model, Framing()) == pytest.approx(expected[:, 0], rel=1e-4)


def test_a_batch_that_is_only_written_down_is_set_free(tmp_path):
    model, weight = network(batch=1)
    release = wrapped(tmp_path, model)
    assert backends.OnnxBackend(release, 1)._fixed is None
    assert of_release(release) == pytest.approx(by_hand(weight)[:, 0], abs=1e-4)


def test_a_batch_that_is_built_in_is_filled(tmp_path):
    model, weight = network(batch=2)
    pooled = next(node for node in model.graph.node if node.op_type == "Flatten")
    pooled.op_type = "Reshape"
    del pooled.attribute[:]
    pooled.input.append("shape")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "shape"))
    release = wrapped(tmp_path, model)
    assert backends.OnnxBackend(release, 1)._fixed == 2
    for count in (1, 2, 3):
        expected = by_hand(weight, CROPS[:count])[:, 0]
        assert of_release(release, CROPS[:count]) == pytest.approx(expected, abs=1e-4)


def test_it_serves_like_any_other_and_makes_up_no_head(tmp_path, portrait, landscape, encode):
    release = wrapped(tmp_path, network()[0])
    assert verification.sound(verification.verify(release.directory))
    face, none = Detector.load(release.directory, "cpu").score([encode(portrait, "PNG"), encode(landscape, "PNG")])
    assert len(face.faces) == 1
    assert set(face.reasons) <= {bands.FAKE_FACE}
    assert (none.band, none.reasons) == (bands.INCONCLUSIVE, (bands.NO_FACE,))
    assert 0 <= none.score <= 1


def test_a_timm_checkpoint_says_what_timm_says(tmp_path):
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model("test_resnet", num_classes=2).eval()
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    release = imports.wrap(
        tmp_path / "theirs.safetensors", tmp_path / "ours", framing=Framing(MEAN, STD, 64), meaning=Meaning(index=1),
        margin=1.3, name="theirs", version="1.0.0", architecture="test_resnet",
    )  # fmt: skip
    crops = np.stack([procedural.noise(64, 0), procedural.gradient(64)])
    pixels = torch.from_numpy(((crops / 255 - MEAN) / STD).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits = theirs(pixels)
    assert of_release(release, crops) == pytest.approx((logits[:, 1] - logits[:, 0]).numpy(), abs=1e-3)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
@pytest.mark.parametrize("wrapping", [None, "state_dict", "model"])
def test_what_frameworks_wrap_around_weights_is_taken_off(tmp_path, wrapping, prefix):
    weights = {f"{prefix}{name}": torch.ones(2) for name in ("fc.weight", "fc.bias")}
    torch.save({wrapping: weights, "epoch": 3} if wrapping else weights, tmp_path / "theirs.pth")
    assert set(checkpoints.read(tmp_path / "theirs.pth")) == {"fc.weight", "fc.bias"}


def test_nothing_in_a_pickle_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"state_dict": Trap()}, tmp_path / "theirs.pth")
    with pytest.raises(ReleaseError, match="without running code"):
        wrapped_checkpoint(tmp_path, "theirs.pth")
    assert not (tmp_path / "sprung").exists()


def wrapped_checkpoint(tmp_path, name, architecture="test_resnet"):
    return imports.wrap(
        tmp_path / name, tmp_path / "ours", framing=IMAGENET, meaning=Meaning(), margin=1.3, name="a", version="1",
        architecture=architecture,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "words"),
    [("no_such_network", "timm's no_such_network"), ("test_vit", "does not fit|holds no"), (None, "--architecture")],
)
def test_a_checkpoint_of_another_network_is_refused(tmp_path, architecture, words):
    import timm

    save_file(timm.create_model("test_resnet", num_classes=2).state_dict(), tmp_path / "theirs.safetensors")
    with pytest.raises(ReleaseError, match=words):
        wrapped_checkpoint(tmp_path, "theirs.safetensors", architecture)


@pytest.mark.parametrize(
    ("model", "framing", "meaning", "words"),
    [
        (network(channels=1)[0], IMAGENET, Meaning(), "three-channel"),
        (network(classes=2)[0], IMAGENET, Meaning(), "2 outputs"),
        (network(classes=2)[0], IMAGENET, Meaning(index=2), "2 outputs"),
        (network()[0], IMAGENET, Meaning(index=1), "one output"),
        (network()[0], Framing(), Meaning(), "--mean and --std"),
        (network()[0], Framing(MEAN, STD, size=32), Meaning(), "one size"),
        (network(side="side")[0], IMAGENET, Meaning(), "--size"),
        (network(channels="c", side="side")[0], IMAGENET, Meaning(), "--layout"),
        (network()[0], Framing(MEAN, STD, layout="nhwc"), Meaning(), "takes no nhwc"),
        (network()[0], IMAGENET, Meaning(output="other"), "--output"),
        (network(kind=TensorProto.UINT8)[0], IMAGENET, Meaning(), "leave out --mean"),
        (network(kind=TensorProto.INT64)[0], IMAGENET, Meaning(), "INT64"),
        (network(opset=8)[0], IMAGENET, Meaning(), "opset 8"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_one_line(tmp_path, model, framing, meaning, words):
    with pytest.raises(ReleaseError, match=words) as refused:
        wrapped(tmp_path, model, framing, meaning)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "ours").exists()


def test_inputs_of_another_kind_are_refused(tmp_path):
    model, _ = network()
    flat = helper.make_tensor_value_info("seen", TensorProto.FLOAT, ["n", 3])
    del model.graph.input[:]
    model.graph.input.append(flat)
    with pytest.raises(ReleaseError, match=r"four dimensions|cannot be"):
        wrapped(tmp_path, model)
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["n", 3]))
    with pytest.raises(ReleaseError, match="2 inputs"):
        wrapped(tmp_path, model)


def test_a_network_without_numbers_is_refused(tmp_path):
    model, _ = network(last="Log")  # of negative numbers
    with pytest.raises(ReleaseError, match="no number"):
        wrapped(tmp_path, model)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x07"])
def test_a_file_that_is_no_graph_is_refused(tmp_path, content):
    (tmp_path / "theirs.onnx").write_bytes(content)
    with pytest.raises(ReleaseError):
        imports.wrap(tmp_path / "theirs.onnx", tmp_path / "ours", framing=IMAGENET, meaning=Meaning(), margin=1.3,
                     name="a", version="1")  # fmt: skip


def test_a_directory_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "mine.txt").write_text("mine")
    with pytest.raises(ReleaseError, match="not empty"):
        wrapped(tmp_path, network()[0])
    assert [path.name for path in (tmp_path / "ours").iterdir()] == ["mine.txt"]


def test_people_import_and_verify_on_the_command_line(tmp_path):
    onnx.save_model(network(classes=2)[0], tmp_path / "theirs.onnx")
    out = tmp_path / "theirs-1.0.0"
    done = CliRunner().invoke(
        command,
        ["import", str(tmp_path / "theirs.onnx"), "--out", str(out), "--mean", "0.5", "--std", "0.2,0.25,0.3",
         "--polarity", "real", "--scale", "logit", "--index", "0"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert releases.read(out).preprocessing == releases.Preprocessing(SIDE, 1.3, (0.5, 0.5, 0.5), (0.2, 0.25, 0.3))
    done = CliRunner().invoke(command, ["verify", str(out), "--json"])
    assert json.loads(done.stdout)["sound"] is True
    (out / releases.GRAPH).write_bytes(b"changed")
    done = CliRunner().invoke(command, ["verify", str(out)])
    assert done.exit_code == 1
    assert "NOT what it was" in done.stdout


def test_numbers_that_are_none_are_told(tmp_path):
    (tmp_path / "theirs.onnx").write_bytes(b"")
    done = CliRunner().invoke(
        command,
        ["import", str(tmp_path / "theirs.onnx"), "--out", str(tmp_path / "o"), "--mean", "1,2", "--std", "1",
         "--polarity", "fake", "--scale", "logit"],
    )  # fmt: skip
    assert done.exit_code == 2
    assert "three with commas" in done.output
