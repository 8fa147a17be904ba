"""Made-up pictures with something to see for a perceptual hash, and folders of them."""

import io
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image


def pattern(seed: int, side: int = 96) -> np.ndarray:
    """uint8 (side, side, 3): soft blotches with some grain, others for every seed."""
    chance = np.random.default_rng(seed)
    blotches = cv2.resize(chance.uniform(0, 255, (12, 12, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(blotches + chance.normal(0, 12, blotches.shape), 0, 255).astype(np.uint8)


def encoded(image: np.ndarray, form: str = "JPEG", **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, form, **options)
    return content.getvalue()


def put(path: Path, image: np.ndarray, **options: object) -> Path:
    """The picture in the format of the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)
    return path


def source(home: Path, reals: int, fakes: int, first: int = 0) -> Path:
    """`home/{real,fake}/N.jpg`, no two alike."""
    for number in range(reals + fakes):
        put(home / ("real" if number < reals else "fake") / f"{number}.jpg", pattern(first + number))
    return home


def film(path: Path, frames: list[np.ndarray]) -> Path:
    """An MP4 of uint8 RGB frames with even sides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10, options={"qscale": "2"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path
