"""`unmask demo --once`, as a newcomer runs it: on a home of its own, with the samples or with a folder of one's own."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import samples
from tests.installations import UNNAMED, command

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="unmask-demo-") as folder:
        yield Path(folder) / "home"


def demo(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        command("demo", "--once", "--port", "0", *arguments),
        env=os.environ | UNNAMED | {"UNMASK_HOME": str(home), "UNMASK_UNDO_SECONDS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_samples_travel_the_whole_way_and_a_folder_of_ones_own_after_them(home: Path) -> None:
    shown = demo(home)
    for sample in samples.all_kinds():
        assert sample.name in shown
    assert re.search(r"torn\.jpg .*failed: torn-file", shown)
    assert "answered fake" in shown
    assert re.search(r"signature verified: .*\d+ submission\.scored", shown)
    assert "refused for a bad signature: 0" in shown
    assert re.search(r"http://127\.0\.0\.1:\d+/queue", shown)

    own = home.parent / "mine"
    own.mkdir()
    (own / "notes.txt").write_text("not an image")
    for sample in samples.distinct(2):
        (own / sample.name).write_bytes(sample.content)
    shown = demo(home, "--media", str(own))
    assert re.search(r"notes\.txt .*refused: 415 unsupported-media-type", shown)
    assert shown.count("unknown") == 3
