"""Layouts of folders as people have them, by what the docs call them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import shapely

from folders import EAST, FIELDS, HOUSES, NORTH, H, W, coco, mask, painted, photo, polygons, save, save_layer

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
