"""A whole folder: what is in it, under which keys it is sent, and when to stop.

A key follows from a file's bytes and from what is said of it, so a folder that is sent again within a day makes no new
submission of a file that had arrived. A file that is refused or cannot be read stops no other.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unmask_client import submissions
from unmask_client.documents import Accepted
from unmask_client.errors import Forbidden, Unauthorized, Unavailable, UnmaskError
from unmask_client.steps import Steps, worked
from unmask_client.submissions import About, Common

LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Sent:
    """A file of the folder, and what became of it: a submission, or the error that it met."""

    path: Path
    accepted: Accepted | None = None
    error: UnmaskError | OSError | None = None


def files(folder: str | os.PathLike[str]) -> list[Path]:
    """Returns every file below ``folder`` in order, without those whose name, or a folder's on the way, is hidden.

    Raises:
        NotADirectoryError: when it is no folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise NotADirectoryError(f"there is no folder {root}")
    below = (path.relative_to(root) for path in root.rglob("*"))
    shown = (path for path in below if not any(part.startswith(".") for part in path.parts))
    return sorted(root / path for path in shown if (root / path).is_file())


def jobs(root: Path, paths: Sequence[Path], common: Common) -> Iterator[Steps[Sent]]:
    """Yields what sends each file; its path below ``root`` is its `external_id`."""
    for path in paths:
        name = os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "replace")[-LONGEST_NAME:]
        yield _send(path, name, common)


def _send(path: Path, name: str, common: Common) -> Steps[Sent]:
    try:
        key = yield from worked(lambda: _key(path, name, common))
        about: About = {**common, "external_id": name, "idempotency_key": key}
        return Sent(path, (yield from submissions.submit(path, about)))
    except (UnmaskError, OSError) as error:
        return Sent(path, error=error)


def _key(path: Path, name: str, common: Common) -> str:
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    said = json.dumps([content, name, common], sort_keys=True)
    return f"content-{hashlib.sha256(said.encode()).hexdigest()}"


class Journey:
    """Knows when going on has no sense: the key opens nothing, or the server is away for everybody."""

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise ValueError("concurrency is at least 1")
        self._most, self._away = concurrency + 1, 0

    def checked(self, sent: Sent) -> Sent:
        """Returns ``sent``.

        Raises:
            Unauthorized, Forbidden: at once, since every other file would meet it, too.
            Unavailable: when more files in a row than travel at once met a server that is away.
        """
        away = isinstance(sent.error, Unavailable)
        self._away = self._away + 1 if away else 0
        if isinstance(sent.error, Unauthorized | Forbidden) or (away and self._away >= self._most):
            assert sent.error is not None
            raise sent.error
        return sent
