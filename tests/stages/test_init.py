"""`init`: whatever people have becomes a recipe that `check` accepts, for every row of the table in the docs."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

from folders import EAST, FIELDS, HOUSES, NORTH, H, W, coco, mask, painted, photo, polygons, save, save_layer
from landscribe.errors import DataError, RecipeError
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.projects import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.pipeline import run_pipeline
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe
from landscribe.stages.prepare import prepare

SETTING = re.compile(r"^([a-z_]+) = ")
DOCS = Path(__file__).parent.parent.parent / "docs" / "own-data.md"
Builder = Callable[[Path], object]


def tiles(folder: Path, *, suffix: str = ".tif", count: int = 3, dtype: str = "uint8", n: int = 3) -> None:
    for k in range(n):
        save(folder / f"t{k + 1}{suffix}", photo(k, count, dtype), k if suffix == ".tif" else None)


def masks_beside(folder: Path) -> None:
    for k in range(3):
        save(folder / f"t{k}.png", photo(k))
        save(folder / f"t{k}_mask.png", mask(HOUSES))


def images_and_masks(folder: Path) -> None:
    for k in range(3):
        save(folder / "rgb" / f"a{k}.jpg", photo(k))
        save(folder / "gt" / f"a{k}.png", mask(HOUSES))


def numbered_classes(folder: Path) -> None:
    tiles(folder / "images")
    for k in range(3):
        save(folder / "landcover" / f"t{k + 1}.tif", mask(HOUSES, FIELDS, values=(1, 4)), k)
    (folder / "classes.txt").write_text("background\nhouse\nroad\nwater\nfield\n")


def coloured_classes(folder: Path) -> None:
    for k in range(3):
        save(folder / "x" / f"s{k}.png", photo(k))
        save(folder / "y" / f"s{k}.png", painted(("#000000", "#3C1098", "#FEDD3A"), HOUSES, FIELDS))
    (folder / "class_dict.csv").write_text("name,r,g,b\nunlabeled,0,0,0\nhouse,60,16,152\nfield,254,221,58\n")


def palette_pictures(folder: Path) -> None:
    for k in range(3):
        save(folder / "img" / f"p{k}.png", photo(k))
        table = {0: (0, 0, 0, 255), 1: (128, 0, 0, 255), 2: (0, 128, 0, 255)}
        save(folder / "seg" / f"p{k}.png", mask(HOUSES, FIELDS, values=(1, 2)), colormap=table)


def mask_for_each_class(folder: Path) -> None:
    tiles(folder / "images")
    for k in range(3):
        save(folder / "masks" / "houses" / f"t{k + 1}.png", mask(HOUSES))
        save(folder / "masks" / "fields" / f"t{k + 1}.png", mask(FIELDS))


def layer_for_each_tile(folder: Path) -> None:
    tiles(folder / "tif")
    for k in range(3):
        save_layer(folder / "vec" / f"t{k + 1}_houses.geojson", polygons(k))


def class_column(folder: Path) -> None:
    tiles(folder / "images")
    for k in range(3):
        shapes = [*polygons(k), *polygons(k, FIELDS)]
        names = ["water", "forest", "farm", "urban", "water"] * 2
        save_layer(folder / "labels" / f"t{k + 1}.gpkg", shapes, fclass=names, osm_id=list(range(10)))


def one_orthophoto(folder: Path) -> None:
    save(folder / "ortho_2021.tif", photo(0), 0)
    save_layer(folder / "buildings.gpkg", polygons(0), id=list(range(5)))


def one_big_layer(folder: Path) -> None:
    tiles(folder / "tiles")
    save_layer(folder / "city.gpkg", [s for k in range(3) for s in polygons(k)], building=["yes", "garage", None] * 5)


def layer_for_each_class(folder: Path) -> None:
    tiles(folder / "tiles")
    save_layer(folder / "houses.shp", [s for k in range(3) for s in polygons(k)])
    save_layer(folder / "water.geojson", [s for k in range(3) for s in polygons(k, FIELDS)], crs=32633)


def several_layers(folder: Path) -> None:
    tiles(folder / "tiles")
    save_layer(folder / "map.gpkg", [s for k in range(3) for s in polygons(k)], layer="buildings")
    save_layer(folder / "map.gpkg", [s for k in range(3) for s in polygons(k, FIELDS)], layer="lakes")


def points_and_area(folder: Path) -> None:
    tiles(folder / "tiles", count=4)
    points = [shape.centroid for k in range(3) for shape in polygons(k, [*HOUSES, *FIELDS])]
    save_layer(folder / "trees.geojson", points, crs=32633)
    save_layer(folder / "aoi.gpkg", [shapely.box(EAST - 5, NORTH - 60, EAST + 300, NORTH + 5)])


def one_raster_and_masks(folder: Path) -> None:
    save(folder / "scene.tif", photo(0, 5, "uint16"), 0)
    save(folder / "masks" / "house.tif", mask(HOUSES), 0)
    save(folder / "masks" / "field.tif", mask(FIELDS), 0)


def coco_folder(folder: Path) -> None:
    tiles(folder / "train", suffix=".jpg")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_default.json").write_text(coco([f"t{k}.jpg" for k in (1, 2, 3)]))


def yolo_folder(folder: Path) -> None:
    tiles(folder / "images", suffix=".jpg")
    (folder / "labels").mkdir()
    rows = [
        f"{number} " + " ".join(f"{v:.6f}" for x, y in shapely.box(*box).exterior.coords[:-1] for v in (x / W, y / H))
        for number, boxes in ((0, HOUSES), (1, FIELDS))
        for box in boxes
    ]
    for k in (1, 2, 3):
        (folder / "labels" / f"t{k}.txt").write_text("\n".join(rows) + "\n")
    (folder / "data.yaml").write_text("train: images\nnames: [house, field]\n")


def train_and_val(folder: Path) -> None:
    for k, side in enumerate(("train", "train", "train", "val")):
        save(folder / side / "images" / f"r{k}.png", photo(k))
        save(folder / side / "masks" / f"r{k}.png", mask(HOUSES, values=(1,)))


def folder_for_each_scene(folder: Path) -> None:
    for k, town in enumerate(("berlin", "paris", "riga")):
        save(folder / town / "image.tif", photo(k), k)
        save_layer(folder / town / "roads.gpkg", [shapely.LineString(shape.exterior) for shape in polygons(k)])


def several_sensors(folder: Path) -> None:
    for k in range(3):
        save(folder / f"{k}_RGB.tif", photo(k), k)
        save(folder / f"{k}_NIR.tif", photo(k, 1, "uint16"), k)
        save_layer(folder / f"{k}_labels.gpkg", [*polygons(k), *polygons(k, FIELDS)], label=["a", "b"] * 5)


def web_tiles(folder: Path) -> None:
    for k in range(3):
        save(folder / "20" / str(619225 + k) / "523264.png", np.concatenate([photo(k), np.full((1, H, W), 255, "u1")]))
    side = 2 * 20037508.342789244 / 2**20
    left, top = 619225 * side - 20037508.342789244, 20037508.342789244 - 523264 * side
    boxes = [shapely.box(left + 3 + side * k, top - 20, left + 17 + side * k, top - 7) for k in range(3)]
    save_layer(folder / "buildings.geojson", boxes, crs=3857)


def stac_folder(folder: Path) -> None:
    for k in range(3):
        item = folder / f"S2A_T33_{k}"
        for band in ("B02", "B03", "B04", "B08"):
            save(item / f"{band}.tif", photo(k, 1, "uint16"), k)
        save(item / "SCL.tif", mask(HOUSES, values=(4,)), k)
        save(item / "thumbnail.png", photo(k)[:, ::4, ::4])
        colours = {"B02": ("blue", 0.49), "B03": ("green", 0.56), "B04": ("red", 0.665), "B08": ("nir", 0.842)}
        assets: dict[str, dict[str, object]] = {
            name: {"href": f"./{name}.tif", "eo:bands": [{"common_name": colour, "center_wavelength": length}]}
            for name, (colour, length) in colours.items()
        }
        assets |= {"SCL": {"href": "./SCL.tif"}, "thumbnail": {"href": "thumbnail.png", "roles": ["thumbnail"]}}
        text = {"type": "Feature", "stac_version": "1.0.0", "id": item.name, "geometry": None, "assets": assets}
        (item / f"{item.name}.json").write_text(json.dumps(text))
    save_layer(folder / "fields.gpkg", [s for k in range(3) for s in polygons(k, FIELDS)])


def imagery_alone(folder: Path) -> None:
    tiles(folder / "new", dtype="uint16")


LAYOUTS: dict[str, Builder] = {
    "images and masks of 0 and 255, in folders of any names": images_and_masks,
    "masks beside the images, `x_mask.png`": masks_beside,
    "masks that number classes, with `classes.txt`": numbered_classes,
    "masks in colours, with `class_dict.csv`": coloured_classes,
    "palette masks": palette_pictures,
    "a folder of masks for each class": mask_for_each_class,
    "one raster, a mask for each class": one_raster_and_masks,
    "a layer for each tile": layer_for_each_tile,
    "a column of classes": class_column,
    "one orthophoto and one layer of another name": one_orthophoto,
    "tiles and one big layer": one_big_layer,
    "tiles and a layer for each class": layer_for_each_class,
    "tiles and a GeoPackage with a layer for each class": several_layers,
    "tiles, points, and the area that was looked at": points_and_area,
    "a folder of COCO": coco_folder,
    "a folder of YOLO": yolo_folder,
    "`train` and `val` folders": train_and_val,
    "a folder for each scene": folder_for_each_scene,
    "several sensors, told apart by a word": several_sensors,
    "web-mercator tiles, `z/x/y.png`": web_tiles,
    "a STAC-like folder, a file for each band": stac_folder,
    "imagery alone": imagery_alone,
}


def documented() -> dict[str, list[str]]:
    """Rows of the table of layouts: what lies there -> pieces of the recipe in backticks."""
    text = DOCS.read_text(encoding="utf-8")
    table = text[text.index("| what lies in the folder |") :].split("\n\n")[0].splitlines()[2:]
    rows = [row.strip("| ").split(" | ") for row in table]
    return {cells[0]: re.findall(r"`([^`]+)`", cells[1]) for cells in rows}


def test_the_table_of_layouts_is_tested_row_by_row():
    assert list(documented()) == list(LAYOUTS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_becomes_a_recipe_that_checks_out(tmp_path: Path, layout: str):
    (tmp_path / "data").mkdir()
    LAYOUTS[layout](tmp_path / "data")
    recipe = tmp_path / "own.toml"
    said = write_recipe(tmp_path / "data", recipe)
    text = recipe.read_text(encoding="utf-8")
    for piece in documented()[layout]:
        assert piece in text, f"{piece}\n{text[:1500]}\n{said}"
    result = check(open_project(load_recipe(recipe)))
    assert result.errors == 0, (result.findings, text[:1500])
    assert result.scenes == (1 if layout.startswith("one ") else 4 if "train" in layout else 3)
    assert result.labelled == (0 if layout == "imagery alone" else result.scenes)
    assert said[0].startswith("sensor ")
    data = tomllib.loads(text)["data"]
    assert all("mask" not in sensor["path"] for sensor in data["sensors"].values())


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
