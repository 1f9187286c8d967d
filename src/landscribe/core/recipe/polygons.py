"""Tables of the recipe about making polygons."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from landscribe.core.recipe.values import Name, NonNegative, Positive, Share
from landscribe.core.tracing import MOST_ROUNDS, Connectivity, TraceMode, Tracing
from landscribe.errors import RecipeError

DEFAULT = Tracing()


class AreaTable(BaseModel, frozen=True, extra="allow", strict=True):
    """Minimum areas: `default`, a number per class name, and the unit."""

    __pydantic_extra__: dict[str, float] = Field(init=False)
    default: NonNegative = DEFAULT.min_area_px
    unit: Literal["m2", "px"] = "px"

    def of(self, class_name: str) -> float:
        """Return the minimum area of that class in `unit`."""
        return (self.__pydantic_extra__ or {}).get(class_name, self.default)

    def of_px(self, class_name: str, pixel_area_m2: float) -> float:
        """Return the minimum area of that class in pixels."""
        return self.of(class_name) / pixel_area_m2 if self.unit == "m2" else self.of(class_name)


class ThresholdTable(BaseModel, frozen=True, extra="allow", strict=True):
    """Thresholds on the probability: `default` and a number per class name."""

    __pydantic_extra__: dict[str, Share] = Field(init=False)
    default: Share = DEFAULT.threshold

    def of(self, class_name: str) -> float:
        """Return the threshold of that class, 0..1."""
        return (self.__pydantic_extra__ or {}).get(class_name, self.default)


class LengthTable(BaseModel, frozen=True, extra="allow", strict=True):
    """Lengths in pixels: `default` and a number per class name; one number alone is the default."""

    __pydantic_extra__: dict[str, NonNegative] = Field(init=False)
    default: NonNegative = DEFAULT.simplify_px

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, given: Any) -> Any:
        return {"default": given} if isinstance(given, int | float) else given

    def of(self, class_name: str) -> float:
        """Return the length of that class."""
        return (self.__pydantic_extra__ or {}).get(class_name, self.default)


class VectorizeTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[vectorize]`."""

    mode: TraceMode = DEFAULT.mode
    """`contour` runs between pixels where the probability crosses the threshold; `edge` follows pixel borders; `opencv`
    runs through pixel centres as both DSTL methods do, for masks learned with `[prepare] target = "opencv"`."""
    exclusive: bool = False
    """Give each pixel to its most probable class: thresholds are then on the share of a class in itself and the best
    other one, and 0.5 means the most probable."""
    shared_borders: bool = False
    """With `exclusive`: follow pixel borders and simplify neighbours together, so that classes meet without gap or
    overlap, each border by the smaller `simplify_px` of its classes. Connectivity is then 4, holes stay unless
    `min_hole` is given, and a scene is held in memory."""
    threshold: ThresholdTable = ThresholdTable()
    """Probability from which on ground is of a class: `default`, or a number per class name."""
    min_area: AreaTable = AreaTable()
    """Smallest polygon in `unit` (`px` or `m2`): `default`, or a number per class name."""
    min_hole: AreaTable | None = None
    """Smallest hole; none takes `min_area`."""
    connectivity: Connectivity = DEFAULT.connectivity
    """Whether pixels that meet at a corner only are two polygons (4) or one (8), or whatever the mean of the four
    pixels around the corner says (`mean`, contours only)."""
    smooth: Annotated[int, Field(ge=0, le=MOST_ROUNDS)] = DEFAULT.smooth
    """How often the vertices of a contour move halfway to the line of their neighbours; none crosses a pixel centre."""
    right_angles: tuple[Name, ...] = ()
    """Classes, such as buildings, whose polygons get right angles where they nearly have them."""
    simplify_px: LengthTable = LengthTable()
    """Largest distance in pixels that simplification may move a boundary, and no vertex over a pixel centre: one
    number, or `default` and a number per class name."""
    separate: tuple[Name, ...] = ()
    """Countable classes whose polygons are cut where they hold several things that touch: where the way between two is
    narrow, the probability has a valley, or a network has learned where single things end (`borders` of a model)."""
    neck: Annotated[float, Field(gt=0, le=1)] = 0.3
    """How narrow the way between two things is at most, as a part of the narrower of them, for `separate`."""
    tuned: bool = False
    """Use what `landscribe tune` has chosen: per class another threshold, another minimum area, and rules that come
    before those of the recipe."""

    @model_validator(mode="after")
    def _possible(self) -> VectorizeTable:
        if self.shared_borders and not self.exclusive:
            raise ValueError(
                "shared_borders needs exclusive = true: only classes that exclude each other share borders"
            )
        if self.separate and (self.shared_borders or self.mode == "opencv"):
            other = "shared_borders" if self.shared_borders else "mode = 'opencv'"
            raise ValueError(f"separate does not go with {other}: a cut would have vertices that its neighbours lack")
        for name in ("", *sorted(self.named_classes)):
            try:
                self.tracing(name, 1.0)
            except RecipeError as error:
                raise ValueError(f"{name}: {error}" if name else str(error)) from error
        return self

    @property
    def named_classes(self) -> frozenset[str]:
        """Classes that have settings of their own."""
        tables = (self.threshold, self.min_area, self.min_hole, self.simplify_px)
        named = {name for table in tables if table is not None for name in table.model_extra or ()}
        return frozenset(named | set(self.right_angles) | set(self.separate))

    def deciding(self) -> dict[str, Any]:
        """Return all that decides what polygons become, as plain values; of what is not asked for, nothing."""
        values = self.model_dump(mode="json")
        return values if self.separate else {k: v for k, v in values.items() if k not in ("separate", "neck")}

    def tracing(self, class_name: str, pixel_area_m2: float) -> Tracing:
        """Return what this table says about that class, in pixels.

        Args:
            class_name: The class.
            pixel_area_m2: Area of a pixel in the unit `m2` of areas.
        """
        tracing = Tracing(
            threshold=self.threshold.of(class_name),
            mode=self.mode,
            min_area_px=self.min_area.of_px(class_name, pixel_area_m2),
            min_hole_px=None if self.min_hole is None else self.min_hole.of_px(class_name, pixel_area_m2),
            simplify_px=self.simplify_px.of(class_name),
            connectivity=self.connectivity,
            smooth=self.smooth,
            right_angles=class_name in self.right_angles,
        )
        return tracing.with_shared_borders() if self.shared_borders else tracing


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
    max_areas_px: tuple[Positive, ...] = (10_000.0, 100_000.0)
    """Areas above which polygons may be dropped, for classes whose large finds are mistakes, such as ponds."""
    symmetries: tuple[Literal[1, 4, 8], ...] = (1, 4)
    """Views to average, where fewer than `[predict].symmetries`; each is another prediction of training scenes."""
    by: Literal["area", "objects"] = "area"
    """What is made as large as possible: the Jaccard of areas; or, for countable classes, the F1 of whole objects at
    IoU 0.5. Other classes go by area in any case."""

    @model_validator(mode="after")
    def _possible(self) -> TuneTable:
        if self.folds == 1:
            raise ValueError("folds must be 0, or 2 and more")
        if any(distance == 0 or not math.isfinite(distance) for distance in self.buffer_px):
            raise ValueError("buffer_px must be lengths above or below 0")
        return self


class SubmitTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[submit]`: the DSTL submission."""

    decimals: Annotated[int, Field(ge=0, le=16)] = 8
    """Decimals of coordinates; 8 are 0.004 pixel of DSTL."""
    gzip: bool = True
    """Write `submission.csv.gz` rather than `submission.csv`."""
    scenes: tuple[Name, ...] | None = None
    """Only these images have polygons, the others are empty; None takes all that were predicted."""
