"""Merging and voting on submissions."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import shapely

from landscribe.errors import DataError
from landscribe.io.source.submissions import EMPTY, read_texts, write_texts
from landscribe.io.vector.wkt_csv import read_wkt_csv
from landscribe.stages.submissions.merge import Source, merge
from landscribe.stages.submissions.vote import vote

ROWS = [(image, c) for image in ("b", "a") for c in (1, 2, 9)]


def square(size: int) -> str:
    return f"MULTIPOLYGON (((0 0, {size} 0, {size} {size}, 0 {size}, 0 0)))"


def write(path: Path, filled: dict[tuple[str, int], str], order: list[tuple[str, int]] = ROWS) -> Source:
    write_texts(path, [(*key, filled.get(key, EMPTY)) for key in order])
    return Source(path)


@pytest.fixture
def files(tmp_path: Path) -> list[Source]:
    first = {("a", 1): square(1), ("b", 1): square(2), ("a", 2): square(3), ("a", 9): square(4)}
    second = {("a", 1): square(5), ("b", 2): square(6), ("b", 9): "GEOMETRYCOLLECTION EMPTY", ("a", 9): "POLYGON EMPTY"}
    return [write(tmp_path / "1.csv", first), write(tmp_path / "2.csv.gz", second, ROWS[::-1])]


def merged(files: list[Source], tmp_path: Path, **options: object) -> dict[tuple[str, int], str]:
    merge(tmp_path / "out.csv", files, **options)  # type: ignore[arg-type]
    rows = read_texts(tmp_path / "out.csv")
    assert list(rows) == ROWS
    return {key: text for key, text in rows.items() if text != EMPTY}


def test_later_rows_replace_earlier_ones(files: list[Source], tmp_path: Path) -> None:
    assert merged(files, tmp_path) == {
        ("b", 1): square(2), ("b", 2): square(6), ("a", 1): square(5), ("a", 2): square(3), ("a", 9): square(4),
    }  # fmt: skip


def test_a_class_of_a_later_file_can_replace_the_whole_class(files: list[Source], tmp_path: Path) -> None:
    assert merged(files, tmp_path, by="class") == {("b", 2): square(6), ("a", 1): square(5), ("a", 9): square(4)}
    counts = merge(tmp_path / "out.csv", files, by="class")
    assert counts["left out, class of a later file"] == 2
    assert counts["replaced by a later file"] == 1


def test_skip_keep_and_classes(files: list[Source], tmp_path: Path) -> None:
    assert set(merged(files, tmp_path, skip=[("a", 1), ("b", 9)])) == {("b", 1), ("b", 2), ("a", 2), ("a", 9)}
    assert set(merged(files, tmp_path, keep=[("a", 1), ("b", 9)])) == {("a", 1)}
    assert set(merged(files, tmp_path, class_ids={2})) == {("b", 2), ("a", 2)}
    with pytest.raises(DataError, match="no such row to skip or keep, got c_3"):
        merge(tmp_path / "out.csv", files, skip=[("c", 3)])


def test_classes_can_come_each_from_its_file(files: list[Source], tmp_path: Path) -> None:
    sources = [Source(files[0].path, frozenset({2})), Source(files[1].path, frozenset({1}))]
    assert merged(sources, tmp_path) == {("a", 1): square(5), ("a", 2): square(3)}


def test_the_sample_gives_rows_and_order(files: list[Source], tmp_path: Path) -> None:
    write(tmp_path / "sample.csv", {}, [("a", 1), ("c", 5)])
    counts = merge(tmp_path / "out.csv.gz", files, sample=tmp_path / "sample.csv")
    assert read_texts(tmp_path / "out.csv.gz") == {("a", 1): square(5), ("c", 5): EMPTY}
    assert counts["left out, not in the sample"] == 4
    assert counts["rows from 2.csv.gz"] == 1
    with gzip.open(tmp_path / "out.csv.gz", "rt") as file:
        assert file.readline() == "ImageId,ClassType,MultipolygonWKT\n"


UNIT = 2.7e-6


def boxes(path: Path, *corners: tuple[float, float, float, float]) -> Path:
    whole = shapely.MultiPolygon([shapely.box(*(v * UNIT for v in c)) for c in corners])
    write_texts(path, [("a", 9, whole.wkt), ("a", 10, square(1))])
    return path


def voted(path: Path) -> dict[int, object]:
    rows = read_wkt_csv(path)
    return dict(zip(rows.class_ids.tolist(), rows.geometries, strict=True))


@pytest.mark.parametrize("at_least", [1, 2, 3])
def test_ground_that_enough_agree_on(tmp_path: Path, at_least: int) -> None:
    corners = [(0, 0, 10, 6), (5, 0, 15, 6), (7, 0, 17, 4)]
    files = [boxes(tmp_path / f"{k}.csv", box) for k, box in enumerate(corners)]
    vote(tmp_path / "out.csv", files, at_least=at_least, class_ids={9}, decimals=12)
    found = voted(tmp_path / "out.csv")
    columns = np.zeros((3, 6, 17), np.int64)
    for k, (left, bottom, right, top) in enumerate(corners):
        columns[k, bottom:top, left:right] = 1
    expected = int((columns.sum(axis=0) >= at_least).sum())
    assert shapely.area(found[9]) / UNIT**2 == pytest.approx(expected, rel=1e-6)
    assert shapely.is_empty(found[10])


def test_small_ground_can_be_left_out_and_outlines_moved(tmp_path: Path) -> None:
    corners = [(0, 0, 10, 10), (20, 0, 21, 1)]
    files = [boxes(tmp_path / f"{k}.csv", *corners) for k in range(2)]
    counts = vote(tmp_path / "out.csv", files, class_ids={9}, min_area=4 * UNIT**2, buffer=0.5 * UNIT, decimals=12)
    assert counts["polygons"] == 1
    assert shapely.area(voted(tmp_path / "out.csv")[9]) / UNIT**2 == pytest.approx(121 - 4 * 0.125, rel=1e-6)


def drawn_three_times(seed: int) -> list[shapely.MultiPolygon]:
    """The same round things as three submissions have them: moved and ragged, and some of them side by side."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 211, (41, 2))
    submissions = []
    for _ in range(3):
        things = []
        for col, row in centres + rng.normal(0, 1.3, centres.shape):
            turn = np.sort(rng.uniform(0, 2 * np.pi, 37))
            radius = rng.uniform(5.5, 8.5, 37)
            things.append(shapely.Polygon(np.column_stack((col + radius * np.cos(turn), row + radius * np.sin(turn)))))
        whole = shapely.union_all([thing for thing in things if thing.is_valid])
        parts = [shapely.Polygon(np.round(part.exterior.coords)) for part in shapely.get_parts(whole)]
        submissions.append(shapely.transform(shapely.union_all([p for p in parts if p.is_valid]), lambda xy: xy * UNIT))
    return submissions


@pytest.mark.parametrize(("buffer", "simplify"), [(1e-7, 1e-6), (0.0, 3e-6), (1e-6, 0.0)])
def test_buffer_and_simplification_are_of_the_united_ground(tmp_path: Path, buffer: float, simplify: float) -> None:
    """The fifth place's way, written with shapely: pairs, their union, buffer, simplification, buffer by nothing."""
    three = drawn_three_times(7)
    files = []
    for k, whole in enumerate(three):
        write_texts(tmp_path / f"{k}.csv", [("a", 9, shapely.to_wkt(whole, rounding_precision=30))])
        files.append(tmp_path / f"{k}.csv")
    vote(tmp_path / "out.csv", files, buffer=buffer, simplify=simplify, decimals=16)
    expected = shapely.union_all([three[0] & three[1], three[0] & three[2], three[1] & three[2]])
    if buffer:
        expected = expected.buffer(buffer, cap_style="square", join_style="bevel")
    expected = (expected.simplify(simplify) if simplify else expected).buffer(0)
    found = voted(tmp_path / "out.csv")[9]
    assert shapely.get_num_coordinates(found) == shapely.get_num_coordinates(expected)
    assert (found ^ expected).area / expected.area < 1e-8


def test_an_impossible_majority_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="impossible majority, got 2 of 1"):
        vote(tmp_path / "out.csv", [boxes(tmp_path / "1.csv", (0, 0, 1, 1))])


def test_bad_rows_stop_a_vote(tmp_path: Path) -> None:
    write_texts(tmp_path / "1.csv", [("a", 9, "MULTIPOLYGON ((")])
    with pytest.raises(DataError, match="1 bad rows: row 2: not WKT"):
        vote(tmp_path / "out.csv", [tmp_path / "1.csv"] * 3)
