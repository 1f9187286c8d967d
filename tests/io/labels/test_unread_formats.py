"""What is not read is named for what it is, in one line with the way to convert it; so is what the recipe mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import shapely

from label_formats import WRITERS, coco_polygons, labelme, yolo
from landscribe.errors import DataError, LandscribeError, RecipeError
from landscribe.io.labels.labels import read_labels
from landscribe.io.vector.foreign import kind_of
from landscribe.io.vector.readers import read_layer
from small_data import H, W, grid_at, project_of, write_bands, write_image, write_polygons
from unread_formats import UNREAD

DOCS = Path(__file__).parents[3] / "docs"
HOUSE = shapely.box(7, 11, 23, 31)


@pytest.mark.parametrize("name", UNREAD)
def test_it_is_named_with_the_way_to_convert_it(tmp_path: Path, name: str) -> None:
    file, content, what, do = UNREAD[name]
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    (tmp_path / file).write_bytes(content)
    project = project_of(tmp_path, f'labels = {{ path = "{file.replace("a.", "{scene}.", 1)}", class = "house" }}')
    with pytest.raises(DataError) as error:
        read_labels(project.scenes.scenes[0], project.legend, grid_at(0))
    text = str(error.value)
    assert what in text
    assert do in text
    assert file in text
    assert "\n" not in text
    # As a file of polygons without a recipe it is refused too.
    with pytest.raises(LandscribeError) as error:
        read_layer(tmp_path / file, None, ())
    assert "\n" not in str(error.value)


def test_the_docs_have_a_row_for_each() -> None:
    page = (DOCS / "own-data.md").read_text().partition("## Label formats")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)
    assert [row for row in rows if row not in ("labels", "---", "not read")][len(WRITERS) :] == list(UNREAD)


@pytest.mark.parametrize(("write", "what"), [(coco_polygons, "COCO"), (labelme, "labelme"), (yolo, "YOLO")])
def test_drawings_are_no_polygons_on_the_ground(tmp_path: Path, write: object, what: str) -> None:
    write(tmp_path, True)  # type: ignore[operator]
    path = next(p for p in sorted(tmp_path.rglob("*")) if p.suffix in (".json", ".txt"))
    assert kind_of(path) == what.lower()
    with pytest.raises(DataError, match=f"is {what}, shapes on a picture; name it in"):
        read_layer(path, None, ())


def test_pictures_and_polygons_are_not_taken_for_each_other(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    write_bands(tmp_path / "m" / "a.tif", np.full((1, H, W), 7, np.uint8), grid_at(0))
    write_polygons(tmp_path / "lab" / "a.gpkg", [HOUSE], grid_at(0))
    for text, message in (
        ('path = "m/{scene}.tif", class = "house"', r"a\.tif: is a picture, not polygons; its values are 7; say which"),
        ('path = "img/{scene}.tif", class = "house"', r"colours = \{ house = "),
        ('path = "lab/{scene}.gpkg", values = { house = 1 }', r"a\.gpkg: is no picture; say `class` or `class_field`"),
    ):
        project = project_of(tmp_path, f"labels = {{ {text} }}")
        with pytest.raises(DataError, match=message):
            read_labels(project.scenes.scenes[0], project.legend, grid_at(0))


def test_without_a_class_the_columns_are_listed(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    kinds = ["road", "house", "road", None, "a", "b", "c", "d"]
    write_polygons(tmp_path / "lab" / "a.gpkg", [HOUSE] * 8, grid_at(0), fclass=kinds, floors=[2] * 8)
    with pytest.raises(RecipeError) as error:
        _ = project_of(tmp_path, 'labels = { path = "lab/{scene}.gpkg" }').legend
    assert "got columns fclass (road, house, a, b, c, ...); floors (2), need class" in str(error.value)
    with pytest.raises(DataError, match="no such column, got 'kind', need one of fclass, floors"):
        _ = project_of(tmp_path, 'labels = { path = "lab/{scene}.gpkg", class_field = "kind" }').legend


def test_several_layers_are_listed(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    for layer in ("houses", "roads"):
        write_polygons(tmp_path / "lab" / "a.gpkg", [HOUSE], grid_at(0), layer=layer)
    project = project_of(tmp_path, 'labels = { path = "lab/{scene}.gpkg", class = "house" }')
    with pytest.raises(
        DataError, match=r"2 layers, got houses, roads, need one, named; of labels, name it as labels\.layer"
    ):
        read_labels(project.scenes.scenes[0], project.legend, grid_at(0))
    project = project_of(tmp_path, 'labels = { path = "lab/{scene}.gpkg", layers = { lake = "lakes" } }')
    with pytest.raises(DataError, match=r"no such layer, got 'lakes', need houses \| roads"):
        read_labels(project.scenes.scenes[0], project.legend, grid_at(0))
