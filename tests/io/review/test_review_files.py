"""Reviews as files: what is written is read, and what people do to them in QGIS is told, mended or refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely
from pyproj import CRS

from landscribe.core.legend import LandClass, Legend
from landscribe.errors import DataError
from landscribe.io.review.found_ids import found_id, found_ids
from landscribe.io.review.reading import read_review
from landscribe.io.review.review import Review, empty_review, looked_areas, review_features
from landscribe.io.review.writing import write_review

LEGEND = Legend((LandClass(1, "house", "#AA0000"), LandClass(2, "road", "#0000AA")))
UTM = CRS.from_epsg(32633)
BOXES = [shapely.box(500000, 7, 500013, 30), shapely.box(500101, 3, 500118, 19), shapely.box(500201, 3, 500218, 19)]


def small(verdicts: list[str] | None = None) -> Review:
    """Two houses and a road as a model found them, and an area that was looked at."""
    names = ["house", "house", "road"]
    columns = {
        "id": [found_id(name, box) for name, box in zip(names, BOXES, strict=True)],
        "scene": ["a", "a", "b"], "class_name": names, "verdict": verdicts or ["", "accept", "reject"],
        "source": ["model"] * 3, "note": ["", "sic", ""], "model": ["0123"] * 3, "score": [0.5, 0.75, 1.0],
    }  # fmt: skip
    looked = looked_areas({"who": ["Ann"], "at": ["2031-02-03T04:05:06"]}, [shapely.box(500100, 0, 500131, 31)], UTM)
    return Review(review_features(columns, BOXES, UTM), looked, "city", ("a", "b"))


def written(path: Path, review: Review) -> Path:
    write_review(path, review, LEGEND)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        # The triggers of GeoPackages call functions of GDAL; nothing here moves a shape.
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        for statement in statements:
            connection.execute(statement)


def redraw(path: Path, row: int, shape: shapely.Geometry) -> None:
    frame = pyogrio.read_dataframe(path, layer="features")
    frame.loc[row, "geometry"] = shape
    pyogrio.write_dataframe(frame, path, layer="features", driver="GPKG")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    review = small()
    again = read_review(written(tmp_path / "r.gpkg", review), LEGEND)
    for layer in ("features", "looked"):
        kept, read = getattr(review, layer), getattr(again, layer)
        assert list(kept.columns) == list(read.columns)
        assert shapely.equals_exact(shapely.normalize(kept.geometry), shapely.normalize(read.geometry)).all()
        texts = kept.columns.drop(["geometry", *(c for c in ("score", "area") if c in kept)])
        assert kept[list(texts)].to_numpy().tolist() == read[list(texts)].to_numpy().tolist()
    assert again.features["score"].tolist() == [0.5, 0.75, 1.0]
    assert (again.run, again.scenes, again.notes, again.crs) == ("city", ("a", "b"), (), UTM)
    assert found_ids(review.features) == list(review.features["id"])


def test_a_review_without_a_word_or_a_place_is_one(tmp_path: Path) -> None:
    again = read_review(written(tmp_path / "r.gpkg", empty_review()), LEGEND)
    assert (len(again.features), len(again.looked), again.crs) == (0, 0, None)


def test_a_bow_tie_is_repaired_and_taken_for_what_was_meant(tmp_path: Path) -> None:
    path = written(tmp_path / "r.gpkg", small())
    redraw(path, 0, shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)]))
    again = read_review(path, LEGEND)
    assert shapely.is_valid(again.features.geometry).all()
    assert again.features.geometry[0].area == 50
    assert again.features["verdict"][0] == "accept"
    assert again.features["source"][0] == "edited"
    assert any("1 invalid, repaired" in note for note in again.notes)
    assert any(note.startswith("1 polygons that were changed since") for note in again.notes)


def test_an_untouched_polygon_is_not_taken_for_accepted(tmp_path: Path) -> None:
    again = read_review(written(tmp_path / "r.gpkg", small(["", "", ""])), LEGEND)
    assert list(again.features["verdict"]) == ["", "", ""]
    assert set(again.features["source"]) == {"model"}


def test_another_class_without_a_verdict_is_a_change_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path / "r.gpkg", small())
    change(path, "UPDATE features SET class_name = 'road' WHERE verdict = ''")
    again = read_review(path, LEGEND)
    assert (again.features["source"][0], again.features["verdict"][0]) == ("edited", "accept")


def test_what_is_drawn_in_qgis_has_empty_columns_and_is_accepted(tmp_path: Path) -> None:
    path = written(tmp_path / "r.gpkg", small())
    change(path, "UPDATE features SET id = NULL, scene = NULL, verdict = NULL, source = NULL WHERE verdict = ''")
    again = read_review(path, LEGEND)
    first = again.features.iloc[0]
    assert (first["id"], first["scene"], first["source"], first["verdict"]) == ("", "", "drawn", "accept")
    assert any("1 polygons that were drawn" in note for note in again.notes)


def test_a_layer_that_a_program_has_rewritten_says_nothing_by_its_shapes(tmp_path: Path) -> None:
    shapes = [shapely.box(500000 + 50 * k, 0, 500011 + 50 * k, 13) for k in range(5)]
    columns = {
        "id": [found_id("house", shape) for shape in shapes], "class_name": ["house"] * 5, "source": ["model"] * 5,
    }  # fmt: skip
    review = Review(review_features(columns, shapes, UTM), looked_areas({}, (), UTM))
    path = written(tmp_path / "r.gpkg", review)
    moved = pyogrio.read_dataframe(path, layer="features").to_crs(4326)
    pyogrio.write_dataframe(moved, tmp_path / "moved.gpkg", layer="features", driver="GPKG")
    again = read_review(tmp_path / "moved.gpkg", LEGEND)
    assert list(again.features["verdict"]) == [""] * 5
    assert any("a program has rewritten the layer" in note for note in again.notes)
    assert any("no layer 'looked'" in note for note in again.notes)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE features DROP COLUMN verdict", r"no column 'verdict': not a review, got id, scene"),
        ("ALTER TABLE features RENAME COLUMN class_name TO kind", r"no column 'class_name'"),
        (
            "UPDATE features SET class_name = 'casa' WHERE verdict = ''",
            r"unknown class in column 'class_name', got 'casa'",
        ),
        ("UPDATE features SET class_name = NULL WHERE verdict = ''", r"1 polygons without a class"),
        (
            "UPDATE features SET verdict = 'yes' WHERE verdict = ''",
            r"unknown verdict, got 'yes', need accept \| reject",
        ),
        ("UPDATE features SET source = 'dog' WHERE verdict = ''", r"unknown source, got 'dog', need model \| edited"),
        ("UPDATE looked SET class_name = 'casa'", r"unknown class in column 'class_name', got 'casa'"),
    ],
)
def test_what_is_no_review_is_named(tmp_path: Path, statement: str, said: str) -> None:
    path = written(tmp_path / "r.gpkg", small())
    change(path, statement)
    with pytest.raises(DataError, match=said):
        read_review(path, LEGEND)


def test_other_files_are_no_reviews(tmp_path: Path) -> None:
    boxes = gpd.GeoDataFrame({"class_name": ["house"] * 3}, geometry=BOXES, crs=UTM)
    pyogrio.write_dataframe(boxes, tmp_path / "o.gpkg", layer="other", driver="GPKG")
    with pytest.raises(DataError, match=r"no such layer, got 'features'"):
        read_review(tmp_path / "o.gpkg", LEGEND)
    (tmp_path / "t.gpkg").write_text("no database")
    with pytest.raises(DataError, match=r"no GeoPackage, as reviews are"):
        read_review(tmp_path / "t.gpkg", LEGEND)
    with pytest.raises(DataError, match=r"no such file"):
        read_review(tmp_path / "none.gpkg", LEGEND)


def test_further_columns_are_named_and_words_are_read_in_any_case(tmp_path: Path) -> None:
    path = written(tmp_path / "r.gpkg", small())
    change(
        path,
        "ALTER TABLE features ADD COLUMN colour TEXT",
        "UPDATE features SET verdict = ' Accept' WHERE verdict = ''",
    )
    again = read_review(path, LEGEND)
    assert again.features["verdict"][0] == "accept"
    assert any("say nothing here: colour" in note for note in again.notes)
