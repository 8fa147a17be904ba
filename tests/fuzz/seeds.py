"""What fuzzing begins with: small files of every kind, and those of the hostile table that are small."""

from typing import Final

from tests.hostile.files import CASES, encoded, picture, progressive
from tests.movies import clip, shades

_SMALL: Final = picture(20, 20)
_NAMED: Final = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:li xmp:CreatorTool="Midjourney"/></x:xmpmeta>'
_TEXT: Final = b"II*\0\x08\0\0\0\x01\0\x31\x01\x02\0\x08\0\0\0\x1a\0\0\0\0\0\0\0ComfyUI\0"  # EXIF with `Software`
_MADE: Final = [
    *(encoded(form, _SMALL) for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIF")),
    *(
        encoded(form, _SMALL, save_all=True, append_images=[_SMALL.rotate(90)])
        for form in ("PNG", "WEBP", "GIF", "TIFF")
    ),
    progressive(3),
    clip(shades(3, (32, 32))),
    _NAMED,
    _TEXT,
]
SEEDS: Final = [body for body in (*_MADE, *(case.body for case in CASES.values())) if len(body) <= 5_000]
