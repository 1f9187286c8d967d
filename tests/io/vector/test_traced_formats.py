"""What leaves as polygons stays a polygon: traced from any field, rounded, written and read back in every format."""

from __future__ import annotations

from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from landscribe.core.features import make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass
from landscribe.core.trace import trace
from landscribe.io.vector.vectors import write_features

pytestmark = pytest.mark.slow

FORMATS = ("gpkg", "parquet", "geojson", "fgb", "csv", "csv.gz")
HOUSE = LandClass(1, "house", "#B22222")
UTM = Affine.translation(600_000, 4_000_000) @ Affine.scale(0.31, -0.31)
WRITES = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rough_field(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field_hw = rng.random((61, 47)).astype(np.float32)
    if rng.random() < 0.6:
        field_hw = cv2.GaussianBlur(field_hw, (0, 0), rng.uniform(0.3, 2))
        field_hw = (field_hw - field_hw.min()) / np.ptp(field_hw)
    return field_hw


def read_with_another_program(path: Path) -> np.ndarray:
    """Read polygons by libraries that know nothing of this program."""
    if path.name.endswith((".csv", ".csv.gz")):
        return shapely.from_wkt(pd.read_csv(path)["WKT"].to_numpy(dtype=object))
    if path.suffix == ".parquet":
        return gpd.read_parquet(path).geometry.to_numpy()
    return gpd.read_file(path, layer="features" if path.suffix == ".gpkg" else 0).geometry.to_numpy()


def turns_back(polygon: shapely.Polygon) -> bool:
    """Tell whether a ring goes back along the way it came."""
    for ring in (polygon.exterior, *polygon.interiors):
        xy = np.array(ring.coords)[:-1]
        before, after = xy - np.roll(xy, 1, axis=0), np.roll(xy, -1, axis=0) - xy
        lengths = np.hypot(*before.T) * np.hypot(*after.T)
        cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
        if ((np.abs(cross) <= 1e-12 * lengths) & ((before * after).sum(axis=1) < 0)).any():
            return True
    return False


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("crs", [CRS.from_epsg(32636), None], ids=["utm", "pixels"])
@WRITES
@given(
    seed=st.integers(0, 2**32 - 1),
    mode=st.sampled_from(["contour", "edge"]),
    connectivity=st.sampled_from([4, 8]),
    simplify_px=st.sampled_from([0.0, 0.25, 1.0]),
    decimals=st.sampled_from([None, 7, 2, 0]),
)
def test_traced_polygons_survive_every_format(tmp_path, ending, crs, seed, mode, connectivity, simplify_px, decimals):
    grid = Grid(61, 47, Affine.identity() if crs is None else UTM, crs)
    found = trace(rough_field(seed), mode=mode, connectivity=connectivity, simplify_px=simplify_px)
    ground = grid.pixels_to_ground(found.geometries)
    path = tmp_path / f"o.{ending}"
    frame = make_features("s", HOUSE, ground, score=found.score, area=found.area_px, crs=crs)
    counts = write_features(path, frame, legend=None, decimals=decimals)
    back = read_with_another_program(path)
    assert len(back) == len(found) - sum(counts.values())  # nothing is lost without a count
    assert shapely.is_valid(back).all()
    assert (shapely.area(back) > 0).all()
    assert np.isfinite(shapely.get_coordinates(back)).all()
    for polygon in shapely.get_parts(back):
        assert polygon.exterior.is_ccw
        assert not any(ring.is_ccw for ring in polygon.interiors)
        assert not turns_back(polygon)
    if decimals is not None:
        xy = shapely.get_coordinates(back)
        assert np.array_equal(xy, np.round(xy, decimals))
