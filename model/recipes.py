"""Recipes: everything that decides a training run beside the images, as a TOML file that people write.

Each section is a class below and each key one of its fields, so this file is the reference. It refuses keys that it
does not know, values out of range, and combinations that could not run, naming the key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model import crops
from model.errors import DatasetError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=32)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Triple = tuple[float, float, float]


class Section(BaseModel):
    """A part of a recipe, which never changes once it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Section):
    """`[data]`: which images, and how faces are drawn from them.

    `path` is a built dataset or a folder of labelled images. Sources in `held_out` are never learnt from; fakes of
    sources in `synthetic` are wholly generated; `mates` joins a source of fakes to one of reals. `sampling` is
    `balanced` (a real beside a fake of its own source, sources damped by their size), `oversample` (both classes alike,
    images drawn whatever their source) or `natural` (images as they are). `face_model` is a YuNet file to cut faces
    with in place of our own locator.
    """

    path: str | None = None
    held_out: tuple[str, ...] = ()
    synthetic: tuple[str, ...] = ()
    mates: dict[str, str] = {}
    protocol: Literal["grouped", "published"] = "grouped"
    sampling: Literal["balanced", "oversample", "natural"] = "balanced"
    margin: Positive = crops.MARGIN
    face_model: str | None = None


class Network(Section):
    """`[network]`: any timm name or one of `networks.OURS`, and what is put on top of it.

    `pretrained` is `none`, `imagenet` (fetched by timm) or a file of the network's weights with its original head.
    `start` is a checkpoint or a weights file of a whole network to begin from. `mean` and `std` default to what the
    pretrained weights expect. `hidden` is the width of a layer before the logits, 0 for none. `local_cues` adds three
    input channels of neighbouring-pixel residuals, see `networks.cues`.
    """

    backbone: str = "mobilenetv2_100"
    pretrained: str = "none"
    start: str | None = None
    mean: Triple | None = None
    std: Triple | None = None
    heads: Literal["two", "one"] = "two"
    hidden: Annotated[int, Field(ge=0)] = 0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    local_cues: bool = False


class Stage(Section):
    """Crops of `size` pixels a side until the share `until` of the steps is done."""

    size: Side
    until: Share


class Schedule(Section):
    """`[schedule]`: how long, how much at a time, and when to stop.

    `steps`, or `epochs` (as many crops as that many times the training faces); `minutes` ends either early on the
    clock. `size` is the crop's side in pixels, preceded by the stages in `earlier`. `validate_every` steps the AUC on
    the validation split is logged (0: never); after `patience` of those without a better one, training stops with the
    best average so far (0: never stop).
    """

    steps: Count = 3000
    epochs: Positive | None = None
    minutes: Positive | None = None
    batch: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    size: Side = 160
    earlier: tuple[Stage, ...] = ()
    save_every: Count = 100
    validate_every: Annotated[int, Field(ge=0)] = 0
    patience: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.epochs is not None and "steps" in self.model_fields_set:
            raise ValueError("give steps or epochs, not both")
        if self.patience and not self.validate_every:
            raise ValueError("patience needs validate_every")
        ends = [stage.until for stage in self.earlier]
        if ends != sorted(ends):
            raise ValueError("the stages of earlier must follow each other in time")
        return self


class Optimiser(Section):
    """`[optimiser]`: `name` is any of timm's (adamw, sgd, lion, …). The rate climbs for the share `warm_up` and falls
    to nothing along a cosine. Decay spares biases and normalisation. `momentum` is used by those that have one. What is
    released is the exponential average of the weights (0: the weights as they are). `precision` is of CUDA devices.
    """

    name: str = "adamw"
    rate: Positive = 5e-4
    warm_up: Share = 0.03
    weight_decay: NotNegative = 0.05
    momentum: Share = 0.9
    clip: NotNegative = 5.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.998
    precision: Literal["full", "half", "bfloat16"] = "bfloat16"


class Loss(Section):
    """`[loss]`: what is minimised, see `training.objective` for formulas and sources.

    `map_weight` of the map of altered places (0: no map). `consistency` weighs the disagreement between a crop and a
    degraded copy of it, from the share `consistency_from` of the steps on; those steps cost twice as much.
    `distillation` weighs the disagreement with the release directory `teacher` at `temperature`.
    """

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    map_weight: NotNegative = 0.5
    consistency: NotNegative = 0.0
    consistency_form: Literal["divergence", "squares"] = "divergence"
    consistency_from: Share = 2 / 3
    teacher: str | None = None
    distillation: NotNegative = 1.0
    temperature: Positive = 2.0


class Shares(Section):
    """`[forgeries]`: of the fakes of a source that has some, how many are self-blended, spliced, or a collection's
    forgery in a part of the face only. Sources of reals alone have self-blended and spliced fakes, in the same
    proportion. `generated` is the share of splices whose face is a wholly generated one.
    """

    blended: Share = 0.2
    spliced: Share = 0.1
    partial: Share = 0.15
    generated: Share = 0.0

    @model_validator(mode="after")
    def _within_one(self) -> Self:
        if self.blended + self.spliced + self.partial > 1:
            raise ValueError("blended, spliced and partial sum to more than 1")
        return self


class Augmentations(Section):
    """`[augmentations]`: how probable each change of a crop is, see `augmentations`. `tilt` is a rotation by up to 40
    degrees where `rotation` is one by up to 10, `quarter` one by right angles, and `framed` a plain ground close around
    the face, as corners of a turned picture are. `equaliser` is the only switch: off, formats and sizes of a collection
    stay visible, and a network learns those.
    """

    zoom: Share = 1.0
    shift: Share = 1.0
    rotation: Share = 0.5
    tilt: Share = 0.0
    quarter: Share = 0.0
    framed: Share = 0.0
    shear: Share = 0.5
    mirror: Share = 0.5
    flip: Share = 0.0
    blackout: Share = 0.1
    brightness: Share = 0.7
    contrast: Share = 0.7
    saturation: Share = 0.35
    hue: Share = 0.35
    grey: Share = 0.12
    blur: Share = 0.15
    noise: Share = 0.15
    sharpen: Share = 0.0
    screenshot: Share = 0.0
    social: Share = 0.0
    equaliser: bool = True
    shrink: Share = 0.5
    second_jpeg: Share = 0.2


class Sweep(Section):
    """`[sweep]`: what `--sweep` tries, each for `steps` and at most `minutes`. `rate` and `dropout` are ranges."""

    trials: Count = 20
    steps: Count = 300
    minutes: Positive | None = None
    rate: tuple[Positive, Positive] = (1e-5, 3e-3)
    optimisers: tuple[str, ...] = ("adamw", "sgd", "lion")
    dropout: tuple[Share, Share] = (0.0, 0.5)
    hidden: tuple[Annotated[int, Field(ge=0)], ...] = (0, 128, 256)


class Published(Section):
    """`[release]`: its name and version, the limits below which a face is inconclusive, and the size in pixels of the
    crops that it judges, where another than the schedule's last does better on validation.
    """

    name: str = "unmask"
    version: str = "0.1.0"
    size: Side | None = None
    face_pixels: Annotated[int, Field(ge=0)] = 64
    sharpness: NotNegative = 0.0


_FILES = (("data", "face_model"), ("network", "pretrained"), ("network", "start"), ("loss", "teacher"))


class Recipe(Section):
    """A whole recipe. `threads` of torch (all cores by default) and `workers` that prepare batches change no figure."""

    seed: Annotated[int, Field(ge=0)] = 0
    threads: Count | None = None
    workers: Annotated[int, Field(ge=0)] = 2
    data: Data = Data()
    network: Network = Network()
    schedule: Schedule = Schedule()
    optimiser: Optimiser = Optimiser()
    loss: Loss = Loss()
    forgeries: Shares = Shares()
    augmentations: Augmentations = Augmentations()
    sweep: Sweep = Sweep()
    release: Published = Published()

    @property
    def normalisation(self) -> tuple[Triple, Triple]:
        """Mean and std of the pixels, which a run settles when it starts."""
        if self.network.mean is None or self.network.std is None:
            raise ValueError("mean and std are not settled yet")
        return self.network.mean, self.network.std

    def told(self) -> dict[str, Any]:
        """The recipe for a release's record: without folders of this machine, and without what decides nothing."""
        said = self.model_dump(mode="json", exclude={"threads", "workers", "sweep", "release"})
        del said["data"]["path"], said["schedule"]["save_every"]
        for section, key in _FILES:
            if said[section][key] is not None:
                said[section][key] = Path(said[section][key]).name
        return said

    def changed(self, **changes: Any) -> Recipe:
        """A copy, checked again, with some keys of some sections (mappings) or of the recipe itself replaced."""
        values = self.model_dump(exclude_unset=True)
        for name, change in changes.items():
            values[name] = {**values.get(name, {}), **change} if isinstance(change, Mapping) else change
        return of(values)


def read(path: Path, settings: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file, with `settings` of the form `section.key=VALUE` (VALUE in TOML, or a bare word) put
    over it. Raises DatasetError naming what is wrong.
    """
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DatasetError(f"{path} is no recipe: {error}") from error
    return of(_set(values, settings), str(path))


def of(values: Mapping[str, Any], name: str = "the recipe", settings: Sequence[str] = ()) -> Recipe:
    """The recipe that a mapping of sections says. Raises DatasetError naming each wrong key."""
    try:
        return Recipe.model_validate(_set(values, settings))
    except ValidationError as error:
        wrong = "; ".join(_complaint(each) for each in error.errors())
        raise DatasetError(f"{name}: {wrong}") from error


def _complaint(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where} is not known"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def _set(values: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    changed: dict[str, Any] = dict(values)
    for setting in settings:
        key, equals, text = setting.partition("=")
        *sections, last = key.strip().split(".")
        if not equals or not last:
            raise DatasetError(f"{setting!r} is not KEY=VALUE")
        place = changed
        for section in sections:
            place[section] = place = dict(place.get(section, {}))
        place[last] = _value(text.strip())
    return changed


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
