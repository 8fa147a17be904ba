"""`make migration`: writes a revision with what the schema lacks of the tables, found on an engine of its own."""

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from cli import engines, migrate


def write(message: str) -> None:
    """Writes the next numbered file under `migrations/versions`; read it before you commit it."""
    with tempfile.TemporaryDirectory() as directory, engines.postgres(Path(directory), durable=False) as url:
        migrate.run(url)
        configuration = migrate.configuration(url)
        head = ScriptDirectory.from_config(configuration).get_current_head() or "0"
        command.revision(configuration, message, autogenerate=True, rev_id=f"{int(head) + 1:04d}")


if __name__ == "__main__":
    if not sys.argv[1:] or not sys.argv[1].strip():
        sys.exit('say what changes: make migration NAME="add a column for …"')
    write(sys.argv[1])
