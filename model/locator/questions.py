"""What a finder is asked in an evaluation: held-out pictures only, with the faces that the teacher saw in them.

Held-out images as they are say how far a finder agrees with its teacher; the same before other backgrounds, smaller,
say how it does with small faces, of which the images alone hold few; and pictures without a face say what it invents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from model import faces, views
from model.locator import backdrops, lights, photographs, scenes
from model.locator.photographs import Photograph, Stock
from model.locator.teacher import SURE, Taught
from model.occlusion import drawing

SEED = 20261121
FAR, SCENES = "afar", "scenes"
LARGE = {"large picture": (1800, 2400), "panorama": (400, 6000), "tall screenshot": (6000, 720)}  # height, width
SHARE = (0.015, 0.04)  # of the long side: the faces in large pictures
HARD = ("dim", "shadowed", "masked", "covered", "partial")
AFAR = (40.0, 160.0)  # pixels: faces of this size are too few in the images as they are

Question = tuple[str, views.Image, faces.Floats]  # what it is counted under, the pixels, the teacher's rows


def whole(taught: list[Taught]) -> Iterator[Question]:
    """Held-out images as they are, by source."""
    return ((one.source, one.pixels, one.rows) for one in taught if one.held_out)


def afar(taught: list[Taught], pictures: list[Photograph], count: int) -> Iterator[Question]:
    """`count` held-out images, each made so small that its largest face has a size in `AFAR` and laid unworn and
    upright on a piece of a held-out picture; sources take turns.
    """
    rng = np.random.default_rng(SEED + 3)
    faced, stock = _faced(taught), held_out(pictures)
    by_source = [[one for one in faced if one.source == source] for source in sorted({one.source for one in faced})]
    for turn in range(count):
        mates = by_source[turn % len(by_source)]
        piece = mates[rng.integers(len(mates))]
        scene = scenes.Scene(backdrops.backdrop(rng, stock, faced, views.CANVAS))
        size = float(np.sqrt(piece.sure[:, 2:4].prod(1)).max())
        scale = np.exp(rng.uniform(*np.log(AFAR))) / size
        room = np.abs(views.CANVAS - scale * np.array(piece.pixels.shape[1::-1])) / 2
        centre = views.CANVAS / 2 + rng.uniform(-1, 1, 2) * room
        scenes.paste(rng, scene, piece, scale, centre, turn=0.0, soft=False)
        yield FAR, scene.image, scene.rows


def hard(taught: list[Taught], count: int) -> Iterator[Question]:
    """`count` held-out images of one face or more made hard to see, as they are otherwise, the kinds of `HARD` and the
    sources in turn: a dark room, a shadow on each face, a mask over each mouth, another cover that leaves half of the
    face, and a picture whose edge cuts off a tenth to a third of the face.
    """
    rng = np.random.default_rng(SEED + 4)
    faced = _faced(taught)
    by_source = [[one for one in faced if one.source == source] for source in sorted({one.source for one in faced})]
    for turn in range(count):
        mates = by_source[turn % len(by_source)]
        one, kind = mates[rng.integers(len(mates))], HARD[(turn // len(by_source)) % len(HARD)]
        image, rows = one.pixels.copy(), one.rows.copy()
        sure = rows[:, 14] >= SURE
        if kind == "dim":
            image = lights.dim(rng, image)
        elif kind == "partial":
            image, rows = _cut(rng, image, rows)
        for row in rows[sure] if kind in ("shadowed", "masked", "covered") else ():
            place = drawing.Place(row[:4], row[4:14])
            if kind == "shadowed":
                lights.shadow(rng, image, row)
            elif kind == "masked":
                drawing.draw(rng, image, place, ("mask",))
            else:
                image = _covered(rng, image, place)
        yield kind, image, rows


def _covered(rng: np.random.Generator, image: views.Image, place: drawing.Place) -> views.Image:
    for _ in range(8):
        drawn = image.copy()
        if drawing.share(drawing.draw(rng, drawn, place), place) <= 0.5:
            return drawn
    return image


def _cut(rng: np.random.Generator, image: views.Image, rows: faces.Floats) -> tuple[views.Image, faces.Floats]:
    """`image` cut on one side through its largest sure face, of which there is one; other faces that the cut meets
    become doubt.
    """
    sure = rows[rows[:, 14] >= SURE]
    largest = sure[np.argmax(sure[:, 2] * sure[:, 3])]
    x, y, width, height = largest[:4]
    lost, side = rng.uniform(0.1, 1 / 3), int(rng.integers(4))
    left, top, right, bottom = 0, 0, image.shape[1], image.shape[0]
    if side == 0:
        left = max(0, round(x + lost * width))
    elif side == 1:
        top = max(0, round(y + lost * height))
    elif side == 2:
        right = min(right, round(x + (1 - lost) * width))
    else:
        bottom = min(bottom, round(y + (1 - lost) * height))
    moved = rows - np.array([left, top, 0, 0, *[left, top] * 5, 0], np.float32)
    for row, own in zip(moved, rows, strict=True):
        inside = (np.minimum(row[:2] + row[2:4], (right - left, bottom - top)) - row[:2].clip(0)).clip(0).prod()
        if inside < 0.98 * row[2] * row[3] and not np.array_equal(own, largest):
            row[14] = 0.0
    return np.ascontiguousarray(image[top:bottom, left:right]), moved


def large(taught: list[Taught], pictures: list[Photograph], count: int) -> Iterator[Question]:
    """`count` large pictures of the shapes of `LARGE` in turn: three held-out images each, shrunk so that their largest
    face has a size in `SHARE` of the picture's long side, but at most four fifths of its short side, pasted as they are
    on held-out pictures laid side by side.
    """
    rng = np.random.default_rng(SEED + 5)
    faced, stock = _faced(taught), held_out(pictures)
    for turn in range(count):
        name = list(LARGE)[turn % len(LARGE)]
        height, width = LARGE[name]
        square = min(720, height, width)
        ground = [
            np.hstack([backdrops.backdrop(rng, stock, faced, square) for _ in range(-(-width // square))])
            for _ in range(-(-height // square))
        ]
        image, rows = np.vstack(ground)[:height, :width].copy(), np.zeros((0, 15), np.float32)
        for _ in range(3):
            one = faced[rng.integers(len(faced))]
            size = min(0.8 * min(height, width), float(np.exp(rng.uniform(*np.log(SHARE)))) * max(height, width))
            rows = np.concatenate([rows, _laid(rng, image, rows, one, size)])
        yield name, image, rows


def _laid(rng: np.random.Generator, image: views.Image, rows: faces.Floats, one: Taught, size: float) -> faces.Floats:
    """Paste `one` into `image` with its largest face `size` pixels large, clear of `rows`; its rows, none if there is
    no room.
    """
    scale = size / float(np.sqrt(one.sure[:, 2:4].prod(1)).max())
    height, width = (round(side * scale) for side in one.pixels.shape[:2])
    if height > image.shape[0] or width > image.shape[1]:
        return np.zeros((0, 15), np.float32)
    small = np.asarray(cv2.resize(one.pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    for _ in range(8):
        left, top = int(rng.integers(image.shape[1] - width + 1)), int(rng.integers(image.shape[0] - height + 1))
        low, high = (
            np.maximum(rows[:, :2], (left, top)),
            np.minimum(rows[:, :2] + rows[:, 2:4], (left + width, top + height)),
        )
        if not (high > low).all(1).any():
            image[top : top + height, left : left + width] = small
            moved = one.rows.copy()
            moved[:, :14] = moved[:, :14] * scale + np.array([left, top, 0, 0, *[left, top] * 5], np.float32)
            return moved
    return np.zeros((0, 15), np.float32)


def composed(taught: list[Taught], pictures: list[Photograph], count: int) -> Iterator[Question]:
    """`count` scenes of held-out faces before held-out backgrounds, partly hidden and worn as in training."""
    rng = np.random.default_rng(SEED)
    pieces, stock = _faced(taught), held_out(pictures)
    for _ in range(count):
        scene = scenes.compose(rng, pieces, stock, views.CANVAS)
        yield SCENES, scene.image, scene.rows


def free(taught: list[Taught], pictures: list[Photograph], count: int) -> Iterator[Question]:
    """Pictures without a face: those held out of `pictures` as they are, by collection, and `count` worn squares of
    each kind: of these, of held-out samples, beside the faces of held-out images, and drawn clutter.
    """
    rng = np.random.default_rng(SEED + 1)
    none = np.zeros((0, 15), np.float32)
    kept = [one for one in pictures if one.held_out]
    for one in kept:
        yield f"free: {one.source}", one.pixels, none
    samples, pieces = photographs.samples(photographs.HELD_OUT), _faced(taught)
    draw: dict[str, Callable[[int], views.Image]] = {
        "samples": lambda turn: backdrops.photograph(rng, samples[turn % len(samples)], views.CANVAS),
        "beside faces": lambda turn: backdrops.beside(rng, pieces[turn % len(pieces)], views.CANVAS),
        "drawn": lambda _: backdrops.drawn(rng, views.CANVAS),
    }
    if kept:
        draw["collections"] = lambda turn: backdrops.photograph(rng, kept[turn % len(kept)].pixels, views.CANVAS)
    for kind, square in draw.items():
        for turn in range(count):
            yield f"free squares: {kind}", scenes.worn(rng, square(turn)), none


def held_out(pictures: list[Photograph]) -> Stock:
    """The backgrounds that nothing was trained on."""
    samples = photographs.samples(photographs.HELD_OUT)
    return Stock(samples + [one.pixels for one in pictures if one.held_out], [])


def _faced(taught: list[Taught]) -> list[Taught]:
    return [one for one in taught if one.held_out and (one.rows[:, 14] >= SURE).any()]
