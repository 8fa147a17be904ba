"""Frames of a video, sampled evenly from its first ten seconds or so.

Frames are decoded in order, without seeking, because key frames may lie a whole clip apart. It refuses what has no
picture stream, and stops after a fixed number of frames, so that a long film costs no more than a clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import BadImage, TooManyPixels
from model.pixels import MAX_PIXELS

REACH = 300  # frames decoded of a video at most


def sampled(place: Path, count: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Up to `count` frames with their numbers, uint8 (height, width, 3), upright RGB. Raises BadImage when the file
    is no video that can be decoded, OSError when it cannot be opened; a clip that is torn later ends where it tears.
    """
    import av
    from av.stream import Disposition

    from model import tracks

    try:
        with av.open(place) as container:
            streams = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
            if not streams:
                raise BadImage(f"{place.name} has no video stream")
            stream = next((each for each in streams if each.disposition & Disposition.default), streams[0])
            stream.thread_type = "AUTO"
            if stream.width * stream.height > MAX_PIXELS:
                raise TooManyPixels(f"{stream.width} x {stream.height} pixels")
            wanted = _wanted(stream, count)
            last = wanted[-1]
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    yield number, tracks.shown(frame, stream, MAX_PIXELS)
                if number == last:
                    return
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise BadImage(f"{place.name}: {error}") from error


def _wanted(stream: Any, count: int) -> list[int]:
    """Numbers of the frames to look at: the middles of `count` equal parts of what is decoded."""
    seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
    said = stream.frames or round(seconds * float(stream.average_rate or 0)) or REACH
    total = min(said, REACH)
    return sorted({int((part + 0.5) * total / count) for part in range(count)})
