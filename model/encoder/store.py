"""The encoder in the user's cache: which source is there, and the int8 graph that was made of it.

A cache holds, for each record, the source (the pinned file, or another one that passed `sources.accept`) and, for each
recipe, delta and choice of blocks, the converted graph. Beside each lies a small JSON file with its SHA-256. The
source may be deleted once the graph is there; only torch needs it again. Nothing here downloads: see `sources`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from model.encoder import cache as files
from model.encoder import delta as deltas
from model.encoder import quantisation
from model.encoder import weights as reading
from model.encoder.record import EncoderRecord
from model.encoder.running import DIGEST
from model.encoder.weights import Weights
from model.errors import EncoderError

FORMAT = 1  # of a converted graph's file; another number converts anew
FETCH = "run `unmask encoder fetch`"


@dataclass(frozen=True, slots=True)
class Source:
    """A source in the cache. `cosine` is None for the pinned file, else the least cosine by which it was accepted."""

    path: Path
    sha256: str
    origin: str
    cosine: float | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted graph in the cache: the `sha256` of its file, its `digest`, and the SHA-256 of its `source`."""

    path: Path
    sha256: str
    digest: str
    source: str


def source(record: EncoderRecord, cache: Path) -> Source:
    """The source for `record`, as its own record names it; its bytes are not read. Raises EncoderError without one."""
    kept = files.read_record(source_record(record, cache))
    path = cache / str(kept.get("file"))
    if not kept or not path.is_file():
        raise EncoderError(f"the image encoder is not on this machine (looked in {cache}): {FETCH}")
    found = Source(path, str(kept.get("sha256")), str(kept.get("origin")), kept.get("cosine"))
    if found.cosine is None and found.sha256 != record.source:
        raise EncoderError(f"{path} is another encoder than the release was made with: {FETCH}")
    return found


def weights(record: EncoderRecord, cache: Path, delta: Path | None = None) -> Weights:
    """The source's weights in float32, for torch, tuned by the release's `delta`. Raises EncoderError where the source
    is missing or was changed, or the delta is not the record's.
    """
    return _tuned(record, reading.read(sound_source(record, cache).path), delta)


def sound_source(record: EncoderRecord, cache: Path) -> Source:
    """The source for `record` after reading all its bytes. Raises EncoderError where it is missing or was changed."""
    found = source(record, cache)
    if files.sha256(found.path) != found.sha256:
        raise EncoderError(f"{found.path} was changed: its SHA-256 is not the one it had when it was fetched; "
                           f"{FETCH}")  # fmt: skip
    return found


def graph(record: EncoderRecord, recipe: Path, cache: Path, delta: Path | None = None) -> Path:
    """The path of the int8 graph that `recipe` makes of the encoder, tuned by the file `delta` where the record names
    one; converted now if only the source is there.

    Raises EncoderError where the encoder is missing, its source was changed, the graph is damaged, or the delta is not
    the record's.
    """
    found = converted(record, cache)
    if found is None:
        source(record, cache)  # says what to run before it tries to write anything
        with files.held(cache):
            found = converted(record, cache) or _convert(record, recipe, cache, delta)
    return found.path


def converted(record: EncoderRecord, cache: Path) -> Converted | None:
    """The graph, if it was converted already. Raises EncoderError where its bytes are not those that were written."""
    path = graph_path(record, cache)
    kept = files.read_record(path.with_suffix(".json"))
    if not kept or not path.exists():
        return None
    found = Converted(path, str(kept.get("sha256")), str(kept.get("digest")), str(kept.get("source")))
    if files.sha256(path) != found.sha256:
        raise EncoderError(f"{path} is damaged: its SHA-256 is not the one it was written with; {FETCH}")
    if found.source == record.source and found.digest != record.graph:
        raise EncoderError(f"{path} is not the graph that the release was made with; {FETCH}")
    return found


def convert(record: EncoderRecord, recipe: Path, cache: Path, delta: Path | None = None) -> Converted:
    """Convert the source, whether or not there is a graph. Raises EncoderError as `graph`."""
    with files.held(cache):
        return _convert(record, recipe, cache, delta)


def here(record: EncoderRecord, cache: Path) -> bool:
    """Whether there is a graph or a source for `record`; neither is read."""
    found = graph_path(record, cache)
    return (found.exists() and found.with_suffix(".json").exists()) or source_record(record, cache).exists()


def graph_path(record: EncoderRecord, cache: Path) -> Path:
    """Where the converted graph lies: named by its source and by the digest that it should have, so by its recipe."""
    blocks = ",".join(map(str, record.blocks))
    tuned = f" {record.delta}" if record.delta else ""
    key = hashlib.sha256(f"{FORMAT} {record.source} {record.graph} {blocks}{tuned}".encode())
    return cache / f"graph-{key.hexdigest()[:16]}.onnx"


def source_record(record: EncoderRecord, cache: Path) -> Path:
    """The JSON file that says which file is the source for `record`."""
    return cache / f"source-{record.source[:16]}.json"


def _convert(record: EncoderRecord, recipe: Path, cache: Path, delta: Path | None) -> Converted:
    import onnx

    from model.encoder import graph as graphs

    found = sound_source(record, cache)
    tuned = _tuned(record, reading.read(found.path), delta)
    model = graphs.build(tuned, quantisation.read(recipe), record.blocks)
    digest = graphs.digest(model)
    if found.cosine is None and digest != record.graph:
        raise EncoderError(
            f"{found.path} became another graph ({digest[:16]}) than the release was made with ({record.graph[:16]}): "
            "this program's version and the release do not belong together"
        )
    onnx.helper.set_model_props(model, {DIGEST: digest})
    path = graph_path(record, cache)
    path.with_suffix(".json").unlink(missing_ok=True)  # a graph without it is not there: nobody meets half a change
    with files.writing(path) as part:
        part.write_bytes(model.SerializeToString())
        total = files.sha256(part)
    files.write_record(path.with_suffix(".json"), {"sha256": total, "digest": digest, "source": found.sha256})
    return Converted(path, total, digest, found.sha256)


def _tuned(record: EncoderRecord, weights: Weights, delta: Path | None) -> Weights:
    if delta is None:
        if record.delta:
            raise EncoderError(
                f"the release was made with a tuned encoder, and its delta {record.delta[:16]} is missing"
            )
        return weights
    if (found := files.sha256(delta)) != record.delta:
        named = record.delta[:16] or "none"
        raise EncoderError(f"{delta} ({found[:16]}) is not the delta that the release was made with ({named})")
    return deltas.apply(weights, deltas.read(delta))
