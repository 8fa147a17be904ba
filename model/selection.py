"""Which release serves: a directory, or one of the two that ship with the package by its word.

*full* joins a foundation encoder with a small network and is the better detector by far; *lite* is the small network
alone, needs no encoder and is ten times as fast. Full is the default where the encoder is on this machine.
"""

from __future__ import annotations

from pathlib import Path

from model import releases
from model.encoder import cache as files
from model.encoder import store
from model.errors import EncoderError, ReleaseError

FULL, LITE = "full", "lite"
_PATTERNS = {FULL: "unmask-[0-9]*", LITE: releases.LITE}
MISSING = (
    "the image encoder is not on this machine, so the lite release serves: run `unmask encoder fetch` for the full one"
)


def shipped(word: str) -> Path:
    """The newest shipped release of a kind, `full` or `lite`. Raises ReleaseError when there is none."""
    return releases.newest(_PATTERNS[word])


def chosen(asked: Path | None, cache: Path | None = None) -> Path:
    """The directory of the release that was asked for: `full`, `lite` or a directory. None is the full one where its
    encoder is in `cache`, else the lite one. Raises ReleaseError.
    """
    if asked is None:
        return shipped(FULL) if encoder_is_here(cache) else shipped(LITE)
    return shipped(str(asked)) if str(asked) in _PATTERNS else asked


def check_encoder(release: Path, cache: Path | None = None) -> None:
    """Raise EncoderError, with what to run, where the release in a directory needs an encoder that `cache` lacks."""
    record = releases.read(release).encoder
    if record is not None and not store.here(record, files.folder(cache)):
        raise EncoderError(f"the image encoder is not on this machine: {store.FETCH}")


def encoder_is_here(cache: Path | None = None) -> bool:
    """Whether the full release could serve from what lies in `cache`."""
    try:
        check_encoder(shipped(FULL), cache)
    except (ReleaseError, EncoderError):
        return False
    return True
