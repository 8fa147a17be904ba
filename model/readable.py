"""A file's bytes as its decoder wants them, and what is still to be done with the picture that comes out.

Decoders choke on what viewers bear: a HEIC under another brand, a PNG with a novel beside its pixels. And they take the
first picture where viewers show another: of a camera's raw file the preview. It changes no pixel, and it refuses what
is no image, and raw files whose previews are too small.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

from formats import heifs, pngs, signatures, tiffs
from formats.heifs import Crop
from formats.signatures import HEAD, Kind
from model.errors import TooMuchMetadata, UnsupportedMedia


@dataclass(frozen=True, slots=True)
class Readable:
    """Bytes for the decoder of `kind`; the part of the stored picture that is shown; an EXIF orientation that counts
    in place of what the bytes say; whether the first picture is never shown.
    """

    content: bytes
    kind: Kind
    crop: Crop | None = None
    turned: int | None = None
    is_first_hidden: bool = False


def readable(content: bytes) -> Readable:
    """What to decode of an image file. Raises UnsupportedMedia and TooMuchMetadata."""
    kind = signatures.kind(content[:HEAD])
    if kind is None or kind.is_video:
        raise UnsupportedMedia
    if kind == signatures.PNG:
        return _png(content)
    if kind == signatures.TIFF:
        return _tiff(content)
    # libheif cuts by itself; Pillow's reader of AVIF does not
    crop = heifs.crop(io.BytesIO(content)) if kind == signatures.AVIF else None
    return Readable(signatures.rebranded(content, kind), kind, crop)


def _png(content: bytes) -> Readable:
    try:
        return Readable(pngs.lean(content), signatures.PNG, is_first_hidden=pngs.has_hidden_first(content))
    except pngs.TooMuchMetadata as error:
        raise TooMuchMetadata(str(error)) from error


def _tiff(content: bytes) -> Readable:
    try:
        found = tiffs.hidden(io.BytesIO(content))
    except tiffs.NoPreview as error:
        raise UnsupportedMedia(str(error)) from error
    if found is None:
        return Readable(content, signatures.TIFF)
    turned = found.turned if found.turned != 1 else None
    if found.length:
        return Readable(content[found.start : found.start + found.length], signatures.JPEG, turned=turned)
    # the header names the first directory: it is made to name the one that is shown
    at = struct.pack("<I" if content[:2] == b"II" else ">I", found.start)
    return Readable(content[:4] + at + content[8:], signatures.TIFF, turned=turned)
