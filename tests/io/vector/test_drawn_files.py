"""YOLO and labelme: what a line or a shape means, names of classes, and hostile files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import shapely

from landscribe.errors import DataError, LandscribeError
from landscribe.io.vector.labelme import looks_like_labelme, read_labelme
from landscribe.io.vector.layer import CATEGORY, Drawn
from landscribe.io.vector.yolo import find_names, looks_like_yolo, read_names, read_yolo

TRIANGLE = "0.1 0.2 0.5 0.2 0.5 0.8"


def yolo(path: Path, text: str, names: tuple[str, ...] = ()) -> Drawn:
    path.write_text(text)
    return read_yolo(path, names)


def classes(drawn: Drawn) -> list[object]:
    return list(drawn.layer.attributes[CATEGORY])


def counts(drawn: Drawn) -> dict[str, int]:
    return {reason: n for reason, n in drawn.layer.counts.items() if n}


def test_lines_of_yolo_are_polygons_in_shares(tmp_path: Path) -> None:
    drawn = yolo(tmp_path / "a.txt", f"1 {TRIANGLE}\n\n0 {TRIANGLE} 0.1 0.9\r\n7 {TRIANGLE}\n", ("tree", "house"))
    assert drawn.in_shares
    assert classes(drawn) == ["house", "tree", "7"]
    assert drawn.layer.geometries[0].equals(shapely.Polygon([(0.1, 0.2), (0.5, 0.2), (0.5, 0.8)]))
    assert not counts(drawn)
    empty = yolo(tmp_path / "a.txt", "")
    assert not len(empty.layer.geometries)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.1 0.1", "boxes without an outline"),
        (f"house {TRIANGLE}", "malformed: a line is not a class and numbers"),
        (f"-1 {TRIANGLE}", "malformed: a line is not a class and numbers"),
        ("0 nan 0.2 0.5 0.2 0.5 0.8", "malformed: a line is not a class and numbers"),
        ("0 1e999 0.2 0.5 0.2 0.5 0.8", "malformed: a line is not a class and numbers"),
        (f"0 {TRIANGLE} 0.3", "malformed: a polygon is not three or more pairs of numbers"),
        ("0", "malformed: a line is not a class and numbers"),
        ("0 10 20 50 20 50 80", "malformed: corners are no shares of the picture, 0 to 1"),
        (f"{'9' * 4000} {TRIANGLE}", ""),
    ],
)
def test_lines_that_are_none_are_counted(tmp_path: Path, line: str, reason: str) -> None:
    drawn = yolo(tmp_path / "a.txt", f"{line}\n0 {TRIANGLE}\n")
    assert len(drawn.layer.geometries) == (1 if reason else 2)
    assert counts(drawn) == ({reason: 1} if reason else {})


def test_a_text_of_nothing_but_mistakes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt: 2 boxes and no outline; draw outlines"):
        yolo(tmp_path / "a.txt", "0 0.5 0.5 0.1 0.1\n" * 2)
    with pytest.raises(DataError, match=r"not labels of YOLO, got malformed: corners .*, need class x1 y1 x2 y2"):
        yolo(tmp_path / "a.txt", "0 10 20 50 20 50 80\n")


def test_yolo_is_known_by_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for text, known in (
        (f"0 {TRIANGLE}\n3 0.5 0.5 .1 1e-2\n", True),
        ("ReadMe\n", False),
        ("1 2 3\n", False),
        ("", False),
    ):
        path.write_text(text)
        assert looks_like_yolo(path) is known
    path.write_text(f"0 {TRIANGLE}\n" * 2000)  # more than is looked at
    assert looks_like_yolo(path)
    assert not looks_like_yolo(path.rename(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("classes.txt", "house\nwide road \n\n", ("house", "wide road")),
        ("data.yaml", "path: x\nnames: [house, 'wide road']\nnc: 2\n", ("house", "wide road")),
        ("data.yaml", 'names: ["house",\n  "road"]\n', ("house", "road")),
        ("data.yaml", "names:\n- house\n- road # paved\n\nnc: 2\n", ("house", "road")),
        ("data.yaml", "names:\n  # all\n  0: house\n  2: 'road'\nroboflow:\n  a: b\n", ("house", "1", "road")),
        ("data.yml", "names: {0: house, 1: road}\n", ("house", "road")),
        ("data.yaml", "nc: 2\nnames: ['house']  # one\n", ("house",)),
    ],
)
def test_names_of_classes(tmp_path: Path, name: str, text: str, expected: tuple[str, ...]) -> None:
    path = tmp_path / name
    path.write_text(text)
    read_names.cache_clear()
    assert read_names(path) == expected


@pytest.mark.parametrize(
    "text", ["nc: 2\n", "names: house\n", "names:\n", "names: {99999999: a}\n", "names: {900000: a}\n"]
)
def test_names_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    read_names.cache_clear()
    with pytest.raises(DataError, match=r"data\.yaml: no names of classes"):
        read_names(tmp_path / "data.yaml")


def test_names_are_looked_for_up_to_the_root(tmp_path: Path) -> None:
    labels = tmp_path / "data" / "labels" / "train"
    labels.mkdir(parents=True)
    (tmp_path / "classes.txt").write_text("outside")
    assert find_names(labels, tmp_path / "data") is None
    (tmp_path / "data" / "data.yaml").write_text("names: [a]")
    assert find_names(labels, tmp_path / "data") == tmp_path / "data" / "data.yaml"
    (labels / "classes.txt").write_text("a")
    assert find_names(labels, tmp_path / "data") == labels / "classes.txt"


def labelme(path: Path, *shapes: object, **changes: object) -> Drawn:
    rows = [{"label": "house"} | shape if isinstance(shape, dict) else shape for shape in shapes]
    path.write_text(json.dumps({"version": "5", "shapes": rows, "imageHeight": 13, "imageWidth": 17} | changes))
    return read_labelme(path)


def test_shapes_of_labelme(tmp_path: Path) -> None:
    drawn = labelme(
        tmp_path / "a.json",
        {"points": [[1, 2], [5, 2], [5, 8]], "shape_type": "polygon"},
        {"points": [[1, 2], [5, 2], [5, 8]]},
        {"points": [[7, 9], [2, 3]], "shape_type": "rectangle"},
        {"points": [[7, 9], [10, 13]], "shape_type": "circle"},
        {"points": [[1, 1], [4, 5]], "shape_type": "line"},
        {"points": [[1, 1], [4, 5], [4, 9]], "shape_type": "linestrip"},
        {"points": [[3, 3]], "shape_type": "point"},
        imagePath="..\\img\\a.tif",
    )
    found = list(drawn.layer.geometries)
    assert [shape.area for shape in found[:3]] == [12, 12, 30]
    assert found[3].area == pytest.approx(25 * math.pi, rel=0.01)
    assert [shape.length for shape in found[4:]] == [5, 9, 0]
    assert (drawn.size_hw, drawn.picture, drawn.in_shares) == ((13, 17), "..\\img\\a.tif", False)
    assert classes(drawn) == ["house"] * 7


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"points": [[1, 2], [5, 2]]}, "a polygon of 2 points"),
        ({"points": [[1, 2]], "shape_type": "rectangle"}, "a rectangle of 1 points"),
        ({"points": [[1, 2]], "shape_type": "mask"}, "shapes of type 'mask' are not read"),
        ({"points": "x"}, "points are not pairs of numbers"),
        ({"points": [[1, 2, 3]] * 3}, "points are not pairs of numbers"),
        ({"points": [[1, 2], [5, None], [5, 8]]}, "points hold what is no number"),
        ({"points": [[1, 2], [5, 10**400], [5, 8]]}, "points hold what is no number"),
        ({}, "points are not pairs of numbers"),
        ("x", "a shape is no object"),
    ],
)
def test_shapes_that_are_none_are_counted(tmp_path: Path, shape: object, reason: str) -> None:
    drawn = labelme(tmp_path / "a.json", shape, {"points": [[1, 2], [5, 2], [5, 8]]})
    assert len(drawn.layer.geometries) == 1
    assert counts(drawn) == {f"malformed: {reason}": 1}


def test_other_files_are_not_of_labelme(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ("[]", '{"shapes": 3}', '{"shapes": [', "", '{"shapes": ' + "[" * 100_000):
        path.write_text(text)
        with pytest.raises(LandscribeError, match=r"a\.json"):
            read_labelme(path)
    for content, known in (({"shapes": [], "imagePath": ""}, True), ({"shapes": []}, False), ({"flags": {}}, False)):
        path.write_text(json.dumps(content))
        assert looks_like_labelme(path) is known
