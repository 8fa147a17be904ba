"""A store that is told to be far away."""

from pathlib import Path
from typing import BinaryIO, ClassVar

from sqlalchemy import Engine

from moderation.blobs import Directory


class Far(Directory):
    """A directory that notes how many connections to the ledger were held while it stored."""

    is_far: ClassVar[bool] = True

    def __init__(self, root: Path, engine: Engine) -> None:
        super().__init__(root)
        self.engine = engine
        self.held: list[int] = []

    def put(self, key: str, file: BinaryIO) -> None:
        if not self.exists(key):
            self.held.append(self.engine.pool.checkedout())  # type: ignore[attr-defined]
        super().put(key, file)
