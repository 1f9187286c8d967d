"""Writers of every label format that is read: each writes the labels of two scenes and says how a recipe names them.

All of them say the same: a house and a road in scene `a`, a house in scene `b`. A test reads them back; the table in
docs/own-data.md has a row for each.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Transformer

from landscribe.core.burn import burn_mask
from landscribe.core.grid import Grid
from small_data import H, W, grid_at, write_bands, write_polygons

HOUSES = {"a": shapely.box(7, 11, 23, 31), "b": shapely.box(40, 3, 71, 17)}
ROADS = {"a": shapely.box(0, 40, W, 47)}
CLASSES = {"house": HOUSES, "road": ROADS}
WRITERS: dict[str, Callable[[Path, bool], str]] = {}
"""Row of the table -> writer (folder, with a CRS) -> what stands in `[data]` for labels, and tables after it."""


def row(name: str) -> Callable[[Callable[[Path, bool], str]], Callable[[Path, bool], str]]:
    """Enter a writer under the name of its row."""

    def enter(writer: Callable[[Path, bool], str]) -> Callable[[Path, bool], str]:
        WRITERS[name] = writer
        return writer

    return enter


def grids(with_crs: bool) -> dict[str, Grid]:
    crs = grid_at(0).crs if with_crs else None
    return {"a": grid_at(0, crs=crs), "b": grid_at(1, crs=crs)}


def shapes(scene: str) -> tuple[list[shapely.Geometry], list[str]]:
    named = [(own[scene], name) for name, own in CLASSES.items() if scene in own]
    return [shape for shape, _ in named], [name for _, name in named]


def mask(scene: str, name: str) -> np.ndarray:
    own = CLASSES[name].get(scene)
    return burn_mask(np.array([own] if own is not None else [], dtype=object), (H, W))


def values(scene: str, house: int = 1, road: int = 2) -> np.ndarray:
    return (mask(scene, "house") * house + mask(scene, "road") * road).astype(np.uint8)


def text(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def _vectors(ending: str) -> Callable[[Path, bool], str]:
    def write(folder: Path, with_crs: bool) -> str:
        for scene, grid in grids(with_crs).items():
            own, names = shapes(scene)
            path = folder / "lab" / f"{scene}.{ending}"
            if ending in ("gpkg", "shp", "fgb"):
                write_polygons(path, own, grid, kind=names)
                continue
            frame = gpd.GeoDataFrame({"kind": names}, geometry=grid.pixels_to_ground(np.array(own)), crs=grid.crs)
            path.parent.mkdir(parents=True, exist_ok=True)
            if ending == "parquet":
                frame.to_parquet(path)
            elif ending == "csv":
                pd.DataFrame({"kind": names, "WKT": shapely.to_wkt(frame.geometry.to_numpy())}).to_csv(
                    path, index=False
                )
            elif grid.crs is None:
                text(path, frame.to_json(drop_id=True))
            else:
                text(path, frame.to_crs(4326).to_json(drop_id=True))
        return f'labels = {{ path = "lab/{{scene}}.{ending}", class_field = "kind" }}'

    return write


for _name, _ending in (
    ("GeoPackage", "gpkg"),
    ("GeoJSON", "geojson"),
    ("Shapefile", "shp"),
    ("FlatGeobuf", "fgb"),
    ("GeoParquet", "parquet"),
    ("CSV with WKT", "csv"),
):
    row(_name)(_vectors(_ending))


@row("one file for all scenes")
def one_file(folder: Path, with_crs: bool) -> str:
    own = grids(with_crs)
    found = [(own[s].pixels_to_ground(np.array([g]))[0], n) for s in own for g, n in zip(*shapes(s), strict=True)]
    frame = gpd.GeoDataFrame({"kind": [n for _, n in found]}, geometry=[g for g, _ in found], crs=own["a"].crs)
    frame.to_file(folder / "all.gpkg")
    return 'labels = { path = "all.gpkg", class_field = "kind" }'


@row("a layer per class")
def layers(folder: Path, with_crs: bool) -> str:
    for scene, grid in grids(with_crs).items():
        for name, own in CLASSES.items():
            write_polygons(
                folder / "lab" / f"{scene}.gpkg", [own[scene]] if scene in own else [], grid, layer=f"all_{name}s"
            )
    return 'labels = { path = "lab/{scene}.gpkg", layers = { house = "all_houses", road = "all_roads" } }'


@row("several files for a scene")
def several(folder: Path, with_crs: bool) -> str:
    for scene, grid in grids(with_crs).items():
        for name, own in CLASSES.items():
            write_polygons(folder / name / f"{scene}.gpkg", [own[scene]] if scene in own else [], grid)
    return 'labels = [{ path = "house/{scene}.gpkg", class = "house" }, { path = "road/{scene}.gpkg", class = "road" }]'


@row("class ids, from 0")
def ids(folder: Path, with_crs: bool) -> str:
    for scene, grid in grids(with_crs).items():
        own, names = shapes(scene)
        write_polygons(folder / "lab" / f"{scene}.gpkg", own, grid, code=[list(CLASSES).index(n) for n in names])
    classes = '[[classes]]\nname = "house"\nid = 0\n[[classes]]\nname = "road"\nid = 1\n'
    return 'labels = { path = "lab/{scene}.gpkg", class_field = "code" }\n' + classes


@row("other names for a class")
def other_names(folder: Path, with_crs: bool) -> str:
    said = {"house": "Bldg.", "road": "Street  "}
    for scene, grid in grids(with_crs).items():
        own, names = shapes(scene)
        write_polygons(folder / "lab" / f"{scene}.gpkg", own, grid, kind=[said[n] for n in names])
    classes = '[[classes]]\nname = "house"\nalso = ["Bldg."]\n[[classes]]\nname = "road"\nalso = ["street"]\n'
    return 'labels = { path = "lab/{scene}.gpkg", class_field = "kind" }\n' + classes


@row("lines and points with a width")
def lines(folder: Path, with_crs: bool) -> str:
    # The road as a line whose round ends lie beyond the picture, beside houses that have an outline.
    unit = np.sqrt(grid_at(0).pixel_area) if with_crs else 1.0
    for scene, grid in grids(with_crs).items():
        marks: list[shapely.Geometry] = [HOUSES[scene]]
        if scene in ROADS:
            _, top, _, bottom = ROADS[scene].bounds
            marks.append(shapely.LineString([(-9, (top + bottom) / 2), (W + 9, (top + bottom) / 2)]))
        widths = [None, 7 * unit][: len(marks)]
        write_polygons(
            folder / "lab" / f"{scene}.gpkg", marks, grid, kind=["house", "road"][: len(marks)], width=widths
        )
    return 'labels = { path = "lab/{scene}.gpkg", class_field = "kind", width_field = "width" }'


def _coco(folder: Path, segmentation: Callable[[shapely.Geometry], object]) -> str:
    images = [{"id": k, "file_name": f"photos/{s}.TIF", "height": H, "width": W} for k, s in enumerate("ab")]
    annotations: list[dict[str, object]] = []
    for k, scene in enumerate("ab"):
        for shape, name in zip(*shapes(scene), strict=True):
            category = list(CLASSES).index(name)
            own = {"id": len(annotations), "image_id": k, "category_id": category, "segmentation": segmentation(shape)}
            annotations.append(own)
    categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES)]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    text(folder / "annotations.json", content)
    return 'labels = { path = "annotations.json" }'


@row("COCO, polygons")
def coco_polygons(folder: Path, with_crs: bool) -> str:
    return _coco(folder, lambda shape: [[v for xy in shape.exterior.coords[:-1] for v in xy]])


def runs_of(mask_hw: np.ndarray) -> list[int]:
    """Run lengths, column after column, zeros first, by looking at every pixel."""
    runs, last = [0], 0
    for value in mask_hw.T.ravel():
        if value != last:
            runs.append(0)
            last = value
        runs[-1] += 1
    return runs


def packed(runs: list[int]) -> str:
    """Pack run lengths as the COCO API does."""
    letters = []
    for k, run in enumerate(runs):
        value = run - runs[k - 2] if k > 2 else run
        more = True
        while more:
            five = value & 31
            value >>= 5
            more = value != (-1 if five & 16 else 0)
            letters.append(chr(five + 32 * more + 48))
    return "".join(letters)


@row("COCO, run lengths")
def coco_runs(folder: Path, with_crs: bool) -> str:
    def runs(shape: shapely.Geometry) -> object:
        return {"counts": runs_of(burn_mask(np.array([shape]), (H, W))), "size": [H, W]}

    return _coco(folder, runs)


@row("COCO, packed run lengths")
def coco_packed(folder: Path, with_crs: bool) -> str:
    def runs(shape: shapely.Geometry) -> object:
        return {"counts": packed(runs_of(burn_mask(np.array([shape]), (H, W)))), "size": [H, W]}

    return _coco(folder, runs)


@row("YOLO segmentation")
def yolo(folder: Path, with_crs: bool) -> str:
    text(folder / "data.yaml", "train: images\nnc: 2\nnames:\n  0: house\n  1: road  # any\n")
    for scene in "ab":
        lines = [
            f"{list(CLASSES).index(name)} "
            + " ".join(f"{x / W:.9f} {y / H:.9f}" for x, y in shape.exterior.coords[:-1])
            for shape, name in zip(*shapes(scene), strict=True)
        ]
        text(folder / "labels" / f"{scene}.txt", "\n".join(lines) + "\n")
    return 'labels = { path = "labels/{scene}.txt" }'


@row("labelme")
def labelme(folder: Path, with_crs: bool) -> str:
    for scene in "ab":
        drawn = [
            {"label": name, "points": [list(xy) for xy in shape.exterior.coords[:-1]], "shape_type": "polygon"}
            for shape, name in zip(*shapes(scene), strict=True)
        ]
        content = {"version": "5.4", "flags": {}, "shapes": drawn, "imagePath": f"{scene}.tif", "imageData": None}
        text(folder / "lab" / f"{scene}.json", content | {"imageHeight": H, "imageWidth": W})
    return 'labels = { path = "lab/{scene}.json" }'


@row("mask with a value per class")
def value_mask(folder: Path, with_crs: bool) -> str:
    for scene, grid in grids(with_crs).items():
        write_bands(folder / "m" / f"{scene}.tif", values(scene)[None], grid, nodata=0)
    return 'labels = { path = "m/{scene}.tif", values = { house = 1, road = 2 } }'


@row("mask with a colour per class")
def colour_mask(folder: Path, with_crs: bool) -> str:
    for scene, grid in grids(with_crs).items():
        image_chw = np.stack([mask(scene, "house") * 200, mask(scene, "road") * 150, np.zeros((H, W))]).astype(np.uint8)
        write_bands(folder / "m" / f"{scene}.tif", image_chw, grid)
    return 'labels = { path = "m/{scene}.tif", colours = { house = "#C80000", road = "#009600" } }'


def _palette(folder: Path) -> None:
    for scene in "ab":
        path = folder / "m" / f"{scene}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(path, "w", driver="PNG", height=H, width=W, count=1, dtype="uint8") as dataset:
            dataset.write(values(scene), 1)
            dataset.write_colormap(1, {0: (0, 0, 0, 255), 1: (200, 0, 0, 255), 2: (0, 150, 0, 255)})


@row("palette picture")
def palette(folder: Path, with_crs: bool) -> str:
    _palette(folder)
    return 'labels = { path = "m/{scene}.png", values = { house = 1, road = 2 } }'


@row("palette picture by its colours")
def palette_colours(folder: Path, with_crs: bool) -> str:
    _palette(folder)
    return 'labels = { path = "m/{scene}.png", colours = { house = "#C80000", road = "#009600" } }'


@row("mask with a band per class")
def band_mask(folder: Path, with_crs: bool) -> str:
    for scene, grid in grids(with_crs).items():
        bands_chw = np.stack([mask(scene, name) for name in CLASSES]) * np.uint8(255)
        write_bands(folder / "m" / f"{scene}.tif", bands_chw, grid)
    return 'labels = { path = "m/{scene}.tif", bands = { house = 1, road = 2 } }'


@row("mask beside the image")
def beside(folder: Path, with_crs: bool) -> str:
    for scene, grid in grids(with_crs).items():
        write_bands(folder / "img" / f"{scene}_mask.tif", values(scene)[None], grid)
    return 'labels = { path = "img/{scene}_mask.tif", values = { house = 1, road = 2 } }'


@row("mask at another resolution")
def fine_mask(folder: Path, with_crs: bool) -> str:
    for scene, grid in grids(with_crs).items():
        fine_hw = values(scene).repeat(3, axis=0).repeat(3, axis=1)
        write_bands(folder / "m" / f"{scene}.tif", fine_hw[None], grid.resize(3 * H, 3 * W))
    return 'labels = { path = "m/{scene}.tif", values = { house = 1, road = 2 } }'


@row("mask in another CRS")
def other_crs(folder: Path, with_crs: bool) -> str:
    for scene, grid in grids(with_crs).items():
        if grid.crs is None:
            return fine_mask(folder, with_crs)
        # Four times as fine, so that its own pixels hardly move an outline.
        west, south, east, north = gpd.GeoSeries([grid.footprint], crs=grid.crs).to_crs(4326).total_bounds
        own = Affine((east - west) / (4 * W), 0, west, 0, (south - north) / (4 * H), north)
        rows, cols = np.mgrid[: 4 * H, : 4 * W] + 0.5
        move = Transformer.from_crs(4326, grid.crs, always_xy=True)
        x, y = move.transform(own.a * cols + own.c, own.e * rows + own.f)
        back = ~grid.transform
        at = [np.floor(v).astype(int) for v in (back.e * y + back.f, back.a * x + back.c)]
        inside = (at[0] >= 0) & (at[0] < H) & (at[1] >= 0) & (at[1] < W)
        mask_hw = np.zeros((4 * H, 4 * W), np.uint8)
        mask_hw[inside] = values(scene)[at[0][inside], at[1][inside]]
        write_bands(folder / "m" / f"{scene}.tif", mask_hw[None], Grid(4 * H, 4 * W, own, CRS.from_epsg(4326)))
    return 'labels = { path = "m/{scene}.tif", values = { house = 1, road = 2 } }'


@row("one mask for all scenes")
def one_mask(folder: Path, with_crs: bool) -> str:
    if not with_crs:
        return value_mask(folder, with_crs)
    both_hw = np.concatenate([values("a"), values("b")], axis=1)
    write_bands(folder / "all.tif", both_hw[None], grid_at(0, w=2 * W))
    return 'labels = { path = "all.tif", values = { house = 1, road = 2 } }'
