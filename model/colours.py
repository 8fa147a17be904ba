"""Colours as a screen shows them: pictures with a profile of another space are converted to sRGB by it.

Photographs of phones are often Display P3, those of cameras Adobe RGB, and prints CMYK. Read as if they were sRGB, skin
is paler or redder than anybody sees it. What is sRGB already, within rounding, is left alone to the last bit; a profile
that is too large, broken, or for another kind of picture counts as none.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

MOST_BYTES = 4 << 20  # of a profile; those of presses have up to 2 MB
_ALIKE = 3  # levels of 255: profiles that move no colour further are sRGB under another name
_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}  # of pixels, and of the profiles that are for them
_INTENT = ImageCms.Intent.PERCEPTUAL


def in_srgb(image: Image.Image) -> Image.Image:
    """The image in sRGB, with its transparency; the same image where it has no profile that says anything else."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MOST_BYTES:
        return image
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    plain = _plain(image)
    change = _change(profile, plain.mode) if plain.mode in _SPACES else None
    if change is None:
        return image
    try:
        seen = ImageCms.applyTransform(plain, change)
    except (ImageCms.PyCMSError, ValueError, OSError):
        return image
    assert seen is not None
    if alpha is not None:
        seen.putalpha(alpha)
    return seen


def is_srgb(image: Image.Image) -> bool:
    """Whether `in_srgb` would leave an image alone whose mode is RGB."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MOST_BYTES:
        return True
    return _change(profile, "RGB") is None


def _plain(image: Image.Image) -> Image.Image:
    """The image without transparency, in the mode of its colours."""
    if image.mode in {"P", "PA", "RGBA", "RGBX"}:
        return image.convert("RGB")
    return image.convert("L") if image.mode in {"1", "LA"} else image


@lru_cache(maxsize=16)
def _change(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile's space to sRGB for pixels of a mode; None where there is none, or none is needed."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        change = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT)
        if mode == "CMYK":
            return change
        palette = Image.fromarray(_grid(mode))
        seen = ImageCms.applyTransform(palette, change)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None
    assert seen is not None
    moved = np.abs(np.asarray(seen, np.int16) - np.asarray(palette.convert("RGB"), np.int16))
    return change if moved.max() > _ALIKE else None


def _grid(mode: str) -> NDArray[np.uint8]:
    """Colours from all over the space: uint8 (81, 9, 3) for RGB, (1, 256) for greys."""
    if mode == "L":
        return np.arange(256, dtype=np.uint8)[None]
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(81, 9, 3)
