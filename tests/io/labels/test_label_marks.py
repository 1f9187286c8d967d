"""Lines and points with a width: metres are metres in every CRS, and without a width they are an error."""

from __future__ import annotations

import json
import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Geod

from landscribe.core.grid import Grid
from landscribe.errors import DataError
from landscribe.io.labels.labels import Labels, read_labels
from landscribe.io.labels.marks import LEFT_OUT, NO_WIDTH, WIDENED
from landscribe.stages.check import check
from small_data import H, W, grid_at, project_of, write_image, write_polygons

GEOD = Geod(ellps="WGS84")
AT = (31.4, 58.7)
"""Far enough north for a degree of longitude to be half a degree of latitude."""
DISC = math.pi * 0.9984  # a circle of 64 straight pieces
LINE = shapely.LineString([(11, 13), (11, 41), (37, 41)])
HOUSE = shapely.box(50, 5, 71, 22)


def north_grid(epsg: int) -> Grid:
    crs = CRS.from_epsg(epsg)
    x, y = gpd.GeoSeries.from_xy([AT[0]], [AT[1]], crs=4326).to_crs(crs).iloc[0].coords[0]
    step = 1e-5 if crs.is_geographic else 1.0
    return Grid(H, W, Affine(step, 0, x, 0, -step / 2, y), crs)


def read(folder: Path, grid: Grid, text: str) -> Labels:
    write_image(folder / "img" / "a.tif", grid)
    project = project_of(folder, f'labels = {{ path = "l.gpkg", class = "tree", {text} }}')
    return read_labels(project.scenes.scenes[0], project.legend, grid)


def geodesic_area(geometry: shapely.Geometry, crs: CRS) -> float:
    return abs(GEOD.geometry_area_perimeter(gpd.GeoSeries([geometry], crs=crs).to_crs(4326).iloc[0])[0])


@pytest.mark.parametrize("epsg", [4326, 3857, 32636, 2263])
def test_a_metre_is_a_metre_in_every_crs(tmp_path: Path, epsg: int) -> None:
    grid = north_grid(epsg) if epsg != 2263 else Grid(H, W, Affine(2, 0, 984_000, 0, -2, 208_000), CRS.from_epsg(2263))
    write_polygons(tmp_path / "l.gpkg", [shapely.Point(40, 30)], grid)
    labels = read(tmp_path, grid, "buffer_m = 7.0")
    (disc,) = labels.features.geometry
    assert geodesic_area(disc, grid.crs) == pytest.approx(49 * DISC, rel=0.005)
    assert labels.counts == {WIDENED: 1}
    centre = grid.ground_to_pixels(np.array([disc]))[0].centroid
    assert (centre.x, centre.y) == pytest.approx((40, 30), abs=0.02)


def test_pixels_where_there_is_no_crs_or_the_recipe_wants_them(tmp_path: Path) -> None:
    for folder, grid in ((tmp_path / "p", grid_at(0, crs=None)), (tmp_path / "g", north_grid(4326))):
        folder.mkdir()
        write_polygons(folder / "l.gpkg", [shapely.Point(40, 30)], grid)
        (disc,) = grid.ground_to_pixels(read(folder, grid, "buffer_px = 3").features.geometry.to_numpy())
        assert disc.area == pytest.approx(9 * DISC, rel=0.001)
    with pytest.raises(DataError, match=r"labels\.buffer_m: the scene has no CRS, .* set labels\.buffer_px instead"):
        read(tmp_path / "p", grid_at(0, crs=None), "buffer_m = 3.0")


def test_a_column_of_widths_and_what_stands_in_for_it(tmp_path: Path) -> None:
    grid = grid_at(0, crs=None)
    marks = [LINE, LINE, LINE, LINE, HOUSE]
    write_polygons(tmp_path / "l.gpkg", marks, grid, width=["4", "x", None, "-1", "9"])
    labels = read(tmp_path, grid, 'width_field = "width"')
    found = list(labels.features.geometry)
    assert found[0].symmetric_difference(LINE.buffer(2)).area < 1e-9
    assert found[1].equals(HOUSE)  # what has an outline keeps it
    assert len(found) == 2
    assert labels.counts == {WIDENED: 1, NO_WIDTH: 3}
    labels = read(tmp_path, grid, 'width_field = "width", buffer_px = 1')
    assert [shape.area for shape in labels.features.geometry[1:4]] == pytest.approx([LINE.buffer(1).area] * 3)
    assert labels.counts == {WIDENED: 4}
    with pytest.raises(DataError, match="no such column, got 'wide', need one of width"):
        read(tmp_path, grid, 'width_field = "wide"')


def test_what_reaches_in_from_outside_is_kept_and_the_rest_is_not(tmp_path: Path) -> None:
    grid = grid_at(0)
    points = [shapely.Point(-3, 20), shapely.Point(-30, 20), shapely.Point(20, 20)]
    write_polygons(tmp_path / "l.gpkg", points, grid)
    labels = read(tmp_path, grid, "buffer_m = 2.5")  # five pixels
    assert len(labels.features) == 2
    assert labels.counts == {WIDENED: 2}


def test_lines_and_points_without_a_width_are_an_error(tmp_path: Path) -> None:
    for folder, grid, unit in (
        (tmp_path / "m", grid_at(0), "buffer_m"),
        (tmp_path / "p", grid_at(0, crs=None), "buffer_px"),
    ):
        folder.mkdir()
        write_polygons(folder / "l.gpkg", [LINE, shapely.Point(5, 5)], grid)
        message = rf"l\.gpkg: 2 lines or points and no polygon; set labels\.{unit}, .* or labels\.width_field"
        with pytest.raises(DataError, match=message) as error:
            read(folder, grid, "missing = 'empty'")
        assert "\n" not in str(error.value)
        result = check(project_of(folder, 'labels = { path = "l.gpkg", class = "tree" }'))
        assert any("2 lines or points and no polygon" in f.text for f in result.findings if f.level == "error")


def test_beside_polygons_they_are_counted(tmp_path: Path) -> None:
    grid = grid_at(0)
    write_polygons(tmp_path / "l.gpkg", [LINE, HOUSE], grid)
    labels = read(tmp_path, grid, "missing = 'empty'")
    assert labels.file_counts == {LEFT_OUT: 1}
    assert len(labels.features) == 1


GEOJSON = {
    "Point": [40, 30],
    "MultiPoint": [[40, 30], [20, 20, 7]],
    "LineString": [[11, 13], [11, 41, 3], [37, 41]],
    "MultiLineString": [[[11, 13], [11, 41]], [[37, 41], [50, 5]]],
}


@pytest.mark.parametrize("kind", GEOJSON)
def test_every_kind_of_line_and_point_in_geojson(tmp_path: Path, kind: str) -> None:
    geometry = {"type": kind, "coordinates": GEOJSON[kind]}
    features = [
        {"type": "Feature", "properties": {}, "geometry": g} for g in (geometry, shapely.geometry.mapping(HOUSE))
    ]
    (tmp_path / "l.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": None, "features": features}))
    write_image(tmp_path / "img" / "a.tif", grid_at(0, crs=None))
    project = project_of(tmp_path, 'labels = { path = "l.geojson", class = "tree", buffer_px = 2 }')
    labels = read_labels(project.scenes.scenes[0], project.legend, grid_at(0, crs=None))
    flat = json.loads(json.dumps(GEOJSON[kind]).replace(", 7]", "]").replace("41, 3]", "41]"))
    expected = shapely.geometry.shape({"type": kind, "coordinates": flat}).buffer(2)
    assert labels.features.geometry.iloc[0].symmetric_difference(expected).area < 1e-9
    assert labels.features.geometry.iloc[1].equals(HOUSE)


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": []},
        {"type": "Point"},
        {"type": "Point", "coordinates": ["a", 3]},
        {"type": "Point", "coordinates": [10**400, 3]},
        {"type": "LineString", "coordinates": [[1, 2]]},
        {"type": "LineString", "coordinates": 7},
        {"type": "MultiPoint", "coordinates": 7},
        {"type": "MultiLineString", "coordinates": [[[1, 2], [3]]]},
    ],
)
def test_lines_and_points_that_are_none_are_counted(tmp_path: Path, geometry: object) -> None:
    features = [
        {"type": "Feature", "properties": {}, "geometry": g} for g in (geometry, shapely.geometry.mapping(HOUSE))
    ]
    (tmp_path / "l.geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": None, "features": features}))
    write_image(tmp_path / "img" / "a.tif", grid_at(0, crs=None))
    project = project_of(tmp_path, 'labels = { path = "l.geojson", class = "tree", buffer_px = 2 }')
    labels = read_labels(project.scenes.scenes[0], project.legend, grid_at(0, crs=None))
    assert len(labels.features) == 1
    assert sum(n for reason, n in labels.file_counts.items() if reason.startswith("malformed")) == 1
