"""What label files other than pictures hold: polygons, lines or points, and what could tell their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import shapely
from pyproj import CRS

from landscribe.errors import LandscribeError
from landscribe.io.json_text import top_keys
from landscribe.io.vector.classes import as_text, is_missing
from landscribe.io.vector.coco import read_coco
from landscribe.io.vector.foreign import kind_of
from landscribe.io.vector.labelme import read_labelme
from landscribe.io.vector.layer import CATEGORY
from landscribe.io.vector.readers import FLATGEOBUF, SHAPEFILE, SQLITE, read_layer, read_ogr
from landscribe.io.vector.wkt_csv import has_wkt, is_table
from landscribe.io.vector.yolo import find_names, read_names, read_yolo
from landscribe.late import late

pyogrio = late("pyogrio")

VECTORS = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet", ".geojsonl", ".csv", ".txt", ".kml", ".kmz",
           ".gml", ".xml", ".dxf")  # fmt: skip
"""Endings of files that may be labels; some of them only to say what they are."""
Kind: TypeAlias = Literal["polygons", "lines", "points", "empty", "coco", "labelme", "yolo", "stac", "other"]
DRAWN = ("coco", "labelme", "yolo")
"""Drawn on pictures; the files name the classes themselves."""
FEW_FILES = 24
MAX_VALUES = 48
"""A column with more different values names things, not classes."""
BY_DIMENSION: dict[int, Kind] = {0: "points", 1: "lines", 2: "polygons"}


@dataclass(frozen=True)
class VectorLook:
    """What label files of one kind hold."""

    kind: Kind
    count: int = 0
    """Features in the files looked at."""
    columns: Mapping[str, Mapping[str, int]] | None = None
    """Columns with few different values -> how often each occurs."""
    bounds: tuple[float, float, float, float] | None = None
    """Left, bottom, right, top of all of them."""
    crs: CRS | None = None
    layer: str | None = None
    """Layer of a file that has several."""
    classes: tuple[str, ...] = ()
    """What drawings call their classes."""
    pictures: tuple[str, ...] = ()
    """Names of the pictures that a COCO file speaks of."""
    why: str = ""
    """Why it cannot be read."""


def file_kind(path: Path) -> str:
    """Tell what a file is, as far as groups of files need it: drawings, polygons of a GIS, STAC, or none of them."""
    if path.suffix.lower() in (".json", ".geojson"):
        keys = top_keys(path)
        if "stac_version" in keys:
            return "stac"
        if keys and "type" not in keys and not {"images", "annotations", "shapes"} & set(keys):
            return "other"
    try:
        kind = kind_of(path)
    except LandscribeError as error:
        return f"other: {error}"
    if path.suffix.lower() == ".txt" and kind != "yolo":
        return "other"
    if is_table(path) and kind == "vector" and not has_wkt(path):
        return "other: no column of WKT or geometry"
    return "polygons" if kind == "vector" else kind


def look_at_vectors(folder: Path, files: Sequence[Path]) -> list[VectorLook]:
    """Tell what label files of one kind hold, by up to `FEW_FILES` of them; one look for each layer.

    Args:
        folder: Where they lie.
        files: Relative to it.
    """
    step = max(1, -(-len(files) // FEW_FILES))
    looks: dict[str | None, list[VectorLook]] = {}
    for path in files[::step]:
        for look in _looks_of(folder / path, folder):
            looks.setdefault(look.layer, []).append(look)
    return [_together(some) for some in looks.values()]


def _looks_of(path: Path, root: Path) -> Iterator[VectorLook]:
    kind = file_kind(path)
    try:
        if kind == "polygons":
            yield from _layers_of(path)
        elif kind == "coco":
            coco = read_coco(path, path.stat().st_mtime_ns)
            names = tuple(image.file_name for image in coco.images)
            yield VectorLook("coco", sum(map(len, coco.annotations.values())), {}, classes=coco.used, pictures=names)
        elif kind in ("labelme", "yolo"):
            yield _drawn(path, root, kind)
        elif kind == "stac":
            yield VectorLook("stac")
        else:
            yield VectorLook("other", why=kind.partition(": ")[2] or f"{path.name} holds no labels")
    except pyogrio.errors.DataSourceError:
        do = "copy it again, or save it anew from the program that made it"
        yield VectorLook("other", why=f"damaged or cut short; {do}")
    except (LandscribeError, OSError) as error:
        yield VectorLook("other", why=str(error).removeprefix(f"{path}: "))


def _layers_of(path: Path) -> Iterator[VectorLook]:
    with path.open("rb") as file:
        head = file.read(16)
    if not head.startswith((SQLITE, FLATGEOBUF, SHAPEFILE)):
        content = read_layer(path, None, read_layer(path, None, ()).columns)
        yield _look(content.geometries, content.attributes, content.crs, None)
        return
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    for name in layers:
        content = read_ogr(path, name, None)
        yield _look(content.geometries, content.attributes, content.crs, name if len(layers) > 1 else None)


def _drawn(path: Path, root: Path, kind: str) -> VectorLook:
    names = find_names(path.parent, root) if kind == "yolo" else None
    drawn = read_yolo(path, read_names(names) if names else ()) if kind == "yolo" else read_labelme(path)
    classes = tuple(dict.fromkeys(str(name).strip() for name in drawn.layer.attributes[CATEGORY] if name is not None))
    picture = (drawn.picture,) if drawn.picture else ()
    return VectorLook(
        "yolo" if kind == "yolo" else "labelme", len(drawn.layer.geometries), {}, classes=classes, pictures=picture
    )


def _look(geometries: Any, attributes: Any, crs: CRS | None, layer: str | None) -> VectorLook:
    dimensions = shapely.get_dimensions(geometries[~shapely.is_missing(geometries) & ~shapely.is_empty(geometries)])
    if not len(dimensions):
        return VectorLook("empty", columns={}, crs=crs, layer=layer)
    kind = BY_DIMENSION.get(int(np.bincount(np.maximum(dimensions, 0)).argmax()), "polygons")
    columns = {str(name): Counter(_texts(attributes[name])) for name in attributes}
    left, bottom, right, top = (float(v) for v in shapely.total_bounds(geometries))
    return VectorLook(kind, len(dimensions), columns, (left, bottom, right, top), crs, layer)


def _texts(values: Any) -> list[str]:
    return [as_text(value) for value in values if not isinstance(value, dict | list) and not is_missing(value)]


def _together(looks: Sequence[VectorLook]) -> VectorLook:
    kinds = Counter(look.kind for look in looks if look.kind != "empty")
    if not kinds:
        return looks[0]
    columns: dict[str, Counter[str]] = {}
    for look in looks:
        for name, values in (look.columns or {}).items():
            columns.setdefault(name, Counter()).update(values)
    known = [look.bounds for look in looks if look.bounds is not None]
    bounds = None
    if known:
        edges = np.array(known)
        left, bottom = edges[:, :2].min(axis=0).tolist()
        right, top = edges[:, 2:].max(axis=0).tolist()
        bounds = (left, bottom, right, top)
    few = {name: dict(values) for name, values in columns.items() if 0 < len(values) <= MAX_VALUES}
    first = next(look for look in looks if look.kind == kinds.most_common(1)[0][0])
    classes = tuple(dict.fromkeys(name for look in looks for name in look.classes))
    pictures = tuple(name for look in looks for name in look.pictures)
    count = sum(look.count for look in looks)
    return VectorLook(first.kind, count, few, bounds, first.crs, first.layer, classes, pictures, first.why)
