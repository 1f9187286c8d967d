"""Path patterns: what a field stands for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from landscribe.core.recipe import DataTable, LabelTable, SensorTable
from landscribe.errors import DataError, RecipeError
from landscribe.io.source.patterns import list_files, match_files


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def table(**changes: object) -> DataTable:
    values: dict[str, object] = {"sensors": {"RGB": SensorTable(path="rgb/{scene}.tif", kind="rgb8")}}
    return DataTable(**{**values, **changes})  # type: ignore[arg-type]


def test_fields_read_parts_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "t1/a_07.tif", "t12/a_08.tif", "t1/b_07.tif", "t1/deep/a_09.tif")
    found = match_files(tmp_path, "t{tile}/a_{part}.tif")
    assert [fields for _, fields in found] == [{"tile": "1", "part": "07"}, {"tile": "12", "part": "08"}]


def test_a_field_used_twice_must_read_the_same(tmp_path: Path) -> None:
    touch(tmp_path, "x/x.tif", "x/y.tif")
    assert [path.name for path, _ in match_files(tmp_path, "{a}/{a}.tif")] == ["x.tif"]


def test_brackets_and_stars_in_names_are_themselves(tmp_path: Path) -> None:
    touch(tmp_path, "[1]/*a.tif", "1/ba.tif")
    assert [fields for _, fields in match_files(tmp_path, "[1]/*{s}.tif")] == [{"s": "a"}]


@pytest.mark.parametrize("pattern", ["../{scene}.tif", "/etc/{scene}.tif", "a/../../{scene}.tif"])
def test_a_pattern_stays_in_its_folder(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(RecipeError, match="leaves the data folder"):
        match_files(tmp_path, pattern)


@pytest.mark.parametrize("pattern", ["{town}{n}.tif", "x/{a}{b}/{c}.tif", "{a}{a}.tif"])
def test_fields_side_by_side_are_refused(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "rio7.tif", "x/ab/c.tif")
    with pytest.raises(RecipeError, match="side by side"):
        match_files(tmp_path, pattern)


def test_scenes_in_natural_order_with_places_and_labels(tmp_path: Path) -> None:
    touch(tmp_path, "rgb/s10.tif", "rgb/s9.tif", "lab/s9.geojson")
    scenes = list_files(
        table(labels=LabelTable(path="lab/{scene}.geojson", **{"class": "x"}), place="p-{scene}"), tmp_path
    )
    assert [(s.id, s.place, bool(s.label_files)) for s in scenes.scenes] == [
        ("s9", "p-s9", True),
        ("s10", "p-s10", False),
    ]


def test_a_missing_sensor_is_named_and_the_scene_stays(tmp_path: Path) -> None:
    touch(tmp_path, "rgb/a.tif", "rgb/b.tif", "m/a.tif")
    sensors = {
        "RGB": SensorTable(path="rgb/{scene}.tif", kind="rgb8"),
        "M": SensorTable(path="m/{scene}.tif", kind="worldview2-m"),
    }
    found = list_files(table(sensors=sensors), tmp_path)
    assert [scene.missing for scene in found.scenes] == [{}, {"M": "m/b.tif"}]


def test_a_scene_without_its_reference_is_no_scene_but_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "rgb/a.tif", "m/a.tif", "m/c.tif")
    sensors = {
        "RGB": SensorTable(path="rgb/{scene}.tif", kind="rgb8"),
        "M": SensorTable(path="m/{scene}.tif", kind="worldview2-m"),
    }
    found = list_files(table(sensors=sensors), tmp_path)
    assert [scene.id for scene in found.scenes] == ["a"]
    assert found.broken == {"c": "scene 'c': RGB is missing, need rgb/c.tif"}


def test_two_files_for_one_scene_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "1/a.tif", "2/a.tif")
    sensors = {"RGB": SensorTable(path="{folder}/{scene}.tif", kind="rgb8")}
    with pytest.raises(DataError, match="two files"):
        list_files(table(sensors=sensors), tmp_path)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"place": "{town}"}, RecipeError, r"unknown field, got \{town\}"),
        ({"sensors": {}}, RecipeError, "is empty"),
        ({"sensors": {"RGB": SensorTable(path="{scene}.tif", kind="rbg8")}}, RecipeError, "unknown kind, got 'rbg8'"),
        ({"sensors": {"RGB": SensorTable(path="x{scene}.tif", kind="rgb8")}}, DataError, "no scene found"),
        (
            {"sensors": {"RGB": SensorTable(path="rgb/{scene}.tif", kind="rgb8", frame="webmercator-tile")}},
            RecipeError,
            "lacks numbers",
        ),
    ],
)
def test_mistakes(tmp_path: Path, changes: dict[str, object], error: type[Exception], message: str) -> None:
    touch(tmp_path, "rgb/a.tif")
    with pytest.raises(error, match=message):
        list_files(table(**changes), tmp_path)
