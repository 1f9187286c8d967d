"""labelme: a JSON file per picture, with shapes in its pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from landscribe.core.arrays import FloatArray
from landscribe.errors import DataError, problem
from landscribe.io.json_text import as_number, as_size, read_json, top_keys
from landscribe.io.vector.layer import Drawn, drawn_layer
from landscribe.io.vector.rle import MalformedError

CIRCLE_SEGMENTS = 16
"""Straight pieces for a quarter of a circle."""


def looks_like_labelme(path: Path) -> bool:
    """Say whether a file begins as those of labelme do; a small part of it is read."""
    keys = top_keys(path)
    return "shapes" in keys and bool({"imagePath", "imageHeight", "imageData", "version", "flags"} & keys.keys())


def read_labelme(path: Path) -> Drawn:
    """Read what was drawn on one picture: polygons, rectangles and circles, and lines and points as such.

    Raises:
        DataError: If it is no file of labelme.
        LimitError: If it is too large for the memory or nested too deeply.
    """
    content = read_json(path)
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list):
        raise DataError(
            problem(str(path), "not of labelme", got="no list of shapes", need="shapes with label and points")
        )
    counts: Counter[str] = Counter()
    geometries, categories = [], []
    for shape in shapes:
        if not isinstance(shape, dict):
            counts["malformed: a shape is no object"] += 1
            continue
        try:
            geometries.append(_shape(shape))
            categories.append(shape.get("label"))
        except MalformedError as error:
            counts[f"malformed: {error}"] += 1
    height, width = as_size(content.get("imageHeight")), as_size(content.get("imageWidth"))
    size_hw = (height, width) if height and width else None
    return Drawn(drawn_layer(geometries, categories, counts), size_hw, picture=str(content.get("imagePath") or ""))


def _shape(shape: Mapping[str, Any]) -> shapely.Geometry:
    kind = shape.get("shape_type") or "polygon"
    points_xy = _points(shape.get("points"))
    match kind, len(points_xy):
        case "polygon", n if n >= 3:
            return shapely.Polygon(points_xy)
        case "rectangle", 2:
            (x0, y0), (x1, y1) = points_xy
            return shapely.box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        case "rectangle" | "oriented_rectangle", 4:
            return shapely.Polygon(points_xy)
        case "circle", 2:
            centre, edge = points_xy
            return shapely.Point(centre).buffer(math.dist(centre, edge), quad_segs=CIRCLE_SEGMENTS)
        case "line" | "linestrip", n if n >= 2:
            return shapely.LineString(points_xy)
        case "point", 1:
            return shapely.Point(points_xy[0])
        case "points", n if n >= 1:
            return shapely.MultiPoint(points_xy)
        case "polygon" | "rectangle" | "circle" | "line" | "linestrip" | "point", n:
            raise MalformedError(f"a {kind} of {n} points")
    raise MalformedError(f"shapes of type {str(kind)[:30]!r} are not read")


def _points(points: Any) -> FloatArray:
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise MalformedError("points are not pairs of numbers")
    points_xy = np.array([[as_number(x), as_number(y)] for x, y in points]).reshape(-1, 2)
    if not np.isfinite(points_xy).all():
        raise MalformedError("points hold what is no number")
    return points_xy
