"""Traces of generators are found where each writes them; prompts and people's names are never kept."""

import io
import json
import zlib
from xml.sax.saxutils import escape, quoteattr

import pytest
from PIL import Image, PngImagePlugin

from tests.movies import clip, shades
from tests.worker import claims
from worker import packets, traces

PROMPT = "portrait of Jane Doe of 12 Elm Street, photorealistic"
SETTINGS = f"{PROMPT}\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512, Model: sd_xl_base, Version: v1.9"


def encoded(form="JPEG", **options):
    file = io.BytesIO()
    Image.new("RGB", (32, 24), "teal").save(file, form, **options)
    return file.getvalue()


def png(**texts):
    told = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        told.add_text(keyword, text, zip=len(text) > 200)
    return encoded("PNG", pnginfo=told)


def exif(form="JPEG", **fields):
    told = Image.Exif()
    numbers = {
        "Software": 0x131,
        "Artist": 0x13B,
        "ImageDescription": 0x10E,
        "Make": 0x10F,
        "Model": 0x110,
        "Copyright": 0x8298,
        "ProcessingSoftware": 0x0B,
    }
    for name, value in fields.items():
        if name == "UserComment":
            told.get_ifd(0x8769)[0x9286] = value
        else:
            told[numbers[name]] = value.encode(errors="replace")  # as files hold it; Pillow would write ASCII
    return encoded(form, exif=told)


def xmp(body):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {body}/></rdf:RDF></x:xmpmeta>'.encode()


def names(content):
    found = traces.read(content)
    assert PROMPT not in json.dumps(found)
    assert "Jane" not in json.dumps(found)
    return {(trace["where"], trace["name"]) for trace in found}


def packet(children):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description>{children}</rdf:Description></rdf:RDF></x:xmpmeta>'.encode()


def iptc(datasets):
    record = b"".join(b"\x1c\x02" + bytes([number]) + len(text).to_bytes(2) + text for number, text in datasets.items())
    resource = b"8BIM\x04\x04\0\0" + len(record).to_bytes(4) + record + b"\0" * (len(record) % 2)
    segment = b"Photoshop 3.0\0" + resource
    plain = encoded()
    return plain[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2) + segment + plain[2:]


def free_text(text):
    """Files with ``text`` in every field that holds people's words, or a camera's name."""
    fields = {"Title", "Author", "Description", "Comment", "Source", "Copyright", "Warning", "Disclaimer"}
    caption = f"<dc:description><rdf:Alt><rdf:li>{escape(text)}</rdf:li></rdf:Alt></dc:description>"
    people = "".join(
        f"<{name}>{escape(text)}</{name}>" for name in ("dc:creator", "dc:title", "dc:rights", "photoshop:Credit")
    )
    packet = f"<x:xmpmeta><rdf:RDF><rdf:Description tiff:Model={quoteattr(text)}>{caption}{people}</rdf:Description></rdf:RDF></x:xmpmeta>"
    comment = text.encode()
    yield exif(
        Artist=text, ImageDescription=text, Make=text, Model=text, Copyright=text, UserComment=b"ASCII\0\0\0" + comment
    )
    yield exif("WEBP", Artist=text, UserComment=b"UNICODE\0" + text.encode("utf-16-be"))
    yield png(**dict.fromkeys(fields, text), prompt=text, workflow=text, parameters=text, AIGC=text)
    yield png(**{"XML:com.adobe.xmp": packet})
    yield encoded(xmp=packet.encode(), comment=comment)
    yield encoded("GIF", comment=comment)
    yield iptc(
        {
            80: comment[:200],
            85: comment[:200],
            105: comment[:200],
            110: comment[:200],
            115: comment[:200],
            120: comment[:200],
        }
    )


@pytest.mark.parametrize("text", claims.NOT_CLAIMS)
def test_names_places_and_captions_are_no_trace_in_any_free_text(text):
    for content in free_text(text):
        assert traces.read(content) == []


def test_a_videos_title_artist_and_description_are_no_trace():
    for text in claims.NOT_CLAIMS[::6]:
        told = dict.fromkeys(("title", "artist", "comment", "description", "copyright", "make", "model"), text)
        assert traces.read(clip(shades(2), tags=told)) == []


@pytest.mark.parametrize("text", claims.NOT_TOOLS)
def test_cameras_and_editors_are_no_trace_where_tools_name_themselves(text):
    assert traces.read(exif(Software=text, ProcessingSoftware=text)) == []
    assert (
        traces.read(encoded(xmp=xmp(f"xmp:CreatorTool={quoteattr(text)} stEvt:softwareAgent={quoteattr(text)}"))) == []
    )
    assert traces.read(iptc({65: text.encode()})) == []


@pytest.mark.parametrize(("text", "name"), claims.TOOLS)
def test_a_generator_that_names_itself_is_a_trace(text, name):
    assert names(exif(Software=text)) == {("exif:Software", name)}
    assert names(encoded(xmp=xmp(f"xmp:CreatorTool={quoteattr(text)}"))) == {("xmp:CreatorTool", name)}


def test_the_tables_are_as_long_as_they_should_be():
    assert len(set(claims.NOT_CLAIMS)) + len(set(claims.NOT_TOOLS)) >= 100
    assert len(set(claims.NOT_CLAIMS)) >= 60
    assert len(set(claims.TOOLS)) >= 40


MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
GRAPH = json.dumps({"3": {"class_type": "KSampler", "inputs": {"text": PROMPT}}})
DRAWN = json.dumps(
    {"last_node_id": 9, "last_link_id": 9, "nodes": [{"type": "KSampler", "widgets_values": [PROMPT]}], "links": []}
)
LABEL = json.dumps({"Label": "1", "ContentProducer": "x", "ProduceID": "1"})


@pytest.mark.parametrize(
    ("content", "where", "name"),
    [
        (png(parameters=SETTINGS), "png:parameters", "Stable Diffusion"),
        (png(parameters=json.dumps({"sui_image_params": {"prompt": PROMPT}})), "png:parameters", "SwarmUI"),
        (png(prompt=GRAPH), "png:prompt", "ComfyUI"),
        (png(workflow=DRAWN), "png:workflow", "ComfyUI"),
        (png(invokeai_metadata=json.dumps({"positive_prompt": PROMPT})), "png:invokeai_metadata", "InvokeAI"),
        (png(**{"sd-metadata": json.dumps({"image": {"prompt": PROMPT}})}), "png:sd-metadata", "InvokeAI"),
        (png(Dream=f'"{PROMPT}" -s 50 -S 12345 -W 512 -H 512 -C 7.5 -A k_lms'), "png:Dream", "InvokeAI"),
        (png(fooocus_scheme="fooocus", parameters=f'{{"prompt": "{PROMPT}"}}'), "png:fooocus_scheme", "Fooocus"),
        (png(generation_data=json.dumps({"prompt": PROMPT, "models": []})), "png:generation_data", "Stable Diffusion"),
        (png(Software="NovelAI", Description=PROMPT), "png:Software", "NovelAI"),
        (png(Description=f"{PROMPT} --v 6 --ar 2:3 Job ID: 0f8fad5b-d9cb-469f-a165-70867728950e"), "png:Description", "Midjourney"),
        (png(AIGC=LABEL), "png:AIGC", "AIGC label"),
        (exif(UserComment=b"UNICODE\0" + SETTINGS.encode("utf-16-be")), "exif:UserComment", "Stable Diffusion"),
        (exif(UserComment=b"UNICODE\0" + SETTINGS.encode("utf-16-le")), "exif:UserComment", "Stable Diffusion"),
        (exif(UserComment=b"ASCII\0\0\0" + SETTINGS.encode()), "exif:UserComment", "Stable Diffusion"),
        (exif(UserComment=b"ASCII\0\0\0" + json.dumps({"AIGC": LABEL}).encode()), "exif:UserComment", "AIGC label"),
        (exif("WEBP", Software="ComfyUI"), "exif:Software", "ComfyUI"),
        (exif("WEBP", Model=f"prompt:{GRAPH}"), "exif:Model", "ComfyUI"),
        (exif("WEBP", Make=f"workflow:{DRAWN}"), "exif:Make", "ComfyUI"),
        (exif(Software="Adobe Photoshop 25.0; Adobe Firefly 3"), "exif:Software", "Firefly"),
        (encoded("GIF", comment=SETTINGS.encode()), "comment", "Stable Diffusion"),
        (encoded(xmp=xmp(f'Iptc4xmpExt:DigitalSourceType="{MADE}"')), "xmp:DigitalSourceType", "IPTC digital source type"),
        (encoded(xmp=xmp('a:DigitalSourceType="compositeWithTrainedAlgorithmicMedia"')), "xmp:DigitalSourceType", "IPTC digital source type"),
        (encoded(xmp=packet(f'<e:DigitalSourceType rdf:resource="{MADE}"/>')), "xmp:DigitalSourceType", "IPTC digital source type"),
        (encoded(xmp=packet("<xmp:CreatorTool>Draw Things</xmp:CreatorTool>")), "xmp:CreatorTool", "Draw Things"),
        (encoded(xmp=packet("<h:History><rdf:Seq><rdf:li stEvt:softwareAgent='Adobe Firefly'/></rdf:Seq></h:History>")), "xmp:softwareAgent", "Firefly"),
        (encoded(xmp=xmp("TC260:AIGC='{\"Label\":\"1\"}'")), "xmp:AIGC", "AIGC label"),
        (encoded(xmp=packet(f"<T:AIGC>{LABEL}</T:AIGC>")), "xmp:AIGC", "AIGC label"),
        (png(**{"XML:com.adobe.xmp": xmp(f'a:DigitalSourceType="{MADE}"').decode()}), "xmp:DigitalSourceType", "IPTC digital source type"),
        (iptc({65: b"Midjourney v6"}), "iptc:Program", "Midjourney"),
        (clip(shades(3), tags={"comment": GRAPH}), "video:comment", "ComfyUI"),
        (clip(shades(3), tags={"comment": json.dumps({"prompt": GRAPH, "workflow": DRAWN})}), "video:comment", "ComfyUI"),
    ],
)  # fmt: skip
def test_each_generator_leaves_its_trace(content, where, name):
    assert (where, name) in names(content)


QUOTED = f'How to: set a:DigitalSourceType="{MADE}" and xmp:CreatorTool="Midjourney", AIGC {LABEL}'


@pytest.mark.parametrize(
    "content",
    [
        encoded(),
        exif(Software="Adobe Photoshop 25.0", Make="Canon", Artist="Jane Doe"),
        exif(Make="Google", Software="HDR+ 1.0.5"),
        png(Software="gnome-screenshot", prompt="a question of ours", parameters="exposure=1"),
        png(prompt='{"question": "Which way?", "answers": ["left"]}', workflow='{"approved_by": "Ann", "nodes": 2}'),
        png(parameters="Steps: 20, Sampler", generation_data="{}", AIGC='{"Label": "0"}', fooocus_scheme="none"),
        png(Description=f"A tutorial. {SETTINGS}", Comment=SETTINGS, Title=GRAPH),
        png(Description="Order for the print shop, Job ID: 0f8fad5b-d9cb-469f-a165-70867728950e"),
        png(Description=f"A long story in which somebody tries Midjourney. {'And so on. ' * 80}"),
        exif(UserComment=b"ASCII\0\0\0I used Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x512, see"),
        encoded(xmp=packet(f"<dc:description><rdf:Alt><rdf:li>{escape(QUOTED)}</rdf:li></rdf:Alt></dc:description>")),
        encoded(xmp=packet(f"<dc:description>{QUOTED}</dc:description>")),
        encoded(xmp=xmp("TC260:AIGC='{\"Label\":\"0\"}'")),
        encoded(xmp=xmp('xmp:CreatorTool="Lightroom" a:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"')),
        clip(shades(3)),
        b"",
        b"no file at all",
    ],
)  # fmt: skip
def test_cameras_editors_and_people_are_no_trace(content):
    assert traces.read(content) == []


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE x [<!ENTITY a "Midjourney">]><x CreatorTool="&a;"/>',
        b'<!DOCTYPE x SYSTEM "file:///etc/hostname"><x><CreatorTool>Midjourney</CreatorTool></x>',
        b"<x>" * 100_000 + b'<y CreatorTool="Midjourney"/>',
        b'<x CreatorTool="Midjourney',
        b"\xff\xfe\0<\0x",
        b'<?xml version="1.0" encoding="ebcdic-x"?><x/>',
    ],
)
def test_a_hostile_xmp_packet_expands_nothing_and_raises_nothing(body):
    assert list(packets.properties(body.decode("utf-8", "replace"))) == []


def test_what_a_broken_packet_said_before_it_broke_counts():
    assert names(encoded(xmp=b'<x xmp:CreatorTool="Midjourney"><broken')) == {("xmp:CreatorTool", "Midjourney")}


def test_of_the_web_uis_settings_only_model_and_version_are_kept():
    (trace,) = traces.read(png(parameters=SETTINGS))
    assert trace["text"] == "Model: sd_xl_base, Version: v1.9"


def test_text_behind_the_pixels_is_found_too():
    plain = encoded("PNG")
    body = b"tEXt" + b"parameters\0" + SETTINGS.encode()
    chunk = (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    assert names(plain[:-12] + chunk + plain[-12:]) == {("png:parameters", "Stable Diffusion")}


def test_text_that_unpacks_to_far_more_than_it_is_costs_little():
    body = b"zTXt" + b"Software\0\0" + zlib.compress(b"Midjourney; " + b"x" * 20_000_000, 9)
    chunk = (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    plain = encoded("PNG")
    assert traces.read(plain[:33] + chunk + plain[33:]) == []


@pytest.mark.parametrize("text", ["Midjourney\0\x1b[31m<script>", "Midjourney \ud800", "Midjourney" + "!" * 400])
def test_what_is_kept_can_be_stored_and_is_short(text):
    kept = traces.read(exif(Software=text.encode("utf-8", "replace").decode()))
    for trace in kept:
        json.dumps(trace).encode().decode("ascii")
        assert trace["text"].isprintable()
        assert len(trace["text"]) <= 120


def test_what_is_torn_or_absurd_has_no_traces_and_raises_nothing():
    whole = png(parameters=SETTINGS, workflow="{}")
    for cut in range(0, len(whole), 7):
        traces.read(whole[:cut])
    for length in (b"\xff\xff\xff\xff", b"\0\0\0\0"):
        traces.read(whole[:33] + length + whole[37:])
