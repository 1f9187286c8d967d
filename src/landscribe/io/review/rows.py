"""Rows of a review as the server keeps them: what is said of one polygon, or of one area that was looked at."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.legend import Legend
from landscribe.core.polygons.repair import polygonal, repair
from landscribe.errors import DataError, problem
from landscribe.io.review.found_ids import found_id
from landscribe.io.review.review import FOUND, SOURCES, UNSEEN, VERDICTS, Review, looked_areas, review_features

Kind: TypeAlias = Literal["feature", "looked"]
MOST_VERTICES, MOST_NOTE = 100_000, 500
OUTSIDE, CUT, MENDED = "lies outside of the scene", "was cut at the edge of the scene", "crossed itself and was mended"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Row:
    """What is said."""

    id: str
    kind: Kind
    class_name: str
    verdict: str
    source: str
    note: str
    who: str
    at: str
    model: str
    geometry: shapely.Geometry | None
    """In ground coordinates; None where the row was taken back, so that nothing is said of it any more."""
    revision: int = 0

    @property
    def says(self) -> tuple[str, ...]:
        """What is compared: a row that says the same is the same."""
        shape = "" if self.geometry is None else shapely.normalize(self.geometry).wkb_hex
        return (self.kind, self.class_name, self.verdict, self.source, self.note, shape)


def to_plain(row: Row) -> dict[str, Any]:
    """Return a row as it stands in the journal."""
    shape = None if row.geometry is None else row.geometry.wkb_hex
    return {**row.__dict__, "geometry": shape}


def from_plain(values: Mapping[str, Any]) -> Row:
    """Return the row that `to_plain` wrote."""
    shape = values["geometry"]
    return Row(**{**values, "geometry": None if shape is None else shapely.from_wkb(shape)})


def to_page(row: Row, to_frame: Affine) -> dict[str, Any]:
    """Return a row as the page knows it, its shape in frame coordinates."""
    shape = None if row.geometry is None else shapely.geometry.mapping(_moved(row.geometry, to_frame))
    plain = {
        name: getattr(row, name) for name in ("id", "kind", "class_name", "verdict", "source", "note", "who", "at")
    }
    return {**plain, "revision": row.revision, "shape": shape}


def rows_of(review: Review, scene: str) -> list[Row]:
    """Return what a review file says of a scene; polygons that nobody said anything of are left out."""
    rows = []
    for values in _records(review.features):
        touched = values["verdict"] != UNSEEN or values["source"] != FOUND or values["note"]
        if touched and values["scene"] in ("", scene):
            rows.append(_row("feature", values["id"] or name_of(values["geometry"]), values))
    areas = [values for values in _records(review.looked) if values["scene"] in ("", scene)]
    return [*rows, *(_row("looked", name_of(values["geometry"]), values) for values in areas)]


def review_of(rows: Iterable[Row], scene: str, run: str, crs: CRS | None) -> Review:
    """Return rows as a review."""
    own = [row for row in rows if row.geometry is not None]
    features = [row for row in own if row.kind == "feature"]
    areas = [row for row in own if row.kind == "looked"]
    names = ("id", "class_name", "verdict", "source", "note", "who", "at", "model")
    said = {name: [getattr(row, name) for row in features] for name in names}
    looked = {name: [getattr(row, name) for row in areas] for name in ("class_name", "note", "who", "at")}
    return Review(
        review_features({**said, "scene": [scene] * len(features)}, [row.geometry for row in features], crs),
        looked_areas({**looked, "scene": [scene] * len(areas)}, [row.geometry for row in areas], crs),
        run,
        (scene,),
    )


def name_of(geometry: shapely.Geometry) -> str:
    """Return a name for what has none, the same for the same shape."""
    return f"area-{found_id('', shapely.normalize(geometry))}"


def _row(kind: Kind, name: str, values: Mapping[str, Any]) -> Row:
    get = values.get
    return Row(
        name, kind, get("class_name", ""), get("verdict", ""), get("source", ""), get("note", ""), get("who", ""),
        get("at", ""), get("model", ""), values["geometry"],
    )  # fmt: skip


def _records(frame: Any) -> list[dict[str, Any]]:
    columns = {name: frame[name].tolist() for name in frame.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def check_words(wanted: Mapping[str, Any], legend: Legend) -> dict[str, str]:
    """Return the texts of a row that a page sent.

    Raises:
        DataError: If one is no text, too long or unknown.
    """
    texts = {name: wanted.get(name, "") for name in ("id", "kind", "class_name", "verdict", "source", "note")}
    for name, value in texts.items():
        if not isinstance(value, str) or len(value) > MOST_NOTE or not value.isprintable():
            raise DataError(problem(f"edit, {name}", "not a short text", got=repr(value)[:60]))
    if not _ID.fullmatch(texts["id"]):
        raise DataError(problem("edit, id", "not a name", got=repr(texts["id"])[:60]))
    kind = texts["kind"]
    known = {
        "kind": ("feature", "looked"),
        "verdict": VERDICTS if kind == "feature" else (UNSEEN,),
        "source": SOURCES if kind == "feature" else ("",),
        "class_name": legend.names if kind == "feature" else ("", *legend.names),
    }
    for name, words in known.items():
        if texts[name] not in words:
            need = " | ".join(word or "nothing" for word in words)
            raise DataError(problem(f"edit, {name}", "unknown", got=repr(texts[name])[:60], need=need))
    return texts


def check_shape(
    shape: object, to_ground: Affine, footprint: shapely.Geometry
) -> tuple[shapely.Geometry, tuple[str, ...]]:
    """Return a shape that a page sent, valid, inside of the scene and in ground coordinates, and what was mended.

    Args:
        shape: As GeoJSON, in frame coordinates.
        to_ground: Frame -> ground.
        footprint: Of the scene, in ground coordinates.

    Raises:
        DataError: If it is no polygon, not finite, too large or outside of the scene.
    """
    polygons = _polygons(shape)
    n = sum(len(ring) for rings in polygons for ring in rings)
    if n > MOST_VERTICES:
        raise DataError(problem("edit, shape", "too many vertices", got=n, need=f"at most {MOST_VERTICES}"))
    made = [shapely.Polygon(rings[0], rings[1:]) for rings in polygons]
    drawn = made[0] if len(made) == 1 else shapely.MultiPolygon(made)
    (fine,), counts = repair(np.array([drawn], dtype=object))
    if fine.is_empty:
        raise DataError(problem("edit, shape", "no polygon with an area", got=next(k for k, v in counts.items() if v)))
    notes = [MENDED] if counts["repaired"] else []
    ground = _moved(fine, to_ground)
    if not shapely.covers(footprint, ground):
        # A vertex on the very edge may lie outside by a rounding, which is not worth a word.
        cut = polygonal(shapely.intersection(ground, footprint))
        if cut.is_empty or not cut.area > 0:
            raise DataError(problem("edit, shape", OUTSIDE))
        notes += [CUT] if cut.area < ground.area * (1 - 1e-9) else []
        ground = cut
    return ground, tuple(notes)


def split_by(shape: shapely.Geometry, across: object) -> list[shapely.Geometry]:
    """Return the parts of a polygon on both sides of a line; all of it where the line does not cross it.

    Args:
        shape: Valid.
        across: Points of the line, in the same coordinates.

    Raises:
        DataError: If it is no line.
    """
    if not isinstance(across, list) or not 2 <= len(across) <= MOST_VERTICES:
        raise DataError(problem("edit, line", "not a line of two points or more"))
    line = shapely.LineString([_point(point) for point in across])
    edges = shapely.union_all([shapely.boundary(shape), line])
    faces = shapely.get_parts(shapely.polygonize([edges]))
    inside = [face for face in faces if shapely.covers(shape, face.representative_point())]
    return inside or [shape]


def _polygons(shape: object) -> list[list[list[tuple[float, float]]]]:
    if not isinstance(shape, dict) or shape.get("type") not in ("Polygon", "MultiPolygon"):
        raise DataError(problem("edit, shape", "not a Polygon or MultiPolygon"))
    content: Any = shape.get("coordinates")
    try:
        polygons = [content] if shape["type"] == "Polygon" else list(content)
        found = [[[_point(point) for point in ring] for ring in rings] for rings in polygons]
    except (TypeError, ValueError):
        raise DataError(problem("edit, shape", "coordinates are no lists of numbers")) from None
    if not found or any(not rings or any(len(ring) < 4 for ring in rings) for rings in found):
        raise DataError(problem("edit, shape", "a ring of fewer than three corners"))
    return found


def _point(values: Any) -> tuple[float, float]:
    x, y = values
    if not (_is_number(x) and _is_number(y)):
        raise DataError(problem("edit, shape", "a coordinate is not finite", got=f"{x!r}, {y!r}"[:60]))
    return float(x), float(y)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _moved(geometry: shapely.Geometry, move: Affine) -> shapely.Geometry:
    a, b, c, d, e, f = tuple(move)[:6]
    return shapely.transform(
        geometry, lambda xy: np.column_stack((a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f))
    )
