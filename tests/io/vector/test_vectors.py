"""Features: what is written is read, in any format; what is left out is counted."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as Xml

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry import Polygon, box

from landscribe.core.features import COLUMNS, join_features, make_features
from landscribe.core.legend import LandClass
from landscribe.errors import DataError
from landscribe.io.vector.styles import embed_style
from landscribe.io.vector.vectors import read_features, read_own, write_features
from vector_files import FORMATS, HOUSE, LEGEND, RING, UTM, array, features, rows


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
    assert {p.name for p in tmp_path.iterdir()} - {"o.qml"} == {path.name}


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


def test_a_flatgeobuf_has_its_style_beside_it_and_an_own_style_stays(tmp_path: Path):
    write_features(tmp_path / "o.fgb", features(UTM), legend=LEGEND)
    style = Xml.fromstring((tmp_path / "o.qml").read_text().partition("\n")[2])
    assert [c.get("value") for c in style.iter("category")] == [c.name for c in LEGEND]
    (tmp_path / "o.qml").write_text("mine")
    write_features(tmp_path / "o.fgb", features(UTM), legend=LEGEND)
    assert (tmp_path / "o.qml").read_text() == "mine"


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


def test_a_geopackage_that_sqlite_cannot_write_is_one_line(tmp_path):
    path = tmp_path / "half.gpkg"
    path.write_bytes(b"SQLite format 3\0" + bytes(84))
    with pytest.raises(DataError, match=r"half\.gpkg: the GeoPackage cannot be written"):
        embed_style(path, "features", "geom", "<qgis/>")
