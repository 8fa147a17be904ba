"""A contact sheet of the worst mistakes, for the eyes of whoever holds the pictures.

The pictures belong to others, and a sheet shows them: it goes beside the report with a note that keeps it out of
version control, and is made only when asked for. It refuses nothing: a file that does not decode is a grey tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from model import crops, pixels
from model.errors import BadImage
from model.evaluation.scoring import Trial

FILE = "gallery.png"
TILE, LABEL, COLUMNS, GAP = 160, 34, 8, 6  # pixels, but for the columns
_INK, _PAPER = (32, 35, 42), (255, 255, 255)


def write(folder: Path, trials: Sequence[Trial], count: int) -> None:
    """Write `gallery.png`: `count` reals with the highest scores, then `count` fakes with the lowest, worst first,
    each over its source, name and score.
    """
    sure = [trial for trial in trials if trial.answer.conclusive]
    parts = []
    for label, title, sign in ((0, "real, with the highest scores", -1), (1, "fake, with the lowest scores", 1)):
        mine = [trial for trial in sure if trial.item.label == label]
        mine.sort(key=lambda trial: sign * (trial.answer.score or 0.0))
        parts.append(_part(title, mine[:count]))
    sheet = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), _PAPER)
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    folder.mkdir(parents=True, exist_ok=True)
    sheet.save(folder / FILE)
    (folder / ".gitignore").write_text(f"{FILE}\n")


def _part(title: str, trials: Sequence[Trial]) -> Image.Image:
    rows = -(-len(trials) // COLUMNS)
    across, down = TILE + GAP, TILE + LABEL + GAP
    sheet = Image.new("RGB", (COLUMNS * across + GAP, 24 + rows * down), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 5), title, fill=_INK, font_size=14)
    for place, trial in enumerate(trials):
        left, top = GAP + place % COLUMNS * across, 24 + place // COLUMNS * down
        sheet.paste(_tile(trial), (left, top))
        draw.text((left, top + TILE + 1), f"{trial.answer.score:.3f}  {trial.item.source}", fill=_INK, font_size=11)
        draw.text((left, top + TILE + 15), trial.item.path.name[-26:], fill=(110, 114, 122), font_size=10)
    return sheet


def _tile(trial: Trial) -> Image.Image:
    try:
        shown = crops.whole(next(pixels.decode(trial.item.path.read_bytes())).pixels, TILE)
    except (BadImage, OSError):
        shown = np.full((TILE, TILE, 3), 200, np.uint8)
    return Image.fromarray(shown)
