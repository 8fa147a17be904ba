"""The page of an evidence folder: plain HTML of what `folders` wrote. Everything that came from a file is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d2126;
  background: #fff; }
h2 { font-size: 1.1rem; overflow-wrap: anywhere; margin: 0; }
article { border-top: 1px solid #ccd2d9; padding: 1.2rem 0; }
figure { display: inline-block; margin: .6rem .8rem 0 0; vertical-align: top; max-width: 20rem; }
figure img { width: 20rem; max-width: 100%; image-rendering: auto; border-radius: 4px; }
figcaption, .quiet { color: #59636e; font-size: .875rem; }
.band { border-radius: 4px; padding: .05rem .5rem; border: 1px solid currentColor; }
.fake { color: #a3172b; } .review { color: #8a4b00; } .clear { color: #1a6b35; }
.inconclusive, .failed { color: #59636e; }
@media (prefers-color-scheme: dark) {
  body { background: #14171a; color: #e3e7eb; } article { border-color: #3a424b; }
  figcaption, .quiet, .inconclusive, .failed { color: #a2adb8; }
  .fake { color: #ff8a97; } .review { color: #f0b35f; } .clear { color: #74d394; }
}
"""
_KINDS = {
    "map": "where the network says that something was altered",
    "occlusion": "where blurring lowers the score",
}
_CONTEXT = {"error-level": "error level", "noise": "noise residual", "spectrum": "spectrum"}
_READING = (
    "A score is the calibrated probability of a forgery: a reason to look, never a proof. Heat shows what moved the "
    "score, not what was done. Maps marked as context were not scored; honest pictures light up in them, too."
)


def page(release: str, told: Sequence[Mapping[str, Any]]) -> str:
    """HTML of all files; `release` is escaped already."""
    parts = [_file(entry) for entry in told]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Evidence</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>Evidence</h1><p>{_counted(told, 'file')}, judged by {release}.</p>"
        f'<p class="quiet">{_READING}</p>\n' + "\n".join(parts) + "\n</body></html>\n"
    )


def _file(entry: Mapping[str, Any]) -> str:
    name = escape(entry["file"])
    if failure := entry.get("failure"):
        return (
            f'<article><h2>{name}</h2><p><span class="band failed">failed</span> {escape(failure["slug"])}: '
            f"{escape(failure['detail'])}</p></article>"
        )
    reasons = ", ".join(word.replace("_", " ") for word in entry["reasons"])
    band, faces = escape(entry["band"]), _counted(entry["faces"], "face")
    return (
        f'<article><h2>{name}</h2><p><span class="band {band}">{band}</span> P(fake) {entry["score"]:.2f}'
        f"{', ' + escape(reasons) if reasons else ''} "
        f'<span class="quiet">{entry["width"]} by {entry["height"]} pixels, {faces}</span></p>'
        + "".join(_face(number, face) for number, face in enumerate(entry["evidence"], 1))
        + _context(entry.get("context", {}))
        + "</article>"
    )


def _counted(things: Sequence[Any], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _face(number: int, face: Mapping[str, Any]) -> str:
    frame = f", frame {face['frame']}" if face["frame"] else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in face["notes"])
    return (
        f"<section><h3>Face {number}{frame}: P(fake) {face['score']:.2f}</h3>"
        + _figure(face["picture"], "the face as it was sent; where the picture ends, its edge is repeated")
        + "".join(_figure(heat["overlay"], _KINDS[heat["kind"]]) for heat in face["heatmaps"])
        + _context(face.get("context", {}))
        + f'<ul class="quiet">{notes}</ul></section>'
    )


def _context(maps: Mapping[str, str]) -> str:
    return "".join(_figure(path, f"context, not scored: {_CONTEXT[name]}") for name, path in maps.items())


def _figure(path: str, caption: str) -> str:
    return (
        f'<figure><img src="{quote(path)}" alt="{escape(caption)}" loading="lazy">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
