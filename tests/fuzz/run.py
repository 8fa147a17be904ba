"""`python -m tests.fuzz.run TARGET SECONDS`: fuzzes one target under atheris; a find is written to `tests/fuzz/finds`."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["formats", "moderation.media", "worker.traces",
                                         "worker.storable", "model.durations"]):  # fmt: skip
    from tests.fuzz.seeds import SEEDS
    from tests.fuzz.targets import TARGETS

FINDS = Path(__file__).parent / "finds"
SLOWEST = 10  # seconds for one input, above which it is a find
LONGEST = 20_000  # bytes


def main() -> None:
    """Runs until the time is over, or something is found."""
    name, seconds = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="unmask-fuzz-") as corpus:
        for number, seed in enumerate(SEEDS):
            Path(corpus, str(number)).write_bytes(seed[:LONGEST])
        options = [f"-max_total_time={seconds}", f"-timeout={SLOWEST}", f"-max_len={LONGEST}", "-verbosity=0",
                   f"-artifact_prefix={FINDS}/{name}-", "-rss_limit_mb=3000"]  # fmt: skip
        atheris.Setup([sys.argv[0], *options, corpus], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
