"""Bad light, drawn: dark rooms, shadows on a face, faces against the light, and darker skin under each of them.

A phone writes 8 bits after it has lost the shadows, so what is darkened here is rounded, with noise, before anything
can brighten it again.
"""

from __future__ import annotations

import cv2
import numpy as np

from model import faces, views

DARKEST = 0.06  # of the light that there was


def dim(rng: np.random.Generator, image: views.Image) -> views.Image:
    """A dark room: a sixteenth to a half of the light, with a tint, a raised black and noise."""
    gain = np.exp(rng.uniform(np.log(DARKEST), np.log(0.5))) * rng.uniform(0.8, 1.2, 3)
    curve = (np.arange(256)[:, None] / 255) ** rng.uniform(0.9, 1.4) * 255 * gain + rng.uniform(0, 18)
    dark = cv2.LUT(image, curve.clip(0, 255).astype(np.uint8)[:, None])
    noise = rng.normal(0, rng.uniform(0, 4), image.shape[:2])
    return np.asarray((dark + noise[..., None]).clip(0, 255), np.uint8)


def shadow(rng: np.random.Generator, image: views.Image, row: faces.Floats) -> None:
    """A shadow on the face of `row`, in place: over all of it, as against the light; over one side; or in bands, as
    from leaves and blinds. Soft or hard at its edge, a tenth to six tenths of the light left.
    """
    x, y, across, down = (float(value) for value in row[:4])
    left, top = max(0, int(x - across)), max(0, int(y - down))
    region = image[top : max(0, int(y + 2.2 * down)), left : max(0, int(x + 2 * across))]
    if not region.size:
        return
    rows, columns = np.indices(region.shape[:2], np.float32)
    u, v = (columns + left - (x + across / 2)) / across, (rows + top - (y + down / 2)) / down
    kind = rng.random()
    if kind < 0.5:
        inside = 1 - (u / rng.uniform(0.6, 1.0)) ** 2 - (np.where(v > 0, v / 1.6, v) / rng.uniform(0.6, 0.95)) ** 2
    elif kind < 0.8:
        angle = rng.uniform(0, 2 * np.pi)
        inside = u * np.cos(angle) + v * np.sin(angle) + rng.uniform(-0.3, 0.4)
    else:
        angle = rng.uniform(0, np.pi)
        phase = (u * np.cos(angle) + v * np.sin(angle)) * rng.uniform(4, 14) + rng.uniform(0, 6)
        inside = np.sin(phase) * 0.5
    soft = rng.uniform(0.02, 0.5)
    fade = ((1 - u**2) * 3).clip(0, 1) * ((1.2 - np.abs(v)) * 3).clip(0, 1)
    share = fade / (1 + np.exp((-inside / soft).clip(-60, 60)))
    left_over = np.exp(rng.uniform(np.log(0.1), np.log(0.6))) * rng.uniform(0.9, 1.1, 3)
    light = 1 - share[..., None] * (1 - left_over)
    region[:] = (region * light + rng.normal(0, rng.uniform(0, 3), region.shape)).clip(0, 255)
