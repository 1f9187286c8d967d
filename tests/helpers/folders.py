"""Folders of images and labels as people have them, each written by one function."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from pyproj import CRS

H, W = 131, 149
UTM = CRS.from_epsg(32633)
HOUSES = ((11, 7, 31, 26), (90, 13, 113, 37), (17, 79, 47, 97), (97, 89, 127, 113), (61, 43, 79, 59))
"""Left, top, right, bottom in pixels."""
FIELDS = ((37, 3, 73, 19), (3, 41, 29, 67), (83, 59, 101, 79), (53, 101, 83, 127), (113, 43, 139, 61))
NORTH, EAST = 5_000_000.0, 500_000.0


def place(number: int) -> Affine:
    """Georeference of scene `number`: half a metre, side by side with gaps."""
    return Affine(0.5, 0, EAST + 100 * number, 0, -0.5, NORTH)


def photo(number: int, count: int = 3, dtype: str = "uint8") -> np.ndarray:
    """Noise with houses and fields in it."""
    rng = np.random.default_rng(number)
    top = 250 if dtype == "uint8" else 3000
    # Slow light and dark of its own: no two scenes look alike.
    slow_hw = np.kron(rng.uniform(0, 0.6, (4, 5)), np.ones((H // 4 + 1, W // 5 + 1)))[:H, :W]
    image_chw = rng.uniform(0.1, 0.2, (count, H, W)) + slow_hw
    for left, upper, right, lower in HOUSES:
        image_chw[:, upper:lower, left:right] += 0.2
    for left, upper, right, lower in FIELDS:
        image_chw[: 1 + count // 2, upper:lower, left:right] += 0.1
    return (image_chw * top).astype(dtype)


def mask(*kinds: Sequence[tuple[int, int, int, int]], values: Sequence[int] = (255,)) -> np.ndarray:
    """One band with a value for each kind of thing, 0 elsewhere."""
    band_hw = np.zeros((H, W), np.uint8)
    for boxes, value in zip(kinds, values, strict=True):
        for left, upper, right, lower in boxes:
            band_hw[upper:lower, left:right] = value
    return band_hw[None]


def painted(colours: Sequence[str], *kinds: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
    """Three bands: the first colour is that of the ground."""
    index_hw = mask(*kinds, values=range(1, len(kinds) + 1))[0]
    table = np.array([list(bytes.fromhex(colour.removeprefix("#"))) for colour in colours], np.uint8)
    return np.moveaxis(table[index_hw], -1, 0)


def save(path: Path, image_chw: np.ndarray, number: int | None = None, **options: object) -> Path:
    """Write a raster; its ending decides the format, and with a number it lies on the ground."""
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = {".tif": "GTiff", ".png": "PNG", ".jpg": "JPEG"}[path.suffix]
    count, height, width = image_chw.shape
    profile = {"driver": driver, "count": count, "height": height, "width": width, "dtype": image_chw.dtype}
    placed = {} if number is None else {"transform": place(number), "crs": UTM.to_wkt()}
    colours = options.pop("colormap", None)
    with rasterio.open(path, "w", **profile | placed | options) as dataset:
        dataset.write(image_chw)
        if colours is not None:
            dataset.write_colormap(1, colours)
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)
    return path


def polygons(number: int, boxes: Sequence[tuple[int, int, int, int]] = HOUSES) -> list[shapely.Geometry]:
    """The boxes on the ground of scene `number`."""
    shapes = [shapely.box(*box) for box in boxes]
    a = place(number)
    return [shapely.affinity.affine_transform(shape, (a.a, a.b, a.d, a.e, a.c, a.f)) for shape in shapes]


def save_layer(
    path: Path, shapes: Sequence[shapely.Geometry], *, layer: str | None = None, crs: object = UTM, **columns: object
) -> Path:
    """Write geometries with columns; the ending decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".json":
        path.write_text(frame.to_crs(4326).to_json(drop_id=True))
    else:
        frame.to_file(path, **({"layer": layer} if layer else {}))
    return path


def coco(names: Sequence[str]) -> str:
    """One COCO file for pictures of these names, with houses and fields."""
    images = [{"id": k, "file_name": name, "height": H, "width": W} for k, name in enumerate(names)]
    annotations = []
    for k in range(len(names)):
        for category, boxes in ((1, HOUSES), (2, FIELDS)):
            for left, upper, right, lower in boxes:
                ring = [left, upper, right, upper, right, lower, left, lower]
                annotations.append(
                    {"id": len(annotations), "image_id": k, "category_id": category, "segmentation": [ring]}
                )
    categories = [{"id": 1, "name": "house"}, {"id": 2, "name": "field"}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})
