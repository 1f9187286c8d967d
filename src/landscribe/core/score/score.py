"""The score of a run, or of two files: what `score.json` holds.

The fields are the keys of the file, in its order, so this is also its schema (docs/score-schema.json).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter, model_serializer

from landscribe.core.arrays import FloatArray
from landscribe.core.score._shape import ROW, from_text, schema, to_text
from landscribe.core.score.areas import Areas, Matches
from landscribe.core.score.left_out import LeftOut
from landscribe.core.score.rows import ClassRow, Means, SceneRow, Tuning, leave_objects_open, name_the_basis
from landscribe.errors import DataError, problem

Unit = Literal["m2", "px2", "unit2"]
"""Of areas: square metres, square pixels, or the unit of files of which nobody knows it."""
Kind = Literal["polygon", "pixel", "pixel_opencv", "objects"]
"""What is laid beside what: polygons, thresholded pixels and truth of one of two conventions, or objects."""

PIXEL_KINDS: tuple[Literal["pixel", "pixel_opencv"], ...] = ("pixel", "pixel_opencv")
"""Conventions of what a true pixel is: half covered, or painted as OpenCV fills polygons."""
KINDS: tuple[Kind, ...] = ("polygon", *PIXEL_KINDS, "objects")


@dataclass(frozen=True, slots=True)
class NotScored:
    """Scenes that one of two files names and that are not scored."""

    __pydantic_config__ = ROW

    truth: int
    predicted: int


@dataclass(frozen=True, slots=True)
class Conventions:
    """What was decided, in words, with the numbers it depends on."""

    __pydantic_config__ = ROW

    accumulation: str
    empty: str
    """What a class without truth and without prediction counts in the mean."""
    empty_classes: tuple[str, ...]
    """Classes that are neither true nor predicted."""
    interval: str
    basis: str
    places: int
    """Places of the scored scenes."""
    draws: int
    """Bootstrap samples."""
    seed: int
    """Of the bootstrap."""
    repaired_polygons: int
    """Invalid polygons that were repaired before measuring."""
    object_iou: float | None = None
    """Least intersection over union of matched objects, where two files were scored."""
    boundary_width: float | None = None
    """Width of the strip along outlines, where two files were scored; null where none was measured."""
    boundary_width_px: float | None = None
    """The same of a run, in reference pixels."""
    pixel_truth: str | None = None
    """Convention of `pixel`."""
    pixel_opencv_truth: str | None = None
    """Convention of `pixel_opencv`."""
    left_out: Mapping[str, Mapping[str, int]] | None = None
    """Side -> reason -> polygons of a file that were left out or mended when it was read."""
    scenes_not_scored: NotScored | None = None
    """Scenes of the truth that the prediction does not name, and the other way round."""

    @model_serializer
    def write(self) -> dict[str, Any]:
        """Return what was said, for pydantic: where two files were scored, a missing boundary is said too."""
        said = {key: getattr(self, key) for key in self.__dataclass_fields__}
        asked = {"boundary_width"} if self.object_iou is not None else set()
        return {key: value for key, value in said.items() if value is not None or key in asked}


@dataclass(frozen=True, slots=True)
class Score:
    """How much of what was predicted is true, per class and together.

    Examples:
        >>> import landscribe as ls
        >>> score = ls.Score.from_json((run.root / "score.json").read_text())
        >>> 0 <= score.mean.polygon.jaccard <= 1, list(score.classes)[:2]
        (True, ['building', 'structure'])
    """

    __pydantic_config__ = ROW

    mean: Means
    """Means over classes."""
    classes: Mapping[str, ClassRow]
    """By class name, in the order of the legend."""
    scenes: Mapping[str, Mapping[str, SceneRow]]
    """By scene, then by class name."""
    places: Mapping[str, str]
    """Scene -> place."""
    unit: Unit
    """Of areas of polygons and boundaries."""
    conventions: Conventions
    """What was decided."""
    tuning: Tuning | None = None
    """What tuning was worth, where something was tuned in this run."""
    left_out: tuple[LeftOut, ...] = ()
    """What counts on no side."""
    adapting: Tuning | None = None
    """What adapting networks to new scenes was worth, where that was done: `default` without, `tuned` with it."""

    def to_json(self) -> str:
        """Return the text of a `score.json`."""
        return to_text(_SCORE, self)

    def _repr_html_(self) -> str:
        from landscribe.core.score.shown import show_score  # which needs this module

        return show_score(self)

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "score.json") -> Score:
        """Read the text of a `score.json`; those written before intervals named their basis are read too.

        Args:
            text: The file's content.
            where: The file, for the message.

        Raises:
            DataError: If it is no score.
        """
        score = from_text(_SCORE, text, where, "score", _mend)
        lost = [scene for scene in score.scenes if scene not in score.places]
        if lost:
            raise DataError(problem(where, "not a score", got=f"no place of scene {lost[0]!r}"))
        return score


_SCORE: TypeAdapter[Score] = TypeAdapter(Score)


def score_schema() -> dict[str, Any]:
    """Return the JSON schema of `score.json`."""
    return schema(_SCORE, "score.json")


def scene_jaccard(classes: Mapping[str, SceneRow]) -> float:
    """Return the mean Jaccard of one scene over the classes it has, NaN where it has none.

    Only for putting scenes in order: the score of a run is never a mean over scenes.

    Args:
        classes: A scene's rows, by class name.
    """
    values = [row.polygon.jaccard for row in classes.values()]
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def lost_to_polygons(row: ClassRow | Means) -> float | None:
    """Return how much Jaccard the way from pixels to polygons cost; None where one of the two has no value."""
    if row.pixel is None or row.pixel.jaccard is None or row.polygon.jaccard is None:
        return None
    return row.pixel.jaccard - row.polygon.jaccard


def areas_table(score: Score, scenes: Sequence[str], names: Sequence[str], kind: Kind) -> FloatArray:
    """Return TP, FP, FN of scenes and classes as a table.

    Args:
        score: The score.
        scenes: Scenes, in the order wanted.
        names: Class names, in the order wanted; a class the score lacks is zero.
        kind: What was measured.

    Returns:
        Float64 (S, K, 3).
    """
    table_sk3 = np.zeros((len(scenes), len(names), 3))
    for s, scene in enumerate(scenes):
        for k, name in enumerate(names):
            row = score.scenes[scene].get(name)
            areas: Areas | Matches | None = None if row is None else getattr(row, kind)
            if areas is not None:
                table_sk3[s, k] = areas.tp, areas.fp, areas.fn
    return table_sk3


def parts_table(score: Score, scenes: Sequence[str], names: Sequence[str]) -> FloatArray:
    """Return TP, FP, FN of the parts of scenes as a table.

    Args:
        score: The score.
        scenes: Scenes, in the order wanted.
        names: Class names, in the order wanted; a class that was not measured by parts is zero.

    Returns:
        Float64 (N, K, 3); no rows where nothing was measured by parts.
    """
    tables = [np.zeros((0, len(names), 3))]
    for scene in scenes:
        found = score.scenes[scene]
        rows = [found[name].parts if name in found else () for name in names]
        table_nk3 = np.zeros((max(map(len, rows), default=0), len(names), 3))
        for k, row in enumerate(rows):
            table_nk3[: len(row), k] = np.reshape(row, (-1, 3))
        tables.append(table_nk3)
    return np.concatenate(tables)


def _mend(content: Any) -> None:
    for rows in (content["mean"], *content["classes"].values()):
        name_the_basis(rows)
    for rows in content["classes"].values():
        leave_objects_open(rows)
    content["conventions"].setdefault("basis", "places")
