"""Which streams of a container are shown, and how their frames look then: with square pixels, the right way up.

It refuses what has no moving picture in a coding that is decoded here, too many of them, and frames that are too large.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from formats import orientation
from formats.containers import MOST_TRACKS, played, stretched
from model import pixels
from model.errors import TooManyPixels, TooManyTracks, UnsupportedMedia

OF_BROWSERS = {"h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9"}
CODECS = OF_BROWSERS | {"mpeg4", "h263", "mjpeg"}
THREADS = 2  # a decoder: several files are decoded at a time


def playable(file: Any) -> list[Any]:
    """The streams that a player may show: pictures that move, in a coding that is decoded here, switched on. Those that
    browsers play come first.
    """
    pictured = [each for each in file.streams.video if not each.disposition & Disposition.attached_pic]
    if not pictured:
        raise UnsupportedMedia("the file holds no video")
    coders = [each.codec_context for each in pictured]
    found = [each for each, coder in zip(pictured, coders, strict=True) if coder is not None and coder.name in CODECS]
    if not found:
        raise UnsupportedMedia(f"video coded as {coders[0].name if coders[0] else 'nothing known'} is not decoded here")
    if file.format.name.startswith("mov"):  # Matroska's default mark chooses among tracks, and switches none off
        is_on = [bool(each.disposition & Disposition.default) for each in found]
        found = [found[number] for number in played(is_on)]
    found.sort(key=lambda each: each.codec_context.name not in OF_BROWSERS)  # a cover may be a track, too
    if len(found) > MOST_TRACKS:
        raise TooManyTracks(f"{len(found)} tracks of pictures are more than {MOST_TRACKS}")
    return found


def check(stream: Any, frame_pixels: int) -> None:
    """Raises TooManyPixels where a stream's frames have more than `frame_pixels`."""
    coder = stream.codec_context
    if coder.width * coder.height > frame_pixels:
        raise TooManyPixels(f"{coder.width} x {coder.height} pixels exceed the limit of {frame_pixels}")


def prepare(stream: Any, frame_pixels: int) -> None:
    """Sets a stream's decoder up, before its first frame."""
    coder = stream.codec_context
    # The decoder holds to the limit, too, where the stream says something else than its container. It counts the blocks
    # that frames are padded to.
    coder.options = {"max_pixels": str(frame_pixels * 5 // 4)}
    coder.thread_type, coder.thread_count = "AUTO", THREADS


def shown(frame: Any, stream: Any, most: int) -> NDArray[np.uint8]:
    """uint8 (height, width, 3) with square pixels, turned and mirrored as the container says, at most `most` pixels."""
    stored = frame.to_ndarray(format="rgb24")
    aspect = float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    height, width = stored.shape[:2]
    size = stretched(width, height, aspect)
    if size != (width, height):
        scale = min(1.0, (most / (size[0] * size[1])) ** 0.5)
        fitting = tuple(max(1, int(side * scale)) for side in size)
        stored = cv2.resize(stored, fitting, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(pixels.turned(stored, _orientation(frame)))


def _orientation(frame: Any) -> int:
    """The EXIF orientation that the display matrix, nine numbers of 32 bits, amounts to."""
    held = frame.side_data.get("DISPLAYMATRIX")
    if held is None:
        return orientation.PLAIN
    a, b, _, c, d = struct.unpack("=9i", bytes(held))[:5]
    return orientation.of_matrix((a, b, c, d))
