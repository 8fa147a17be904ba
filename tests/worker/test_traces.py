"""Traces of generators are found where each writes them; prompts and people's names are never kept."""

import io
import json
import zlib

import pytest
from PIL import Image, PngImagePlugin

from tests.movies import clip, shades
from worker import traces

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
    numbers = {"Software": 0x131, "Artist": 0x13B, "ImageDescription": 0x10E, "Make": 0x10F}
    for name, value in fields.items():
        if name == "UserComment":
            told.get_ifd(0x8769)[0x9286] = value
        else:
            told[numbers[name]] = value
    return encoded(form, exif=told)


def xmp(body):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description {body}/></rdf:RDF></x:xmpmeta>'.encode()


def names(content):
    found = traces.read(content)
    assert PROMPT not in json.dumps(found)
    assert "Jane" not in json.dumps(found)
    return {(trace["where"], trace["name"]) for trace in found}


def iptc(program):
    record = b"\x1c\x02\x41" + len(program).to_bytes(2) + program
    resource = b"8BIM\x04\x04\0\0" + len(record).to_bytes(4) + record + b"\0" * (len(record) % 2)
    segment = b"Photoshop 3.0\0" + resource
    plain = encoded()
    return plain[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2) + segment + plain[2:]


MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.mark.parametrize(
    ("content", "where", "name"),
    [
        (png(parameters=SETTINGS), "png:parameters", "Stable Diffusion"),
        (png(prompt=json.dumps({"3": {"class_type": "KSampler", "inputs": {"text": PROMPT}}})), "png:prompt", "ComfyUI"),
        (png(workflow=json.dumps({"nodes": [PROMPT]})), "png:workflow", "ComfyUI"),
        (png(invokeai_metadata="{}"), "png:invokeai_metadata", "InvokeAI"),
        (png(Software="NovelAI", Description=PROMPT), "png:Software", "NovelAI"),
        (png(Description=f"{PROMPT} --v 6 Job ID: 0000"), "png:Description", "Midjourney"),
        (exif(Software="Adobe Firefly 3"), "exif:Software", "Firefly"),
        (exif(Make="OpenAI DALL-E 3"), "exif:Make", "DALL·E"),
        (exif(Artist="Midjourney"), "exif:Artist", "Midjourney"),
        (exif(UserComment=b"UNICODE\0" + SETTINGS.encode("utf-16-be")), "exif:UserComment", "Stable Diffusion"),
        (exif(UserComment=b"ASCII\0\0\0" + SETTINGS.encode()), "exif:UserComment", "Stable Diffusion"),
        (exif("WEBP", Software="ComfyUI"), "exif:Software", "ComfyUI"),
        (encoded(xmp=xmp(f'Iptc4xmpExt:DigitalSourceType="{MADE}"')), "xmp:DigitalSourceType", "IPTC digital source type"),
        (encoded(xmp=xmp('xmp:CreatorTool="Draw Things"')), "xmp:CreatorTool", "Draw Things"),
        (encoded("WEBP", xmp=xmp('photoshop:Credit="Made with Google AI"')), "xmp:CreatorTool", "Google AI"),
        (encoded(xmp=xmp("TC260:AIGC='{\"Label\":\"1\"}'")), "xmp:AIGC", "AIGC label"),
        (png(**{"XML:com.adobe.xmp": xmp(f'a:DigitalSourceType="{MADE}"').decode()}), "xmp:DigitalSourceType", "IPTC digital source type"),
        (iptc(b"Midjourney v6"), "iptc:Program", "Midjourney"),
        (encoded(comment=b"StyleGAN2 sample"), "comment", "StyleGAN"),
        (clip(shades(3), tags={"comment": json.dumps({"3": {"class_type": "KSampler"}})}), "video:comment", "ComfyUI"),
        (clip(shades(3), tags={"title": "Sora"}), "video:title", "DALL·E"),
    ],
)  # fmt: skip
def test_each_generator_leaves_its_trace(content, where, name):
    assert (where, name) in names(content)


@pytest.mark.parametrize(
    "content",
    [
        encoded(),
        exif(Software="Adobe Photoshop 25.0", Make="Canon", Artist="Jane Doe"),
        exif(Make="Google", Software="HDR+ 1.0.5"),
        png(Software="gnome-screenshot", prompt="a question of ours", parameters="exposure=1"),
        png(Description=f"A long story in which somebody tries Midjourney. {'And so on. ' * 80}"),
        encoded(xmp=xmp('xmp:CreatorTool="Lightroom" a:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"')),
        clip(shades(3)),
        b"",
        b"no file at all",
    ],
)  # fmt: skip
def test_cameras_editors_and_people_are_no_trace(content):
    assert traces.read(content) == []


def test_of_the_web_uis_settings_only_model_and_version_are_kept():
    (trace,) = traces.read(png(parameters=SETTINGS))
    assert trace["text"] == "Model: sd_xl_base, Version: v1.9"


def test_text_behind_the_pixels_is_found_too():
    plain = encoded("PNG")
    body = b"tEXt" + b"parameters\0" + SETTINGS.encode()
    chunk = (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    assert names(plain[:-12] + chunk + plain[-12:]) == {("png:parameters", "Stable Diffusion")}


def test_text_that_unpacks_to_far_more_than_it_is_costs_little():
    body = b"zTXt" + b"Comment\0\0" + zlib.compress(b"Midjourney " + bytes(20_000_000), 9)
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
