"""Evidence as a folder that an investigator can open: pictures, one JSON, and a page that shows both.

The page loads nothing from elsewhere and runs nothing. File names of others never become paths or markup. It refuses a
folder in which something lies already.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.detector import Failure
from model.errors import ModelError
from model.evidence import Evidence, FaceEvidence, context, pages
from model.releases import Release

WARMTH = 0.65  # how much of the colour of heat covers the face where heat is full
SHOWN = 320  # pixels: a heatmap of a small face is enlarged to this

Picture = NDArray[np.uint8]


@dataclass(slots=True)
class Folder:
    """A folder under construction; `close` writes the JSON and the page. `with_context` adds the maps of `context`."""

    home: Path
    release: Release
    with_context: bool = False
    told: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.home.exists() and any(self.home.iterdir()):
            raise ModelError(f"{self.home} is not empty: evidence gets a folder of its own")
        self.home.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, found: Evidence | Failure) -> None:
        """What was found of the file that people know as `name`."""
        if isinstance(found, Failure):
            self.told.append({"file": name, "failure": {"slug": found.slug, "detail": found.detail}})
            return
        place = f"{len(self.told) + 1:04d}-{_plain(Path(name).stem)}"
        (self.home / place).mkdir()
        entry: dict[str, Any] = {"file": name, **found.judgement.as_dict()}
        entry["evidence"] = [self._face(place, number, face) for number, face in enumerate(found.faces, 1)]
        if found.faceless is not None and self.with_context:
            entry["context"] = self._context(place, "picture", found.faceless)
        self.told.append(entry)

    def close(self) -> Path:
        """The page's path."""
        release = f"{self.release.name} {self.release.version}"
        said = {"detector": release, "thresholds": {"review": self.release.thresholds.review,
                "fake": self.release.thresholds.fake}, "files": self.told}  # fmt: skip
        (self.home / "evidence.json").write_text(json.dumps(said, indent=1) + "\n")
        page = self.home / "index.html"
        page.write_text(pages.page(escape(release), self.told), encoding="utf-8")
        return page

    def _face(self, place: str, number: int, face: FaceEvidence) -> dict[str, Any]:
        start = f"{place}/face-{number}"
        entry: dict[str, Any] = {
            "box": list(face.face.box),
            "frame": face.face.frame,
            "score": face.face.score,
            "quality": dict(face.face.quality),
            "notes": list(face.notes),
            "picture": self._write(f"{start}.png", face.native),
            "heatmaps": [
                {
                    "kind": heat.kind,
                    "strength": round(heat.strength, 4),
                    "overlay": self._write(f"{start}-{heat.kind}.jpg", overlay(face.native, heat.values)),
                    "values": self._write(f"{start}-{heat.kind}.png", (heat.values * 255).round().astype(np.uint8)),
                }
                for heat in face.heats
            ],
        }
        if self.with_context:
            entry["context"] = self._context(place, f"face-{number}", face.native)
        return entry

    def _context(self, place: str, start: str, picture: Picture) -> dict[str, str]:
        return {
            name: self._write(f"{place}/{start}-{name}.png", shown) for name, shown in context.maps(picture).items()
        }

    def _write(self, path: str, picture: Picture) -> str:
        """The picture in the format that the path's suffix names; the path again."""
        turned = picture[..., ::-1] if picture.ndim == 3 else picture
        _, coded = cv2.imencode(Path(path).suffix, turned)
        (self.home / path).write_bytes(coded.tobytes())
        return path


def overlay(native: Picture, heat: NDArray[np.float32]) -> Picture:
    """uint8: the face, at least `SHOWN` pixels large, under heat in colours that the colour-blind can tell apart."""
    side = max(SHOWN, native.shape[0])
    face = cv2.resize(native, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    warm = cv2.resize(heat, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colours = cv2.applyColorMap((warm * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = (WARMTH * warm)[..., None]
    return np.asarray((face * (1 - share) + colours * share).clip(0, 255), np.uint8)


def _plain(name: str) -> str:
    """The name in letters that every file system and page takes."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip(".")[:60] or "file"
