"""A tiny full release: an encoder and heads made by code, joined with the shipped small network.

Its pictures are drawn faces. A real one is as drawn; a forgery is marked in a way that the tiny encoder can see. The
release knows the kinds `striped` (synthetic) and `tinted` (manipulated), and nothing of `ruled`.
"""

import shutil
from dataclasses import replace
from functools import cache as remembered
from pathlib import Path

import numpy as np

from model import fitting, probes, procedural, releases
from model.backends import LOGITS, OnnxBackend
from model.bands import Thresholds
from model.calibration import Calibration
from model.encoder import running, sources, store
from model.familiarity import Familiarity
from model.heads import HEADS, fake_logit
from model.lab import logistic, samples
from model.rehearsal import Rehearsal
from model.releases import Release
from tests.model import encoders

NETWORK = releases.default_path()  # copied, never changed
REAL, STRIPED, TINTED, RULED = "real", "striped", "tinted", "ruled"
CLASSES = {REAL: samples.REAL, TINTED: samples.MANIPULATED, STRIPED: samples.SYNTHETIC}
PAIRS = 50  # reals, and as many forgeries, of each of the two sources that the release was made from
FROZEN = 25  # of them, which only measure
DIRECTIONS, STRENGTH = 48, 0.03  # of the projection, and of the heads' prior
CALIBRATION = Calibration(0.5, 0.0)
FUSION = ((1.0, 0.1, 0.0), (1.0, 0.1, 0.0))
SIDE, FACE = 256, 150  # pixels of a picture and of the face in it


@remembered
def _drawn(seed: int) -> np.ndarray:
    return procedural.portrait(SIDE, SIDE, FACE, seed)[0].astype(np.float32)


def picture(kind: str, seed: int) -> np.ndarray:
    """uint8 (256, 256, 3): the drawn face number `seed`, as it is or forged."""
    down, right = np.indices((SIDE, SIDE))
    marks = {
        REAL: np.zeros((SIDE, SIDE, 1)),
        STRIPED: np.where(down // 6 % 2, 1, -1)[..., None] * np.array([16, -8, 0]),
        TINTED: (np.hypot(down - SIDE / 2, right - SIDE / 2) < FACE / 2)[..., None] * np.array([0, -10, 24]),
        RULED: np.where(right // 4 % 2, 1, -1)[..., None] * np.array([0, 6, -16]),
    }
    return np.clip(_drawn(seed) + marks[kind], 0, 255).astype(np.uint8)


def file(kind: str, seed: int) -> bytes:
    """The same as a PNG."""
    return procedural.coded(picture(kind, seed), "PNG")


def crops(cutting, kind: str, seed: int) -> np.ndarray:
    """The face of a picture as a network of `cutting` sees it, at the place where it was drawn."""
    scale = FACE / 200  # see `procedural.portrait`
    return cutting.face(picture(kind, seed), (SIDE / 2 - 75 * scale, SIDE / 2 - 85 * scale, 150 * scale, 185 * scale))


def build(out: Path, cache: Path) -> Release:
    """The release in `out`, sealed, its encoder in `cache`. The same release every time; it takes some seconds."""
    made = out.parent / f"{out.name}-encoder"
    made.mkdir(parents=True)
    published = encoders.publish(made)
    sources.fetch(published, cache, made / "source.onnx")
    small = releases.read(NETWORK)
    names = [(source, kind, seed) for at, source in enumerate((STRIPED, TINTED)) for kind in (REAL, source)
             for seed in range(at * PAIRS, (at + 1) * PAIRS)]  # fmt: skip
    encoder = running.OnnxEncoder(store.graph(published.record, published.recipe, cache), 2)
    features = encoder.features(np.stack([crops(published.record.cutting, kind, seed) for _, kind, seed in names]))
    said = OnnxBackend(small, 2).look(
        np.stack([crops(small.preprocessing.cutting, kind, seed) for _, kind, seed in names]), [LOGITS]
    )[LOGITS]
    origins = np.array([source for source, _, _ in names])
    classes = np.array([CLASSES[kind] for _, kind, _ in names], np.int64)
    frozen = np.array([seed % PAIRS < FROZEN for _, _, seed in names])
    probe, values = _probe(features, origins, classes, frozen)
    with releases.building(out) as home:
        for each in (releases.WEIGHTS, releases.GRAPH, releases.FACES):
            shutil.copyfile(NETWORK / each, home / each)
        shutil.copyfile(published.recipe, home / releases.ENCODER)
        probe.write(home / releases.HEADS_FILE)
        _familiar(values).write(home / releases.FAMILIAR)
        Rehearsal(
            values.astype(np.float16), origins, classes, frozen, said.astype(np.float16)
        ).write(home / releases.REHEARSAL)  # fmt: skip
        cuts = _cuts(probe, values[frozen], said[frozen], classes[frozen])
        fitting.finish(
            Release(
                home, "tiny", "1.0.0", small.backbone, small.preprocessing, CALIBRATION, cuts,
                replace(small.limits, sharpness=0.0), heads=HEADS, encoder=published.record, fusion=FUSION,
            ),
            cache,
        )  # fmt: skip
    return releases.read(out)


def _probe(features, origins, classes, frozen):
    """Heads that learnt from what is not frozen, and all features projected for them."""
    centre, scale = features[~frozen].mean(axis=0), features[~frozen].std(axis=0) + 1e-3
    directions = np.linalg.svd((features[~frozen] - centre) / scale, full_matrices=False)[2][:DIRECTIONS].T
    onto = probes.Projection(centre, scale, directions.astype(np.float16))
    values = onto(features)
    known, taught, origins = values[~frozen], classes[~frozen], origins[~frozen]
    fake = (taught > samples.REAL).astype(np.int64)
    kinds = logistic.fit(known, taught, samples.weights(origins, taught), STRENGTH, len(HEADS))
    overall = logistic.fit(known, fake, samples.weights(origins, fake), STRENGTH)
    return probes.Probe(onto, kinds, HEADS, (0, 1), overall, 0.5), values


def _familiar(values):
    """A limit that no drawn face exceeds, however it is forged."""
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    return Familiarity(unit.mean(axis=0), np.eye(4, DIRECTIONS, dtype=np.float32), 10.0)


def _cuts(probe, values, said, classes):
    """Thresholds that a tenth and none of the frozen reals exceed; none comes near the upper one."""
    logits = fake_logit(probes.fused([probe.heads(values), said.astype(np.float64)], np.array(FUSION)))
    reals = np.sort(CALIBRATION.apply(logits[classes == samples.REAL]))
    return Thresholds(float(reals[round(0.9 * len(reals))]), max(0.9, float(np.nextafter(reals[-1], 1.0))))
