"""Traces that generators leave in a file's metadata: PNG text, EXIF, XMP, IPTC, and the tags of a video.

Only fields in which tools name themselves are read, and only whole product names count (`generators`), or structures
that generators alone write. A caption, a title, an author or a camera's name is never a trace, whatever its words.

A trace is where it stands, whose it is, and the few words that name a tool or a model. A prompt is not kept: it may be
about a person, and that there is one says enough. Metadata is easily written and easily lost. So a trace is a claim,
and its absence is none. No pixel is decoded, and what cannot be read is no trace.
"""

import io
import json
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import ExifTags, Image, IptcImagePlugin

from model import pixels, videos
from worker import generators, packets
from worker.storable import storable

MOST = 16  # traces of a file
LONGEST_TEXT = generators.LONGEST  # characters kept of one
LONGEST_READ = 1 << 18  # bytes of one field that are looked at
_IMAGE_FAULTS = (*pixels.FAULTS, zlib.error, ZeroDivisionError, MemoryError, Image.DecompressionBombError)

# The last line that web UIs write behind a prompt: a whole line, in their order. Repetitions are bounded.
_SETTINGS = re.compile(
    r"^Steps: \d{1,6}, (?:(?:Sampler|Schedule type|Scheduler|Distilled CFG Scale|CFG scale|Seed|Size|Guidance): "
    r"[^,\n]{1,80}, ){1,6}(?:Seed|Size|CFG scale|Model|Model hash|Guidance): ",
    re.MULTILINE | re.IGNORECASE,
)
_NAMED = re.compile(r"\b(Model|Version): ([\w .+-]{1,60})")
_SOURCE = re.compile(
    r"(?:https?://cv\.iptc\.org/newscodes/digitalsourcetype/|digsrctype:)?"
    r"(trainedAlgorithmicMedia|compositeWithTrainedAlgorithmicMedia|compositeSynthetic)"
)
_LABEL = re.compile(r'"Label"\s{0,4}:\s{0,4}"?[123]\b')  # the label that Chinese law asks for; 1 to 3 are synthetic
_GRAPH = re.compile(r'\\?"class_type\\?"\s{0,4}:\s{0,4}\\?"[^"]')  # a graph may stand as a string inside an object
_NODES = re.compile(r'"nodes"\s{0,4}:\s{0,4}\[')
_LINKS = re.compile(r'"(?:links|last_node_id|last_link_id)"\s{0,4}:')
_JOB = re.compile(
    r"--(?:v|version|niji|ar|aspect|style|stylize|s|q|quality|chaos|raw|profile|sref|cref|seed|iw|weird|tile)\b"
    r"[^\n]{0,400}Job ID: [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    re.IGNORECASE,
)
_LSTEIN = re.compile(r'^"[^\n]{1,4000}" -s ?\d{1,4} -S ?\d{1,12} -W ?\d{2,5} -H ?\d{2,5}')
_VIDEO_TOOLS = frozenset(
    {"encoder", "encoding_tool", "software", "creation_tool", "com.apple.quicktime.software", "tool"}
)


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


def _tool(where: str, text: str) -> Iterator[Trace]:
    """The trace in a field in which a tool names itself."""
    if found := generators.named(text):
        yield Trace(where, *found)


def _settings(where: str, text: str) -> Iterator[Trace]:
    """The trace in a field in which web UIs put how a picture was made."""
    text = text[:LONGEST_READ]
    if match := _SETTINGS.search(text):
        tail = text[match.start() :]
        models = ", ".join(f"{key}: {value.strip()}" for key, value in _NAMED.findall(tail)[:2])
        yield Trace(where, "Stable Diffusion", models)
    elif _begins_object(text) and '"sui_image_params"' in text:
        yield Trace(where, "SwarmUI", "")


def _graph(where: str, text: str) -> Iterator[Trace]:
    """The trace in a field that holds a ComfyUI graph, as it was run or as it was drawn."""
    text = text[:LONGEST_READ]
    if _begins_object(text) and (_GRAPH.search(text) or (_NODES.search(text) and _LINKS.search(text))):
        yield Trace(where, "ComfyUI", "")


def _label(where: str, text: str) -> Iterator[Trace]:
    if _begins_object(text) and _LABEL.search(text[:LONGEST_READ]):
        yield Trace(where, "AIGC label", "")


def _begins_object(text: str) -> bool:
    return text[:64].lstrip().startswith("{")


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
    """A PNG keyword is a trace when what stands under it has the shape that the generator writes."""
    if keyword == "XML:com.adobe.xmp":
        yield from _xmp(text)
    elif keyword == "Software":
        yield from _tool(where, text)
    elif keyword == "parameters":
        yield from _settings(where, text)
    elif keyword in ("prompt", "workflow"):
        yield from _graph(where, text)
    elif keyword == "AIGC":
        yield from _label(where, text)
    elif name := _by_shape(keyword, text[:LONGEST_READ]):
        yield Trace(where, *name)


def _by_shape(keyword: str, text: str) -> tuple[str, str] | None:
    """Returns a generator's name and the words to keep, for keywords that one generator alone writes."""
    begins = _begins_object(text)
    if keyword == "Description" and _JOB.search(text.strip()[-600:]):
        return "Midjourney", "Job ID"
    if keyword in ("invokeai_metadata", "invokeai_graph", "invokeai_workflow", "sd-metadata") and begins:
        return "InvokeAI", ""
    if keyword == "Dream" and _LSTEIN.search(text):
        return "InvokeAI", ""
    if keyword == "fooocus_scheme" and text.strip() in ("fooocus", "a1111"):
        return "Fooocus", ""
    if keyword == "generation_data" and begins and ('"models"' in text or '"baseModel"' in text):
        return "Stable Diffusion", ""
    return None


def _image(content: bytes) -> Iterator[Trace]:
    with Image.open(io.BytesIO(content), formats=pixels.FORMATS) as image:
        yield from _exif(image)
        xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
        yield from _xmp(xmp if isinstance(xmp, str) else bytes(xmp)[:LONGEST_READ].decode("utf-8", "replace"))
        yield from _iptc(image)
        comment = image.info.get("comment")  # where web UIs put a GIF's settings
        if isinstance(comment, bytes):
            yield from _settings("comment", comment[:LONGEST_READ].decode("utf-8", "replace"))


def _exif(image: Image.Image) -> Iterator[Trace]:
    exif = image.getexif()
    for name in ("Software", "ProcessingSoftware"):
        yield from _tool(f"exif:{name}", _exif_text(exif.get(ExifTags.Base[name])))
    for name, mark in {"Make": "workflow:", "Model": "prompt:"}.items():  # ComfyUI's place in WebP
        if (text := _exif_text(exif.get(ExifTags.Base[name]))).startswith(mark):
            yield from _graph(f"exif:{name}", text.removeprefix(mark))
    comment = _exif_text(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment))
    yield from _settings("exif:UserComment", comment)
    yield from _label("exif:UserComment", _aigc(comment))


def _aigc(comment: str) -> str:
    """Returns the object under `AIGC` in a JSON comment, where the standard lets JPEGs carry their label."""
    if not _begins_object(comment) or len(comment) > LONGEST_READ:
        return ""
    try:
        label = json.loads(comment).get("AIGC")
    except (ValueError, RecursionError, AttributeError):
        return ""
    return json.dumps(label) if isinstance(label, dict) else str(label or "")


def _exif_text(value: object) -> str:
    """Returns a field's text. Comments begin with eight bytes that name their coding. Other texts are UTF-8 in
    practice, which Pillow reads as Latin-1.
    """
    if isinstance(value, str):
        try:
            return value[:LONGEST_READ].encode("latin-1").decode()
        except UnicodeError:
            return value[:LONGEST_READ]
    if not isinstance(value, bytes):
        return ""
    value = value[:LONGEST_READ]
    if value.startswith(b"UNICODE\0"):
        body = value[8:]
        return body.decode("utf-16-be" if body[:1] == b"\0" else "utf-16-le", "replace")
    return value.removeprefix(b"ASCII\0\0\0").decode("utf-8", "replace")


def _xmp(packet: str) -> Iterator[Trace]:
    for name, value in packets.properties(packet[:LONGEST_READ]):
        where = f"xmp:{name}"
        if name == "DigitalSourceType":
            if source := _SOURCE.fullmatch(value):
                yield Trace(where, "IPTC digital source type", source[1])
        elif name == "AIGC":
            yield from _label(where, value)
        else:
            yield from _tool(where, value)


def _iptc(image: Image.Image) -> Iterator[Trace]:
    records: dict[tuple[int, int], Any] = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
    values = records.get((2, 65)) or b""  # Originating Program; bylines, credits and sources are people's words
    for value in values if isinstance(values, list) else [values]:
        yield from _tool("iptc:Program", bytes(value)[:LONGEST_READ].decode("utf-8", "replace"))


def _video(content: bytes) -> Iterator[Trace]:
    for name, text in videos.tags(content).items():
        where = f"video:{storable(name, 40)}"
        if name.upper() == "AIGC":
            yield from _label(where, text)
        elif name.lower() in _VIDEO_TOOLS:
            yield from _tool(where, text)
        else:
            yield from _graph(where, text)  # in whichever tag it was put
