"""The recipe: one strict, frozen model per table. Every default of a run lives here and nowhere else.

Reading TOML, overrides and "did you mean" are in `landscribe.io.settings`. Lengths are metres where scenes have a CRS,
pixels where they have none, unless the name says otherwise.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]
PerClass = dict[str, float]
Names = Name | tuple[Name, ...]


class SensorTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[data].sensors.NAME`: where one sensor's rasters lie."""

    path: Name
    """Pattern below `[data].root`; `{scene}` or any other `{field}` stands for a part of the name without a slash."""
    kind: Name
    """Row of the sensor catalogue, or of `[[data.kinds]]`."""
    nodata: float | None = None
    """Value that means "no data" in every band; None takes what the file says (nodata, mask or alpha)."""
    frame: Literal["file", "webmercator-tile"] = "file"
    """`webmercator-tile` takes the georeference from `{x}`, `{y}`, `{z}` in the path."""


class KindTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[[data.kinds]]`: a sensor that the catalogue lacks."""

    kind: Name
    bands: tuple[Name, ...] = Field(min_length=1)
    wavelengths_nm: tuple[NonNegative, ...] = ()
    gsd_m: NonNegative = 0.0
    bits: Annotated[int, Field(ge=0, le=64)] = 0


class LabelTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[data].labels`: what is on the ground, as vectors or as pictures."""

    path: Name
    """Pattern with `{scene}` for a file per scene, or one file for all of them."""
    class_name: Name | None = Field(default=None, alias="class")
    """Every polygon is of this class."""
    class_field: Name | None = None
    """Column that names the class (its name or its id)."""
    layer: Name | None = None
    """Layer of a file that has several with polygons."""
    colours: dict[str, Colour] | None = None
    """Label picture: colour of each class."""
    values: dict[str, int] | None = None
    """Label picture with one band: pixel value of each class."""
    unlabelled: Colour | int | None = None
    """Colour or value of pixels nobody labelled; they are left out of loss and score."""


class ClassTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[[classes]]`: a row of the legend. Without this table the classes are those of the labels, by name."""

    name: Name
    id: Count | None = None
    colour: Colour | None = None
    countable: bool = False


class DataTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[data]`: imagery and labels."""

    source: Literal["files", "dstl"] = "files"
    root: Name = "."
    """Folder that relative paths start from; itself relative to the recipe's folder."""
    sensors: dict[str, SensorTable] = {}
    """Sensors by name; the first one is the reference: its grid is the grid of the result."""
    kinds: tuple[KindTable, ...] = ()
    labels: LabelTable | None = None
    scene: Name = "{scene}"
    """Scene id made of the fields in the paths."""
    place: Name = "{scene}"
    """Place made of the same fields; scenes of one place never stand on both sides of a split."""
    scenes: tuple[Name, ...] | None = None
    """Only these scene ids, in this order; None takes all that are found."""


class PrepareTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[prepare]`."""

    align: Literal["none"] = "none"
    """Sensors are taken to lie where their georeference says; `prepared/alignment.csv` records that."""


class InputTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`inputs` of a model."""

    sensors: tuple[Name, ...] | None = None
    """Sensors in band order; None takes all of them."""
    indices: tuple[Name, ...] = ()
    low: Literal["upsample", "branch"] = "upsample"
    """`upsample`: every band on the finest grid; `branch`: each sensor enters at the level of its own resolution."""
    clip_percent: Annotated[float, Field(ge=0, lt=50)] = 0.1
    """Share of the darkest and of the brightest pixels clipped per band before standardisation, in percent."""


class NetworkTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`network` of a model: the U-Net family."""

    filters: Annotated[int, Field(ge=1, le=512)] = 32
    depth: Annotated[int, Field(ge=1, le=7)] = 5
    block: Literal["double", "triple", "residual"] = "double"
    activation: Literal["relu", "elu", "selu", "leaky_relu", "gelu", "silu"] = "relu"
    batch_norm: bool = True
    first_pool: Literal[2, 4] = 2
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class LossTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`loss` of a model: weights of the terms, divided by their sum."""

    bce: NonNegative = 0.5
    dice: NonNegative = 0.5
    jaccard: NonNegative = 0.0
    class_weight: PerClass = {}


class ChipTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`chips` of a model: training crops of the reference grid."""

    size: Annotated[int, Field(ge=16, le=4096)] = 128
    """Side of what the network sees, in reference pixels."""
    context: Annotated[int, Field(ge=0, le=1024)] = 16
    """Frame on each side that is seen but not learned from."""
    batch: Count = 16
    rotate_deg: Annotated[float, Field(ge=0, le=180)] = 180.0
    """Angles are uniform in plus or minus this."""
    flips: bool = True
    sharp: Share = 0.5
    """Share of chips that are flipped and turned by quarters only, along whole pixels: interpolation blurs the others,
    and what a network predicts is not blurred."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Zoom is uniform in 1 plus or minus this."""
    gain: NonNegative = 0.1
    """Standard deviation of a brightness factor common to all bands."""
    band_gain: NonNegative = 0.05
    """Standard deviation of a factor drawn for each band."""
    band_offset: NonNegative = 0.0
    """Standard deviation of a shift drawn for each band, in standard deviations of the band's values: haze, hue."""
    balance: Literal["scene", "area"] = "scene"
    """`scene`: every scene gives as many chips, as in both DSTL methods; `area`: every labelled pixel is as likely."""
    oversample: Share = 0.3
    """Share of chips centred on a pixel of a class drawn evenly among the classes."""


class ScheduleTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`schedule` of a model."""

    optimizer: Literal["adam", "adamw", "nadam"] = "adamw"
    rate: Positive = 1e-3
    weight_decay: NonNegative = 1e-2
    epochs: Count = 40
    steps: Count | None = None
    """Steps of an epoch; None takes as many as cover the training area once."""
    decay: Literal["cosine", "constant"] = "cosine"
    warmup: Share = 0.05
    """Share of the run over which the rate rises from zero."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the moving average of weights that is saved and used; 0 takes the last weights."""


class ModelTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[[models]]`: a network that owns some classes."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] = "all"
    classes: tuple[Name, ...] | None = None
    """Classes it predicts; None takes all of them."""
    inputs: InputTable = InputTable()
    network: NetworkTable = NetworkTable()
    loss: LossTable = LossTable()
    chips: ChipTable = ChipTable()
    schedule: ScheduleTable = ScheduleTable()


class PredictTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[predict]`."""

    scenes: Literal["held-out", "all"] = "held-out"
    """`held-out`: scenes kept out of training, and scenes without labels; `all`: training scenes too."""
    tile: Annotated[int, Field(ge=32, le=16384)] = 512
    """Side of what one forward pass yields, in reference pixels, rounded up to what the network divides by."""
    symmetries: Literal[1, 4, 8] = 8
    """Views averaged: 1, the four quarter turns, or all eight flips and turns."""
    combine: Literal["arithmetic", "geometric"] = "arithmetic"


class AreaTable(BaseModel, frozen=True, extra="allow", strict=True):
    """Minimum areas: `default`, a number per class name, and the unit."""

    __pydantic_extra__: dict[str, float] = Field(init=False)
    default: NonNegative = 4.0
    unit: Literal["m2", "px"] = "px"

    def of(self, class_name: str) -> float:
        """Return the minimum area of that class in `unit`."""
        return (self.__pydantic_extra__ or {}).get(class_name, self.default)


class ThresholdTable(BaseModel, frozen=True, extra="allow", strict=True):
    """Thresholds on the probability: `default` and a number per class name."""

    __pydantic_extra__: dict[str, Share] = Field(init=False)
    default: Share = 0.5

    def of(self, class_name: str) -> float:
        """Return the threshold of that class, 0..1."""
        return (self.__pydantic_extra__ or {}).get(class_name, self.default)


class VectorizeTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[vectorize]`."""

    mode: Literal["contour", "edge"] = "contour"
    """`contour` runs between pixels where the probability crosses the threshold; `edge` follows pixel borders."""
    exclusive: bool = False
    """Give each pixel to its most probable class: thresholds are then on the share of a class in itself and the best
    other one, and 0.5 means the most probable."""
    threshold: ThresholdTable = ThresholdTable()
    min_area: AreaTable = AreaTable()
    simplify_px: NonNegative = 0.25
    """Largest distance in pixels that simplification may move a boundary."""
    tuned: bool = False
    """Use what `landscribe tune` has chosen: per class another threshold, another minimum area, and rules that come
    before those of the recipe."""


class TuneTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[tune]`: what may be chosen per class on training scenes that the model has not seen (see docs/tuning.md)."""

    folds: Annotated[int, Field(ge=0)] = 0
    """Models trained beside each model, each without one part of the training places; 0 tunes nothing."""
    thresholds: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    min_areas_px: tuple[NonNegative, ...] = (0.0, 4.0, 16.0, 64.0)
    open_px: tuple[Positive, ...] = (1.0,)
    close_px: tuple[Positive, ...] = (1.0,)
    buffer_px: tuple[float, ...] = (-0.5, 0.5)
    simplify_px: tuple[Positive, ...] = (0.5, 1.0)
    """Simplification after that of `[vectorize]`."""

    @model_validator(mode="after")
    def _possible(self) -> TuneTable:
        if self.folds == 1:
            raise ValueError("folds must be 0, or 2 and more")
        if any(distance == 0 or not math.isfinite(distance) for distance in self.buffer_px):
            raise ValueError("buffer_px must be lengths above or below 0")
        return self


class EraseTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`erase` of a rule: ground that one class gives up to another."""

    from_: Names = Field(alias="from")
    """Classes that lose ground; `*` is every class that is not in `by`."""
    by: Names
    """Classes that take it; `*` is every class that is not in `from`."""


class AreaWindowTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`area_window` of a rule: areas outside of it are dropped, in m2 (px without a CRS)."""

    min: NonNegative = 0.0
    max: Positive | None = None


class VoteTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`vote` of a rule: ground that enough of several sources agree on."""

    sources: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Classes that were predicted independently of each other."""
    at_least: Count
    """How many of them must cover the ground."""


class RuleTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[[rules]]`: one declared step on features; exactly one action per row (see docs/rules.md)."""

    classes: Names = "*"
    """Classes the rule works on, `*` for all; `erase` and `vote` name their own."""
    places: tuple[Name, ...] | None = None
    """Only scenes of these places; None takes all."""
    erase: EraseTable | None = None
    """Cut one class out of others."""
    clip: Names | None = None
    """Keep only what lies in these classes, or in the scene with `clip = "scene"`."""
    vote: VoteTable | None = None
    """Replace the one class in `classes` by the ground that k of n sources agree on."""
    drop_small: Positive | None = None
    """Drop polygons with a smaller area."""
    fill_holes: Positive | None = None
    """Fill holes with a smaller area."""
    area_window: AreaWindowTable | None = None
    """Drop polygons with an area outside of `min` to `max`."""
    min_score: Share | None = None
    """Drop polygons with a lower score; those without a score stay."""
    keep_largest: Count | None = None
    """Keep only this many polygons of each class in each scene, the largest ones."""
    buffer: float | None = None
    """Move outlines outwards, or inwards with a negative length."""
    open: Positive | None = None
    """Remove what is narrower than twice this length."""
    close: Positive | None = None
    """Close gaps and holes narrower than twice this length."""
    simplify: Positive | None = None
    """Leave out vertices as long as no outline moves by more than this length."""
    merge_touching: Literal[True] | None = None
    """Join polygons of a class that touch or overlap."""

    @model_validator(mode="after")
    def _one_action(self) -> RuleTable:
        given = [name for name in RULE_ACTIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"needs exactly one action of {' | '.join(RULE_ACTIONS)}, has {' and '.join(given) or 'none'}"
            )
        if self.buffer is not None and (self.buffer == 0 or not math.isfinite(self.buffer)):
            raise ValueError("buffer must be a length above or below 0")
        if self.erase is not None and self.classes != "*":
            raise ValueError("erase names its classes itself, in from and by")
        if self.vote is not None and (self.classes == "*" or len(name_list(self.classes)) != 1):
            raise ValueError("vote needs the one class it makes in classes")
        if self.vote is not None and self.vote.at_least > len(self.vote.sources):
            raise ValueError(f"vote has {len(self.vote.sources)} sources and wants {self.vote.at_least} of them")
        return self

    @property
    def action(self) -> str:
        """Name of the one action."""
        return next(name for name in RULE_ACTIONS if getattr(self, name) is not None)


RULE_ACTIONS = tuple(name for name in RuleTable.model_fields if name not in ("classes", "places"))


def name_list(names: Names) -> tuple[str, ...]:
    """Return one name or several as several."""
    return (names,) if isinstance(names, str) else names


class ValidateTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[validate]`: which scenes are kept out of training and scored."""

    split: Literal["place", "named", "none"] = "place"
    """`place` draws whole places; `named` takes `places` and `scenes` below; `none` trains on everything."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    places: tuple[Name, ...] = ()
    scenes: tuple[Name, ...] = ()
    leak_check: bool = True
    """Refuse to train when a held-out scene shows the ground of a training scene, by footprint or by its looks."""


class Recipe(BaseModel, frozen=True, extra="forbid", strict=True):
    """One whole run."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    tensorboard: bool = False
    """Write TensorBoard scalars beside `history.csv`; needs the extra `landscribe[tensorboard]`."""
    data: DataTable
    classes: tuple[ClassTable, ...] = ()
    prepare: PrepareTable = PrepareTable()
    models: tuple[ModelTable, ...] = (ModelTable(),)
    predict: PredictTable = PredictTable()
    tune: TuneTable = TuneTable()
    vectorize: VectorizeTable = VectorizeTable()
    rules: tuple[RuleTable, ...] = ()
    validation: ValidateTable = Field(default=ValidateTable(), alias="validate")
