"""DSTL's table: each row that can be read is, each other is named."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box

from landscribe.errors import DataError
from landscribe.io.vector.readers import read_layer
from landscribe.io.vector.wkt_csv import open_rows, read_csv_layer, read_wkt_csv, write_wkt_csv

HEADER = "ImageId,ClassType,MultipolygonWKT\n"


def array(*shapes: object) -> np.ndarray:
    out = np.empty(len(shapes), dtype=object)
    out[:] = shapes
    return out


def save(path: Path, *lines: str, header: str = HEADER) -> Path:
    text = header + "".join(f"{line}\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_rows_come_back(tmp_path: Path, name: str):
    rows = [
        ("6120_2_2", 1, array(box(0, 0, 1, 1), box(3, 0, 4, 1))),
        ("6120_2_2", 2, array()),
        ('a "b", c', 10, array(MultiPolygon([box(0, 0, 2, 2)]), Polygon())),
    ]
    write_wkt_csv(tmp_path / name, rows)
    table = read_wkt_csv(tmp_path / name)
    assert table.ids == ["6120_2_2", "6120_2_2", 'a "b", c']
    assert table.class_ids.tolist() == [1, 2, 10]
    assert [g.geom_type for g in table.geometries] == ["MultiPolygon"] * 3
    assert shapely.area(table.geometries).tolist() == [2, 0, 4]
    assert table.problems == []


def test_it_is_written_as_the_competition_wants(tmp_path: Path):
    write_wkt_csv(tmp_path / "t.csv", [("x", 1, array(box(0, 0, 1, 0.5))), ("x", 2, array())], decimals=3)
    first, second, third = (tmp_path / "t.csv").read_text().splitlines()
    assert first == "ImageId,ClassType,MultipolygonWKT"
    assert second == 'x,1,"MULTIPOLYGON (((1 0, 1 0.5, 0 0.5, 0 0, 1 0)))"'
    assert third == "x,2,MULTIPOLYGON EMPTY"


def test_the_same_rows_make_the_same_bytes(tmp_path: Path):
    for name in ("a.csv.gz", "b.csv.gz"):
        write_wkt_csv(tmp_path / name, [("x", 1, array(box(0, 0, 1, 1)))])
    content = (tmp_path / "a.csv.gz").read_bytes()
    assert content == (tmp_path / "b.csv.gz").read_bytes()
    assert content[3:8] == bytes(5)  # neither a name nor a time in the header


def test_no_digit_is_lost(tmp_path: Path):
    corner = (-0.0008933898305427983, 0.00038825700184833174)  # GEOS by itself stops at 16 decimals
    shape = Polygon([corner, (1 / 3, 0), (1 / 3, 1e-9)])
    write_wkt_csv(tmp_path / "t.csv", [("x", 1, array(shape))])
    (back,) = read_wkt_csv(tmp_path / "t.csv").geometries
    assert set(back.geoms[0].exterior.coords) == set(shape.exterior.coords)


coordinate = st.integers(-999, 999).map(lambda v: v / 97)
ring = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ring, max_size=4), st.integers(0, 5) | st.none())
def test_whatever_is_written_reads_back_valid(tmp_path: Path, rings, decimals):
    shapes = [shapely.make_valid(Polygon(r)) for r in rings]
    polygons = [p for s in shapes for p in shapely.get_parts(s) if p.geom_type == "Polygon"]
    write_wkt_csv(tmp_path / "t.csv", [("x", 1, array(*polygons))], decimals=decimals)
    (shape,) = read_wkt_csv(tmp_path / "t.csv").geometries
    assert shape.is_valid, shapely.is_valid_reason(shape)
    union = shapely.union_all(polygons) if polygons else Polygon()
    slack = 1e-9 if decimals is None else union.length * 10.0**-decimals + 10.0 ** (-2 * decimals) * 4
    assert abs(shape.area - union.area) <= slack


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@a", "a\nb", "\ta"])
def test_an_id_that_is_no_id_is_refused(tmp_path: Path, name: str):
    with pytest.raises(DataError, match="image id that no table should hold"):
        write_wkt_csv(tmp_path / "t.csv", [(name, 1, array())])
    assert list(tmp_path.iterdir()) == []


BAD = {
    "x,1,POLYGON ((0 0, 1 0, 1 1, 0 0))": "6 cells instead of 3; WKT has to stand in quotes",
    'x,one,"POLYGON ((0 0, 1 0, 1 1, 0 0))"': "ClassType is not a whole number: 'one'",
    'x,1,"POLYGON ((0 0, 1 0, 1 1))"': "not WKT: IllegalArgumentException: Points of LinearRing do not form a closed",
    f"x,1,P{'É' * 600}": "not WKT",  # GEOS cuts its message in the middle of one of the two
    f"x,1,PO{'É' * 600}": "not WKT",
    "x,1,banana": "not WKT: ParseException: Unknown type: 'BANANA'",
    "x,1,": "no geometry",
    'x,1,"POLYGON ((0 0, 1 nan, 1 1, 0 0))"': "coordinates are not finite",
    "x,1": "2 cells instead of 3",
}


def test_each_bad_row_is_named_and_the_others_are_kept(tmp_path: Path):
    good = 'y,2,"POLYGON ((0 0, 1 0, 1 1, 0 0))"'
    lines = [line for bad in BAD for line in (bad, good)]
    table = read_wkt_csv(save(tmp_path / "t.csv", *lines))
    assert len(table.ids) == len(BAD)
    assert set(table.ids) == {"y"}
    for k, (problem, reason) in enumerate(zip(table.problems, BAD.values(), strict=True)):
        assert problem.startswith(f"row {2 * k + 2}: {reason}")


def test_an_open_quote_names_what_it_swallowed(tmp_path: Path):
    good = 'y,2,"POLYGON ((0 0, 1 0, 1 1, 0 0))"'
    table = read_wkt_csv(save(tmp_path / "t.csv", good, 'x,1,"POLYGON ((0 0, 1 0, 1 1, 0 0))', "y,1,POINT EMPTY", "z"))
    assert table.ids == ["y"]
    assert table.problems == ["row 3: 4 lines read as one cell; is a quote not closed?"]


def test_a_row_longer_than_the_csv_module_likes(tmp_path: Path):
    circle = box(0, 0, 1, 1).buffer(5, quad_segs=20_000)
    write_wkt_csv(tmp_path / "t.csv", [("x", 1, array(circle))])
    assert (tmp_path / "t.csv").stat().st_size > 10 * 131_072
    (shape,) = read_wkt_csv(tmp_path / "t.csv").geometries
    assert shapely.get_num_coordinates(shape) == shapely.get_num_coordinates(circle)


def test_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [(f"i{k}", k, array(box(k, 0, k + 1, 1))) for k in range(23)]
    write_wkt_csv(tmp_path / "t.csv", rows)
    with (tmp_path / "t.csv").open("a") as file:
        file.write("z,5,banana\n")
    whole = read_wkt_csv(tmp_path / "t.csv")
    monkeypatch.setattr("landscribe.io.vector.wkt_csv.BATCH_CHARACTERS", 100)
    parts = read_wkt_csv(tmp_path / "t.csv")
    assert parts.ids == whole.ids
    assert parts.class_ids.tolist() == whole.class_ids.tolist()
    assert shapely.equals_exact(parts.geometries, whole.geometries).all()
    assert parts.problems == whole.problems
    assert whole.problems[0].startswith("row 25: not WKT")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"a,b,c\n1,2,3\n", "wrong header, got .*'a', 'b', 'c'"),
        (b"", "the file is empty"),
        (b"\n", "no header"),
        (b"\x1f\x8b\x08\x00garbage", "not a readable table|wrong header"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, content: bytes, match: str):
    for name in ("t.csv", "t.csv.gz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=match if name == "t.csv" else f"{match}|not a readable table"):
            read_wkt_csv(tmp_path / name)


def test_a_byte_order_mark_a_further_column_and_another_order_are_fine(tmp_path: Path):
    text = "\ufeffnote,MultipolygonWKT,ClassType,ImageId\r\nhi,MULTIPOLYGON EMPTY,3,x\r\n\r\n"
    (tmp_path / "t.csv").write_bytes(text.encode("utf-8"))
    table = read_wkt_csv(tmp_path / "t.csv")
    assert (table.ids, table.class_ids.tolist(), table.problems) == (["x"], [3], [])


# --- any other table with WKT ---


def test_any_table_with_a_column_of_wkt_is_a_layer(tmp_path: Path):
    path = save(tmp_path / "t.csv", '"\'=1","POLYGON ((0 0, 1 0, 1 1, 0 0))"', "b,banana", header="kind,geometry\n")
    layer = read_csv_layer(path)
    assert layer.columns == ("kind",)
    assert layer.attributes["kind"].tolist() == ["=1"]
    assert len(layer.geometries) == 1
    assert list(layer.counts) == ["row 3: not WKT: ParseException: Unknown type: 'BANANA'"]
    assert layer.crs is None
    assert read_layer(path, None, None).columns == ("kind",)


def test_many_bad_rows_are_summed(tmp_path: Path):
    layer = read_csv_layer(save(tmp_path / "t.csv", *["banana"] * 50, header="WKT\n"))
    assert len(layer.counts) == 21
    assert layer.counts["further rows that cannot be parsed"] == 30


def test_a_table_without_wkt_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"no column of WKT, got \['a', 'b'\]"):
        read_csv_layer(save(tmp_path / "t.csv", "1,2", header="a,b\n"))


def test_the_limit_of_the_csv_module_is_the_hosts_again_after_the_last_table(tmp_path: Path):
    path = save(tmp_path / "t.csv", f"1,{'a' * 200_000}", header="a,WKT\n")
    before = csv.field_size_limit(140_000)
    try:
        with open_rows(path) as (_, one):
            with open_rows(path) as (_, other):
                assert len(next(other)[1][1]) == 200_000
            assert len(next(one)[1][1]) == 200_000
        assert csv.field_size_limit() == 140_000
    finally:
        csv.field_size_limit(before)
