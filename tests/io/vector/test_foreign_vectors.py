"""Polygons that others wrote: formats, trouble in them, classes."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import CRS
from shapely.geometry import LineString, Point, Polygon, box

from landscribe.core.legend import Legend
from landscribe.errors import DataError, RecipeError
from landscribe.io.vector.vectors import list_values, read_features, read_own
from vector_files import LEGEND, RING, TREE, UTM, features


def test_polygons_are_brought_into_the_scenes_crs(tmp_path: Path):
    frame = features()
    frame.to_crs(4326).to_file(tmp_path / "a.geojson", driver="GeoJSON", engine="pyogrio")
    back, counts = read_features(tmp_path / "a.geojson", legend=LEGEND, crs=UTM, scene="s")
    assert counts == {}
    assert back.crs == UTM
    assert set(back["scene"]) == {"s"}
    assert back.geometry.area.sum() == pytest.approx(frame.geometry.area.sum(), rel=1e-3)


@pytest.mark.parametrize("ending", ["gpkg", "shp", "fgb", "parquet", "geojson"])
def test_all_usual_formats_are_read(tmp_path: Path, ending: str):
    table = gpd.GeoDataFrame({"kind": ["tree", "building"]}, geometry=[box(1, 1, 3, 3), box(5, 5, 9, 9)], crs=4326)
    path = tmp_path / f"a.{ending}"
    table.to_parquet(path) if ending == "parquet" else table.to_file(path, engine="pyogrio")
    back, counts = read_features(path, legend=LEGEND, crs=CRS.from_epsg(4326), scene="s", class_field="kind")
    assert counts == {}
    assert dict(zip(back["class_name"], shapely.area(back.geometry.to_numpy()), strict=True)) == {
        "tree": 4,
        "building": 16,
    }
    assert list_values(path, "kind") == ["building", "tree"]


def test_each_kind_of_trouble_is_counted(tmp_path: Path):
    shapes = [
        box(0, 0, 2, 2),
        None,
        Point(1, 1),
        LineString([(0, 0), (1, 1)]),
        Polygon(),
        Polygon([(0, 0), (2, 2), (0, 2), (2, 0)]),
        Polygon([(0, 0, 5), (2, 0, 5), (2, 2, 5)]),
        shapely.GeometryCollection([box(4, 4, 5, 5), Point(0, 0)]),
        Polygon([(0, 0), (1, 1), (2, 2)]),
    ]
    gpd.GeoDataFrame(geometry=shapes).to_parquet(tmp_path / "a.parquet")
    back, counts = read_features(tmp_path / "a.parquet", legend=None, crs=None, scene="s", class_name="thing")
    assert len(back) == 4
    assert back.geometry.is_valid.all()
    assert not shapely.has_z(back.geometry.to_numpy()).any()
    assert counts == {
        "without geometry": 1,
        "not a polygon": 2,
        "empty geometry": 1,
        "invalid, repaired": 1,
        "with heights, which were left out": 1,
        "lines and points beside polygons": 1,
        "without area after repair": 1,
    }
    assert len(back) + sum(counts.values()) - 3 == len(shapes)  # three of the reasons leave nothing out


@pytest.mark.parametrize("far", [np.nan, np.inf, -np.inf, 1e13, 1e308])
def test_numbers_that_are_no_place_are_counted(tmp_path: Path, far: float):
    shapes = [
        box(0, 0, 2, 2),
        shapely.from_ragged_array(3, np.array([[0.0, 0], [far, 0], [1, 1], [0, 0]]), ([0, 4], [0, 1]))[0],
    ]
    gpd.GeoDataFrame(geometry=shapes).to_parquet(tmp_path / "a.parquet")
    back, counts = read_features(tmp_path / "a.parquet", legend=None, crs=None, scene="s", class_name="thing")
    assert len(back) == 1
    assert counts == {"coordinates not finite or beyond 1e12": 1}


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_ring_may_begin_or_end_with_no_number(tmp_path: Path, place: int, number: str):
    ring = [["0", "0"], ["1", "0"], ["1", "1"], ["0", "0"]]
    ring[place][0] = number
    rings = ", ".join(f"[{x}, {y}]" for x, y in ring)
    good = "[[[0, 0], [2, 0], [2, 2], [0, 0]]]"
    features = ", ".join(
        f'{{"type": "Feature", "properties": {{}}, "geometry": {{"type": "Polygon", "coordinates": {c}}}}}'
        for c in (good, f"[[{rings}]]")
    )
    (tmp_path / "a.geojson").write_text(f'{{"type": "FeatureCollection", "features": [{features}]}}')
    back, counts = read_features(tmp_path / "a.geojson", legend=None, crs=None, scene="s", class_name="thing")
    assert len(back) == 1
    assert counts["coordinates not finite or beyond 1e12"] == 1


def test_what_the_scenes_crs_cannot_hold_is_counted(tmp_path: Path):
    shapes = [box(30, 50, 31, 51), box(-150, -1, -149, 1)]
    gpd.GeoDataFrame(geometry=shapes, crs=4326).to_parquet(tmp_path / "a.parquet")
    crs = CRS.from_user_input("+proj=gnom +lat_0=50 +lon_0=30 +ellps=WGS84")
    back, counts = read_features(tmp_path / "a.parquet", legend=None, crs=crs, scene="s", class_name="thing")
    assert len(back) == 1
    assert counts == {"outside of where the scene's CRS is defined": 1}


def table(path: Path, **columns: list[object]) -> Path:
    n = len(next(iter(columns.values())))
    gpd.GeoDataFrame(columns, geometry=[box(k, 0, k + 1, 1) for k in range(n)]).to_parquet(path)
    return path


def names_of(path: Path, legend: Legend | None = LEGEND, **options: str) -> tuple[list[str], dict[str, int]]:
    frame, counts = read_features(path, legend=legend, crs=None, scene="s", **options)
    return frame["class_name"].tolist(), counts


def test_a_cell_may_say_the_name_or_the_id(tmp_path: Path):
    for cells in (["tree", "building"], [5, 1], ["5", "1"], [5.0, 1.0], [" tree ", "building"]):
        path = table(tmp_path / "a.parquet", kind=cells)
        assert names_of(path, class_field="kind") == (["tree", "building"], {})


def test_rows_without_a_class_are_counted(tmp_path: Path):
    path = table(tmp_path / "a.parquet", kind=["tree", None, "", "building"])
    assert names_of(path, class_field="kind") == (["tree", "building"], {"without class": 2})


def test_an_unknown_class_is_named(tmp_path: Path):
    path = table(tmp_path / "a.parquet", kind=["tree", "palace", "7"])
    with pytest.raises(DataError, match=r"unknown class in column 'kind', got '7', 'palace', need building \| tree"):
        names_of(path, class_field="kind")


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path):
    path = table(tmp_path / "a.parquet", kind=["tree"], size=[3])
    with pytest.raises(DataError, match="no such column, got 'type', need one of kind, size"):
        names_of(path, class_field="type")
    with pytest.raises(DataError, match="need one of kind, size"):
        list_values(path, "type")


def test_a_legend_of_one_needs_no_column(tmp_path: Path):
    path = table(tmp_path / "a.parquet", kind=["x", "y"])
    assert names_of(path, Legend((TREE,))) == (["tree", "tree"], {})
    with pytest.raises(
        DataError, match="nothing says which class a polygon is of, need class or class_field, one of kind"
    ):
        names_of(path)


def test_without_a_legend_names_are_numbered(tmp_path: Path):
    path = table(tmp_path / "a.parquet", kind=["pond", "barn", "pond"])
    frame, _ = read_features(path, legend=None, crs=None, scene="s", class_field="kind")
    assert frame[["class_id", "class_name"]].values.tolist() == [[2, "pond"], [1, "barn"], [2, "pond"]]


def test_one_class_for_all_has_to_be_in_the_legend(tmp_path: Path):
    path = table(tmp_path / "a.parquet", kind=["x"])
    assert names_of(path, class_name="tree") == (["tree"], {})
    with pytest.raises(RecipeError, match="unknown class, got 'barn'"):
        names_of(path, class_name="barn")


def test_features_that_are_not_ours_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="not features of Landscribe, got no column scene, class_id"):
        read_own(table(tmp_path / "a.parquet", kind=["x"]))


def test_several_layers_need_a_name(tmp_path: Path):
    path = tmp_path / "a.gpkg"
    for name in ("first", "second"):
        gpd.GeoDataFrame({"kind": [name]}, geometry=[RING], crs=UTM).to_file(path, layer=name, engine="pyogrio")
    with pytest.raises(DataError, match="2 layers, got first, second, need one, named"):
        list_values(path, "kind")
    assert list_values(path, "kind", layer="second") == ["second"]
    with pytest.raises(DataError, match=r"no such layer, got 'third', need first \| second"):
        list_values(path, "kind", layer="third")


def test_layers_that_hold_no_polygons_are_no_choice(tmp_path: Path):
    path = tmp_path / "a.gpkg"
    for name, shape in {"wells": Point(1, 1), "barns": RING, "paths": LineString([(0, 0), (1, 1)])}.items():
        gpd.GeoDataFrame({"kind": [name]}, geometry=[shape], crs=UTM).to_file(path, layer=name, engine="pyogrio")
    assert list_values(path, "kind") == ["barns"]


def test_real_labels_are_read(data_root: Path):
    counts = {}
    for path in sorted((data_root / "rio" / "geojson").glob("*.geojson")):
        frame, left_out = read_features(path, legend=None, crs=CRS.from_epsg(32723), scene="s", class_name="building")
        counts[path.stem[-8:-4]] = len(frame)
        assert set(left_out) <= {"rings with heights, which were left out"}
        assert frame.geometry.is_valid.all()
    assert list(counts.values()) == [0, 0, 0, 13, 12, 5, 6, 32]
    trees = next((data_root / "naip_trees" / "json").glob("*.json"))
    frame, left_out = read_features(trees, legend=None, crs=CRS.from_epsg(26910), scene="s", class_name="tree")
    assert len(frame) == 0
    assert set(left_out) == {"not a polygon"}


def test_dates_and_lists_beside_the_class_do_no_harm(tmp_path: Path):
    path = table(tmp_path / "a.parquet", kind=["tree"], when=[pd.Timestamp("2020-01-01")], many=[[1, 2]])
    assert names_of(path, class_field="kind") == (["tree"], {})
