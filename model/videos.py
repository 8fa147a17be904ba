"""Frames of a video, MP4, MOV or WebM: upright RGB, in the order of time, few enough to look at each.

First the packets are walked without decoding, so that the plan rests on what is there and not on what a header says:
a torn file is a shorter one. What fits the budget is decoded in one go, and the frames are those at even distances in
time, and the first of each scene that fell between two of them. Of what does not fit, only some frames after the key
frames next to those times are decoded: a long clip costs what a short one does, and a forgery shorter than the distance
between two looks may go unseen.

It refuses other containers and codecs (so no playlist is followed and nothing is opened but the bytes themselves),
frames that are too large, clips that are too long, and what has no picture that can be decoded. It runs hostile bytes
through FFmpeg: keep it in a process that may die.
"""

from __future__ import annotations

import io
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from formats import signatures
from model import pixels, tracks
from model.errors import BadImage, TooLong, TooManyPixels, TornFile, UnsupportedMedia
from model.pixels import Frame

_FAULTS = (av.error.FFmpegError, *pixels.FAULTS, MemoryError)

SCENES = 16  # one frame in so many is kept for scenes that would be missed
CUT = 28.0  # mean difference of two neighbours' thumbnails, 0 to 255, from which on a scene begins
THUMBNAIL = 32  # its side, in pixels
DENSE = 4  # with so many times the frames that are wanted, those that no other frame refers to are left out
MOST_PACKETS = 400_000  # nearly two hours of 60 a second
MOST_FAULTS = 200  # packets that cannot be decoded before the rest is given up


@dataclass(frozen=True, slots=True)
class Budget:
    """What a clip may cost. `frames` are looked at; `seconds` is the longest clip; `side_pixels` are width times height
    of the largest frame; `decoded_pixels` go through the decoder, those of 1,450 frames of 1920 x 1080; and when
    `wall_seconds` are over, what has been seen must do.
    """

    frames: int = 32
    seconds: float = 600.0
    frame_pixels: int = 36_000_000  # 7680 x 4320 is 33 million
    decoded_pixels: int = 3_000_000_000
    wall_seconds: float = 20.0

    def shared(self, many: int) -> Budget:
        """The budget of each of so many clips that are looked at together."""
        return replace(
            self,
            frames=max(2, self.frames // many),
            decoded_pixels=self.decoded_pixels // many,
            wall_seconds=self.wall_seconds / many,
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the packets say: `times` of all frames, in units of `base` seconds, ascending, those of key frames among
    them, and the times to look at.
    """

    times: Sequence[int]
    keys: Sequence[int]
    wanted: Sequence[int]
    base: float


def container(content: bytes) -> str | None:
    """FFmpeg's name for the container that these bytes begin like, `mov` or `matroska`; None for anything else."""
    kind = signatures.kind(content[: signatures.HEAD])
    return kind.reader if kind is not None and kind.is_video else None


def decode(content: bytes, budget: Budget | None = None) -> Iterator[Frame]:
    """Up to `budget.frames` frames, each decoded when it is asked for, as they are shown, with their times in seconds
    from the first. Where several tracks may be played, each is a part and has a share of the budget; the indices of a
    part go on where those of the part before end.

    Raises UnsupportedMedia, TornFile (a header without its pictures), TooManyTracks, TooManyPixels, TooLong, or
    BadImage when no frame can be decoded. What breaks after the first good frame ends its track, and raises nothing.
    """
    budget = budget or Budget()
    with _opened(content) as file:
        streams = tracks.playable(file)
        for stream in streams:
            tracks.check(stream, budget.frame_pixels)
        numbers = [stream.index for stream in streams]
    share, first = budget.shared(len(numbers)), 0
    fault: BadImage | None = None
    shown = False
    for part, number in enumerate(numbers):
        try:
            for frame in _track(content, number, share):
                shown = True
                last = first + frame.index
                yield replace(frame, index=last, part=part)
        except (TooLong, TooManyPixels):
            raise
        except BadImage as error:
            fault = fault or error
        else:
            first = last + 1
    if fault is not None and not shown:
        raise fault


def _track(content: bytes, number: int, budget: Budget) -> Iterator[Frame]:
    """The frames of the stream of this number."""
    until = time.monotonic() + budget.wall_seconds
    shown = 0
    try:
        with _opened(content) as file:
            stream = file.streams[number]
            tracks.prepare(stream, budget.frame_pixels)
            plan = _planned(file, stream, budget)
            for frame in _numbered(_chosen(file, stream, plan, budget, until), stream, plan, budget.frame_pixels):
                shown += 1
                yield frame
    except BadImage:
        if not shown:
            raise
    except _FAULTS as error:
        if not shown:
            raise BadImage(f"no frame can be decoded: {error}") from error
    if not shown:
        raise BadImage("no frame can be decoded")


def tags(content: bytes) -> dict[str, str]:
    """What the container and its first picture stream are tagged with, by name; nothing where it cannot be read."""
    try:
        with _opened(content) as file:
            streams = [stream.metadata for stream in file.streams.video[:1]]
            return {name: text for told in (*streams, file.metadata) for name, text in told.items()}
    except (BadImage, *_FAULTS):
        return {}


@contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    form = container(content)
    if form is None:
        raise UnsupportedMedia
    try:
        # Naming the demuxer keeps every other one from looking at the bytes; none of these may open anything else.
        file = av.open(io.BytesIO(content), format=form, io_open=_refuse, metadata_errors="replace")
    except _FAULTS as error:
        raise TornFile(f"the container cannot be read: {error}") from error
    with file:
        yield file


def _refuse(*_: object) -> NoReturn:
    raise PermissionError("a video must not refer to other files")


def _planned(file: Any, stream: Any, budget: Budget) -> _Plan:
    """Walks the packets. Those behind a tear are not there."""
    times, keys = [], []
    try:
        for packet, at in _timed(file, stream):
            if packet.is_keyframe:
                keys.append(at)
            if not packet.is_discard:  # others lie outside what an edit list shows: they are decoded for its sake
                times.append(at)
            if len(times) > MOST_PACKETS:
                raise TooLong(f"the video has more than {MOST_PACKETS} frames")
    except _FAULTS:
        if not times:
            raise
    if not times:
        raise TornFile("the video has no frames")
    times, keys, base = sorted(times), sorted(keys), float(stream.time_base or 1 / 1000)
    length = times[-1] - times[0]
    if length * base > budget.seconds:
        raise TooLong(f"{length * base:.0f} seconds are more than {budget.seconds:.0f}")
    if len(times) <= budget.frames:
        return _Plan(times, keys, times, base)
    even = max(1, budget.frames - budget.frames // SCENES)
    wanted = [times[0] + int((part + 0.5) * length / even) for part in range(even)]
    return _Plan(times, keys, wanted, base)


def _timed(file: Any, stream: Any) -> Iterator[tuple[Any, int]]:
    for packet in file.demux(stream):
        at = packet.pts if packet.pts is not None else packet.dts
        if at is not None and packet.size:
            yield packet, at


def _chosen(file: Any, stream: Any, plan: _Plan, budget: Budget, until: float) -> Iterator[Any]:
    coder = stream.codec_context
    if len(plan.times) > DENSE * budget.frames:
        coder.skip_frame = "NONREF"
    affordable = budget.decoded_pixels // max(1, coder.width * coder.height)
    if len(plan.times) <= affordable or not plan.keys:
        frames = _decoded(file, stream, plan.times[0], until)
        return _by_scene(frames, plan, budget.frames - len(plan.wanted), affordable)
    return _by_key(file, stream, plan, affordable, until)


def _by_scene(frames: Iterator[Any], plan: _Plan, spare: int, affordable: int) -> Iterator[Any]:
    """The first frame at or after each wanted time, and up to `spare` first frames of scenes that had none."""
    shrink, last, unseen, step = VideoReformatter(), None, None, 0
    for count, frame in enumerate(frames):
        seen = shrink.reformat(frame, THUMBNAIL, THUMBNAIL, "gray", interpolation="POINT").to_ndarray().astype(np.int16)
        if last is not None and float(np.abs(seen - last).mean()) >= CUT:
            if unseen is not None and spare > 0:
                spare -= 1
                yield unseen
            unseen = frame
        last = seen
        if step < len(plan.wanted) and frame.pts >= plan.wanted[step]:
            yield frame
            unseen, step = None, bisect_right(plan.wanted, frame.pts)
        if count >= affordable:  # without key frames to go by, the rest is not looked at
            break
    if unseen is not None and (spare > 0 or not step):
        yield unseen


def _by_key(file: Any, stream: Any, plan: _Plan, affordable: int, until: float) -> Iterator[Any]:
    """For each wanted time the frame there, or the nearest that its share of what is affordable leads to."""
    frames: Iterator[Any] = iter(())
    position, passed = None, 0  # frames of the clip that went through the decoder, shown or left out
    for number, wanted in enumerate(plan.wanted):
        key = plan.keys[max(0, bisect_right(plan.keys, wanted) - 1)]
        if position is None or key > position:
            frames, position = _decoded(file, stream, key, until), key
        began = bisect_right(plan.times, position) - 1
        share, latest = (affordable - passed) // (len(plan.wanted) - number), None
        went = 0
        for frame in frames:
            position, latest = frame.pts, frame
            went = bisect_right(plan.times, position) - began
            if position >= wanted or went >= share:
                break
        passed += went
        if latest is not None:
            yield latest


def _decoded(file: Any, stream: Any, start: int, until: float) -> Iterator[Any]:
    """Frames from the key frame at or before `start` on, without the broken ones among them."""
    file.seek(start, stream=stream)
    faults, highest = 0, None
    packets = file.demux(stream)
    while time.monotonic() < until and faults <= MOST_FAULTS:
        try:
            frames = next(packets).decode()
        except (StopIteration, EOFError):
            return
        except av.error.InvalidDataError:
            faults += 1
            continue
        for frame in frames:
            if frame.is_corrupt or frame.pts is None or (highest is not None and frame.pts <= highest):
                continue
            highest = frame.pts
            yield frame


def _numbered(frames: Iterator[Any], stream: Any, plan: _Plan, most: int) -> Iterator[Frame]:
    """The frames as pixels, each with its place among all of the clip's and its time, both ascending."""
    index = -1
    for frame in frames:
        index = max(index + 1, bisect_right(plan.times, frame.pts) - 1)
        yield Frame(index, tracks.shown(frame, stream, most), time=round((frame.pts - plan.times[0]) * plan.base, 3))
