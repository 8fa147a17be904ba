"""Traces that generators leave in a file's metadata: PNG text, EXIF, XMP, IPTC, and the tags of a video.

Kept of each is where it stands, whose it is, and the few words that name a tool or a model. A prompt is never kept,
nor an author: they may be about a person, and that there is a prompt says all that is needed. Software that makes no
pictures by itself (cameras, editors) is no trace. Metadata is easily written and easily lost: a trace is a claim, its
absence is none, and it is read without decoding a pixel. It refuses to raise: what cannot be read is no trace.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from PIL import ExifTags, Image, IptcImagePlugin

from model import pixels, videos
from worker.storable import storable

MOST = 16  # traces of a file
LONGEST_TEXT = 120  # characters kept of one
LONGEST_READ = 1 << 18  # bytes of one field that are looked at
_IMAGE_FAULTS = (*pixels.FAULTS, zlib.error, ZeroDivisionError, MemoryError, Image.DecompressionBombError)

# Words that name a generator wherever a tool names itself. The first that matches counts.
TOOLS: Final = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "Stable Diffusion": r"stable[ _-]?diffusion|automatic1111|sd[ _-]?webui|\bsdxl\b|stability\.?ai|dreamstudio",
        "ComfyUI": r"comfyui",
        "InvokeAI": r"invoke[ _-]?ai",
        "NovelAI": r"novel[ _-]?ai",
        "Fooocus": r"fooocus",
        "Draw Things": r"\bdraw things\b",
        "DiffusionBee": r"diffusionbee",
        "Midjourney": r"midjourney",
        "DALL·E": r"dall[ ·•.-]?e\b|\bopenai\b|\bchatgpt\b|\bgpt-4o\b|\bsora\b",
        "Firefly": r"adobe firefly|\bfirefly\b",
        "Google AI": r"made with google ai|\bimagen\b|\bgemini\b|synthid",
        "Meta AI": r"meta ai\b|imagined with ai",
        "Bing Image Creator": r"bing image creator|microsoft designer",
        "FLUX": r"black[ -]?forest[ -]?labs|\bflux\.?1\b",
        "Ideogram": r"\bideogram\b",
        "Leonardo": r"leonardo\.ai",
        "Grok": r"\bgrok\b|\baurora\b.*xai",
        "Runway": r"\brunway(ml)?\b",
        "Kling": r"\bkling ?ai\b",
        "Pika": r"\bpika ?labs\b",
        "StyleGAN": r"stylegan\d?|thispersondoesnotexist",
        "DeepFaceLab": r"deepfacelab|\bdfl\b.*merge",
        "FaceSwap": r"\bfaceswap\b|\broop\b|facefusion|\breface\b",
    }.items()
}
# Every repetition below is bounded: these texts are strangers'.
_SETTINGS = re.compile(r"\bSteps: \d{1,6}, .{0,120}?(?:Sampler|CFG scale|Seed): ", re.DOTALL)  # the web UI's tail
_NAMED = re.compile(r"\b(Model|Version): ([\w .+-]{1,60})")
_SOURCE = re.compile(
    r"digitalsourcetype/(trainedAlgorithmicMedia|compositeWithTrainedAlgorithmicMedia|compositeSynthetic)"
)
_LABEL = re.compile(r"\bAIGC\b[\"'>:=\s{&quot;]{0,40}Label", re.IGNORECASE)  # the label that Chinese law asks for
_TOOL_FIELDS = re.compile(
    r"(?:CreatorTool|softwareAgent|Software|Credit)(?:=[\"']|>(?:\s{0,20}<[^>]{0,200}>){0,4})([^\"'<]{1,200})"
)
# PNG keywords that only generators write
_KEYWORDS: Final = {
    "parameters": "Stable Diffusion",
    "prompt": "ComfyUI",
    "workflow": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "invokeai_graph": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "Dream": "InvokeAI",
    "fooocus_scheme": "Fooocus",
    "generation_data": "Stable Diffusion",
    "AIGC": "AIGC label",
}


class Trace(NamedTuple):
    """Where it stands (`png:parameters`, `exif:Software`), whose it is, and the words that say so, or nothing."""

    where: str
    name: str
    text: str


def read(content: bytes) -> list[dict[str, str]]:
    """Returns the traces in a file, each place once, as `{where, name, text}`."""
    found: dict[tuple[str, str], Trace] = {}
    readers = (_video,) if videos.container(content) else (_png, _image)
    for reader in readers:
        try:
            for trace in reader(content):
                found.setdefault((trace.where, trace.name), trace)
        except _IMAGE_FAULTS:  # what was found before it broke stays found
            continue
    return [
        {"where": trace.where, "name": trace.name, "text": storable(trace.text, LONGEST_TEXT)}
        for trace in list(found.values())[:MOST]
    ]


def _judged(where: str, text: str) -> Iterator[Trace]:
    """Traces in a field in which a tool may name itself, or a web UI put its settings."""
    text = text[:LONGEST_READ]
    if _SETTINGS.search(text):
        yield Trace(where, "Stable Diffusion", _models(text))
        return
    if source := _SOURCE.search(text):
        yield Trace(where, "IPTC digital source type", source[1])
    if _LABEL.search(text):
        yield Trace(where, "AIGC label", "")
    if len(text) > 4 * LONGEST_TEXT:
        return  # too long for a name: prose, in which any word may stand
    for name, pattern in TOOLS.items():
        if match := pattern.search(text):
            yield Trace(where, name, match[0])
            return


def _models(text: str) -> str:
    """`Model: …, Version: …` out of the web UI's settings, which stand behind the prompt."""
    tail = text[_SETTINGS.search(text).start() :] if _SETTINGS.search(text) else ""  # type: ignore[union-attr]
    return ", ".join(f"{key}: {value.strip()}" for key, value in _NAMED.findall(tail)[:2])


def _png(content: bytes) -> Iterator[Trace]:
    """Text chunks, wherever they stand. They are walked to: Pillow would decode the pixels to reach the last."""
    if not content.startswith(b"\x89PNG"):
        return
    position = 8
    while position + 12 <= len(content):
        size, kind = struct.unpack(">I4s", content[position : position + 8])
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, text = _text_chunk(kind, content[position + 8 : position + 8 + min(size, LONGEST_READ)])
            yield from _keyword(f"png:{storable(keyword, 40)}", keyword, text)
        position += 12 + size


def _text_chunk(kind: bytes, body: bytes) -> tuple[str, str]:
    raw, _, rest = body.partition(b"\0")
    keyword = raw.decode("latin-1")
    if kind == b"tEXt":
        return keyword, rest.decode("latin-1")
    if kind == b"zTXt":
        return keyword, _inflated(rest[1:]).decode("latin-1")
    packed, tail = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    return keyword, (_inflated(tail) if packed else tail).decode("utf-8", "replace")


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, LONGEST_READ)  # never more, whatever it would unpack to
    except zlib.error:
        return b""


def _keyword(where: str, keyword: str, text: str) -> Iterator[Trace]:
    if keyword == "XML:com.adobe.xmp":
        yield from _xmp(text)
    elif keyword in _KEYWORDS and (keyword not in {"parameters", "prompt"} or _is_generated(keyword, text)):
        yield Trace(where, _KEYWORDS[keyword], _models(text))
    elif keyword == "Description" and "Job ID:" in text:
        yield Trace(where, "Midjourney", "Job ID")
    elif keyword in {"Software", "Source", "Author", "Comment", "Title", "Description"}:
        yield from _judged(where, text)


def _is_generated(keyword: str, text: str) -> bool:
    """Whether a word that others may use, too, is used as a generator uses it."""
    return bool(_SETTINGS.search(text)) if keyword == "parameters" else text.lstrip().startswith("{")


def _image(content: bytes) -> Iterator[Trace]:
    with Image.open(io.BytesIO(content), formats=pixels.FORMATS) as image:
        yield from _exif(image)
        xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
        yield from _xmp(xmp if isinstance(xmp, str) else bytes(xmp)[:LONGEST_READ].decode("utf-8", "replace"))
        yield from _iptc(image)
        comment = image.info.get("comment")  # of a JPEG or GIF
        if isinstance(comment, bytes):
            yield from _judged("comment", comment[:LONGEST_READ].decode("utf-8", "replace"))


def _exif(image: Image.Image) -> Iterator[Trace]:
    exif = image.getexif()
    fields: dict[str, Any] = {
        name: exif.get(ExifTags.Base[name])
        for name in ("Software", "Artist", "ImageDescription", "Make", "Model", "Copyright", "ProcessingSoftware")
    }
    fields["UserComment"] = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    for name, value in fields.items():
        if value:
            yield from _judged(f"exif:{name}", _exif_text(value))


def _exif_text(value: object) -> str:
    """EXIF comments begin with eight bytes that name their coding."""
    if not isinstance(value, bytes):
        return str(value)
    value = value[:LONGEST_READ]
    if value.startswith(b"UNICODE\0"):
        body = value[8:]
        return body.decode("utf-16-be" if body[:1] == b"\0" else "utf-16-le", "replace")
    return value.removeprefix(b"ASCII\0\0\0").decode("utf-8", "replace")


def _xmp(text: str) -> Iterator[Trace]:
    """Matched, not parsed: no XML parser meets these bytes."""
    text = text[:LONGEST_READ]
    if source := _SOURCE.search(text):
        yield Trace("xmp:DigitalSourceType", "IPTC digital source type", source[1])
    if _LABEL.search(text):
        yield Trace("xmp:AIGC", "AIGC label", "")
    for told in _TOOL_FIELDS.findall(text)[:MOST]:
        yield from _judged("xmp:CreatorTool", told)


def _iptc(image: Image.Image) -> Iterator[Trace]:
    told: dict[tuple[int, int], Any] = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
    for name, field in {"Program": (2, 65), "By-line": (2, 80), "Credit": (2, 110), "Source": (2, 115)}.items():
        values = told.get(field) or b""
        for value in values if isinstance(values, list) else [values]:
            yield from _judged(f"iptc:{name}", bytes(value)[:LONGEST_READ].decode("utf-8", "replace"))


def _video(content: bytes) -> Iterator[Trace]:
    for name, text in videos.tags(content).items():
        where = f"video:{storable(name, 40)}"
        if text.lstrip().startswith("{") and '"class_type"' in text:  # a ComfyUI graph, in whichever tag it was put
            yield Trace(where, "ComfyUI", "")
        elif name.upper() == "AIGC":
            yield Trace(where, "AIGC label", "")
        else:
            yield from _judged(where, text)
