"""What every vector reader hands over, and reading geometries in binary without trusting them."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from landscribe.core.arrays import GeometryArray
from landscribe.core.features import one_at_a_time
from landscribe.late import pandas as pd

SAFE_BYTES = 20_000
"""A geometry this small cannot be nested deeper than GEOS bears: a level takes nine bytes, 5,000 levels are fine."""
NO_POLYGON = "not a polygon"
"""Reason for which a geometry is left out."""
MAX_NESTING = 32
POINT, LINE, POLYGON = 1, 2, 3
NESTING = (4, 5, 6, 7)


@dataclass
class Layer:
    """The polygons of a file as they stand there, with the columns that were asked for."""

    geometries: GeometryArray
    """Polygons and MultiPolygons, valid or not."""
    attributes: pd.DataFrame
    columns: tuple[str, ...]
    """Names of all columns of the file."""
    crs: CRS | None
    crs_is_stated: bool
    """False where the format implies a CRS and the file says nothing."""
    counts: Counter[str] = field(default_factory=Counter)
    """What was left out or mended while reading, by reason."""


@dataclass(frozen=True)
class Drawn:
    """What somebody drew on one picture, in its pixels: x = col and y = row from the corner of the first one."""

    layer: Layer
    size_hw: tuple[int, int] | None = None
    """Of the picture that it was drawn on, where the file says so."""
    in_shares: bool = False
    """True where coordinates are shares of the picture's width and height, 0..1."""
    picture: str = ""
    """Name of the picture, where the file says so."""


CATEGORY = "category"
"""Column of a drawn layer with the name or number of the class."""


@one_at_a_time
def table_of(content: Any, rows: int, dtype: Any = None) -> pd.DataFrame:
    """Make a table of columns by name, or of a mapping for each row."""
    return pd.DataFrame(content, index=range(rows), dtype=dtype)


def drawn_layer(geometries: Sequence[shapely.Geometry], categories: Sequence[object], counts: Counter[str]) -> Layer:
    """Put what was drawn into a layer."""
    array: GeometryArray = np.empty(len(geometries), dtype=object)
    array[:] = geometries
    table = table_of({CATEGORY: list(categories)}, len(geometries), np.dtype(object))
    return Layer(array, table, (CATEGORY,), None, True, counts)


def from_wkb(blobs: Any, counts: Counter[str]) -> GeometryArray:
    """Parse geometries in WKB; what cannot be parsed becomes None and is counted.

    Args:
        blobs: Sequence of bytes or None.
        counts: Takes the counts by reason.
    """
    safe = np.empty(len(blobs), dtype=object)
    for k, blob in enumerate(blobs):
        if blob is None or len(blob) == 0:
            counts["without geometry"] += 1
        elif len(blob) > SAFE_BYTES and not _is_shallow(bytes(blob)):
            counts["nested too deeply or cut short"] += 1
        else:
            safe[k] = bytes(blob)
    with np.errstate(invalid="ignore"):  # GEOS compares numbers that are none
        geometries: GeometryArray = shapely.from_wkb(safe, on_invalid="ignore")
    missing = shapely.is_missing(geometries)
    if unread := sum(safe[k] is not None for k in np.flatnonzero(missing)):
        counts["malformed: not WKB"] += unread
    return geometries


def _is_shallow(blob: bytes) -> bool:
    """Say whether a large WKB is whole and nested no deeper than `MAX_NESTING`, by walking over its headers."""
    members, place = [1], 0
    try:
        while members:
            if members[-1] == 0:
                members.pop()
                continue
            members[-1] -= 1
            order, kind, dimensions, place = _header(blob, place)
            if kind in NESTING:
                members.append(struct.unpack_from(order + "I", blob, place)[0])
                place += 4
                if len(members) > MAX_NESTING:
                    return False
            else:
                place = _after(blob, order, kind, place, 8 * dimensions)
    except (struct.error, ValueError):
        return False
    return place <= len(blob)


def _header(blob: bytes, place: int) -> tuple[str, int, int, int]:
    order = "<" if blob[place : place + 1] == b"\x01" else ">"
    (code,) = struct.unpack_from(order + "I", blob, place + 1)
    flags, kind = code >> 29, code & 0x1FFFFFFF
    # Heights and measures: flags in PostGIS's dialect, thousands in ISO's. The PostGIS dialect may add an SRID.
    has_z, has_m = flags & 4 or kind // 1000 in (1, 3), flags & 2 or kind // 1000 in (2, 3)
    return order, kind % 1000, 2 + bool(has_z) + bool(has_m), place + 5 + 4 * (flags & 1)


def _after(blob: bytes, order: str, kind: int, place: int, point_bytes: int) -> int:
    if kind == POINT:
        return place + point_bytes
    if kind not in (LINE, POLYGON):
        raise ValueError(kind)
    rings = 1
    if kind == POLYGON:
        (rings,) = struct.unpack_from(order + "I", blob, place)
        place += 4
    for _ in range(rings):
        (points,) = struct.unpack_from(order + "I", blob, place)
        place += 4 + points * point_bytes
    return place
