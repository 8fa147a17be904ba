"""Small made-up clips: any codec and container that PyAV's wheel writes, with frames whose shade tells their place."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np


def shades(count: int, size: tuple[int, int] = (160, 120)) -> list[np.ndarray]:
    """Flat grey pictures, each a little lighter than the one before."""
    width, height = size
    return [np.full((height, width, 3), 30 + 190 * number // max(1, count - 1), np.uint8) for number in range(count)]


def clip(
    frames: Sequence[np.ndarray],
    *,
    form: str = "mp4",
    codec: str = "libx264",
    rate: int = 10,
    every: int = 12,
    turned: int = 0,
    tags: dict[str, str] | None = None,
    sound: bool = False,
    options: dict[str, str] | None = None,
    coding: dict[str, str] | None = None,
) -> bytes:
    """The bytes of a clip with a key frame `every` so many; no frames and `sound` make a file of sound alone."""
    with (
        tempfile.NamedTemporaryFile() as file,  # some options make the muxer open it again, by name
        av.open(file.name, "w", format=form, options=options or {}) as container,
    ):
        container.metadata.update(tags or {})
        if sound:
            track = container.add_stream("libopus" if form == "webm" else "aac", rate=48_000)
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 48_000
            track.layout = "mono"
        if frames:
            stream = container.add_stream(codec, rate=rate, options=coding or {})
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt, stream.gop_size = "yuv420p", every
            if turned:
                stream.set_display_rotation(turned)
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        if sound:
            container.mux(track.encode(silence))
            container.mux(track.encode())
        container.close()
        return Path(file.name).read_bytes()


def fast_start(frames: Sequence[np.ndarray], **options: object) -> bytes:
    """An MP4 whose header stands before its pictures, so that a torn one can still be read."""
    return clip(frames, options={"movflags": "faststart"}, **options)  # type: ignore[arg-type]
