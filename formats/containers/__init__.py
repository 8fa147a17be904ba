"""What the header of a video says, read without decoding: MP4 and MOV (ISO 14496-12 boxes) and WebM (EBML).

The API has no decoder, and wants none near a stranger's bytes. This reads box by box from a seekable file, never more
than a few hundred bytes of each, and gives up on a header that is nested, long or odd beyond reason. What a header does
not say stays unknown; what it says may be a lie, which the worker finds out.
"""

from dataclasses import replace
from typing import BinaryIO, Final

from formats import signatures
from formats.containers import boxes, elements
from formats.containers.parts import (
    MOST_TRACKS,
    Movie,
    NoVideo,
    Reader,
    TooManyTracks,
    Torn,
    Track,
    played,
    stretched,
)

__all__ = ["MOST_TRACKS", "Movie", "NoVideo", "TooManyTracks", "Torn", "Track", "played", "read", "stretched"]

_OF_BROWSERS: Final = (b"avc", b"hvc", b"hev", b"dvh", b"dva", b"vp0", b"av01", b"V_")
_CODINGS: Final = (*_OF_BROWSERS, b"mp4v", b"jpeg", b"mjp", b"s263", b"h263")


def read(file: BinaryIO) -> Movie | None:
    """Returns what the header says; None when the file does not begin like a video.

    Raises:
        Torn: when it does, and its header cannot be read.
        NoVideo: when it holds sound alone, or is a Matroska file that is no WebM.
        TooManyTracks: when more than `MOST_TRACKS` of its tracks may be played.
    """
    file.seek(0)
    kind = signatures.kind(file.read(signatures.HEAD))
    if kind is None or not kind.is_video:
        return None
    reader = Reader(file)
    found = elements.movie(reader) if kind == signatures.WEBM else boxes.movie(reader)
    tracks = [track for track in found.tracks if track.width > 0 and track.height > 0]
    # Players skip what they cannot decode. Where they can decode nothing, neither can the worker, and it says so.
    tracks = [track for track in tracks if track.coding.startswith(_CODINGS)] or tracks
    tracks = [tracks[number] for number in played([track.enabled for track in tracks])]
    tracks.sort(key=lambda track: not track.coding.startswith(_OF_BROWSERS))  # a cover may be a track, too
    if not tracks:
        raise NoVideo("the file holds no video")
    if len(tracks) > MOST_TRACKS:
        raise TooManyTracks(f"{len(tracks)} tracks of pictures are more than {MOST_TRACKS}")
    return replace(found, tracks=tracks)
