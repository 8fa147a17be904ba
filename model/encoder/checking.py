"""Whether the encoder in the cache is the one that a record names, and how fast it is here."""

from __future__ import annotations

import time
from pathlib import Path

from model.encoder import golden, store
from model.encoder.published import Published
from model.encoder.running import OnnxEncoder
from model.errors import EncoderError
from model.verification import FAILED, PASSED, UNCHECKED, Check


def state(published: Published, cache: Path) -> str:
    """One line on a sound encoder, or an empty one where none is there; reads the graph's file but does not run it.

    Raises EncoderError where what is there is not what it was.
    """
    found = store.converted(published.record, cache)
    if found is not None:
        return f"{found.path}, {found.path.stat().st_size / 1e6:.0f} MB"
    try:
        source = store.source(published.record, cache)
    except EncoderError:
        if store.source_record(published.record, cache).exists():
            raise
        return ""
    return f"{source.path}, to be converted when it is first used"


def verify(published: Published, cache: Path) -> tuple[list[Check], float | None]:
    """The checks of source, graph and features, and images a second on one thread (None where it cannot run)."""
    checks = [_source(published, cache)]
    try:
        path = store.graph(published.record, published.recipe, cache)
    except EncoderError as error:
        return [*checks, Check("graph", FAILED, str(error))], None
    checks.append(_graph(published, cache, path))
    try:
        found, speed = _features(published, path)
    except EncoderError as error:
        return [*checks, Check("features", FAILED, str(error))], None
    return [*checks, found, Check("speed", PASSED, f"{speed:.2g} images a second on one thread")], speed


def _source(published: Published, cache: Path) -> Check:
    if not store.source_record(published.record, cache).exists():
        return Check("source", UNCHECKED, "not kept; only torch needs it once the graph is converted")
    try:
        found = store.sound_source(published.record, cache)
    except EncoderError as error:
        return Check("source", FAILED, str(error))
    if found.cosine is None:
        return Check("source", PASSED, f"the pinned file, from {found.origin}")
    return Check("source", PASSED, f"other weights, from {found.origin}: least cosine {found.cosine:.4f}")


def _graph(published: Published, cache: Path, path: Path) -> Check:
    """Its full digest, from what the graph computes rather than from its file."""
    import onnx

    from model.encoder import graph

    digest = graph.digest(onnx.load(path))
    found = store.converted(published.record, cache)
    if found is None or digest != found.digest:
        return Check("graph", FAILED, f"its digest is {digest[:16]}, not the recorded one: run `unmask encoder fetch`")
    pinned = "as pinned" if digest == published.record.graph else "of other weights than the pinned ones"
    return Check("graph", PASSED, f"digest {digest[:16]}, {pinned}; {path.stat().st_size / 1e6:.0f} MB")


def _features(published: Published, path: Path) -> tuple[Check, float]:
    encoder = OnnxEncoder(path, threads=1)
    crops = golden.crops()
    encoder.features(crops[:1])  # the first run lays out memory
    began = time.perf_counter()
    found = encoder.features(crops)
    speed = len(crops) / (time.perf_counter() - began)
    wanted = golden.read(published.golden)
    if found.shape != wanted.shape:
        return Check("features", FAILED, f"{found.shape[1]} numbers an image, not {wanted.shape[1]}"), speed
    cosine = float(golden.cosines(found, wanted, 2 * len(published.record.blocks)).min())
    detail = f"least cosine to the pinned ones {cosine:.4f} (allowed: {golden.INT8})"
    return Check("features", PASSED if cosine >= golden.INT8 else FAILED, detail), speed
