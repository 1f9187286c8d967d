"""Features that need no recipe to be understood: what a file says itself of scenes and classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from pyproj import CRS

from landscribe.core.legend import DSTL_LEGEND
from landscribe.errors import DataError, problem
from landscribe.io.vector.classes import find_classes
from landscribe.io.vector.clean import clean
from landscribe.io.vector.layer import Layer
from landscribe.io.vector.readers import read_layer
from landscribe.io.vector.vectors import OWN_COLUMNS
from landscribe.late import geopandas as gpd
from landscribe.late import pandas as pd


@dataclass(frozen=True)
class Standing:
    """Features of a file that needs no recipe to be understood."""

    features: gpd.GeoDataFrame
    scenes: tuple[str, ...]
    """Scenes the file names, those without any polygon included; one empty name where it knows none."""
    names_all: bool
    """True for a DSTL table, which has a row for each image and class it is about, with or without polygons."""
    counts: dict[str, int]
    """What was left out or mended, by reason."""
    columns: tuple[str, ...] = ()
    """Of the file."""


def read_standing(path: Path, *, class_field: str | None = None, crs: CRS | None = None) -> Standing:
    """Read the polygons of a file by what it says itself: scenes from a column `scene`, or from DSTL's `ImageId`.

    Args:
        path: A local file.
        class_field: Column of the class, where the file has it; else `class_name`, or DSTL's `ClassType`, or one class
            called `feature` where nothing tells classes apart.
        crs: CRS to reproject to; None keeps the file's own. A GeoJSON that is silent about its own holds longitude
            and latitude, or pixels where its numbers are no such thing.

    Raises:
        DataError: If the file cannot be read, or `crs` is wanted and it holds polygons and has none.
        LimitError: If the file is too large for the memory or nested too deeply.
    """
    wanted = {*OWN_COLUMNS, *([class_field] if class_field else [])}
    return to_standing(read_layer(path, None, wanted), str(path), class_field=class_field, crs=crs)


def to_standing(content: Layer, where: str, *, class_field: str | None = None, crs: CRS | None = None) -> Standing:
    """Take what a file, or another program, holds; the other arguments, the result and errors as `read_standing`."""
    own = content.crs if content.crs_is_stated or _is_lonlat(content) else None
    if crs is not None and own is None and len(content.geometries):
        raise DataError(problem(where, "no CRS", need=crs.to_string(), do="add one, or take it off the other file"))
    geometries, kept, counts = clean(content, crs or own, where)
    is_dstl = {"ImageId", "ClassType"} <= set(content.columns)
    table = content.attributes.rename(columns={"ImageId": "scene"}) if is_dstl else content.attributes
    named = table["scene"] if "scene" in table else pd.Series([""] * len(table))
    scenes = named.astype("string").fillna("")
    field = next((f for f in (class_field, "class_name", "ClassType") if f and f in content.columns), None)
    found = find_classes(
        content.columns,
        table.iloc[kept],
        DSTL_LEGEND if is_dstl else None,
        None if field else "feature",
        field,
        where,
    )
    rows = [k for k, land_class in enumerate(found) if land_class is not None]
    counts["without class"] += len(found) - len(rows)
    data = {
        "scene": scenes.iloc[kept[rows]].to_numpy(),
        "class_id": np.array([c.id for c in found if c is not None], dtype=np.int32),
        "class_name": pd.Series([c.name for c in found if c is not None], dtype="string"),
        "score": np.full(len(rows), np.nan),
        "area": np.full(len(rows), np.nan),
    }
    frame = gpd.GeoDataFrame(data, geometry=geometries[rows], crs=crs or own)
    if is_dstl:  # a row of DSTL holds all objects of a class
        frame = frame.explode(ignore_index=True)
    return Standing(
        frame, tuple(dict.fromkeys(scenes)) or ("",), is_dstl, {reason: n for reason, n in counts.items() if n},
        tuple(content.columns),
    )  # fmt: skip


def _is_lonlat(content: Layer) -> bool:
    if content.crs is None:
        return False
    bounds = shapely.bounds(content.geometries[~shapely.is_missing(content.geometries)])
    known = bounds[np.isfinite(bounds).all(axis=1)]
    return bool((np.abs(known) <= (180, 90, 180, 90)).all())
