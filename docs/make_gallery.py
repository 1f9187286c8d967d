"""Draw a picture of the gallery: python docs/make_gallery.py RUN SCENE[,SCENE...] docs/images/gallery-NAME.jpg.

A row for each scene: the picture, then what was found. On the right, of one class what is right and wrong of it (green:
found and true, red: found and not true, blue: true and not found), of several the labels.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import rasterio
import shapely

from landscribe.core.arrays import ByteArray, GeometryArray
from landscribe.core.features import of_class
from landscribe.core.grid import Grid
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run, open_run
from landscribe.io.vector.vectors import read_own
from landscribe.report.pictures import choose_bands, stretch

SIDE = 350
"""Of one panel, in pixels."""
GAP = 8
RIGHT, WRONG, MISSED = "#3CAA3C", "#DC3C32", "#2878DC"
QUALITY = 74


def row_of(run: Run, scene_id: str) -> ByteArray:
    """Return the three panels of a scene side by side, uint8 (H, W, 3), red, green, blue."""
    scene = open_prepared(run, scene_id)
    sensor, bands = choose_bands(scene.bands)
    image_chw, valid_hw = scene.read(sensor)
    scale = SIDE / max(scene.grid.shape_hw)
    height, width = (round(side * scale) for side in scene.grid.shape_hw)
    picture = cv2.resize(stretch(image_chw[list(bands)], valid_hw), (width, height), interpolation=cv2.INTER_AREA)
    colours = _colours(run, scene_id)
    found, truth = read_own(run.features(scene_id)), scene.read_labels()
    panels = [picture, _painted(picture, _of_classes(found, colours), scene.grid, scale)]
    if len(colours) == 1:
        (name,) = colours
        ours, theirs = (shapely.union_all(shapely.make_valid(of_class(one, name))) for one in (found, truth))
        parts = {RIGHT: ours & theirs, WRONG: ours - theirs, MISSED: theirs - ours}
        judged = {colour: np.array([part]) for colour, part in parts.items()}
        panels.append(_painted(picture, judged, scene.grid, scale))
    else:
        panels.append(_painted(picture, _of_classes(truth, colours), scene.grid, scale))
    gap = np.full((height, GAP, 3), 255, np.uint8)
    return np.hstack([panels[0], gap, panels[1], gap, panels[2]])


def _colours(run: Run, scene_id: str) -> dict[str, str]:
    with rasterio.open(run.path("probability", f"{scene_id}.tif")) as file:
        return dict(zip(file.descriptions, file.tags()["COLOURS"].split(","), strict=True))


def _of_classes(features: gpd.GeoDataFrame, colours: Mapping[str, str]) -> dict[str, GeometryArray]:
    return {colour: of_class(features, name) for name, colour in colours.items()}


def _painted(picture: ByteArray, shapes: Mapping[str, GeometryArray], grid: Grid, scale: float) -> ByteArray:
    out = (0.6 * picture + 0.4 * 255).astype(np.uint8)
    for colour, geometries in shapes.items():
        red_green_blue = tuple(bytes.fromhex(colour.removeprefix("#")))
        layer = out.copy()
        for part in shapely.get_parts(grid.ground_to_pixels(geometries)):
            if part.geom_type == "Polygon" and not part.is_empty:
                rings = [np.array(ring.coords) * scale * 16 for ring in (part.exterior, *part.interiors)]
                fixed = [ring.round().astype(np.int32) for ring in rings]
                cv2.fillPoly(layer, fixed, red_green_blue, cv2.LINE_AA, shift=4)
                cv2.polylines(out, fixed, True, red_green_blue, 1, cv2.LINE_AA, shift=4)
        out = cv2.addWeighted(layer, 0.6, out, 0.4, 0)
    return out


def main() -> None:
    """Write the rows of all scenes as one picture."""
    run, scene_ids, target = open_run(Path(sys.argv[1])), sys.argv[2].split(","), Path(sys.argv[3])
    rows = [row_of(run, scene_id) for scene_id in scene_ids]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    whole = np.vstack([part for row in rows for part in (row, gap)][:-1])
    cv2.imwrite(str(target), whole[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
