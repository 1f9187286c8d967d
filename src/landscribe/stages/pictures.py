"""`pictures`: the polygons of each scene beside its picture, one PNG each."""

from __future__ import annotations

import cv2
import geopandas as gpd
import numpy as np
import shapely
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.features import of_class
from landscribe.core.grid import Window
from landscribe.core.legend import Legend
from landscribe.core.polygons.rings import polygon_parts
from landscribe.errors import LandscribeError, problem
from landscribe.io.atomic import write_bytes
from landscribe.io.names import safe_name
from landscribe.io.project import Progress, Project, StageResult, make_items, silent
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.io.vector.vectors import read_own
from landscribe.report.pictures import choose_bands, shrink, shrink_factor, stretch

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

SIDE = 1600
"""Longest side of one half of a picture."""
FILL = 0.45
"""How much of a filled polygon is its class's colour; the outline is all of it."""
GAP_PX = 8


def pictures(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Draw every scene that has polygons: left its picture, right the polygons on it.

    Args:
        project: The recipe with its data.
        run: The run folder; `vectorize` must have run.
        progress: Told of each scene.

    Returns:
        What was made, what was up to date, what failed.
    """
    vectorized = run.require("vectorize")
    colours = [(c.name, c.colour) for c in project.legend]

    def key_of(scene_id: str) -> str:
        return make_key(FORMAT, features=vectorized[scene_id].outputs, colours=colours, side=SIDE)

    def make(scene_id: str) -> Made:
        scene = open_prepared(run, scene_id)
        features = read_own(run.checked(run.features(scene_id)))
        fine, content = cv2.imencode(".png", draw_scene(scene, features, project.legend)[..., ::-1])
        if not fine:
            raise LandscribeError(problem("pictures", "OpenCV cannot write PNG", do="install opencv-python-headless"))
        target = run.path("pictures", f"{safe_name(scene_id)}.png")
        write_bytes(target, content.tobytes())
        return Made((target,), {"polygons": len(features)})

    return make_items(run, "pictures", vectorized, key_of, make, progress)


def draw_scene(scene: PreparedScene, features: gpd.GeoDataFrame, legend: Legend) -> ByteArray:
    """Draw one scene.

    Args:
        scene: A prepared scene.
        features: Polygons in its ground coordinates.
        legend: Classes and colours; later ones lie on top.

    Returns:
        uint8 (H, 2 W + a gap, 3), red, green, blue.
    """
    sensor, positions = choose_bands(scene.bands)
    grid = scene.grids[sensor]
    factor = shrink_factor(grid.shape_hw, SIDE)
    with open_raster(scene.raster(sensor)) as raster:

        def read(row: int, rows: int) -> tuple[AnyArray, BoolArray]:
            image_chw, valid_hw = raster.read(Window(row, 0, rows, grid.width))
            return image_chw[list(positions)], valid_hw

        picture_hwc = stretch(*shrink(read, grid.shape_hw, factor))
    to_picture = Affine.scale(1 / factor) @ ~grid.transform
    drawn_hwc = picture_hwc.copy()
    for land_class in legend:
        parts, _ = polygon_parts(of_class(features, land_class.name))
        rings = [_points(ring, to_picture) for ring in shapely.get_rings(parts)]
        if not rings:
            continue
        colour = tuple(int(land_class.colour[k : k + 2], 16) for k in (1, 3, 5))
        # One call fills by parity, so holes stay open; polygons of a class do not overlap.
        filled_hwc = cv2.fillPoly(drawn_hwc.copy(), rings, colour, cv2.LINE_AA, shift=4)
        mixed_hwc = FILL * filled_hwc.astype(np.float32) + (1 - FILL) * drawn_hwc.astype(np.float32)
        drawn_hwc = np.rint(mixed_hwc).astype(np.uint8)
        cv2.polylines(drawn_hwc, rings, isClosed=True, color=colour, thickness=1, lineType=cv2.LINE_AA, shift=4)
    gap = np.full((len(picture_hwc), GAP_PX, 3), 255, np.uint8)
    return np.concatenate((picture_hwc, gap, drawn_hwc), axis=1)


def _points(ring: shapely.LinearRing, to_picture: Affine) -> AnyArray:
    # OpenCV counts from the centre of the first pixel, in sixteenths with shift = 4.
    x, y = shapely.get_coordinates(ring).T
    a, b, c, d, e, f = tuple(to_picture)[:6]
    return np.rint((np.column_stack((a * x + b * y + c, d * x + e * y + f)) - 0.5) * 16).astype(np.int32)
