"""A delta tunes the encoder's LayerNorms, alike in its graph and in torch, and is refused where it does not belong."""

import dataclasses
import io

import numpy as np
import pytest

from model import backends, probes, releases
from model.bands import Thresholds
from model.calibration import Calibration
from model.encoder import delta as deltas
from model.encoder import golden, graph, quantisation, running, sources, store
from model.encoder import weights as reading
from model.encoder.record import EncoderRecord
from model.errors import EncoderError
from model.heads import HEADS
from model.releases import Preprocessing, Release
from tests.model import encoders


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("published")


@pytest.fixture(scope="module")
def published(home):
    return encoders.publish(home)


@pytest.fixture(scope="module")
def weights(home, published):
    return reading.read(home / "source.onnx")


@pytest.fixture(scope="module")
def delta(weights):
    chance = np.random.default_rng(1)
    wanted = deltas.names(reading.shape_of(weights))
    return {name: (0.1 * chance.standard_normal(weights[name].shape)).astype(np.float32) for name in wanted}


@pytest.fixture(scope="module")
def file(home, delta):
    deltas.write(home / "delta.npz", delta)
    return home / "delta.npz"


@pytest.fixture(scope="module")
def record(published, weights, delta, file):
    tuned = graph.build(deltas.apply(weights, delta), quantisation.read(published.recipe), encoders.BLOCKS)
    return dataclasses.replace(published.record, graph=graph.digest(tuned), delta=encoders.sha256(file))


@pytest.fixture(scope="module")
def cache(published, home):
    sources.fetch(published, home / "cache", home / "source.onnx")
    return home / "cache"


def test_a_delta_reads_as_it_was_written(delta, file):
    found = deltas.read(file)
    assert found.keys() == delta.keys()
    assert all(np.array_equal(found[name], delta[name]) for name in delta)
    assert file.stat().st_size < deltas.MOST


def test_a_delta_in_half_precision_reads_in_single(delta, tmp_path):
    np.savez(tmp_path / "half.npz", **{name: array.astype(np.float16) for name, array in delta.items()})
    found = deltas.read(tmp_path / "half.npz")
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert max(np.abs(found[name] - delta[name]).max() for name in delta) < 1e-3


def test_a_delta_of_all_norms_of_the_real_encoder_stays_below_the_limit(tmp_path):
    names = deltas.names(reading.Shape(768, 12, 12, 3072, 224, 16))
    deltas.write(tmp_path / "delta.npz", {name: np.zeros(768, np.float32) for name in names})
    assert len(names) == 50
    assert (tmp_path / "delta.npz").stat().st_size < deltas.MOST / 4


def test_what_lies_between_two_encoders_makes_the_one_into_the_other(weights, delta):
    tuned = deltas.apply(weights, delta)
    again = deltas.apply(weights, deltas.between(weights, tuned, list(delta)))
    assert all(again[name] == pytest.approx(tuned[name], abs=1e-6) for name in weights)
    assert not np.array_equal(tuned["blocks.0.norm1.weight"], weights["blocks.0.norm1.weight"])
    assert tuned["blocks.0.attn.qkv.weight"] is weights["blocks.0.attn.qkv.weight"]


def test_the_last_blocks_norms_are_named_alone():
    assert deltas.names(encoders.SHAPE, 3) == [f"blocks.3.norm{one}.{part}" for one in (1, 2)
                                               for part in ("weight", "bias")]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("blocks.0.attn.qkv.weight", (192, 64), "no LayerNorm of this encoder"),
        ("blocks.9.norm1.weight", (64,), "no LayerNorm of this encoder"),
        ("norm.weight", (64,), "no LayerNorm of this encoder"),
        ("blocks.0.norm1.weight", (65,), r"has the shape \(65,\), not \(64,\)"),
        ("blocks.0.norm1.weight", (), "has the shape"),
    ],
)
def test_a_delta_of_another_encoder_is_refused(weights, name, size, words):
    with pytest.raises(EncoderError, match=words):
        deltas.apply(weights, {name: np.zeros(size, np.float32)})


def archived(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no delta"),
        (b"not an archive", "is no delta"),
        (archived()[:-10], "is no delta"),
        (archived(), "holds no arrays"),
        (archived(a=np.array([{}], object)), "is no delta"),
        (archived(a=np.array([np.nan], np.float32)), "finite"),
        (archived(a=np.array([1, 2])), "finite float16 or float32"),
        (archived(a=np.zeros(300_000, np.float32)), "larger than 1 MB"),
    ],
    ids=["empty", "text", "torn", "no arrays", "a pickle", "not a number", "integers", "too large"],
)
def test_a_file_that_is_no_delta_is_refused(tmp_path, content, words):
    (tmp_path / "delta.npz").write_bytes(content)
    with pytest.raises(EncoderError, match=words):
        deltas.read(tmp_path / "delta.npz")


def test_a_delta_that_is_not_there_is_an_error_with_its_path(tmp_path):
    with pytest.raises(EncoderError, match=r"delta\.npz"):
        deltas.read(tmp_path / "delta.npz")


# In the cache


def test_a_tuned_graph_lies_beside_the_plain_one_and_answers_as_torch_does(published, cache, record, file):
    plain = store.graph(published.record, published.recipe, cache)
    tuned = store.graph(record, published.recipe, cache, file)
    assert tuned != plain
    assert store.graph(published.record, published.recipe, cache) == plain

    crops = golden.crops()
    at_work = running.OnnxEncoder(tuned, 1).features(crops)
    in_torch = running.TorchEncoder(store.weights(record, cache, file), record.blocks).features(crops)
    before = running.OnnxEncoder(plain, 1).features(crops)
    parts = 2 * len(record.blocks)
    assert golden.cosines(at_work, in_torch, parts).min() > 0.98  # int8 beside float
    assert golden.cosines(at_work, before, parts).min() < golden.cosines(at_work, in_torch, parts).min()


def test_a_tuned_graph_that_was_converted_needs_its_delta_no_more(published, cache, record, file):
    path = store.graph(record, published.recipe, cache, file)
    assert store.graph(record, published.recipe, cache) == path


def test_a_missing_or_other_delta_is_refused(published, cache, record, file, tmp_path):
    other = tmp_path / "delta.npz"
    deltas.write(other, {"norm_pre.bias": np.zeros(64, np.float32)})
    for asked in (store.weights, lambda record, cache, delta: store.convert(record, published.recipe, cache, delta)):
        with pytest.raises(EncoderError, match=r"its delta .* is missing"):
            asked(record, cache, None)
        with pytest.raises(EncoderError, match="is not the delta that the release was made with"):
            asked(record, cache, other)
        with pytest.raises(EncoderError, match=r"made with \(none\)"):
            asked(published.record, cache, file)


def test_a_record_without_a_delta_reads_as_before(published):
    said = {"source": "a", "graph": "b", "blocks": [3, 6], "size": 224, "margin": 1.15, "through": True}
    assert releases._encoder(said) == EncoderRecord("a", "b", (3, 6))
    assert releases._encoder({**said, "delta": "c"}).delta == "c"


def test_the_name_of_a_graph_without_a_delta_has_not_changed(tmp_path):
    assert store.graph_path(EncoderRecord("a", "b", (1, 2)), tmp_path).name == "graph-417f36b9ff73977d.onnx"


def test_a_release_serves_its_own_delta(published, cache, record, file, weights, delta, tmp_path):
    width = 2 * len(record.blocks) * encoders.SHAPE.width
    onto = probes.Projection(np.zeros(width, np.float32), np.ones(width, np.float32), np.eye(width, dtype=np.float16))
    linear, single = (probes.Linear(np.zeros((width, n), np.float32), np.zeros(n, np.float32)) for n in (2, 1))
    probes.Probe(onto, linear, HEADS, (0, 1), single, 0.5).write(tmp_path / releases.HEADS_FILE)
    (tmp_path / releases.ENCODER).write_bytes(published.recipe.read_bytes())
    (tmp_path / releases.DELTA).write_bytes(file.read_bytes())
    release = Release(
        tmp_path, "tuned", "1", "", Preprocessing(224, 1.15, (0, 0, 0), (1, 1, 1)), Calibration(), Thresholds(0.5, 0.9),
        files=dict.fromkeys((releases.HEADS_FILE, releases.ENCODER, releases.DELTA), ""), encoder=record,
        fusion=((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)),
    )  # fmt: skip
    crops = golden.crops()[:2]
    found = backends.ProbedEncoder(release, "cpu", 1, cache).look(crops, [backends.FEATURES])[backends.FEATURES]
    tuned = graph.build(deltas.apply(weights, delta), quantisation.read(published.recipe), encoders.BLOCKS)
    assert found == pytest.approx(encoders.features(tuned, crops), abs=1e-4)
