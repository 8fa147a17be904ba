"""One table says what a file is, and whoever asks gets the same answer."""

import io
import struct

import pytest

from formats import signatures
from model import videos
from model.errors import UnsupportedMedia
from model.readable import readable
from moderation import media
from moderation.errors import BadMedia


def riff(kind, body=b""):
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + kind + body


def ftyp(major, *others, after=b"\0\0\0\x08meta"):
    return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + major + bytes(4) + b"".join(others) + after


MOOV = b"\0\0\0\x08moov"
KNOWN = {
    "JPEG": (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG"),
    "JPEG without JFIF": (b"\xff\xd8\xff\xdb", "JPEG"),
    "PNG": (b"\x89PNG\r\n\x1a\n", "PNG"),
    "GIF of 1987": (b"GIF87a\x01\0\x01\0", "GIF"),
    "GIF of 1989": (b"GIF89a\x01\0\x01\0", "GIF"),
    "WebP": (riff(b"WEBPVP8 "), "WebP"),
    "TIFF": (b"II*\0\x08\0\0\0", "TIFF"),
    "TIFF, the other order": (b"MM\0*\0\0\0\x08", "TIFF"),
    "BigTIFF": (b"II+\0\x08\0\0\0", "TIFF"),
    "BMP": (b"BM" + bytes(12) + struct.pack("<I", 40), "BMP"),
    "BMP of OS/2": (b"BM" + bytes(12) + struct.pack("<I", 12), "BMP"),
    "HEIC": (ftyp(b"heic", b"mif1", b"heic"), "HEIC"),
    "HEIC of ten bits": (ftyp(b"heix", b"mif1", b"heix"), "HEIC"),
    "HEIC of a sequence": (ftyp(b"hevc", b"msf1", b"hevc"), "HEIC"),
    "HEIC as mif1": (ftyp(b"mif1", b"heic"), "HEIC"),
    "HEIC as mif2": (ftyp(b"mif2", b"heic"), "HEIC"),
    "HEIC as miaf": (ftyp(b"miaf", b"mif1", b"heic"), "HEIC"),
    "HEIC as msf1": (ftyp(b"msf1", b"hevc", b"iso8"), "HEIC"),
    "HEIC of a maker": (ftyp(b"MiHE", b"mif1", b"heic"), "HEIC"),
    "AVIF": (ftyp(b"avif", b"mif1", b"miaf"), "AVIF"),
    "AVIF of a sequence": (ftyp(b"avis", b"avif", b"msf1", b"iso8", b"mif1", after=MOOV), "AVIF"),
    "AVIF as mif1": (ftyp(b"mif1", b"avif", b"miaf"), "AVIF"),
    "AVIF as mif2": (ftyp(b"mif2", b"avif"), "AVIF"),
    "AVIF as miaf": (ftyp(b"miaf", b"avif"), "AVIF"),
    "AVIF as msf1": (ftyp(b"msf1", b"avis"), "AVIF"),
    "AVIF as isom": (ftyp(b"isom", b"mif1", b"avif"), "AVIF"),
    "AVIF as heic": (ftyp(b"heic", b"mif1", b"avif"), "AVIF"),
    "AVIF that lists itself last": (ftyp(b"mif1", *[b"xxxx"] * 200, b"avif"), "AVIF"),
    "MP4": (ftyp(b"isom", b"iso2", b"avc1", b"mp41", after=MOOV), "MP4"),
    "MP4 that lists a picture's brand": (ftyp(b"isom", b"mif1", b"heic", after=MOOV), "MP4"),
    "MP4 of a phone": (ftyp(b"mp42", b"isom", after=MOOV), "MP4"),
    "3GP": (ftyp(b"3gp5", b"isom", after=MOOV), "MP4"),
    "M4V": (ftyp(b"M4V ", b"mp42", after=MOOV), "MP4"),
    "DASH": (ftyp(b"dash", b"iso6", after=MOOV), "MP4"),
    "MP4 of no known brand": (ftyp(b"abcd", after=MOOV), "MP4"),
    "MOV": (ftyp(b"qt  ", after=MOOV), "MOV"),
    "MOV without brands": (b"\0\0\0\x08wide\0\0\0\x08mdat", "MOV"),
    "MOV of its header": (b"\0\0\x10\0moov\0\0\0\x6cmvhd", "MOV"),
    "WebM": (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "WebM"),
}
UNKNOWN = {
    "AVI": riff(b"AVI LIST"),
    "WAV": riff(b"WAVEfmt "),
    "RIFF of anything": riff(b"ACONanih"),
    "RIFF alone": b"RIFF",
    "a letter that begins BM": b"BMW drivers of the world, unite! " * 4,
    "BM alone": b"BM",
    "a JPEG of two bytes": b"\xff\xd8",
    "a PNG after a text transfer": b"\x89PNG\n\x1a\n" + bytes(20),
    "GIF without a version": b"GIF88a" + bytes(20),
    "JPEG XL": b"\xff\x0a" + bytes(20),
    "JPEG XL in boxes": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20),
    "ICO": b"\0\0\1\0\1\0" + bytes(20),
    "PSD": b"8BPS\0\1" + bytes(20),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "PDF": b"%PDF-1.7",
    "Ogg": b"OggS\0\2" + bytes(20),
    "FLV": b"FLV\1\5" + bytes(20),
    "MPEG-TS": b"G@\0\x10" + bytes(184),
    "MPEG-PS": b"\0\0\1\xba" + bytes(20),
    "ASF": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    "MP3": b"ID3\4\0" + bytes(20),
    "FLAC": b"fLaC\0" + bytes(20),
    "zeros": bytes(64),
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_is_told_by_its_first_bytes_everywhere(name):
    head, expected = KNOWN[name]
    kind = signatures.kind(head)
    assert kind is not None
    assert kind.name == expected
    assert bool(videos.container(head)) == kind.is_video
    if not kind.is_video and kind not in {signatures.PNG, signatures.TIFF}:
        assert readable(head).kind == kind


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_none_of_ours_is_unsupported_everywhere(name):
    body = UNKNOWN[name]
    assert signatures.kind(body) is None
    assert videos.container(body) is None
    with pytest.raises(UnsupportedMedia):
        readable(body)
    if body:
        with pytest.raises(BadMedia) as refusal:
            media.inspect(io.BytesIO(body), max_pixels=10**8, max_frames=10)
        assert refusal.value.slug == "unsupported-media-type"


@pytest.mark.parametrize("name", KNOWN)
def test_a_head_cut_anywhere_breaks_nothing(name):
    head, expected = KNOWN[name]
    for cut in range(len(head)):
        found = signatures.kind(head[:cut])
        assert found is None or found.is_video == signatures.named(expected).is_video or b"ftyp" in head


def test_a_renamed_picture_differs_in_its_brand_alone():
    head = ftyp(b"miaf", b"avif")
    kind = signatures.kind(head)
    changed = signatures.rebranded(head, kind)
    assert signatures.kind(changed) == kind
    assert changed == head.replace(b"miaf", b"avif", 1)
    assert signatures.rebranded(changed, kind) is changed


def test_no_other_module_keeps_signatures_of_its_own():
    from pathlib import Path

    home = Path(signatures.__file__).parents[1]
    for package in ("moderation", "model", "worker", "api"):
        for path in (home / package).rglob("*.py"):
            text = path.read_text()
            found = [word for word in ('b"ftyp', 'b"GIF8', 'b"RIFF"', 'b"II*', 'b"\\x1a\\x45') if word in text]
            assert not found or path.name == "pixels.py", f"{path} has {found}"
