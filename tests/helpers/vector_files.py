"""Features that several tests write."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry import MultiPolygon, Polygon, box

from landscribe.core.features import COLUMNS, join_features, make_features
from landscribe.core.legend import LandClass, Legend

UTM = CRS.from_epsg(32636)
HOUSE, TREE = LandClass(1, "building", "#B22222"), LandClass(5, "tree", "#1B7837")
LEGEND = Legend((HOUSE, TREE))
FORMATS = ("gpkg", "parquet", "geojson", "fgb", "csv", "csv.gz")
RING = Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(2, 2), (2, 5), (5, 5), (5, 2)]])
TWO = MultiPolygon([box(20, 0, 23, 3), box(30, 0, 37, 5)])


def array(*shapes: object) -> np.ndarray:
    out = np.empty(len(shapes), dtype=object)
    out[:] = shapes
    return out


def features(crs: CRS | None = UTM, x: float = 500_000, y: float = 4_000_000) -> gpd.GeoDataFrame:
    moved = [shapely.affinity.translate(shape, x, y) for shape in (RING, TWO)] if crs is not None else [RING, TWO]
    houses = make_features("scene 1", HOUSE, array(*moved), score=[0.75, 0.5], area=[72.0, 44.0], crs=crs)
    trees = make_features('sc\u00e8ne, "2"', TREE, array(moved[0]), crs=crs)
    return join_features([houses, trees], crs)


def rows(frame: gpd.GeoDataFrame) -> list[tuple[object, ...]]:
    """Return the rows to the last bit, in an order that no format changes."""
    shapes = shapely.to_wkb(shapely.normalize(frame.geometry.to_numpy()), hex=True)
    table = zip(*(frame[name].tolist() for name in COLUMNS if name != "geometry"), shapes, strict=True)
    return sorted(tuple("nan" if v != v else v for v in row) for row in table)
