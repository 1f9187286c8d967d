"""Features: a GeoDataFrame with fixed columns. There is no feature type of our own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pyproj import CRS

from landscribe.core.arrays import FloatArray, GeometryArray
from landscribe.core.legend import LandClass
from landscribe.late import geopandas as gpd
from landscribe.late import importing
from landscribe.late import pandas as pd


class _OneAtATime(contextlib.ContextDecorator):
    def __init__(self) -> None:
        self._taken: list[Any] = []

    def __enter__(self) -> None:
        importing.acquire()
        lock: Any = None
        if "numba" in sys.modules:
            from numba.core.compiler_lock import global_compiler_lock as lock  # who does not compile does without numba

            lock.acquire()
        self._taken.append(lock)

    def __exit__(self, *_error: object) -> None:
        lock = self._taken.pop()
        if lock is not None:
            lock.release()
        importing.release()


one_at_a_time = _OneAtATime()
"""Around what threads do with pandas and GeoPandas, as a block or a decorator.

Both change the filters of warnings, which belong to the whole process, and put them back. Two threads at it leave one's
filters there for good. So do libraries while they are imported, for which `late` has a lock, and numba when it
compiles, under a lock of its own: this one is both. Who waits for other threads inside may wait for ever.
"""
COLUMNS = ("scene", "class_id", "class_name", "score", "area", "geometry")


@one_at_a_time
def make_features(
    scene: str,
    land_class: LandClass,
    geometries: GeometryArray,
    *,
    score: FloatArray | Sequence[float] | float = float("nan"),
    area: FloatArray | Sequence[float] | float = float("nan"),
    crs: CRS | None = None,
) -> gpd.GeoDataFrame:
    """Build the features of one class in one scene.

    Args:
        scene: Scene id.
        land_class: Their class.
        geometries: Polygons or MultiPolygons in ground coordinates.
        score: Mean probability inside each, 0..1; NaN for labels.
        area: Area of each in square metres (square pixels where the scene has no CRS).
        crs: CRS of the coordinates or None.

    Returns:
        Features with the columns of `COLUMNS`.
    """
    n = len(geometries)
    data = {
        "scene": pd.Series([scene] * n, dtype="string"),
        "class_id": np.full(n, land_class.id, dtype=np.int32),
        "class_name": pd.Series([land_class.name] * n, dtype="string"),
        "score": np.broadcast_to(np.asarray(score, dtype=np.float64), n).copy(),
        "area": np.broadcast_to(np.asarray(area, dtype=np.float64), n).copy(),
    }
    return gpd.GeoDataFrame(data, geometry=np.asarray(geometries, dtype=object), crs=crs)


def empty_features(crs: CRS | None = None) -> gpd.GeoDataFrame:
    """Return features with all columns and no row."""
    none = np.empty(0, dtype=object)
    return make_features("", LandClass(0, "", "#000000"), none, crs=crs)


@one_at_a_time
def join_features(parts: Iterable[gpd.GeoDataFrame], crs: CRS | None = None) -> gpd.GeoDataFrame:
    """Stack features of one CRS; no parts give no rows."""
    kept = [part for part in parts if len(part)]
    if not kept:
        return empty_features(crs)
    return gpd.GeoDataFrame(pd.concat(kept, ignore_index=True), geometry="geometry", crs=kept[0].crs)


@one_at_a_time
def of_class(features: gpd.GeoDataFrame, class_name: str, scene: str | None = None) -> GeometryArray:
    """Return the geometries of one class, of one scene where it is given, in row order."""
    chosen = features["class_name"] == class_name
    if scene is not None:
        chosen &= features["scene"] == scene
    geometries: GeometryArray = features.geometry[chosen].to_numpy()
    return geometries
