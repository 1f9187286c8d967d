"""The rows of a score: what stands in `score.json` for the mean, for a class, and for a class in one scene.

The fields are the keys of the file, in its order. Numbers that are undefined are None, never NaN: a class that is
neither true nor predicted has no Jaccard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from landscribe.core.score._shape import ROW, from_text, to_plain
from landscribe.core.score.areas import Areas, Matches
from landscribe.core.score.intervals import Basis


@dataclass(frozen=True, slots=True)
class MeanRow:
    """Mean Jaccard over classes."""

    __pydantic_config__ = ROW

    jaccard: float | None
    """Null where no class has a Jaccard."""
    low: float | None
    """Lower end of the 95 % interval."""
    high: float | None
    """Upper end."""
    basis: Basis | None
    """What was drawn for the interval; null where there is none."""


@dataclass(frozen=True, slots=True)
class MeanBoundary:
    """Mean boundary Jaccard over classes."""

    __pydantic_config__ = ROW

    jaccard: float | None


@dataclass(frozen=True, slots=True)
class MeanObjects:
    """Mean F1 of objects over the countable classes."""

    __pydantic_config__ = ROW

    f1: float | None
    """Null where no class has one."""
    low: float | None
    """Lower end of the 95 % interval."""
    high: float | None
    """Upper end."""
    basis: Basis | None
    """What was drawn for the interval; null where there is none."""


@dataclass(frozen=True, slots=True)
class Means:
    """Means over classes."""

    __pydantic_config__ = ROW

    polygon: MeanRow
    """Final polygons with label polygons."""
    pixel: MeanRow | None = None
    """Thresholded probability with pixels covered by half or more."""
    pixel_opencv: MeanRow | None = None
    """Thresholded probability with truth painted as OpenCV fills polygons."""
    boundary: MeanBoundary | None = None
    """Strips along the outlines."""
    objects: MeanObjects | None = None
    """Objects one to one, where a class is countable."""

    def to_plain(self) -> dict[str, Any]:
        """Return the means as they stand in a JSON file, for files that hold more."""
        return to_plain(_MEANS, self)

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "mean") -> Means:
        """Read means.

        Raises:
            DataError: If it is not JSON, or JSON of another shape.
        """
        return from_text(_MEANS, text, where, "mean score", name_the_basis)


@dataclass(frozen=True, slots=True)
class PolygonRow:
    """Final polygons of a class against label polygons, summed over scenes."""

    __pydantic_config__ = ROW

    jaccard: float | None
    """tp / (tp + fp + fn); null where the class is neither true nor predicted."""
    precision: float | None
    """tp / (tp + fp); null where nothing is predicted."""
    recall: float | None
    """tp / (tp + fn); null where there is no truth."""
    f1: float | None
    """2 tp / (2 tp + fp + fn); null as the Jaccard."""
    tp: float
    """Area that is predicted and true."""
    fp: float
    """Area that is predicted and not true."""
    fn: float
    """Area that is true and not predicted."""
    low: float | None
    """Lower end of the 95 % interval of the Jaccard."""
    high: float | None
    """Upper end."""
    basis: Basis | None
    """What was drawn for the interval; null where there is none."""


@dataclass(frozen=True, slots=True)
class PixelRow:
    """Thresholded probability of a class against true pixels, in pixels, summed over scenes."""

    __pydantic_config__ = ROW

    jaccard: float | None
    tp: float
    fp: float
    fn: float
    low: float | None
    high: float | None
    basis: Basis | None


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """Objects of a countable class, matched one to one."""

    __pydantic_config__ = ROW

    jaccard: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    tp: int
    """Objects found."""
    fp: int
    """Objects invented."""
    fn: int
    """Objects missed."""
    merged: int | None
    """Predicted objects that hold two true ones or more, each by half of its area at least."""
    fragmented: int | None
    """True objects that hold two predicted ones or more, each by half of its area at least."""
    low: float | None
    """Lower end of the 95 % interval of the F1."""
    high: float | None
    """Upper end."""
    basis: Basis | None
    """What was drawn for the interval; null where there is none."""


@dataclass(frozen=True, slots=True)
class BoundaryRow:
    """Strips along the outlines of a class, summed over scenes."""

    __pydantic_config__ = ROW

    jaccard: float | None
    tp: float
    fp: float
    fn: float


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class over all scored scenes."""

    __pydantic_config__ = ROW

    polygon: PolygonRow
    places: int
    """Places that show the class."""
    pixel: PixelRow | None = None
    pixel_opencv: PixelRow | None = None
    objects: ObjectRow | None = None
    """Only of countable classes."""
    boundary: BoundaryRow | None = None


@dataclass(frozen=True, slots=True)
class SceneRow:
    """One class in one scene."""

    __pydantic_config__ = ROW

    polygon: Areas
    pixel: Areas | None = None
    pixel_opencv: Areas | None = None
    objects: Matches | None = None
    boundary: Areas | None = None
    parts: tuple[tuple[float, float, float], ...] = ()
    """tp, fp, fn of the polygons by parts of the scene, where the class stands in this scene only."""


@dataclass(frozen=True, slots=True)
class TunedRow:
    """What tuning was worth on the scored scenes, which nothing was tuned on."""

    __pydantic_config__ = ROW

    default: float | None
    """Jaccard by the recipe alone."""
    tuned: float | None
    """Jaccard with what was tuned."""
    difference: float | None
    """Tuned minus default."""
    low: float | None
    """Lower end of the 95 % interval of the difference."""
    high: float | None
    """Upper end."""
    basis: Basis | None
    """What was drawn for the interval; null where there is none."""
    real: bool | None
    """Whether the interval leaves out 0; null where there is too little evidence to tell."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The scored scenes with what was tuned, against the same by the recipe alone."""

    __pydantic_config__ = ROW

    mean: TunedRow
    classes: Mapping[str, TunedRow]


_MEANS: TypeAdapter[Means] = TypeAdapter(Means)


def name_the_basis(rows: Any) -> None:
    """Name the basis of intervals where no file named it yet: all were drawn over places."""
    for row in rows.values():
        if isinstance(row, dict) and "low" in row:
            row.setdefault("basis", None if row["low"] is None else "places")


def leave_objects_open(rows: Any) -> None:
    """Say of objects that no file said their interval yet, nor which are merged or fragmented."""
    for key in ("merged", "fragmented", "low", "high", "basis") if rows.get("objects") else ():
        rows["objects"].setdefault(key, None)
