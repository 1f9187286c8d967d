"""A review: what somebody says of found polygons, and of which ground it was wholly looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pyproj import CRS

from landscribe.core.features import one_at_a_time
from landscribe.late import geopandas as gpd
from landscribe.late import pandas as pd

FEATURES, LOOKED = "features", "looked"
"""Layers: polygons with a verdict; areas that somebody looked at wholly."""
ACCEPT, REJECT, REPLACED, UNSEEN = "accept", "reject", "replaced", ""
VERDICTS = (UNSEEN, ACCEPT, REJECT, REPLACED)
"""Nobody said anything; it is right; nothing of its class is there; others stand in its place."""
FOUND, EDITED, DRAWN = "model", "edited", "drawn"
SOURCES = (FOUND, EDITED, DRAWN)
"""As a model found it; changed by somebody since; drawn by somebody."""
FEATURE_TEXTS = ("id", "scene", "class_name", "verdict", "source", "note", "who", "at", "model")
"""Columns of text of `features`. `at` is a time in ISO 8601, `model` a digest of the models that found a polygon."""
NUMBERS = ("score", "area")
"""Columns with numbers of the model, which a review may lack."""
LOOKED_TEXTS = ("scene", "class_name", "note", "who", "at")
"""Columns of `looked`. Without a scene an area holds for each scene that it lies in, without a class for all."""


@dataclass(frozen=True)
class Review:
    """What people say of polygons and of ground."""

    features: gpd.GeoDataFrame
    """Columns `FEATURE_TEXTS`, `NUMBERS` and polygons; no text is missing, an unknown one is empty."""
    looked: gpd.GeoDataFrame
    """Columns `LOOKED_TEXTS` and polygons, in the same CRS."""
    run: str = ""
    """Name of the run whose polygons they are, where the file says it."""
    scenes: tuple[str, ...] = ()
    """Scenes that it is of, where the file says it."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was mended, understood or left out when it was read, one line each."""

    @property
    def crs(self) -> CRS | None:
        """CRS of both layers; None for pixels, or a frame without a name."""
        return self.features.crs


@one_at_a_time
def review_features(columns: Mapping[str, Iterable[Any]], geometry: Iterable[Any], crs: CRS | None) -> gpd.GeoDataFrame:
    """Return the layer `features` of a review; columns that are not given are empty.

    Args:
        columns: Values by column, as many each as there are polygons.
        geometry: Polygons and MultiPolygons.
        crs: Their CRS.
    """
    return _layer(FEATURE_TEXTS, NUMBERS, columns, geometry, crs)


@one_at_a_time
def looked_areas(columns: Mapping[str, Iterable[Any]], geometry: Iterable[Any], crs: CRS | None) -> gpd.GeoDataFrame:
    """Return the layer `looked` of a review, as `review_features`."""
    return _layer(LOOKED_TEXTS, (), columns, geometry, crs)


def empty_review(crs: CRS | None = None) -> Review:
    """Return a review that says nothing."""
    return Review(review_features({}, (), crs), looked_areas({}, (), crs))


def _layer(
    texts: tuple[str, ...],
    numbers: tuple[str, ...],
    columns: Mapping[str, Iterable[Any]],
    geometry: Iterable[Any],
    crs: CRS | None,
) -> gpd.GeoDataFrame:
    given = list(geometry)
    shapes = np.empty(len(given), dtype=object)
    shapes[:] = given
    data: dict[str, Any] = {}
    for name in texts:
        values = list(columns.get(name, ("",) * len(shapes)))
        data[name] = pd.Series(["" if pd.isna(value) else str(value) for value in values], dtype="string")
    for name in numbers:
        data[name] = np.asarray(list(columns.get(name, (np.nan,) * len(shapes))), dtype=np.float64)
    return gpd.GeoDataFrame(data, geometry=shapes, crs=crs)
