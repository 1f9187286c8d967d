"""Vector files that lie about themselves, point elsewhere or are nested without end."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet
import pytest
from pyproj import CRS
from shapely.geometry import Polygon, box

from counting_server import counting_server
from landscribe.core.features import make_features
from landscribe.core.legend import LandClass
from landscribe.errors import DataError, LimitError
from landscribe.io.vector.readers import read_layer
from landscribe.io.vector.vectors import read_features, write_features
from vector_files import array

pytestmark = pytest.mark.slow

UTM = CRS.from_epsg(32636)
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}


def read(path: Path, crs: CRS | None = UTM) -> gpd.GeoDataFrame:
    return read_features(path, legend=None, crs=crs, scene="s", class_name="thing")[0]


def good_gpkg(path: Path, crs: str = "EPSG:32636") -> Path:
    gpd.GeoDataFrame({"kind": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=crs).to_file(path, layer="good", engine="pyogrio")
    return path


@pytest.mark.parametrize("where", ["collection", "escaped", "inside"])
def test_a_crs_that_is_a_link_calls_nobody(tmp_path: Path, where: str):
    with counting_server() as (url, asked):
        link = {"type": "link", "properties": {"href": f"{url}/crs", "type": "proj4"}}
        content = {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": SQUARE}]}
        if where == "inside":
            content["features"][0]["crs"] = link
            content["features"][0]["geometry"] = SQUARE | {"crs": link}
        text = json.dumps(content if where == "inside" else content | {"crs": link})
        (tmp_path / "a.geojson").write_text(text.replace('"crs"', '"\\u0063rs"') if where == "escaped" else text)
        if where == "inside":  # a place where no CRS can stand
            assert len(read(tmp_path / "a.geojson")) == 1
        else:
            with pytest.raises(DataError, match="CRS is not given by name, got type 'link'"):
                read(tmp_path / "a.geojson")
        assert asked == []


@pytest.mark.parametrize("name", ["{url}/crs", "urn:ogc:def:crs:NOBODY::1", "EPSG:999999", "+proj=utm +zone=36", ""])
def test_a_crs_by_any_other_name_calls_nobody(tmp_path: Path, name: str):
    with counting_server() as (url, asked):
        crs = {"type": "name", "properties": {"name": name.format(url=url)}}
        (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [], "crs": crs}))
        with pytest.raises(DataError, match="unknown CRS"):
            read(tmp_path / "a.geojson")
        assert asked == []


def test_a_vrt_by_another_name_shows_no_other_file(tmp_path: Path):
    good_gpkg(tmp_path / "secret.gpkg")
    vrt = (
        '<OGRVRTDataSource><OGRVRTLayer name="good"><SrcDataSource relativeToVRT="1">secret.gpkg</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    for name, match in {
        "evil.geojson": "is a VRT, which points to other files",
        "evil.gpkg": "is a VRT, which points to other files",
        "evil.csv": "no column of WKT",
    }.items():
        (tmp_path / name).write_text(vrt)
        with pytest.raises(DataError, match=match):
            read(tmp_path / name)


@pytest.mark.parametrize("between", [b"", b"\x01", b"\x01\n", b"\x01   \n"])
def test_a_vrt_after_the_magic_of_a_flatgeobuf_shows_no_other_file(tmp_path: Path, between: bytes):
    good_gpkg(tmp_path / "secret.gpkg")
    layer = '<OGRVRTLayer name="good"><SrcDataSource relativeToVRT="1">secret.gpkg</SrcDataSource></OGRVRTLayer>'
    vrt = f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>".encode()
    (tmp_path / "evil.fgb").write_bytes(b"fgb\x03fgb" + between + vrt)
    with pytest.raises(DataError, match="not a vector file"):
        read(tmp_path / "evil.fgb")
    # Neither where the length of the header is one that a FlatGeobuf may have.
    (tmp_path / "evil.fgb").write_bytes(b"fgb\x03fgb\x01" + len(vrt).to_bytes(4, "little") + vrt)
    with pytest.raises(DataError, match=r"damaged|0 layers"):
        read(tmp_path / "evil.fgb")


def test_a_view_of_a_geopackage_is_not_run(tmp_path: Path):
    path = good_gpkg(tmp_path / "a.gpkg")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE VIEW evil AS SELECT fid, geom, lower(kind) AS kind FROM good")
        for table in ("gpkg_contents", "gpkg_geometry_columns"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            chosen = ["'evil'" if c in ("table_name", "identifier") else c for c in columns]
            connection.execute(f"INSERT INTO {table} SELECT {', '.join(chosen)} FROM {table}")
    with pytest.raises(DataError, match="layer 'evil' is a view; export it to a table"):
        read_layer(path, "evil", None)
    assert len(read_layer(path, "good", None).geometries) == 1


def test_a_database_that_is_no_geopackage_is_refused(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as connection, connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(DataError, match="a database and no GeoPackage"):
        read(tmp_path / "a.gpkg")


@pytest.mark.filterwarnings("ignore:Unable to parse srs_id")
def test_a_geopackage_whose_crs_is_a_link_calls_nobody(tmp_path: Path):
    path = good_gpkg(tmp_path / "a.gpkg", "+proj=utm +zone=36 +ellps=bessel")
    with counting_server() as (url, asked):
        with closing(sqlite3.connect(path)) as connection, connection:
            n = connection.execute(
                "UPDATE gpkg_spatial_ref_sys SET definition = ?, organization = 'NONE' WHERE srs_id > 90000",
                (f"{url}/crs",),
            ).rowcount
        assert n > 0
        read(path, None)
        assert asked == []


def test_a_shapefile_whose_crs_is_a_link_calls_nobody(tmp_path: Path):
    gpd.GeoDataFrame({"kind": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=32636).to_file(
        tmp_path / "a.shp", engine="pyogrio"
    )
    with counting_server() as (url, asked):
        (tmp_path / "a.prj").write_text(f"{url}/crs")
        read(tmp_path / "a.shp", None)
        assert asked == []


def test_a_geoparquet_whose_crs_is_a_link_calls_nobody(tmp_path: Path):
    gpd.GeoDataFrame({"kind": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=32636).to_parquet(tmp_path / "a.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    with counting_server() as (url, asked):
        geo["columns"]["geometry"]["crs"] = f"{url}/crs"
        changed = table.replace_schema_metadata({b"geo": json.dumps(geo).encode()})
        pyarrow.parquet.write_table(changed, tmp_path / "b.parquet")
        with pytest.raises(DataError, match="CRS is not PROJJSON, got str"):
            read(tmp_path / "b.parquet")
        assert asked == []


# --- nesting: what would take the process down with it runs in a process of its own ---

READ = """
import sys
from pathlib import Path
from landscribe.errors import LandscribeError
from landscribe.io.vector.vectors import read_features
for path in sys.argv[1:]:
    try:
        frame, counts = read_features(Path(path), legend=None, crs=None, scene="s", class_name="thing")
        print("read", len(frame), counts)
    except LandscribeError as error:
        print("refused", error)
"""


def read_apart(*paths: Path) -> list[str]:
    command = [sys.executable, "-c", READ, *(str(path) for path in paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (done.returncode, lines, done.stderr[-500:])
    assert done.stderr == ""
    assert len(lines) == len(paths)
    return lines


def nested_wkb(depth: int, kind: int) -> bytes:
    return struct.pack("<BII", 1, kind, 1) * depth + struct.pack("<BII", 1, 3, 0)


def test_what_is_nested_without_end_is_one_line(tmp_path: Path):
    deep = 100_000
    collection = "GEOMETRYCOLLECTION (" * deep + "POINT (0 0)" + ")" * deep
    texts = {
        "a.geojson": '{"type":"GeometryCollection","geometries":[' * deep + "]}" * deep,
        "b.geojson": '{"type":"Polygon","coordinates":' + "[" * deep + "]" * deep + "}",
        "c.geojson": '{"type":"GeometryCollection","geometries":[' * 50 + "]}" * 50,
        "d.geojson": '{"type": "Point", "coordinates": [' + "9" * deep + ", 0]}",
        "e.csv": f'WKT\n"{collection}"\n"POLYGON ((0 0, 1 0, 1 1, 0 0))"\n',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    a, b, c, d, e = read_apart(*(tmp_path / name for name in texts))
    assert "a.geojson: nested too deeply" in a
    assert "b.geojson: nested too deeply" in b
    assert "malformed: collections nested too deeply" in c
    assert "d.geojson: not JSON" in d
    assert e == "read 1 {'row 2: collections nested too deeply': 1}"


def test_wkb_nested_without_end_is_one_line(tmp_path: Path):
    boxes = gpd.GeoSeries([box(k, 0, k + 0.5, 1) for k in range(900)])
    honest = [box(0, 0, 1, 1), boxes.union_all(), box(0, 5, 1, 6).buffer(3, 2000)]
    gpd.GeoDataFrame(geometry=honest).to_parquet(tmp_path / "a.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    for kind in (4, 5, 6, 7):
        blobs = table["geometry"].to_pylist()
        blobs[0] = struct.pack("<BII", 1, kind, 1) * 100_000 + struct.pack("<BII", 1, 3, 0)
        place, entry = table.schema.get_field_index("geometry"), table.schema.field("geometry")
        changed = table.set_column(place, entry, pyarrow.array(blobs, type=pyarrow.binary()))
        pyarrow.parquet.write_table(
            changed.replace_schema_metadata(table.schema.metadata), tmp_path / f"{kind}.parquet"
        )
    lines = read_apart(*(tmp_path / f"{kind}.parquet" for kind in (4, 5, 6, 7)))
    assert lines == ["read 2 {'nested too deeply or cut short': 1}"] * 4
    assert read_apart(tmp_path / "a.parquet") == ["read 3 {}"]


def test_what_no_memory_holds_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("landscribe.io.safety.free_memory_bytes", lambda: 1000)
    monkeypatch.setattr("landscribe.io.safety.SMALL_BYTES", 0)
    (tmp_path / "a.geojson").write_text(json.dumps(SQUARE) + " " * 1000)
    for path in (tmp_path / "a.geojson", good_gpkg(tmp_path / "a.gpkg")):
        with pytest.raises(LimitError, match="too large to read at once"):
            read(path)


@pytest.mark.parametrize("ending", ["gpkg", "fgb", "parquet", "geojson", "shp", "csv.gz"])
def test_a_file_cut_short_is_refused(tmp_path: Path, ending: str):
    n = 500
    shapes = [box(k, 0, k + 1, 1 / (k + 1)) for k in range(n)]
    frame = gpd.GeoDataFrame({"kind": [f"kind {k}" for k in range(n)]}, geometry=shapes, crs=32636)
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "csv.gz":
        frame.assign(WKT=frame.geometry.to_wkt())[["kind", "WKT"]].to_csv(path, index=False)
    else:
        frame.to_file(path, engine="pyogrio")
    parts = []
    for k, share in enumerate((0.01, 0.5, 0.97)):
        parts.append(tmp_path / f"{k}.{ending}")
        parts[-1].write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        for beside in (".dbf", ".shx"):
            if path.with_suffix(beside).exists():
                parts[-1].with_suffix(beside).write_bytes(path.with_suffix(beside).read_bytes())
    for line in read_apart(*parts):
        assert line.startswith("refused"), line


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("landscribe.io.vector.wkt_csv.free_memory_bytes", lambda: 2_000_000)
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write("WKT\n" + "POINT (0 0)\n" * 200_000)
    with pytest.raises(LimitError, match="a table too long, need at most 1000000 characters"):
        read(tmp_path / "a.csv.gz", None)


@pytest.mark.parametrize("ending", ["gpkg", "fgb", "parquet", "geojson", "csv"])
def test_polygons_that_the_disk_will_not_hold_are_not_begun(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
):
    turn = np.linspace(0, 2 * np.pi, 4_300_000)  # 66 MiB
    one = Polygon(np.column_stack((np.cos(turn), np.sin(turn))))
    frame = make_features("s", LandClass(1, "thing", "#aa0000"), array(one))
    free = 50 << 20 if ending in ("gpkg", "fgb") else 2 << 20  # tables and text may be packed
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: shutil._ntuple_diskusage(1 << 40, 1 << 40, free))
    with pytest.raises(LimitError, match=rf"o\.{ending}: too large for the disk, got 66 MiB, need at most"):
        write_features(tmp_path / f"o.{ending}", frame, legend=None)
    assert not list(tmp_path.iterdir())
