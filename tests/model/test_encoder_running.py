"""The encoder's graph, its int8 form and its torch form give the same features."""

import numpy as np
import onnx
import pytest

from model.encoder import golden, graph, quantisation, running, towers
from model.encoder import weights as reading
from model.encoder.running import OnnxEncoder, TorchEncoder
from model.encoder.weights import Shape
from model.errors import DeviceError, EncoderError
from model.lab import ranges
from tests.model import encoders

INT8 = 0.999  # the least cosine of a part of a golden crop's features: .9998 was measured


@pytest.fixture(scope="module")
def weights():
    return encoders.tiny()


@pytest.fixture(scope="module")
def plain(weights):
    """Features of the golden crops in float32."""
    return encoders.features(graph.build(weights, None, encoders.BLOCKS))


@pytest.fixture(scope="module")
def recipe(weights):
    return encoders.recipe(weights)


@pytest.mark.parametrize("blocks", [encoders.BLOCKS, (2, 4), (3,)])
@pytest.mark.parametrize("shape", [encoders.SHAPE, Shape(128, 4, 2, 256, 224, 56)], ids=["one head", "two heads"])
def test_onnx_and_torch_agree(blocks, shape):
    weights = encoders.tiny(1, shape)
    crops = golden.crops()[:3]
    found = encoders.features(graph.build(weights, None, blocks), crops)
    in_torch = TorchEncoder(weights, blocks)
    assert found.shape == (3, in_torch.width) == (3, 2 * len(blocks) * shape.width)
    assert np.abs(found - in_torch.features(crops)).max() < 1e-3


def test_the_int8_graph_stays_near_the_float_graph(weights, recipe, plain):
    found = encoders.features(graph.build(weights, recipe, encoders.BLOCKS))
    cosines = golden.cosines(found, plain, 2 * len(encoders.BLOCKS))
    assert cosines.shape == (8, 8)
    assert INT8 < cosines.min() < 1


def test_every_linear_layer_is_quantised(weights, recipe):
    kinds = [node.op_type for node in graph.build(weights, recipe, encoders.BLOCKS).graph.node]
    assert kinds.count("QuantizeLinear") == 4 * encoders.SHAPE.depth
    assert "QuantizeLinear" not in [node.op_type for node in graph.build(weights, None, encoders.BLOCKS).graph.node]


def test_the_same_weights_and_recipe_give_the_same_graph(weights, recipe):
    first, second = (graph.build(encoders.tiny(), recipe, encoders.BLOCKS) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()
    assert graph.digest(first) != graph.digest(graph.build(encoders.tiny(1), recipe, encoders.BLOCKS))


@pytest.mark.parametrize("make", ["onnx", "torch"])
@pytest.mark.parametrize("count", [0, 1, running.RUN, running.RUN + 1])
def test_any_number_of_crops_is_answered_one_by_one(weights, make, count):
    model = graph.build(weights, None, (1, 2))
    encoder = OnnxEncoder(model.SerializeToString(), 1) if make == "onnx" else TorchEncoder(weights, (1, 2))
    crops = np.resize(golden.crops(), (count, 224, 224, 3))
    found = encoder.features(crops)
    assert found.shape == (count, encoder.width)
    assert found.dtype == np.float32
    assert encoder.device == "cpu"
    if count:
        assert np.abs(found[-1:] - encoder.features(crops[-1:])).max() < 1e-3


@pytest.mark.parametrize("count", [1, running.RUN, running.RUN + 1])
def test_a_compiled_network_sees_one_shape_only(weights, count, monkeypatch):
    """Compiling takes a compiler and a minute, so this looks at what would be compiled."""
    shapes = []

    def compiled(function):
        def ran(pixels):
            shapes.append(tuple(pixels.shape))
            return function(pixels)

        return ran

    monkeypatch.setattr("torch.compile", compiled)
    crops = np.resize(golden.crops(), (count, 224, 224, 3))
    found = TorchEncoder(weights, (1, 2), compiled=True).features(crops)
    assert set(shapes) == {(running.RUN, 224, 224, 3)}
    assert np.abs(found - TorchEncoder(weights, (1, 2)).features(crops)).max() < 1e-3


def test_an_encoder_says_which_graph_it_runs(weights, tmp_path):
    model = graph.build(weights, None, (1,))
    path = tmp_path / "graph.onnx"
    onnx.save(model, path)
    unnamed = OnnxEncoder(path, 1).digest
    assert unnamed == encoders.sha256(path)
    onnx.helper.set_model_props(model, {running.DIGEST: graph.digest(model)})
    assert OnnxEncoder(model.SerializeToString(), 1).digest == graph.digest(model)


def test_the_digest_in_torch_follows_weights_and_blocks(weights):
    one, again = TorchEncoder(weights, (1, 2)), TorchEncoder(dict(reversed(weights.items())), (1, 2))
    assert one.digest == again.digest
    assert len({one.digest, TorchEncoder(weights, (1, 3)).digest, TorchEncoder(encoders.tiny(1), (1, 2)).digest}) == 3


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x09"])
def test_a_file_that_is_no_graph_is_refused(content, tmp_path):
    path = tmp_path / "graph.onnx"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match="not an encoder graph"):
        OnnxEncoder(path, 1)


def test_weights_that_are_incomplete_are_refused(weights):
    kept = {name: array for name, array in weights.items() if name != "blocks.1.mlp.fc2.bias"}
    with pytest.raises(EncoderError, match=r"lack blocks\.1\.mlp\.fc2\.bias"):
        TorchEncoder(kept, encoders.BLOCKS)


def test_a_device_that_is_not_there_is_refused(weights):
    import torch

    with pytest.raises(DeviceError):
        TorchEncoder(weights, (1,), f"cuda:{torch.cuda.device_count()}")


def test_the_published_layout_is_read_exactly(tmp_path, weights):
    path = tmp_path / "source.onnx"
    onnx.save(encoders.published_graph(weights), path)
    found = reading.read(path)
    assert set(found) == set(weights)
    for name, array in weights.items():
        quantised = array.ndim == 2
        bound = np.abs(array).max(axis=1, keepdims=True) / 127 * 0.51 if quantised else 0
        assert (np.abs(found[name] - array) <= bound).all(), name
    assert towers.network(found, encoders.SHAPE, 4)


def test_ranges_are_those_of_each_layers_input(weights):
    crops = golden.crops()[:5]
    whole = ranges.measure(weights, crops)
    assert len(whole) == 4 * encoders.SHAPE.depth
    assert whole["blocks.0.mlp.fc2"].low.shape == (encoders.SHAPE.hidden,)
    # The first layer reads the first LayerNorm of the tokens, which torch can say as well.
    seen = _first_norm(weights, crops)
    assert np.allclose(whole["blocks.0.attn.qkv"].low, seen.min(axis=(0, 1)), atol=1e-4)
    assert np.allclose(whole["blocks.0.attn.qkv"].high, seen.max(axis=(0, 1)), atol=1e-4)


def test_ranges_do_not_depend_on_how_crops_are_batched(weights, monkeypatch):
    crops, counted = golden.crops(), []
    whole = ranges.measure(weights, crops, done=counted.append)
    monkeypatch.setattr(ranges, "RUN", 3)
    parts = ranges.measure(weights, crops, done=counted.append)
    assert counted == [8, 3, 3, 2]
    for name, span in whole.items():
        assert np.allclose(span.low, parts[name].low, atol=1e-4), name
        assert np.allclose(span.high, parts[name].high, atol=1e-4), name


def test_a_recipe_is_read_as_it_was_written(recipe, tmp_path):
    recipe.write(tmp_path / "recipe.npz")
    found = quantisation.read(tmp_path / "recipe.npz")
    assert found.layers.keys() == recipe.layers.keys()
    for name, layer in recipe.layers.items():
        assert np.array_equal(found.layers[name].smoothing, layer.smoothing)
        assert (found.layers[name].low, found.layers[name].high) == (layer.low, layer.high)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text"])
def test_a_file_that_is_no_recipe_is_refused(content, tmp_path):
    path = tmp_path / "recipe.npz"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match="not a quantisation recipe"):
        quantisation.read(path)


def _first_norm(weights, crops):
    import torch

    network = towers.network(weights, encoders.SHAPE, 1)
    seen = []
    network.blocks[0].norm1.register_forward_hook(lambda _module, _given, made: seen.append(made.numpy()))
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (graph.MEAN, graph.STD))
    network.forward_features((pixels - mean) / std)
    return seen[0]


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("flags : fpu avx2 avx512_vnni", True),
        ("flags : avx_vnni", True),
        ("flags : avx2 avx512f", False),
        (None, False),
    ],
)
def test_the_exact_product_is_asked_for_where_the_processor_needs_it(tmp_path, monkeypatch, flags, has):
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(running, "CPUINFO", tmp_path / "cpuinfo")
    running._has_vnni.cache_clear()
    assert running._has_vnni() is has
    running._has_vnni.cache_clear()
