"""What fuzzing found is found no more, and every target stands what fuzzing begins with."""

from pathlib import Path

import pytest

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS

FINDS = sorted(path for path in (Path(__file__).parent / "finds").iterdir() if path.suffix != ".md")


@pytest.mark.parametrize("path", FINDS, ids=lambda path: path.name)
def test_a_find_stays_mended(path):
    content = path.read_bytes()
    for target in TARGETS.values():
        target(content)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_stands_the_files_that_fuzzing_begins_with_whole_and_cut(name):
    for seed in SEEDS:
        for content in (seed, seed[: len(seed) // 2]):
            TARGETS[name](content)
