"""A detector release: one directory with everything that makes its scores what they are.

`release.json` (preprocessing, calibration, thresholds, training, metrics, and the SHA-256 of every other file),
`weights.safetensors`, `model.onnx`, `faces.onnx` (the face finder it was evaluated with), `familiar.npz` (what the
features of familiar faces look like), `golden.json` (what it must answer, everywhere), `training.csv.gz` (path and
SHA-256 of each image it learnt from) and `card.md`. An ensemble has releases as members, each in a directory of its
own inside, pinned by the SHA-256 of its record. It refuses a directory whose files are not those it names.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from model.bands import Thresholds
from model.calibration import Calibration
from model.crops import Cutting
from model.encoder.record import EncoderRecord
from model.errors import ReleaseError
from model.heads import HEADS
from model.sources import Item

FORMAT = 4  # 1 knew neither heads, members nor golden sets, 2 no views, 3 no encoder; all are still read
READABLE = (1, 2, 3, 4)
TAUGHT, CALIBRATED = "training", "calibration"  # what a file on the training list was used for
SHIPPED = Path(__file__).parent / "shipped"
LITE = "unmask-lite-*"  # the directories of shipped releases that need no encoder
RECORD, WEIGHTS, GRAPH, FACES, FAMILIAR, GOLDEN, LIST, CARD = (
    "release.json", "weights.safetensors", "model.onnx", "faces.onnx", "familiar.npz", "golden.json",
    "training.csv.gz", "card.md",
)  # fmt: skip
# Of a release with an encoder: its heads, how the encoder becomes int8, how its LayerNorms were tuned (if they were),
# and projected features to learn on from.
HEADS_FILE, ENCODER, DELTA, REHEARSAL = "heads.npz", "encoder.npz", "delta.npz", "rehearsal.npz"


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Crops of `size` pixels a side at `margin` times the face's box, cut from the picture or `through` a view (see
    `crops.Cutting`); RGB, (value / 255 - mean) / std, which the network does itself.
    """

    size: int
    margin: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    through: bool = False

    @property
    def cutting(self) -> Cutting:
        """How its crops are cut."""
        return Cutting(self.size, self.margin, self.through)


@dataclass(frozen=True, slots=True)
class Limits:
    """Below these a face is too small (longer side of its box, pixels), too soft (variance of its Laplacian) or too
    compressed (estimated JPEG quality, 1 to 100). Members whose P(fake) lie further apart than `spread` disagree. Below
    `photograph`, as P, a face is drawn or painted; with more than the share `covered` hidden, too little of it is seen.
    """

    face_pixels: int = 64
    sharpness: float = 0.0
    jpeg_quality: float = 15.0
    spread: float = 0.6
    photograph: float = 0.0
    covered: float = 1.0


@dataclass(frozen=True, slots=True)
class Member:
    """One release of an ensemble: its directory inside the ensemble's, its share of the vote (all sum to 1), and the
    SHA-256 of its record, which names those of its files.
    """

    directory: str
    weight: float
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """What `release.json` says, and the directory it lies in. One with an `encoder` joins it with its own network by
    `fusion`, see `probes.fused`.
    """

    directory: Path
    name: str
    version: str
    backbone: str
    preprocessing: Preprocessing
    calibration: Calibration
    thresholds: Thresholds
    limits: Limits = Limits()
    heads: tuple[str, ...] = HEADS
    members: tuple[Member, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT
    encoder: EncoderRecord | None = None
    fusion: tuple[tuple[float, ...], ...] = ()

    def file(self, name: str) -> Path | None:
        """The path of one of its files, None where the release has no such file."""
        return self.directory / name if name in self.files else None

    @property
    def networks(self) -> list[tuple[Release, float]]:
        """The releases whose networks vote, with their shares: its members, or itself alone."""
        return [(read(self.directory / each.directory), each.weight) for each in self.members] or [(self, 1.0)]


def default_path() -> Path:
    """The newest release that ships with the package and needs no encoder. Raises ReleaseError when there is none."""
    return newest(LITE)


def newest(pattern: str) -> Path:
    """The newest of the shipped releases whose directory matches `pattern`. Raises ReleaseError when there is none."""
    found = [path.parent for path in SHIPPED.glob(f"{pattern}/{RECORD}")]
    if not found:
        raise ReleaseError(f"no detector release {pattern} in {SHIPPED}")
    return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)])


def read(directory: Path | None = None) -> Release:
    """The release in `directory`, the shipped one when None. Raises ReleaseError when it is missing, of another
    format, or any file differs from its hash.
    """
    directory = directory or default_path()
    record = directory / RECORD
    try:
        said = json.loads(record.read_text())
        if said["format"] not in READABLE:
            raise ReleaseError(f"{record} is of format {said['format']}; this program reads {READABLE}")
        release = _release(directory, said)
    except FileNotFoundError as error:
        raise ReleaseError(f"no detector release in {directory}: {RECORD} is missing") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{record} cannot be read: {type(error).__name__} {error}") from error
    for name, expected in release.files.items():
        _match(name, directory / name, expected)
    for member in release.members:
        _match(member.directory, directory / member.directory / RECORD, member.sha256)
    return release


def _match(name: str, path: Path, expected: str) -> None:
    if Path(name).name != name or name == ".." or not path.is_file():
        raise ReleaseError(f"{path} is missing from the detector release")
    if digest(path) != expected:
        raise ReleaseError(f"{path} is not the file of this detector release: its SHA-256 differs")


def _release(directory: Path, said: Mapping[str, Any]) -> Release:
    steps = said["preprocessing"]
    return Release(
        directory=directory,
        name=said["name"],
        version=said["version"],
        backbone=said["backbone"],
        preprocessing=Preprocessing(
            steps["size"], steps["margin"], tuple(steps["mean"]), tuple(steps["std"]), steps.get("through", False)
        ),
        calibration=Calibration(**said["calibration"]),
        thresholds=Thresholds(**said["thresholds"]),
        limits=Limits(**said["limits"]),
        heads=tuple(said.get("heads", HEADS)),
        members=tuple(Member(**member) for member in said.get("members", ())),
        training=said.get("training", {}),
        metrics=said["metrics"],
        files=dict(said["files"]),
        format=said["format"],
        encoder=_encoder(said.get("encoder")),
        fusion=tuple(tuple(row) for row in said.get("fusion", ())),
    )


def _encoder(said: Mapping[str, Any] | None) -> EncoderRecord | None:
    return None if said is None else EncoderRecord(**{**said, "blocks": tuple(said["blocks"])})


def seal(release: Release) -> None:
    """Write `release.json` for the files and members that lie in the directory now, with their hashes. A release keeps
    its format: what the first could not hold is not made up later.
    """
    names = [path.name for path in sorted(release.directory.iterdir()) if path.is_file() and path.name != RECORD]
    record = {**asdict(release), "files": {name: digest(release.directory / name) for name in names}}
    for member in record["members"]:
        member["sha256"] = digest(release.directory / member["directory"] / RECORD)
    del record["directory"]
    (release.directory / RECORD).write_text(json.dumps(record, indent=2) + "\n")


@contextmanager
def building(out: Path) -> Iterator[Path]:
    """An empty directory that becomes `out` when the block ends well, and vanishes when it does not. Raises
    ReleaseError when something lies in `out` already.
    """
    if out.exists() and any(out.iterdir()):
        raise ReleaseError(f"{out} is not empty: a release gets a directory of its own")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        made = Path(folder) / out.name
        made.mkdir()
        yield made
        made.rename(out)


def write_list(
    directory: Path, learnt: Iterable[Item], calibrated: Iterable[Item] = (), after: Release | None = None
) -> None:
    """The names, SHA-256 and use of the images that weights were `learnt` from, and of those that were only
    `calibrated` on, with those of the release that this one goes on `after`; gzipped without a time, so that the same
    images give the same file.
    """
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("file", "sha256", "use"))
    for use, items in ((TAUGHT, learnt), (CALIBRATED, calibrated)):
        rows.writerows((item.name, item.sha256 or digest(item.path), use) for item in items)
    rows.writerows(read_list(after) if after else ())
    (directory / LIST).write_bytes(gzip.compress(table.getvalue().encode(), mtime=0))


def read_list(release: Release) -> list[tuple[str, str, str]]:
    """Name, SHA-256 and use of every image in the release's own training list; nothing where it has none."""
    path = release.file(LIST)
    if path is None:
        return []
    with gzip.open(path, "rt", newline="") as lines:
        return [(row["file"], row["sha256"], row.get("use") or TAUGHT) for row in csv.DictReader(lines)]


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
