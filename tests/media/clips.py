"""Clips: tracks, display geometry and edit lists."""

import functools
import struct
from collections.abc import Callable

from tests.media import isobmff as iso
from tests.media.cards import CARD, card, encoded
from tests.media.cases import NOTHING, Case, Refused, Says, Shown
from tests.media.isobmff import Box
from tests.movies import clip

MP4, WEBM = "video/mp4", "video/webm"
SIZE = (64, 48)


@functools.cache
def plain() -> bytes:
    return iso.still_clip()


@functools.cache
def two() -> bytes:
    """A red track and a blue one."""
    return iso.two_tracks([card(SIZE, "R")] * 10, [card(SIZE, "B")] * 10)


@functools.cache
def uneven() -> bytes:
    """A red track of one frame, and a blue one of twenty."""
    return iso.two_tracks([card(SIZE, "R")], [card(SIZE, "B")] * 20)


@functools.cache
def long() -> bytes:
    """Four seconds of red and four of blue, with one key frame, and no frame that is stored before it is shown."""
    return clip([card(SIZE, "R")] * 40 + [card(SIZE, "B")] * 40, every=80, coding={"bf": "0"})


@functools.cache
def recording() -> bytes:
    """Eleven minutes: red but for ten seconds of blue."""
    film = [card((32, 32), "B" if 300 <= second < 310 else "R") for second in range(660)]
    return clip(film, rate=1, every=660, coding={"bf": "0"})


def _on_tracks(*flags: int, of: Callable[[], bytes] = two, group: int = 0) -> Callable[[], bytes]:
    def change(moov: Box) -> None:
        for trak, value in zip(iso.videos(moov), flags, strict=True):
            iso.flags(trak, value)
            iso.group(trak, group)

    return lambda: iso.altered(of(), change)


def _first(change: Callable[[Box], object]) -> Callable[[], bytes]:
    return lambda: iso.altered(plain(), lambda moov: change(iso.videos(moov)[0]))


def _edited(of: Callable[[], bytes], *rows: tuple[int, int]) -> Callable[[], bytes]:
    def change(moov: Box) -> None:
        iso.edits(iso.videos(moov)[0], *rows)
        iso.duration(moov, sum(length for length, _ in rows))

    return lambda: iso.altered(of(), change)


def _covered(*, before: bool) -> Callable[[], bytes]:
    """A clip with a picture of its cover, red, whose box stands before its track, or behind it."""
    kind = iso.full(b"hdlr", bytes(4), b"mdir", b"appl", bytes(9))
    picture = encoded(card(SIZE, "R"), "JPEG", quality=92)
    cover = iso.box(b"covr", iso.box(b"data", struct.pack(">II", 13, 0), picture))
    held = Box(b"udta", iso.full(b"meta", kind, iso.box(b"ilst", cover)))

    def change(moov: Box) -> None:
        moov.boxes = [each for each in moov.boxes if each.name != b"udta"]
        moov.boxes.insert(1 if before else len(moov.boxes), held)

    return lambda: iso.altered(plain(), change)


def _mp4(make: Callable[[], bytes], shown: Shown | None, says: Says | Refused) -> Case:
    return Case(make, MP4, shown, says)


def _seen(
    size: tuple[int, int] = SIZE, corners: str = CARD, frames: int = 10, seconds: float = 1.0, **more: object
) -> Says:
    return Says("MP4", size, corners, frames, seconds, **more)  # type: ignore[arg-type]


def _geometry(change: Callable[[Box], object], size: tuple[int, int] = SIZE, corners: str = CARD) -> Case:
    return _mp4(_first(change), Shown(size, corners, 1.0), _seen(size, corners))


RED, BLUE = "R" * 4, "B" * 4
TRACKS = {
    "two tracks, the first switched off": _mp4(_on_tracks(2, 3), Shown(SIZE, BLUE, 1.0), _seen(corners=BLUE)),
    "two tracks, the second switched off": _mp4(_on_tracks(3, 2), Shown(SIZE, RED, 1.0), _seen(corners=RED)),
    "two tracks, both switched off": _mp4(_on_tracks(2, 2), Shown(SIZE, RED, 1.0), _seen(corners=RED, parts=2)),
    "two tracks, both switched on": _mp4(_on_tracks(3, 3), Shown(SIZE, RED, 1.0), _seen(corners=RED, parts=2)),
    "two tracks of a group": _mp4(_on_tracks(3, 3, group=1), Shown(SIZE, RED, 1.0), _seen(corners=RED, parts=2)),
    "a group's second track is on": _mp4(_on_tracks(2, 3, group=1), Shown(SIZE, BLUE, 1.0), _seen(corners=BLUE)),
    "a track of one frame before a longer one": _mp4(
        _on_tracks(3, 3, of=uneven), Shown(SIZE, RED, 2.0), _seen(corners=RED, frames=1, seconds=2.0, parts=2)
    ),
    "a track of one frame that is off": _mp4(
        _on_tracks(0, 1, of=uneven), Shown(SIZE, BLUE, 2.0), _seen(corners=BLUE, frames=20, seconds=2.0)
    ),
    "two tracks of WebM": Case(
        lambda: iso.two_tracks([card(SIZE, "R")] * 10, [card(SIZE, "B")] * 10, "webm", "libvpx"),
        WEBM, Shown(SIZE, RED, 1.0), Says("WebM", SIZE, RED, 0, 1.0, parts=2),
    ),
    "a cover before the film": _mp4(_covered(before=True), Shown(SIZE, CARD, 1.0), _seen()),
    "a cover behind the film": _mp4(_covered(before=False), Shown(SIZE, CARD, 1.0), _seen()),
    **{
        f"a cover that is a track of {coding}, in {form}": Case(
            lambda form=form, coding=coding: iso.many_tracks([[card(SIZE, "R")], [card()] * 10], form, first=coding),
            MP4, Shown(SIZE, CARD, 1.0), Says(form.upper(), SIZE, CARD, 10, 1.0, parts=2),
        )
        for coding in ("mjpeg", "mpeg4") for form in ("mp4", "mov")
    },
    "nine tracks": _mp4(
        lambda: iso.many_tracks([[card(SIZE, "R")] * 2] * 9), Shown(SIZE, RED), Refused("too-many-tracks")
    ),
}  # fmt: skip

MATRICES = {
    "as stored": ((1, 0, 0, 1), SIZE, CARD),
    "mirrored": ((-1, 0, 0, 1), SIZE, "GRYB"),
    "turned by half": ((-1, 0, 0, -1), SIZE, "YBGR"),
    "upside down and mirrored": ((1, 0, 0, -1), SIZE, "BYRG"),
    "transposed": ((0, 1, 1, 0), (48, 64), "RBGY"),
    "turned to the right": ((0, 1, -1, 0), (48, 64), "BRYG"),
    "transposed about the other diagonal": ((0, -1, -1, 0), (48, 64), "YGBR"),
    "turned to the left": ((0, -1, 1, 0), (48, 64), "GYRB"),
    "turned by an eighth, which is not done": ((0.7071, 0.7071, -0.7071, 0.7071), SIZE, CARD),
    "turned by ten degrees, which is not done": ((0.9848, 0.1736, -0.1736, 0.9848), SIZE, CARD),
    "of nothing": ((0, 0, 0, 0), SIZE, CARD),
    "twice as wide": ((2, 0, 0, 1), (128, 48), CARD),
}
PIXELS = {
    (1, 1): SIZE, (2, 1): (128, 48), (1, 2): (64, 96), (64, 45): (91, 48), (16, 11): (93, 48), (12, 11): (70, 48),
    (10, 11): (64, 53), (3, 1): (192, 48), (1, 3): (64, 144), (8, 1): (512, 48), (17, 1): (1088, 48), (0, 1): SIZE,
}  # fmt: skip
GEOMETRY = {
    **{
        f"a matrix {name}": _geometry(functools.partial(iso.matrix, a=m[0], b=m[1], c=m[2], d=m[3]), size, corners)
        for name, (m, size, corners) in MATRICES.items()
    },
    **{
        f"pixels of {across}:{down}": _geometry(
            lambda trak, a=across, d=down: iso.described(trak, iso.pasp(a, d)), size
        )
        for (across, down), size in PIXELS.items()
    },
    # Chromium refuses the file; it is judged as it is stored
    "pixels of 1:1000": _mp4(_first(lambda trak: iso.described(trak, iso.pasp(1, 1000))), NOTHING, _seen()),
    "wide pixels, turned": _geometry(
        lambda trak: (iso.described(trak, iso.pasp(2, 1)), iso.matrix(trak, 0, 1, -1, 0)), (48, 128), "BRYG"
    ),
    "tall pixels, transposed": _geometry(
        lambda trak: (iso.described(trak, iso.pasp(1, 2)), iso.matrix(trak, 0, 1, 1, 0)), (96, 64), "RBGY"
    ),
    "a header that tells twice the width": _geometry(lambda trak: iso.told(trak, 128, 48), (128, 48)),
    "a header that tells half the size": _geometry(lambda trak: iso.told(trak, 32, 24)),
    "a header that tells no size": _geometry(lambda trak: iso.told(trak, 0, 0)),
    "pixels against the header": _geometry(
        lambda trak: (iso.described(trak, iso.pasp(1, 1)), iso.told(trak, 128, 48))
    ),
    "wide pixels against the header": _geometry(
        lambda trak: (iso.described(trak, iso.pasp(3, 1)), iso.told(trak, 128, 48)), (192, 48)
    ),
    # browsers show what a clean aperture leaves out, so it is judged, too
    "a clean aperture": _geometry(lambda trak: iso.described(trak, iso.clap(32, 24))),
    "a clean aperture at the side": _geometry(lambda trak: iso.described(trak, iso.clap(32, 48, -16))),
    "wide pixels in WebM": Case(
        lambda: iso.webm_shown(clip([card()] * 10, form="webm", codec="libvpx"), 128, 48),
        WEBM, Shown((128, 48), CARD, 1.0), Says("WebM", (128, 48), CARD, 0, 1.0),
    ),
    **{
        f"WebM turned by {by}": Case(
            lambda by=by: clip([card()] * 10, form="webm", codec="libvpx", turned=by),
            WEBM, Shown(size, corners, 1.0), Says("WebM", size, corners, 0, 1.0),
        )
        for by, size, corners in ((90, (48, 64), "GYRB"), (180, SIZE, "YBGR"), (270, (48, 64), "BRYG"))
    },
    **{
        f"{form} turned by {by}": Case(
            lambda form=form, by=by: clip([card()] * 10, form=form, turned=by),
            MP4, Shown(size, corners, 1.0), Says(form.upper(), size, corners, 10, 1.0),
        )
        for form in ("mp4", "mov") for by, size, corners in ((90, (48, 64), "GYRB"), (270, (48, 64), "BRYG"))
    },
}  # fmt: skip

SECOND = 10_240  # ticks of the track
EDITS = {
    "no edits": _mp4(long, Shown(SIZE, RED, 8.0), _seen(corners=RED, frames=80, seconds=8.0)),
    "an edit of all": _mp4(
        _edited(long, (8_000, 0)), Shown(SIZE, RED, 8.0), _seen(corners=RED, frames=80, seconds=8.0)
    ),
    "the first two seconds": _mp4(
        _edited(long, (2_000, 0)), Shown(SIZE, RED, 2.0), _seen(corners=RED, frames=20, seconds=2.0, times=(0, 1.9))
    ),
    "two seconds behind the fifth": _mp4(
        _edited(long, (2_000, 5 * SECOND)), Shown(SIZE, BLUE, 2.0),
        _seen(corners=BLUE, frames=20, seconds=2.0, times=(0, 1.9)),
    ),
    "a second of the end, and one of the beginning": _mp4(
        _edited(long, (1_000, 6 * SECOND), (1_000, SECOND)), Shown(SIZE, BLUE, 2.0),
        _seen(corners=BLUE, frames=20, seconds=2.0, times=(0, 1.9)),
    ),
    "a second, twice": _mp4(
        _edited(long, (1_000, 6 * SECOND), (1_000, 6 * SECOND)), Shown(SIZE, BLUE, 2.0),
        _seen(corners=BLUE, frames=20, seconds=2.0, times=(0, 1.9)),
    ),
    "nothing for two seconds, then all": _mp4(
        _edited(long, (2_000, -1), (8_000, 0)), Shown(SIZE, RED, 8.0), _seen(corners=RED, frames=80, seconds=8.0)
    ),
    "ten seconds of eleven minutes": _mp4(
        _edited(recording, (10_000, 300 * 16_384)), Shown((32, 32), BLUE, 10.0),
        _seen((32, 32), BLUE, 10, 10.0, times=(0, 9)),
    ),
    "eleven minutes": _mp4(recording, Shown((32, 32), RED, 660.0), Refused("too-long")),
}  # fmt: skip

CASES = {**TRACKS, **GEOMETRY, **EDITS}
