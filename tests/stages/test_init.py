"""`init`: what it writes, what it asks, and what it says of what it took for what."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

from folders import FIELDS, H, W, photo, polygons, save, save_layer
from landscribe.errors import DataError, RecipeError
from landscribe.io.project import open_project
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.pipeline import run_pipeline
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe
from landscribe.stages.prepare import prepare
from layouts import Builder, images_and_masks, one_big_layer, one_orthophoto, tiles

SETTING = re.compile(r"^([a-z_]+) = ")


def written(folder: Path, build: Builder, **wishes: str) -> tuple[list[str], str]:
    """Build a folder, and return what `init` says and the recipe."""
    (folder / "data").mkdir()
    build(folder / "data")
    said = write_recipe(folder / "data", folder / "own.toml", wishes)
    return said, (folder / "own.toml").read_text(encoding="utf-8")


def test_every_setting_stands_there_with_what_it_means(tmp_path: Path):
    _, text = written(tmp_path, images_and_masks)
    lines = text[text.index("[[models]]") :].splitlines()
    settings = [(k, line) for k, line in enumerate(lines) if SETTING.match(line)]
    without = [line for k, line in settings if "  # " not in line and not lines[k - 1].startswith("# ")]
    assert not without
    recipe = load_recipe(tmp_path / "own.toml").recipe
    names = {line.partition(" = ")[0] for _, line in settings}
    for table in (recipe.models[0].network, recipe.models[0].chips, recipe.models[0].schedule, recipe.models[0].loss):
        for name, value in table.model_dump().items():
            assert name in names or value is None
    assert all(len(line) <= 120 for line in lines)


def test_the_recipe_trains_as_the_defaults_do(tmp_path: Path):
    _, _ = written(tmp_path, one_big_layer)
    recipe = load_recipe(tmp_path / "own.toml").recipe
    plain = type(recipe)(data=recipe.data)
    for name in ("models", "predict", "vectorize", "validation", "prepare"):
        assert getattr(recipe, name) == getattr(plain, name)


def test_the_recipe_runs_to_its_end(tmp_path: Path):
    written(tmp_path, one_orthophoto)
    overrides = ["models.all.kind=labels", "predict.symmetries=1"]
    project = open_project(load_recipe(tmp_path / "own.toml", overrides))
    run = open_run(tmp_path / "run")
    results = list(run_pipeline(project, run))
    assert not any(result.failed for result in results)
    score = json.loads(run.path("score.json").read_text(encoding="utf-8"))
    assert score["classes"]["building"]["polygon"]["jaccard"] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("corner", range(4))
def test_the_corner_that_validates_has_something_in_it_and_beside_it(tmp_path: Path, corner: int):
    def build(folder: Path) -> None:
        save(folder / "o.tif", photo(0), 0)
        left, top = (3, 99)[corner % 2], (5, 95)[corner // 2]
        boxes = [(left, top, left + 23, top + 19), (61, 57, 79, 69)]
        save_layer(folder / "houses.gpkg", polygons(0, boxes))

    said, text = written(tmp_path, build)
    validate = tomllib.loads(text)["validate"]
    assert validate["split"] == "corner"
    assert any("which says little of other ground" in line for line in said)
    side = validate["corner_px"]
    left = 0 if validate["corner"].endswith("left") else W - side
    top = 0 if validate["corner"].startswith("top") else H - side
    inside = mask_of(tmp_path)[top : top + side, left : left + side].sum() / mask_of(tmp_path).sum()
    assert 0.1 < inside < 0.9


def mask_of(folder: Path) -> np.ndarray:
    """Where the houses of the only image stand."""
    run = open_run(folder / "run")
    prepare(open_project(load_recipe(folder / "own.toml")), run)
    (scene_id,) = run.records("prepare")
    return open_prepared(run, scene_id).read_coverage()[0][0] > 127


def test_where_columns_cannot_be_told_apart_it_asks_with_their_values(tmp_path: Path):
    def build(folder: Path) -> None:
        tiles(folder / "img")
        for k in range(3):
            columns = {"zone": ["n", "s"] * 5, "grade": ["A", "B", "C", "A", "B"] * 2, "gid": list(range(10))}
            save_layer(folder / "lab" / f"t{k + 1}.gpkg", [*polygons(k), *polygons(k, FIELDS)], **columns)

    with pytest.raises(RecipeError) as caught:
        written(tmp_path, build)
    text = str(caught.value)
    assert "zone: n, s" in text
    assert "grade: A, B, C" in text
    assert "gid" not in text
    assert "--set class_field=" in text
    assert "\n" not in text
    (tmp_path / "again").mkdir()
    _, recipe = written(tmp_path / "again", build, class_field="grade")
    assert 'class_field = "grade"' in recipe
    (tmp_path / "once more").mkdir()
    _, recipe = written(tmp_path / "once more", build, **{"class": "parcel"})
    assert 'class = "parcel"' in recipe


def test_two_layers_of_one_class_are_asked_about(tmp_path: Path):
    def build(folder: Path) -> None:
        tiles(folder / "img")
        for name in ("buildings_2019.gpkg", "buildings_2021.gpkg"):
            save_layer(folder / name, [s for k in range(3) for s in polygons(k)])

    with pytest.raises(RecipeError, match=r"2 layers fit the images.*buildings_2019.gpkg.*--set labels=PART"):
        written(tmp_path, build)
    (tmp_path / "again").mkdir()
    _, recipe = written(tmp_path / "again", build, labels="2021")
    assert 'path = "buildings_2021.gpkg"' in recipe


def test_a_folder_without_images_and_wishes_that_fit_nothing_are_told(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match="no image found"):
        write_recipe(tmp_path / "empty", tmp_path / "r.toml")
    with pytest.raises(DataError, match="no such folder"):
        write_recipe(tmp_path / "nowhere", tmp_path / "r.toml")
    with pytest.raises(RecipeError, match=r"--set labels: no such files, got xyz"):
        written(tmp_path, images_and_masks, labels="xyz")
    with pytest.raises(RecipeError, match=r"--set: unknown key, got klass, need images"):
        write_recipe(tmp_path / "data", tmp_path / "r.toml", {"klass": "a"})


def test_what_is_not_read_is_named_for_what_it_is(tmp_path: Path):
    def build(folder: Path) -> None:
        tiles(folder / "img")
        (folder / "roads.kml").write_text("<?xml version='1.0'?><kml></kml>")
        save(folder / "img" / "t1_thumbnail.png", photo(0)[:, ::4, ::4])
        save_layer(folder / "far.gpkg", [shapely.box(0, 0, 9, 9)])

    said, _ = written(tmp_path, build)
    lines = [line for line in said if line.startswith("not used")]
    assert any("KML, which is not read; ogr2ogr" in line for line in lines)
    assert any("far.gpkg, lies elsewhere" in line for line in lines)
    assert any("thumbnail" in line for line in lines)


def test_a_number_that_fills_the_edges_of_all_images_is_taken_for_nodata(tmp_path: Path):
    def build(folder: Path) -> None:
        for k in range(3):
            image_chw = np.maximum(photo(k), 1)
            rows, cols = np.mgrid[:H, :W]
            image_chw[:, rows + cols < 50 + 5 * k] = 0
            save(folder / "img" / f"t{k}.tif", image_chw, k)

    said, text = written(tmp_path, build)
    assert "nodata = 0" in text
    assert "0 fills parts of it and is taken for nodata, if it is data take nodata out" in said[0]


def test_bands_in_another_order_are_put_in_order(tmp_path: Path):
    def build(folder: Path) -> None:
        for k in range(3):
            path = save(folder / f"t{k}.tif", photo(k, 4), k, photometric="MINISBLACK")
            with rasterio.open(path, "r+") as dataset:
                for number, name in enumerate(("Blue", "Green", "Red", "NIR"), start=1):
                    dataset.set_band_description(number, name)

    said, text = written(tmp_path, build)
    assert "bands = [3, 2, 1, 4]" in text
    assert "bands reordered to [3, 2, 1, 4] by what the files say" in said[0]
    assert check(open_project(load_recipe(tmp_path / "own.toml"))).errors == 0


def test_imagery_alone_says_nothing_of_splits(tmp_path: Path):
    def build(folder: Path) -> None:
        for name in ("a", "b"):  # the same ground twice
            save(folder / f"{name}.tif", photo(0), 0)

    _, text = written(tmp_path, build)
    assert "[validate]" not in text
    assert "[[models]]" not in text
    assert check(open_project(load_recipe(tmp_path / "own.toml"))).findings == ()
