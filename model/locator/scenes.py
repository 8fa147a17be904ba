"""Scenes to learn from: faces with their surroundings at random sizes and places, whole images, and no face at all.

Every scene is drawn from one seed, so the same seed gives the same scene. Whatever a scene does to pixels it does
to boxes and landmarks; a face that is mostly hidden becomes doubtful, not background.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from model import faces, views
from model.locator import backdrops, lights
from model.locator.photographs import Stock
from model.locator.teacher import SURE, Taught, pyramid
from model.occlusion import drawing

SPANS = (
    (0.0, 44.0),
    (28.0, 110.0),
    (72.0, 1e9),
)  # face sizes that strides 8, 16 and 32 own; neighbours share
OWNED = 1.25  # strides around its centre that a face owns on each axis
SHADE = 2.2  # strides around it that are neither face nor background
LEAST = 13.0  # pixels: smaller faces are neither
COVERED, SHADOWED, DIM = 0.18, 0.2, 0.15  # the shares of faces, faces and scenes
HIDDEN = 0.65  # of a face's oval under a cover: from here on it is neither

MIRRORED = [2, 3, 0, 1, 4, 5, 8, 9, 6, 7]  # landmark columns when left and right change places


@dataclass(slots=True)
class Scene:
    """`image` uint8 (side, side, 3) RGB; `rows` float32 (n, 15) as `faces.decoded` has them: confidence below
    `SURE` is doubt.
    """

    image: views.Image
    rows: faces.Floats = field(default_factory=lambda: np.zeros((0, 15), np.float32))


def compose(rng: np.random.Generator, taught: list[Taught], stock: Stock, side: int) -> Scene:
    """One scene: 53 % composed of one to eight pieces, 32 % one whole image, 15 % a background alone. A third of the
    pieces and of the whole images are decoys: without them a locator learns that whatever is framed is a face.
    """
    kind = rng.random()
    if kind < 0.32:
        scene = _whole(rng, taught, stock, side)
    else:
        scene = Scene(backdrops.backdrop(rng, stock, taught, side))
        for _ in range(int(rng.integers(1, 9)) if kind < 0.85 else 0):
            add(rng, scene, _piece(rng, taught, stock))
    _hide_parts(rng, scene)
    _cover(rng, scene)
    for row in scene.rows:
        if rng.random() < SHADOWED:
            lights.shadow(rng, scene.image, row)
    if rng.random() < DIM:
        scene.image = lights.dim(rng, scene.image)
    scene.image = worn(rng, scene.image)
    return scene


def _whole(rng: np.random.Generator, taught: list[Taught], stock: Stock, side: int) -> Scene:
    """One image letterboxed, padded further, or cropped; the rest is black, flat or a backdrop."""
    piece = _piece(rng, taught, stock)
    fill = rng.random()
    if fill < 0.6:
        ground: views.Image = np.zeros((side, side, 3), np.uint8)
    elif fill < 0.8:
        ground = np.full((side, side, 3), rng.integers(0, 256, 3), np.uint8)
    else:
        ground = backdrops.backdrop(rng, stock, taught, side)
    scene = Scene(ground)
    how = rng.random()
    zoom = 1.0 if how < 0.4 else rng.uniform(0.35, 1.0) if how < 0.75 else rng.uniform(1.0, 1.6)
    height, width = piece.pixels.shape[:2]
    scale = zoom * side / max(height, width)
    room = side - np.array([width, height]) * scale
    centre = side / 2 + room / 2 * (rng.uniform(-1, 1, 2) if how >= 0.4 else 0)
    paste(rng, scene, piece, scale, centre, turn=0.0 if rng.random() < 0.6 else rng.normal(0, 15), soft=False)
    return scene


def _piece(rng: np.random.Generator, taught: list[Taught], stock: Stock) -> Taught:
    """An image with its faces, or one time in three a decoy: a face-free picture of as likely a size."""
    piece = taught[rng.integers(len(taught))]
    if rng.random() < 2 / 3:
        return piece
    picture = backdrops.backdrop(rng, stock, taught, max(piece.pixels.shape[:2]))
    height, width = piece.pixels.shape[:2]
    return Taught(pyramid(picture[:height, :width]), np.zeros((0, 15), np.float32), "decoy", held_out=False)


def add(rng: np.random.Generator, scene: Scene, piece: Taught) -> None:
    """Paste `piece` where it hides no face already there; nothing happens when eight places fail."""
    side = len(scene.image)
    size = float(np.sqrt(piece.rows[:, 2:4].prod(1)).max(initial=0)) or max(piece.pixels.shape[:2]) / 2
    for _ in range(8):
        scale = np.exp(rng.uniform(np.log(14), np.log(side * 0.7))) / size
        centre = rng.uniform(0, side, 2)
        reach = np.array(piece.pixels.shape[1::-1]) * scale / 2
        low = np.maximum(scene.rows[:, :2], centre - reach)
        high = np.minimum(scene.rows[:, :2] + scene.rows[:, 2:4], centre + reach)
        if not ((high - low).clip(0).prod(1) > 0.1 * scene.rows[:, 2:4].prod(1)).any():
            turn = rng.normal(0, 10) if rng.random() < 0.85 else rng.uniform(-60, 60)
            paste(rng, scene, piece, scale, centre, turn, soft=rng.random() < 0.6)
            return


def paste(
    rng: np.random.Generator, scene: Scene, piece: Taught, scale: float, centre: NDArray[np.float64], turn: float,
    soft: bool,
) -> None:  # fmt: skip
    """Draw `piece` scaled, turned by `turn` degrees and perhaps mirrored, its middle at `centre`."""
    level = min(len(piece.pyramid) - 1, max(0, int(np.log2(1 / scale))))
    pixels = piece.pyramid[level]
    height, width = pixels.shape[:2]
    shrunk = width / piece.pixels.shape[1], height / piece.pixels.shape[0]
    mirror = rng.random() < 0.5
    moving = np.array(cv2.getRotationMatrix2D((0, 0), turn, scale / shrunk[0]), np.float64)
    moving[:, 0] *= -1 if mirror else 1
    moving[:, 2] = centre - moving[:, :2] @ (width / 2, height / 2)
    rows = piece.rows.copy()
    rows[:, :14] *= np.tile(np.array(shrunk, np.float32), 7)
    rows = moved(rows, moving)
    if mirror:
        rows[:, 4:14] = rows[:, 4:14][:, MIRRORED]
    seen = _draw(scene.image, pixels, moving, _mask(rng, width, height, soft))
    rows[(rows[:, 14] >= SURE) & (shown(rows, seen) < 0.6), 14] = 0.0
    scene.rows = np.concatenate([scene.rows, rows[shown(rows, seen) > 0.05]])


def _mask(rng: np.random.Generator, width: int, height: int, soft: bool) -> NDArray[np.uint8]:
    mask = np.full((height, width), 0 if soft else 255, np.uint8)
    if soft:
        axes = (int(width * rng.uniform(0.38, 0.5)), int(height * rng.uniform(0.38, 0.5)))
        cv2.ellipse(mask, (width // 2, height // 2), axes, 0, 0, 360, 255, -1)
        mask = np.asarray(cv2.blur(mask, (1 + width // 16, 1 + height // 16)), np.uint8)
    return mask


def _draw(
    image: views.Image, pixels: views.Image, moving: NDArray[np.float64], mask: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Blend `pixels` under `moving` into `image`; uint8 (side, side) of how much of it shows where."""
    side = len(image)
    height, width = mask.shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]]) @ moving[:, :2].T + moving[:, 2]
    left, top = np.floor(corners.min(0)).clip(0, side).astype(int).tolist()
    right, bottom = np.ceil(corners.max(0)).clip(0, side).astype(int).tolist()
    seen = np.zeros((side, side), np.uint8)
    if right > left and bottom > top:
        shifted = moving - [[0, 0, left], [0, 0, top]]
        size = (right - left, bottom - top)
        part = seen[top:bottom, left:right]
        part[:] = cv2.warpAffine(mask, shifted, size)
        under = image[top:bottom, left:right]
        share = part.astype(np.float32) / 255
        under[:] = cv2.blendLinear(cv2.warpAffine(pixels, shifted, size), under, share, 1 - share)
    return seen


def moved(rows: faces.Floats, moving: NDArray[np.float64]) -> faces.Floats:
    """`rows` under the similarity `moving` (2, 3); a turned box stays upright, of the size its axes then have."""
    rows = rows.copy()
    centre = (rows[:, :2] + rows[:, 2:4] / 2) @ moving[:, :2].T + moving[:, 2]
    scale = float(np.hypot(moving[0, 0], moving[0, 1]))
    upright = (moving[0, 0] / scale) ** 2
    size = scale * (rows[:, 2:4] * upright + rows[:, 3:1:-1] * (1 - upright))
    rows[:, 4:14] = (rows[:, 4:14].reshape(-1, 5, 2) @ moving[:, :2].T + moving[:, 2]).reshape(-1, 10)
    rows[:, :4] = np.hstack([centre - size / 2, size])
    return rows


def shown(rows: faces.Floats, mask: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The share of each box that `mask` (side, side) shows, 0 to 1; what lies outside it is hidden."""
    shares = []
    for x, y, width, height in rows[:, :4]:
        part = mask[max(0, round(y)) : max(0, round(y + height)), max(0, round(x)) : max(0, round(x + width))]
        shares.append(float(part.sum()) / 255 / max(1.0, float(width * height)))
    return np.array(shares)


def _hide_parts(rng: np.random.Generator, scene: Scene) -> None:
    """Cover up to a third of one in six faces with something drawn."""
    for x, y, width, height in scene.rows[:, :4]:
        if rng.random() < 1 / 6:
            across, down = rng.uniform(0.2, 0.55, 2) * (width, height)
            left, top = (
                max(0, int(x + rng.uniform(0, width - across))),
                max(0, int(y + rng.uniform(0, height - down))),
            )
            region = scene.image[top : top + max(1, int(down)), left : left + max(1, int(across))]
            if region.size:
                region[:] = cv2.resize(backdrops.drawn(rng, 32), (region.shape[1], region.shape[0]))


def _cover(rng: np.random.Generator, scene: Scene) -> None:
    """Put masks, glasses, bars, captions and other covers over some faces; one that is mostly hidden becomes doubt."""
    for row in scene.rows:
        if rng.random() < COVERED and row[14] >= SURE:
            place = drawing.Place(row[:4], row[4:14])
            if drawing.share(drawing.draw(rng, scene.image, place), place) > HIDDEN:
                row[14] = 0.0


def worn(rng: np.random.Generator, image: views.Image) -> views.Image:
    """Light, colour, blur, noise and JPEG as uploads have them."""
    light = np.tile(np.arange(256, dtype=np.float64)[:, None], 3)
    if rng.random() < 0.6:
        light = light * (rng.uniform(0.8, 1.2, 3) * rng.uniform(0.6, 1.4)) + rng.uniform(-30, 30)
    if rng.random() < 0.12:
        light = np.power(light.clip(0, 255) / 255, rng.uniform(0.5, 2.5)) * rng.uniform(38, 255)
    image = np.asarray(cv2.LUT(image, light.clip(0, 255).astype(np.uint8)[:, None]), np.uint8)
    if rng.random() < 0.18:
        image = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    if rng.random() < 0.2:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0)), np.uint8)
    if rng.random() < 0.2:
        noise = rng.standard_normal(image.shape[:2], np.float32) * np.float32(rng.uniform(2, 20))
        image = (image + noise[..., None]).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 96))]
        decoded = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
        image = np.asarray(decoded, np.uint8)
    return image


def targets(rows: faces.Floats, side: int) -> tuple[NDArray[np.int8], faces.Floats]:
    """What each cell shall say: states int8 (cells,), 1 face, 0 background, -1 neither; wanted float32 (cells, 14) in
    the network's own terms. A cell between two faces belongs to the nearer.
    """
    states, wanted = [], []
    size = np.sqrt(rows[:, 2] * rows[:, 3])
    middle = rows[:, :2] + rows[:, 2:4] / 2
    counted = (rows[:, 14] >= SURE) & (size >= LEAST)
    for stride, (least, most) in zip(faces.STRIDES, SPANS, strict=True):
        cells = side // stride
        grid = np.stack(np.meshgrid(np.arange(cells), np.arange(cells)), -1).reshape(-1, 2).astype(np.float32)
        state = np.zeros(len(grid), np.int8)
        aims = np.zeros((len(grid), 14), np.float32)
        if len(rows):
            across, down = np.abs(np.arange(cells)[:, None] - middle.T[:, None] / stride)  # (cells, n) each
            away = np.maximum(across, down[:, None]).reshape(len(grid), -1)
            half = rows[:, 2:4] / (2 * stride)
            inside = ((across < half[:, 0]) & (down < half[:, 1])[:, None]).reshape(len(grid), -1)
            state[((inside & ~counted) | ((away < SHADE) & counted)).any(1)] = -1
            away[:, ~(counted & (size > least) & (size < most))] = np.inf
            owner = away.argmin(1)
            own = away.min(1) < OWNED
            state[own] = 1
            face = rows[owner[own]]
            aims[own, :2] = middle[owner[own]] / stride - grid[own]
            aims[own, 2:4] = np.log(face[:, 2:4] / stride)
            aims[own, 4:] = face[:, 4:14] / stride - np.tile(grid[own], 5)
        states.append(state)
        wanted.append(aims)
    return np.concatenate(states), np.concatenate(wanted)
