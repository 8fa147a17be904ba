"""Everything that a file may show: a picture or a clip, its further tracks, and the clip behind a motion photo.

Each of them is a part with its own answer, and the file gets the worst one: people see whichever their viewer picks.
It refuses what `pixels` and `videos` refuse; a motion photo's clip that cannot be decoded is no matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from formats import embedded, signatures
from model import pixels, videos
from model.errors import BadImage
from model.pixels import Frame
from model.videos import Budget

ASIDE = 4  # a clip behind a photo gets one in so many of a clip's frames


def frames(content: bytes, max_pixels: int, max_jpeg_pixels: int, budget: Budget) -> Iterator[Frame]:
    """The frames of a file that are looked at, part by part, their indices ascending. Raises BadImage."""
    kind = signatures.kind(content[: signatures.HEAD])
    if kind is not None and kind.is_video:
        yield from videos.decode(content, budget)
        return
    last = 0
    for frame in pixels.decode(content, max_pixels, budget.frames, max_jpeg_pixels):
        last = frame.index
        yield frame
    behind = embedded.clip(content, kind) if kind is not None else None
    if behind is None:
        return
    try:
        for frame in videos.decode(behind, budget.shared(ASIDE)):
            yield replace(frame, index=last + 1 + frame.index, part=1 + frame.part)
    except BadImage:
        return
