"""Features: what is written is read, in any format; what is left out is counted."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as Xml

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from landscribe.core.features import COLUMNS, join_features, make_features
from landscribe.core.legend import LandClass, Legend
from landscribe.errors import DataError, RecipeError
from landscribe.io.vectors import list_values, read_features, read_own, write_features

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


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("crs", [UTM, None], ids=["utm", "pixels"])
def test_features_come_back(tmp_path: Path, ending: str, crs: CRS | None):
    path, frame = tmp_path / f"o.{ending}", features(crs)
    assert write_features(path, frame, legend=LEGEND) == {}
    back = read_own(path)
    assert tuple(back.columns) == COLUMNS
    assert [str(t) for t in back.dtypes[:5]] == ["string", "int32", "string", "float64", "float64"]
    if ending == "geojson" and crs is not None:
        assert back.crs == CRS.from_user_input("OGC:CRS84")
        assert rows(back) == rows(frame.to_crs(back.crs))
    else:
        assert rows(back) == rows(frame)
        assert back.crs == (None if ending.startswith("csv") else crs)
    assert back.geometry.is_valid.all()


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("crs", [UTM, None], ids=["utm", "pixels"])
def test_no_features_come_back_as_none(tmp_path: Path, ending: str, crs: CRS | None):
    write_features(tmp_path / f"o.{ending}", features(crs).iloc[:0], legend=LEGEND)
    back = read_own(tmp_path / f"o.{ending}")
    assert len(back) == 0
    assert tuple(back.columns) == COLUMNS


coordinate = st.floats(-1e6, 1e6, allow_nan=False, allow_infinity=False).map(lambda v: v + 0.0)  # WKT knows no -0
corner = st.tuples(coordinate, coordinate)
triangle = st.tuples(corner, corner, corner).map(Polygon).filter(lambda p: p.is_valid and p.area > 1e-3)
text = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(triangle, text, st.floats(0, 1)), min_size=1, max_size=5), st.sampled_from(FORMATS))
def test_any_triangle_and_any_text_come_back_exactly(tmp_path: Path, drawn, ending: str):
    parts = [make_features(name, HOUSE, array(shape), score=score) for shape, name, score in drawn]
    frame, path = join_features(parts), tmp_path / f"o.{ending}"
    write_features(path, frame, legend=LEGEND)
    back = read_own(path)
    assert rows(back) == rows(frame)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(triangle, min_size=1, max_size=6), st.integers(0, 4))
def test_rounded_polygons_are_valid_and_none_is_lost_in_silence(tmp_path: Path, shapes, decimals: int):
    small = [shapely.affinity.scale(shape, 1e-5, 1e-5, origin=(0, 0)) for shape in shapes]
    frame = make_features("s", HOUSE, array(*small))
    counts = write_features(tmp_path / "o.parquet", frame, legend=LEGEND, decimals=decimals)
    back = read_own(tmp_path / "o.parquet")
    assert back.geometry.is_valid.all()
    assert len(back) + sum(counts.values()) == len(frame)
    points_xy = shapely.get_coordinates(back.geometry.to_numpy())
    assert np.allclose(points_xy, np.round(points_xy, decimals), atol=1e-12)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / f"o.{ending}"
    write_features(path, features(None), legend=LEGEND)
    before = path.read_bytes()

    def fail(*_a: object, **_k: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("landscribe.io.atomic.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_features(path, features(None).iloc[:1], legend=LEGEND)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_unknown_ending_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"unknown ending, need \.gpkg"):
        write_features(tmp_path / "o.kml", features(), legend=LEGEND)


def test_what_is_no_text_is_refused(tmp_path: Path):
    frame = make_features("s", LandClass(1, "a\x00b", "#000000"), array(RING))
    with pytest.raises(DataError, match=r"class_name that is no text, got 'a\\x00b'"):
        write_features(tmp_path / "o.gpkg", frame, legend=None)
    shape = json.dumps(RING.__geo_interface__)
    (tmp_path / "a.geojson").write_text(f'{{"type": "Feature", "properties": {{"k": "\\ud800"}}, "geometry": {shape}}}')
    with pytest.raises(DataError, match=r"k that is no text, got '\\ud800'"):
        read_features(tmp_path / "a.geojson", legend=None, crs=None, scene="s", class_field="k")


# --- GeoPackage and QGIS ---


def test_a_geopackage_carries_its_style(tmp_path: Path):
    path = tmp_path / "o.gpkg"
    odd = make_features("s", LandClass(9, '<b> & "c"', "#010203"), array(RING), crs=UTM)
    write_features(path, join_features([features(), odd]), legend=LEGEND, layer="what is there")
    with closing(sqlite3.connect(path)) as connection:
        table = "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        ((layer, column, default, qml),) = connection.execute(table).fetchall()
        geometry = connection.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        contents = dict(connection.execute("SELECT table_name, data_type FROM gpkg_contents").fetchall())
    assert geometry == [(layer, column)]
    assert default == 1
    assert contents == {"what is there": "features", "layer_styles": "attributes"}
    root = Xml.fromstring(qml)
    categories = {c.get("value"): c.get("symbol") for c in root.iter("category")}
    assert list(categories) == ["building", "tree", '<b> & "c"']
    colours = {s.get("name"): s.find(".//Option[@name='color']").get("value") for s in root.iter("symbol")}
    assert colours[categories["tree"]] == "27,120,55,110"
    assert root.find("renderer-v2").get("attr") == "class_name"
    assert root.find("renderer-v2").get("enableorderby") == "1"


def test_other_programs_read_the_geopackage(tmp_path: Path):
    write_features(tmp_path / "o.gpkg", features(), legend=LEGEND)
    table = pyogrio.read_dataframe(tmp_path / "o.gpkg", layer="features")
    assert table.crs == UTM
    assert sorted(table["class_name"]) == ["building", "building", "tree"]
    assert pyogrio.read_info(tmp_path / "o.gpkg", layer="features")["geometry_type"] == "MultiPolygon"


def test_a_geopackage_without_crs_is_one(tmp_path: Path):
    write_features(tmp_path / "o.gpkg", features(None), legend=LEGEND)
    with closing(sqlite3.connect(tmp_path / "o.gpkg")) as connection:
        assert connection.execute("SELECT srs_id FROM gpkg_geometry_columns").fetchall() in ([(-1,)], [(99999,)])
    assert read_own(tmp_path / "o.gpkg").crs is None


def test_geoparquet_says_where_each_feature_lies(tmp_path: Path):
    write_features(tmp_path / "o.parquet", features(), legend=LEGEND)
    part = gpd.read_parquet(tmp_path / "o.parquet", bbox=(500_019, 4_000_000, 500_040, 4_000_001))
    assert len(part) == 1


# --- reading what others wrote ---


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


def test_what_the_scenes_crs_cannot_hold_is_counted(tmp_path: Path):
    shapes = [box(30, 50, 31, 51), box(-150, -1, -149, 1)]
    gpd.GeoDataFrame(geometry=shapes, crs=4326).to_parquet(tmp_path / "a.parquet")
    crs = CRS.from_user_input("+proj=gnom +lat_0=50 +lon_0=30 +ellps=WGS84")
    back, counts = read_features(tmp_path / "a.parquet", legend=None, crs=crs, scene="s", class_name="thing")
    assert len(back) == 1
    assert counts == {"outside of where the scene's CRS is defined": 1}


# --- CRS of the file, CRS of the scene ---


def geojson(path: Path, crs: object = "absent", shape: Polygon = RING) -> Path:
    content = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": shape.__geo_interface__}],
    }
    path.write_text(json.dumps(content if crs == "absent" else content | {"crs": crs}))
    return path


def one(path: Path, crs: CRS | None) -> Polygon:
    frame, _ = read_features(path, legend=None, crs=crs, scene="s", class_name="thing")
    (shape,) = frame.geometry
    return shape


def test_a_silent_geojson_holds_degrees_or_pixels_as_the_scene_does(tmp_path: Path):
    path = geojson(tmp_path / "a.geojson")
    assert one(path, None).equals(RING)
    assert one(path, CRS.from_epsg(4326)).equals(RING)
    assert one(path, UTM).centroid.x != pytest.approx(RING.centroid.x)


def test_a_stated_crs_is_used_or_refused(tmp_path: Path):
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32636"}}
    path = geojson(tmp_path / "a.geojson", named, shapely.affinity.translate(RING, 5e5, 4e6))
    assert one(path, UTM).bounds == (500_000, 4_000_000, 500_009, 4_000_009)
    with pytest.raises(DataError, match="has a CRS and the image has none, got WGS 84 / UTM zone 36N"):
        one(path, None)


def test_crs_null_means_as_they_are(tmp_path: Path):
    path = geojson(tmp_path / "a.geojson", None)
    assert one(path, UTM).equals(RING)
    assert one(path, None).equals(RING)


@pytest.mark.parametrize(
    "name", ["EPSG:32636", "urn:ogc:def:crs:EPSG:6.9:32636", "http://www.opengis.net/def/crs/EPSG/0/32636"]
)
def test_names_of_crs(tmp_path: Path, name: str):
    path = geojson(tmp_path / "a.geojson", {"type": "name", "properties": {"name": name}})
    assert one(path, UTM).equals(RING)


def test_degrees_that_are_none_are_refused(tmp_path: Path):
    path = geojson(tmp_path / "a.geojson", shape=shapely.affinity.translate(RING, 5e5, 4e6))
    with pytest.raises(DataError, match="holds something else, got x 500000 to 500009, y 4e"):
        one(path, UTM)


def test_crossing_the_date_line_is_no_geojson(tmp_path: Path):
    crs = CRS.from_epsg(32660)
    shape = box(833_000, 10_000, 840_000, 20_000)
    assert gpd.GeoSeries([shape], crs=crs).to_crs(4326).bounds["maxx"][0] > 179
    frame = make_features("s", HOUSE, array(shape), crs=crs)
    with pytest.raises(DataError, match="cross the 180th meridian"):
        write_features(tmp_path / "o.geojson", frame, legend=LEGEND)


def test_shells_of_a_geojson_run_counter_clockwise(tmp_path: Path):
    frame = features()
    write_features(tmp_path / "o.geojson", frame.set_geometry(frame.geometry.reverse()), legend=LEGEND)
    content = json.loads((tmp_path / "o.geojson").read_text())
    assert "crs" not in content
    shape = shapely.geometry.shape(content["features"][0]["geometry"])
    assert shape.exterior.is_ccw
    assert not shape.interiors[0].is_ccw
    assert 32 < shape.centroid.x < 34
    assert content["features"][2]["properties"]["score"] is None


# --- classes ---


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
