"""GeoJSON (RFC 7946) and GeoJSON text sequences, read and written without GDAL.

GDAL would fetch a `crs` that is a link and drop features it cannot read without telling which; a JSON parser in Python
does neither, and stops by itself at deep nesting.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from landscribe.core.arrays import FloatArray, GeometryArray
from landscribe.errors import DataError, LimitError, problem
from landscribe.io.atomic import atomic_path
from landscribe.io.json_text import MEMORY_PER_BYTE, no_collection
from landscribe.io.safety import check_size
from landscribe.io.vector.layer import MAX_NESTING, NO_POLYGON, Layer, table_of
from landscribe.late import geopandas as gpd
from landscribe.late import pandas as pd
from landscribe.workers import stop_if_asked

LONLAT = CRS.from_user_input("OGC:CRS84")
CRS_NAME = re.compile(
    r"(?:urn:(?:x-)?ogc:def:crs:|https?://www\.opengis\.net/def/crs/)?(EPSG|ESRI|OGC|IGNF)[:/](?:[\w.]*[:/])?(\w+)",
    re.IGNORECASE,
)
HEIGHTS = "rings with heights, which were left out"
POLYGONAL = ("Polygon", "MultiPolygon")
OTHER = ("Point", "MultiPoint", "LineString", "MultiLineString")
SEQUENCE_SUFFIXES = (".ndgeojson", ".geojsonl", ".geojsons", ".ndjson", ".jsonl")


class _MalformedError(ValueError):
    """A geometry that is no geometry; it is counted and left out."""


@no_collection()
def read_geojson(path: Path, wanted: Collection[str] | None = None) -> Layer:
    """Read the polygons, lines and points of a GeoJSON file.

    Args:
        path: A FeatureCollection, a Feature, a geometry, or one of them per line.
        wanted: Properties to keep; None keeps all.

    Returns:
        The layer. Features that are malformed are counted. A file that does not name a CRS is in
        longitude and latitude, with `crs_is_stated` False.

    Raises:
        DataError: If it is no GeoJSON, or names a CRS by a link or one that nobody knows.
        LimitError: If it is too large for the memory or nested too deeply.
    """
    where, size = str(path), path.stat().st_size
    check_size(where, size * MEMORY_PER_BYTE)
    records = _parse(path, where)
    crs, stated = _crs_of(records, where)
    builder = _Builder()
    rows: list[dict[str, Any]] = []
    columns: dict[str, None] = {}
    for geometry, properties in _features(records, where):
        stop_if_asked()
        columns.update(dict.fromkeys(properties) if len(columns) < 1000 else {})
        if builder.add(geometry):
            rows.append({k: v for k, v in properties.items() if wanted is None or k in wanted})
    return Layer(
        builder.build(),
        table_of(rows, len(rows), np.dtype(object)),
        tuple(columns),
        crs,
        stated,
        builder.counts,
    )


def write_geojson(path: Path, features: gpd.GeoDataFrame) -> None:
    """Write features as RFC 7946 wants them: longitude and latitude, shells counter-clockwise.

    Coordinates without a CRS are written as they are, with `crs` null.

    Args:
        path: The file.
        features: With the columns of `core.features`; the geometry must be in longitude and latitude or without CRS.
    """
    names = [name for name in features.columns if name != features.geometry.name]
    shapes = shapely.to_geojson(shapely.orient_polygons(features.geometry.to_numpy()))
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        # RFC 7946 knows no other CRS; its predecessor's null is the one way to say that there is none.
        none = '"crs": null, ' if features.crs is None else ""
        file.write(f'{{"type": "FeatureCollection", {none}"features": [')
        rows = features[names].itertuples(index=False, name=None)
        for k, (shape, row) in enumerate(zip(shapes, rows, strict=True)):
            properties = json.dumps({n: _plain(v) for n, v in zip(names, row, strict=True)}, ensure_ascii=False)
            file.write(f'{"," if k else ""}\n{{"type": "Feature", "properties": {properties}, "geometry": {shape}}}')
        file.write("\n]}\n")


def _plain(value: Any) -> Any:
    if value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _parse(path: Path, where: str) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() not in SEQUENCE_SUFFIXES:
            try:
                return [json.loads(text)]
            except json.JSONDecodeError as error:
                if not error.msg.startswith("Extra data"):
                    raise
        # RFC 8142 begins each record with a control character, everybody else ends it with a line break.
        lines = text.split("\x1e" if "\x1e" in text else "\n")
        return [json.loads(line) for line in lines if line.strip()]
    except RecursionError:
        raise LimitError(problem(where, "nested too deeply")) from None
    except UnicodeDecodeError as error:
        raise DataError(problem(where, "not UTF-8 text", got=error.reason)) from error
    except ValueError as error:
        raise DataError(problem(where, "not JSON", got=str(error)[:200])) from None


def _crs_of(records: list[Any], where: str) -> tuple[CRS | None, bool]:
    named = [record["crs"] for record in records if isinstance(record, dict) and "crs" in record]
    if not named:
        return LONLAT, False
    if any(value != named[0] for value in named):
        raise DataError(problem(where, "several CRS in one file"))
    if named[0] is None:
        return None, True
    kind = named[0].get("type") if isinstance(named[0], dict) else None
    properties = named[0].get("properties") if isinstance(named[0], dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if kind != "name" or not isinstance(name, str):
        raise DataError(
            problem(where, "CRS is not given by name", got=f"type {kind!r}", need="type 'name'; links are not followed")
        )
    match = CRS_NAME.fullmatch(name.strip())
    authority = match.groups() if match is not None else ("", "")
    try:
        return CRS.from_authority(authority[0].upper(), authority[1]), True
    except CRSError:
        raise DataError(
            problem(where, "unknown CRS", got=repr(name[:100]), need="a name such as 'EPSG:32636'")
        ) from None


def _features(records: list[Any], where: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    for record in records:
        kind = record.get("type") if isinstance(record, dict) else None
        if kind == "FeatureCollection":
            if not isinstance(record.get("features"), list):
                raise DataError(problem(where, "FeatureCollection without a list of features"))
            yield from (_feature(item) for item in record["features"])
        elif kind == "Feature":
            yield _feature(record)
        elif kind in (*POLYGONAL, *OTHER, "GeometryCollection"):
            yield record, {}
        else:
            got = f"type {kind!r}" if isinstance(record, dict) else type(record).__name__
            raise DataError(problem(where, "not GeoJSON", got=got, need="FeatureCollection, Feature or a geometry"))


def _feature(item: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(item, dict) or item.get("type") != "Feature":
        return "malformed", {}
    properties = item.get("properties")
    return item.get("geometry"), properties if isinstance(properties, dict) else {}


class _Builder:
    """Rings collected from many features, made into geometries in one call."""

    def __init__(self) -> None:
        self.rings: list[FloatArray] = []
        self.rings_of_polygon: list[int] = []
        self.polygons_of_geometry: list[int] = []
        self.marks: dict[int, shapely.Geometry] = {}
        """Lines and points, by the number of the geometry."""
        self.counts: Counter[str] = Counter()

    def add(self, geometry: Any) -> bool:
        """Take in the polygons of one feature, or its lines or points; say whether there were any."""
        if geometry is None:
            self.counts["without geometry"] += 1
            return False
        try:
            if isinstance(geometry, dict) and geometry.get("type") in OTHER:
                self.marks[len(self.polygons_of_geometry) + len(self.marks)] = _mark(geometry)
                return True
            polygons = self._polygons(geometry, 0)
        except _MalformedError as error:
            self.counts[f"malformed: {error}"] += 1
            return False
        if not polygons:
            return False
        for rings in polygons:
            self.rings.extend(rings)
            self.rings_of_polygon.append(len(rings))
        self.polygons_of_geometry.append(len(polygons))
        return True

    def build(self) -> GeometryArray:
        """Return one geometry per feature taken in."""
        total = len(self.polygons_of_geometry) + len(self.marks)
        result: GeometryArray = np.empty(total, dtype=object)
        result[list(self.marks)] = list(self.marks.values())
        if not self.rings:
            return result
        offsets = (
            _offsets([len(ring) for ring in self.rings]),
            _offsets(self.rings_of_polygon),
            _offsets(self.polygons_of_geometry),
        )
        built = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, np.concatenate(self.rings), offsets)
        single = np.array(self.polygons_of_geometry) == 1
        built[single] = shapely.get_geometry(built[single], 0)
        result[np.setdiff1d(np.arange(total), list(self.marks))] = built
        return result

    def _polygons(self, geometry: Any, depth: int) -> list[list[FloatArray]]:
        if depth > MAX_NESTING:
            raise _MalformedError("collections nested too deeply")
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        if kind == "GeometryCollection":
            members = geometry.get("geometries")
            if not isinstance(members, list):
                raise _MalformedError("collection without geometries")
            return [rings for member in members for rings in self._polygons(member, depth + 1)]
        if kind in OTHER:
            self.counts[NO_POLYGON] += 1
            return []
        if kind not in POLYGONAL:
            raise _MalformedError("not a geometry")
        coordinates = geometry.get("coordinates")
        parts = [coordinates] if kind == "Polygon" else coordinates
        if not isinstance(parts, list) or not all(isinstance(part, list) for part in parts):
            raise _MalformedError("coordinates are not nested lists")
        polygons = [rings for part in parts if (rings := self._rings(part))]
        if not polygons:
            self.counts["empty geometry"] += 1
        return polygons

    def _rings(self, part: list[Any]) -> list[FloatArray]:
        rings = []
        for k, values in enumerate(part):
            ring = self._ring(values)
            if len(ring) >= 4:
                rings.append(ring)
            elif k == 0:
                if len(ring):
                    self.counts["shell of fewer than three corners"] += 1
                return []
            else:
                self.counts["hole of fewer than three corners"] += 1
        return rings

    def _ring(self, values: Any) -> FloatArray:
        if not isinstance(values, list):
            raise _MalformedError("ring is not a list")
        try:
            ring = np.asarray(values) if values else np.empty((0, 2))
        except ValueError:
            ring = _mixed(values)
            self.counts[HEIGHTS] += 1
        if ring.ndim != 2 or ring.shape[1] < 2 or ring.dtype.kind not in "iuf":
            raise _MalformedError("positions are not two or three numbers")
        if ring.shape[1] > 2:
            self.counts[HEIGHTS] += 1
        ring = ring[:, :2].astype(np.float64)
        if len(ring) and values[0][:2] != values[-1][:2]:
            self.counts["ring was not closed"] += 1
            ring = np.concatenate([ring, ring[:1]])
        # A ring that begins with NaN is not closed for GEOS, since NaN is not NaN; infinity is left out just as well.
        ring[np.isnan(ring)] = np.inf
        return ring


def _mixed(values: list[Any]) -> FloatArray:
    # Positions with and without a height in one ring.
    numbers = (int, float)
    for position in values:
        if not isinstance(position, list) or len(position) < 2 or not all(type(v) in numbers for v in position):
            raise _MalformedError("positions are not two or three numbers")
    try:
        return np.array([position[:2] for position in values], dtype=np.float64).reshape(-1, 2)
    except OverflowError:
        raise _MalformedError("numbers too large") from None


def _mark(geometry: dict[str, Any]) -> shapely.Geometry:
    """Return a line or point, or several of them."""
    kind, coordinates = geometry["type"], geometry.get("coordinates")
    parts = coordinates if kind in ("MultiPoint", "MultiLineString") else [coordinates]
    if not isinstance(parts, list):
        raise _MalformedError("coordinates are not nested lists")
    if kind.endswith("Point"):
        return shapely.MultiPoint(_positions(parts)) if kind == "MultiPoint" else shapely.Point(_positions(parts)[0])
    lines = [_positions(part) for part in parts]
    if any(len(line) < 2 for line in lines):
        raise _MalformedError("a line of fewer than two positions")
    return shapely.LineString(lines[0]) if kind == "LineString" else shapely.MultiLineString(lines)


def _positions(values: Any) -> FloatArray:
    if not isinstance(values, list):
        raise _MalformedError("a line is not a list")
    return _mixed(values)


def _offsets(lengths: list[int]) -> Any:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
