"""Every network of the reference projects is built, takes two steps, and is the same network as a graph."""

import io
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from model import exporting, networks
from model.errors import ReleaseError
from model.networks import bodies, cues
from model.training import objective

PLAIN = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PROJECTS = (
    "alexnet", "vgg16", "vgg19", "resnet50", "densenet121", "densenet264", "efficientnet_b0", "efficientnet_b5",
    "efficientnet_b7", "tf_efficientnetv2_b0", "mobilenetv3_large_100", "mobilenetv3_large_075", "mobilenetv2_100",
    "convnext_tiny", "convnextv2_tiny", "volo_d2_224", "legacy_xception", "dense_student", "block_student",
)  # fmt: skip


RELEASE_ONLY = ("alexnet", "vgg16", "vgg19", "volo_d2_224")  # adaptive pooling upwards, folding


def crops_of(count, size):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8))


def session(name, network, size, path):
    """A session on the network's graph. Most are traced by the exporter that takes seconds where a release's takes a
    minute; it lacks operators of some.
    """
    if name in RELEASE_ONLY:
        exporting.export(network, size, path)
        return started(str(path))
    graph = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (crops_of(2, size),), graph, dynamo=False, input_names=["crops"], output_names=["logits"],
            dynamic_axes={"crops": {0: "n"}}, opset_version=17, do_constant_folding=False,
        )  # fmt: skip
    return started(graph.getvalue())


def started(graph):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_network_takes_two_steps_and_is_the_same_as_a_graph(name, tmp_path):
    size, crops = 64, crops_of(2, 64)
    network = networks.create(name, *PLAIN, size=size)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, foreach=False)  # no second copy of VGG
    before = network.heads[1].weight.detach().clone()
    for _ in range(2):
        optimiser.zero_grad(set_to_none=False)
        objective.loss_of(network.train()(crops), torch.tensor([0, 1]), 0.0).backward()
        optimiser.step()
    assert not torch.equal(before, network.heads[1].weight)
    with torch.no_grad():
        expected = network.eval()(crops).numpy()
    got = session(name, network, size, tmp_path / "graph.onnx").run(
        ["logits"], {"crops": torch.cat([crops, crops]).numpy()}
    )[0]
    assert np.abs(got[:2] - expected).max() <= 1e-3
    assert np.abs(got[2:] - expected).max() <= 1e-3


def test_the_students_have_the_size_they_are_described_with():
    dense = networks.create("dense_student", *PLAIN, size=256)
    assert round(sum(parameter.numel() for parameter in dense.parameters()) / 1e6, 1) == 31.5
    assert networks.one_size_only("dense_student")
    assert not networks.one_size_only("block_student")


def test_densenet_264_has_the_layers_of_its_name():
    body, width = bodies.build("densenet264", "none", 3, 64)
    convolutions = sum(isinstance(layer, torch.nn.Conv2d) for layer in body.modules())
    assert convolutions == 264  # blocks of 6, 12, 64 and 48 as in the paper, which counts no classifier here
    assert width == 2688


def test_weights_come_from_a_file_with_their_original_head(tmp_path):
    import timm

    original = timm.create_model("test_resnet").eval()
    save_file(original.state_dict(), tmp_path / "a.safetensors")
    network = networks.create("test_resnet", *PLAIN, str(tmp_path / "a.safetensors"))
    assert torch.equal(network.backbone.conv1[0].weight, original.conv1[0].weight)
    with pytest.raises(ReleaseError, match="cannot build test_vit"):
        networks.create("test_vit", *PLAIN, str(tmp_path / "a.safetensors"))
    with pytest.raises(ReleaseError, match=r"network\.pretrained: there is no file"):
        networks.create("test_resnet", *PLAIN, str(tmp_path / "b.safetensors"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mobilenetv2_100", "model.safetensors of https://huggingface.co/timm/mobilenetv2_100.ra_in1k"),
        ("densenet264d", "nobody has published"),
        ("block_student", "nobody has published"),
        ("resnet_fifty", "neither timm nor Unmask has a network resnet_fifty"),
    ],
)
def test_weights_that_cannot_be_had_are_named(monkeypatch, tmp_path, name, told):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ReleaseError, match=told):
        networks.create(name, *PLAIN, "imagenet")


def test_local_cues_are_what_upsampling_leaves():
    even = torch.arange(16.0).view(1, 1, 4, 4)
    assert cues.residual(even.repeat_interleave(2, 2).repeat_interleave(2, 3)).abs().max() == 0
    assert cues.residual(even)[0, 0, 0].tolist() == [0, 1, 0, 1]
    assert cues.with_residual(torch.zeros(2, 3, 8, 8)).shape == (2, 6, 8, 8)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "alexnet"])
def test_local_cues_are_channels_of_any_network_and_travel_with_its_weights(tmp_path, name):
    network = networks.create(name, *PLAIN, size=160, local_cues=True, hidden=8).eval()
    crops = crops_of(2, 160)
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    again = networks.load(name, *PLAIN, tmp_path / "a.safetensors", 160)
    assert torch.equal(again(crops), network(crops))
    assert "local_cues" in load_file(tmp_path / "a.safetensors")


def test_kernels_of_three_channels_serve_six(tmp_path):
    import timm

    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "a.safetensors")
    plain, wide = (
        networks.create("test_resnet", *PLAIN, str(tmp_path / "a.safetensors"), local_cues=cued)
        .backbone.conv1[0]
        .weight
        for cued in (False, True)
    )
    assert torch.allclose(wide, torch.cat([plain, plain], dim=1) / 2)


def test_weights_of_another_network_are_refused():
    state = networks.create("test_resnet", *PLAIN).state_dict()
    with pytest.raises(ReleaseError, match="do not fit"):
        networks.restored("test_convnext", *PLAIN, state)


def test_a_map_needs_features_of_three_strides():
    with pytest.raises(ReleaseError, match=r"loss\.map_weight"):
        networks.create("dense_student", *PLAIN, size=64, with_map=True)
