"""Writing a pack: see `model.lab.packed`. A run that was interrupted goes on with the first part that is missing."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import model
from model.crops import Cutting
from model.encoder import delta as deltas
from model.encoder.weights import Weights, shape_of
from model.errors import DatasetError
from model.lab import listing, packed, views
from model.lab.gathering import Material, Progress
from model.lab.kinds import Kinds
from model.lab.listing import Crop
from model.lab.packed import CODE, CROPS, ENCODER, FORMAT, PART, RECORD, RUN, TABLE
from model.lab.pairing import Table

PLAN = "plan.json"  # of a pack under way: what it is made of
MODULES = (
    "__init__", "errors", "metrics", "torchvision_ops", "encoder/__init__", "encoder/delta", "encoder/record",
    "encoder/towers", "encoder/weights", "lab/__init__", "lab/balance", "lab/feeds", "lab/packed", "lab/pairing",
    "lab/probing", "lab/stages", "lab/tower", "lab/tuning", "lab/unpacking",
)  # fmt: skip
_HEADER = 128  # bytes of an array's header
README = """# Tuning an image encoder's LayerNorms

    python run.py --seconds 450

needs torch, timm and numpy, no network, and writes `out/delta.npz`, `out/log.csv` and `out/results.json`. Run again
after an interruption, it goes on where it was. `results.json` says under `macro` what heads on frozen and on tuned
features are worth on kinds of forgery that neither saw: keep the delta only if the gain is clear. `--help` lists more.
"""


@dataclass(frozen=True, slots=True)
class Order:
    """What a pack is to hold: crops of `views` of a `material`, of a source at most `most` faces and `at_most` crops in
    all, cut by `cutting`; the encoder's `weights` and the `blocks` that are read; and the `folds` to leave out.
    """

    material: Material
    kinds: Kinds
    weights: Weights
    blocks: Sequence[int]
    cutting: Cutting
    views: Sequence[str] = listing.VIEWS
    most: int = 1_500
    at_most: int | None = None
    folds: Sequence[str] = ()
    seed: int = 0


def write(order: Order, out: Path, threads: int, progress: Progress) -> Path:
    """Write the pack into `out` and return it. Raises DatasetError where `out` holds anything else."""
    crops = listing.listed(order.material, order.views, order.kinds, order.most, order.at_most)
    if not crops:
        raise DatasetError("there is no face to pack")
    made_of = _key(order, crops)
    _begin(out, made_of)
    there = _crops(order, crops, out, threads, progress("crops", len(crops)))
    table = listing.table(order.material, crops, there, order.kinds)
    record = {
        "format": FORMAT, "made_of": made_of, "blocks": list(order.blocks),
        "folds": listing.folds(table, order.kinds, order.folds), "mates": listing.mates(table, order.kinds),
    }  # fmt: skip
    _table(out / TABLE, table)
    _encoder(order, out)
    _code(out / CODE)
    (out / RUN).write_bytes((Path(__file__).parent / "launching.py").read_bytes())
    (out / "README.md").write_text(README)
    (out / PLAN).unlink(missing_ok=True)
    names = sorted(path.name for path in out.iterdir() if path.is_file() and path.name != RECORD)
    files = {name: packed.digest(out / name) for name in names}
    _whole(out / RECORD, (json.dumps({**record, "files": files}, indent=1) + "\n").encode())
    return out


def _key(order: Order, crops: Sequence[Crop]) -> str:
    total = hashlib.sha256(f"{FORMAT} {tuple(order.cutting)} {tuple(order.blocks)} {order.seed}\n".encode())
    for crop in crops:
        total.update(f"{crop.view} {order.material.album.items[crop.row].name}\n".encode())
    return total.hexdigest()


def _begin(out: Path, made_of: str) -> None:
    """Raises DatasetError unless `out` is empty or holds a part of this very pack."""
    out.mkdir(parents=True, exist_ok=True)
    if not any(out.iterdir()):
        _whole(out / PLAN, json.dumps({"made_of": made_of}).encode())
        return
    for name in (PLAN, RECORD):
        try:
            if json.loads((out / name).read_text())["made_of"] == made_of:
                return
        except (OSError, ValueError, KeyError, TypeError):
            continue
    raise DatasetError(f"{out} holds something else than a part of this pack: a pack gets a folder of its own")


def _crops(order: Order, crops: Sequence[Crop], out: Path, threads: int, done: Any) -> NDArray[np.bool_]:
    """Write the parts that are missing; which crops are there (a view of a face cannot always be made)."""
    each = (PART - _HEADER) // (3 * order.cutting.size**2)
    there = np.zeros(len(crops), bool)

    def made(crop: Crop) -> NDArray[np.uint8] | None:
        return views.make(crop.view, order.material.album, crop.row, order.cutting, order.seed)

    with ThreadPoolExecutor(threads) as pool:
        for number, start in enumerate(range(0, len(crops), each)):
            some, path = crops[start : start + each], out / CROPS.format(number)
            if not path.exists():
                stack = np.zeros((len(some), order.cutting.size, order.cutting.size, 3), np.uint8)
                for place, crop in enumerate(pool.map(made, some)):
                    if crop is not None:
                        stack[place] = crop
                    done(1)
                part = path.with_suffix(".part.npy")
                np.save(part, stack)
                part.replace(path)
            else:
                stack = np.load(path)
                done(len(some))
            there[start : start + len(some)] = stack.any(axis=(1, 2, 3))  # what could not be made stays black
    return there


def _table(path: Path, table: Table) -> None:
    content = io.BytesIO()
    np.savez_compressed(
        content, allow_pickle=False, **{name: getattr(table, name) for name in table.__dataclass_fields__}
    )
    _whole(path, content.getvalue())


def _encoder(order: Order, out: Path) -> None:
    """The weights that tuning needs, compressed: those that were int8 once shrink to a third."""
    depth = max(order.blocks)
    needed = {
        name: array
        for name, array in order.weights.items()
        if name.startswith(("cls_token", "pos_embed", "patch_embed.", "norm_pre."))
        or (name.startswith("blocks.") and int(name.split(".")[1]) < depth)
    }
    missing = [name for name in deltas.names(shape_of(needed)) if name not in needed]
    if missing:
        raise DatasetError(f"the encoder's weights lack {missing[0]}")
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **needed)
    whole = content.getvalue()
    for number, start in enumerate(range(0, len(whole), PART)):
        _whole(out / ENCODER.format(number), whole[start : start + PART])


def _code(path: Path) -> None:
    """The modules that tuning needs, with one time for all, so that the same code gives the same bytes."""
    home, content = Path(model.__file__ or "").parent, io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in MODULES:
            entry = zipfile.ZipInfo(f"model/{name}.py", (2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (home / f"{name}.py").read_bytes())
    _whole(path, content.getvalue())


def _whole(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
