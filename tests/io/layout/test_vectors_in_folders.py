"""Layers as people have them: codes, no CRS or a wrong one, tables of a spreadsheet, damaged files."""

from __future__ import annotations

import gzip
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import shapely

from folders import FIELDS, UTM, photo, place, polygons, save, save_layer
from landscribe.errors import RecipeError
from landscribe.io.project import open_project
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe
from layouts import tiles


def written(folder: Path, **wishes: str) -> tuple[str, dict[str, Any]]:
    """What `init` says, and the `[data]` of its recipe, which `check` accepts."""
    recipe = folder.parent / "own.toml"
    said = write_recipe(folder, recipe, wishes)
    result = check(open_project(load_recipe(recipe)))
    assert result.errors == 0, (result.findings, said)
    return "\n".join(said), tomllib.loads(recipe.read_text(encoding="utf-8"))["data"]


def everywhere() -> list[shapely.Geometry]:
    return [shape for k in range(3) for shape in (*polygons(k), *polygons(k, FIELDS))]


def geojson(shapes: list[shapely.Geometry]) -> str:
    rows = [{"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(s)} for s in shapes]
    return json.dumps({"type": "FeatureCollection", "features": rows})


def test_codes_of_classes_are_asked_about(tmp_path: Path):
    tiles(tmp_path / "a" / "img")
    save_layer(tmp_path / "a" / "lab.gpkg", everywhere(), code=[10, 20, 30] * 10)
    with pytest.raises(RecipeError, match=r"code: 10, 20, 30; say which column: --set class_field=code"):
        write_recipe(tmp_path / "a", tmp_path / "own.toml")
    _, data = written(tmp_path / "a", class_field="code")
    assert data["labels"] == {"path": "lab.gpkg", "class_field": "code"}


def test_codes_beside_a_name_of_a_class_are_told(tmp_path: Path):
    tiles(tmp_path / "a" / "img")
    save_layer(tmp_path / "a" / "buildings.gpkg", everywhere(), code=[10, 20, 30] * 10, gid=list(range(30)))
    said, data = written(tmp_path / "a")
    assert data["labels"]["class"] == "building"
    assert 'could tell classes apart: code; class_field = "code" makes classes of it' in said


def test_numbers_that_hardly_repeat_are_no_codes(tmp_path: Path):
    tiles(tmp_path / "a" / "img")
    save_layer(tmp_path / "a" / "lab.gpkg", everywhere(), code=[*range(20), *range(10)])
    _, data = written(tmp_path / "a")
    assert data["labels"]["class"] == "object"


def test_a_shapefile_without_prj_is_in_the_crs_of_the_images(tmp_path: Path):
    tiles(tmp_path / "a" / "img")
    save_layer(tmp_path / "a" / "h.shp", everywhere(), crs=None, gid=list(range(30)))
    said, data = written(tmp_path / "a")
    assert data["labels"]["path"] == "h.shp"
    assert "h.shp says no CRS: taken for that of the images" in said


AWAY = {
    "metres.geojson": (
        lambda: geojson(everywhere()),
        r"its numbers \(x 500001.5 to .*\) fit the images in EPSG:32633; correct it: ogr2ogr .* -a_srs EPSG:32633",
    ),
    "swapped.geojson": (lambda: geojson([swapped(s) for s in everywhere()]), r"with x and y swapped \(x 45.*axisswap"),
    "far.geojson": (lambda: geojson([shapely.box(3, 4, 5, 6)]), r"lies elsewhere: x 3 to 5, y 4 to 6"),
    "other.geojson": (lambda: geojson([shapely.box(3, 400, 5, 600)]), r"longitude and latitude .* numbers are not"),
}


def swapped(shape: shapely.Geometry) -> shapely.Geometry:
    from pyproj import Transformer

    move = Transformer.from_crs(UTM, 4326, always_xy=True)
    return shapely.transform(shape, lambda x, y: move.transform(x, y)[::-1], interleaved=False)


@pytest.mark.parametrize("name", AWAY)
def test_a_layer_that_is_not_on_the_images_is_told_with_the_reason(tmp_path: Path, name: str):
    build, reason = AWAY[name]
    tiles(tmp_path / "a" / "img")
    (tmp_path / "a" / name).write_text(build())
    said, data = written(tmp_path / "a")
    assert "labels" not in data
    assert f"not used: {name}, " in said
    with pytest.raises(RecipeError, match=rf"labels {name}: .*{reason}"):
        write_recipe(tmp_path / "a", tmp_path / "own.toml", {"labels": name})


def test_images_with_a_world_file_alone_are_told_to_get_their_crs(tmp_path: Path):
    for k in range(3):
        save(tmp_path / "a" / f"t{k}.jpg", photo(k))
        t = place(k)
        numbers = (t.a, 0, 0, t.e, t.c + t.a / 2, t.f + t.e / 2)
        (tmp_path / "a" / f"t{k}.jgw").write_text("\n".join(map(str, numbers)))
    save_layer(tmp_path / "a" / "houses.gpkg", everywhere())
    with pytest.raises(RecipeError, match=r"the images say no CRS; .* gdal_translate -a_srs EPSG:32633"):
        write_recipe(tmp_path / "a", tmp_path / "own.toml", {"labels": "houses"})


def test_a_damaged_layer_is_told_without_the_words_of_a_library(tmp_path: Path):
    tiles(tmp_path / "a" / "img")
    path = save_layer(tmp_path / "a" / "houses.gpkg", everywhere())
    path.write_bytes(path.read_bytes()[:5000])
    said, _ = written(tmp_path / "a")
    assert "not used: houses.gpkg, damaged or cut short" in said
    assert "sqlite" not in said


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_table_of_wkt_is_read_whatever_parts_its_cells(tmp_path: Path, sign: str):
    tiles(tmp_path / "a" / "img")
    rows = [f'"{shape.wkt}"{sign}{kind}' for shape, kind in zip(everywhere(), ["Öl", "Wald"] * 15, strict=True)]
    (tmp_path / "a" / "l.csv").write_text("\n".join([f"WKT{sign}Klasse", *rows]), encoding="utf-8")
    (tmp_path / "a" / "stations.csv").write_text("name;value\nx;3\n")
    (tmp_path / "a" / "classes.csv").write_text("name,value\nx,3\n")
    said, data = written(tmp_path / "a")
    assert data["labels"] == {"path": "l.csv", "class_field": "Klasse"}
    assert "not used: stations.csv, no column of WKT" in said
    assert "classes.csv" not in said


def test_a_packed_table_is_read_and_what_nothing_reads_is_told(tmp_path: Path):
    tiles(tmp_path / "a" / "img")
    rows = [f'"{shape.wkt}",house' for shape in everywhere()]
    with gzip.open(tmp_path / "a" / "l.csv.gz", "wt") as file:
        file.write("\n".join(["WKT,class", *rows]))
    (tmp_path / "a" / "chips.npy").write_bytes(b"\x93NUMPY")
    said, data = written(tmp_path / "a")
    assert data["labels"] == {"path": "l.csv.gz", "class_field": "class"}
    assert "not used: 1 files of endings that are not read (.npy); unpack or convert them" in said
