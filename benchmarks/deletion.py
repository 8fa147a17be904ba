"""Do heatmaps point at what moves the score? The deletion test over a folder of fakes.

    python -m benchmarks.deletion FAKES [--release DIR] [--count N] [--out FILE]

Of the files whose face scores at least `--least`, the hottest 10, 20 and 30 % of the face are blurred, and so are as
large blobs of chance; what is told is how much more P(fake) falls under the heat, with a 95 % interval over faces.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from model.backends import MAP, Crops
from model.detector import Detector, Sheet
from model.evidence import deletion, heatmaps
from model.evidence.heatmaps import Heatmap
from model.panels import PLAIN, Seat

console = Console()
KINDS: dict[str, Callable[[Seat, Crops], Heatmap]] = {"map": heatmaps.from_map, "occlusion": heatmaps.from_occlusion}


@click.command()
@click.argument("fakes", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--release", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--count", type=click.IntRange(min=2), default=100, show_default=True, help="How many faces.")
@click.option("--least", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="P(fake) to begin with.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("reports/deletion.json"))
def main(fakes: Path, release: Path | None, count: int, least: float, out: Path) -> None:
    """Measure, print a table, write JSON."""
    detector = Detector.load(release, "cpu")
    (seat, *others) = detector.panel.seats
    if others and detector.panel.fusion is None:
        raise click.ClickException("an ensemble is tested member by member: name one")
    kinds = [kind for kind in KINDS if kind == "occlusion" or MAP in seat.backend.outputs]
    found: dict[str, dict[float, list[deletion.Deletion]]] = {kind: defaultdict(list) for kind in kinds}
    chance = np.random.default_rng(0)
    files = sorted(path for path in fakes.rglob("*") if path.is_file())
    chosen = [files[index] for index in np.random.default_rng(0).permutation(len(files))]
    with_score = _faces(detector, chosen, least, count)
    for crop in track(with_score, "deleting"):
        for kind in kinds:
            for each in deletion.measure(seat, crop, KINDS[kind](seat, crop).values, chance):
                found[kind][each.share].append(each)
    told = [_row(kind, share, rows) for kind, shares in found.items() for share, rows in shares.items()]
    console.print(_table(told))
    out.parent.mkdir(parents=True, exist_ok=True)
    name = f"{detector.release.name} {detector.release.version}"
    out.write_text(json.dumps({"release": name, "rows": told}, indent=2) + "\n")
    console.print(f"{len(with_score)} faces, {name}; written to {out}")


def _row(kind: str, share: float, rows: list[deletion.Deletion]) -> dict[str, Any]:
    mean, low, high = deletion.interval([row.gain for row in rows])
    return {
        "kind": kind,
        "share": share,
        "faces": len(rows),
        "heat": float(np.mean([row.heat for row in rows])),
        "chance": float(np.mean([row.chance for row in rows])),
        "gain": mean,
        "low": low,
        "high": high,
        "better": float(np.mean([row.gain > 0 for row in rows])),
    }


def _table(told: list[dict[str, Any]]) -> Table:
    table = Table("heatmap", "blurred", "P(fake) falls by", "by chance", "more", "95 %", "faces where more")
    for row in told:
        table.add_row(
            row["kind"], f"{row['share']:.0%}", f"{row['heat']:.3f}", f"{row['chance']:.3f}", f"{row['gain']:+.3f}",
            f"{row['low']:+.3f} to {row['high']:+.3f}", f"{row['better']:.0%}",
        )  # fmt: skip
    return table


def _faces(detector: Detector, paths: list[Path], least: float, count: int) -> list[np.ndarray]:
    """Crops of the largest faces that score at least that, up to `count`."""
    kept: list[np.ndarray] = []
    seat = detector.panel.seats[0]  # the encoder, where there is one
    for path in track(paths, "looking for fakes that are seen"):
        (sheet,) = detector.prepare([path.read_bytes()]).sheets
        if isinstance(sheet, Sheet) and sheet.cuts[0].box:
            crop = sheet.cuts[0].crops[seat.cutting]
            logit = seat.opinions([crop]).face
            if seat.release.calibration.apply(logit)[0] >= least and seat.calibration == PLAIN:
                kept.append(crop)
        if len(kept) == count:
            break
    return kept


if __name__ == "__main__":
    main()
