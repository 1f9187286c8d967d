"""Submissions as text: every kind of bad row is named by its number."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from landscribe.errors import DataError
from landscribe.io.source.submissions import EMPTY, check_submission, read_texts, write_texts

HEADER = "ImageId,ClassType,MultipolygonWKT\n"
GOOD = '"MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))"'
ASKED = [("a", 1), ("a", 2), ("b", 1)]
REST = f"a,2,{EMPTY}\nb,1,{EMPTY}\n"


def problems(tmp_path: Path, rows: str, **options: object) -> list[str]:
    path = tmp_path / "s.csv"
    path.write_text(HEADER + rows)
    return check_submission(path, ASKED, **options).problems  # type: ignore[arg-type]


def test_what_a_good_file_holds_is_counted(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "s.csv.gz", "wt") as file:
        two = '"MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5.125 0, 6 0, 6 1, 5.125 0)))"'
        file.write(f"{HEADER}a,1,{two}\n{REST}")
    found = check_submission(tmp_path / "s.csv.gz", ASKED, decimals=3)
    assert (found.problems, found.rows, found.filled, found.polygons, found.vertices) == ([], 3, 1, 2, 8)
    assert found.decimals == 3
    assert found.bytes == (tmp_path / "s.csv.gz").stat().st_size


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('"MULTIPOLYGON (((0 0, 2 -2, 2 0, 0 -2, 0 0)))"', "Self-intersection"),
        ('"MULTIPOLYGON (((0 0, 1 0, 1 -1)))"', "not WKT"),
        ('"MULTIPOLYGON (((0 0, 1 0, 1 nan, 0 0)))"', "coordinates are not finite"),
        ('"POLYGON ((0 0, 1 0, 1 -1, 0 0))"', "a Polygon, not a MultiPolygon"),
        ("GEOMETRYCOLLECTION EMPTY", "no polygons spelled 'GEOMETRYCOLLECTION EMPTY'"),
        ("multipolygon empty", "no polygons spelled 'multipolygon empty'"),
        ("", "no geometry"),
        ("MULTIPOLYGON (((0 0, 1 0, 1 -1, 0 0)))", "6 cells instead of 3"),
        ('"MULTIPOLYGON (((0 0, 1 0, 1 -1.12345, 0 0)))"', "coordinates with 5 decimals, at most 4"),
        # Valid as written, but two sides of the notch meet when they are rounded.
        (
            '"MULTIPOLYGON (((0 0, 1 -0.00001, 2 0, 2 -1, 1 -0.00004, 0 -1, 0 0)))"',
            "after rounding to 4 decimals: ",
        ),
        ('"MULTIPOLYGON (((0 0, 3 0, 3 -1, 0 0)))"', "outside of its image: x 0 to 3 of 0 to 2"),
        ('"MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))"', "outside of its image: x 0 to 1 of 0 to 2, y 0 to 1 of -2 to 0"),
    ],
)
def test_each_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    said = problems(tmp_path, f"a,1,{row}\n{REST}", decimals=4, frames={"a": (2.0, -2.0)})
    assert any(line.startswith(f"row 2: {message}") for line in said), said
    assert not [line for line in said if line.startswith(("row 3", "row 4"))]


def test_a_class_that_is_no_number_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path, f"a,one,{EMPTY}\n{REST}")[0] == "row 2: ClassType is not a whole number: 'one'"


STRANGE = ["rows: wrong number, got 4, need 3", "row 5: image 'c', class 9 is not in the sample"]
TWICE = ["rows: wrong number, got 4, need 3", "row 5: image 'a', class 2 a second time"]
SHUFFLED = ["row 3: image 'a', class 1 is out of order", "row 4: image 'a', class 2 is out of order"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (REST, ["rows: wrong number, got 2, need 3", "image 'a', class 1 is missing"]),
        (f"a,1,{GOOD}\n{REST}c,9,{EMPTY}\n", STRANGE),
        (f"a,1,{GOOD}\n{REST}a,2,{EMPTY}\n", TWICE),
        (f"b,1,{EMPTY}\na,1,{GOOD}\na,2,{EMPTY}\n", SHUFFLED),
    ],
)
def test_rows_are_compared_with_the_sample(tmp_path: Path, rows: str, expected: list[str]) -> None:
    assert problems(tmp_path, rows) == expected


def test_header_and_size(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"ClassType,ImageId,MultipolygonWKT\n{REST}")
    with pytest.raises(DataError, match="row 1: wrong header, got ClassType,ImageId"):
        check_submission(path)
    path.write_text(HEADER + REST)
    size = path.stat().st_size
    assert check_submission(path, max_bytes=size).problems == []
    too_large = [f"s.csv: too large, got {size} bytes, need at most {size - 1}"]
    assert check_submission(path, max_bytes=size - 1).problems == too_large


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz"])
def test_texts_come_back_to_the_last_digit(tmp_path: Path, name: str) -> None:
    precise = "MULTIPOLYGON (((0.100000000000000000001 0, 1 0, 1 1, 0 0)))"
    rows = [("a", 1, precise), ("b", 3, "GEOMETRYCOLLECTION EMPTY")]
    write_texts(tmp_path / name, rows)
    assert [(*key, text) for key, text in read_texts(tmp_path / name).items()] == rows


def test_rows_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(f"{HEADER}a,1,{GOOD}\na,1,{EMPTY}\nx\n")
    with pytest.raises(DataError, match="2 bad rows: row 3: image 'a', class 1 a second time; row 4: 1 cells"):
        read_texts(tmp_path / "s.csv")
