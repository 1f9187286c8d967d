"""`pictures`: the polygons of each scene beside its picture, one PNG each; and masks of truth, pixels and polygons."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import shapely
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.burn import burn_mask, burn_share
from landscribe.core.features import of_class
from landscribe.core.grid import Window
from landscribe.core.legend import Legend
from landscribe.core.owners import against_the_best_other
from landscribe.core.polygons.rings import polygon_parts
from landscribe.core.recipe import Recipe
from landscribe.errors import DataError, LandscribeError, problem
from landscribe.io.atomic import write_bytes
from landscribe.io.names import safe_name
from landscribe.io.project import Progress, Project, StageResult, make_items, silent
from landscribe.io.project.splits import split_of
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.io.run.tuned import effective_recipe
from landscribe.io.safety import check_size
from landscribe.io.vector.vectors import read_own
from landscribe.late import geopandas as gpd
from landscribe.report.pictures import choose_bands, shrink, shrink_factor, stretch

FORMAT = 2
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

SIDE = 1600
"""Longest side of one half of a picture."""
FILL = 0.45
"""How much of a filled polygon is its class's colour; the outline is all of it."""
GAP_PX = 8
HALF = 128
"""A pixel is of a class where at least half of it is covered."""


def pictures(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Draw every scene that has polygons: left its picture, right the polygons on it.

    Args:
        project: The recipe with its data.
        run: The run folder; `vectorize` must have run.
        progress: Told of each scene.

    Returns:
        What was made, what was up to date, what failed.

    Examples:
        >>> import landscribe as ls
        >>> ls.pictures(project, run).failed
        {}
    """
    vectorized = run.require("vectorize")
    colours = [(c.name, c.colour) for c in project.legend]

    def key_of(scene_id: str) -> str:
        return make_key(FORMAT, features=vectorized[scene_id].outputs, colours=colours, side=SIDE)

    def make(scene_id: str) -> Made:
        scene = open_prepared(run, scene_id)
        features = read_own(run.checked(run.features(scene_id)))
        target = run.path("pictures", f"{safe_name(scene_id)}.png")
        _write_png(target, draw_scene(scene, features, project.legend)[..., ::-1])
        return Made((target,), {"polygons": len(features)})

    return make_items(run, "pictures", vectorized, key_of, make, progress)


def masks(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Draw what validates as masks, at full size: each scene as a picture, and per class truth, pixels and polygons.

    `pictures/masks/SCENE_image.png`, and `SCENE_CLASS_true_mask.png`, `..._pixel_mask.png` (probability at or above the
    threshold) and `..._poly_mask.png` (what the polygons cover), 255 where the class is. Pixels count from half covered
    on, or as OpenCV paints polygons where that is what was learned.

    Args:
        project: The recipe with its data.
        run: The run folder; `vectorize` must have run.
        progress: Told of each scene.

    Returns:
        What was made, what was up to date, what failed.

    Raises:
        DataError: If no scene that validates was predicted.

    Examples:
        >>> import landscribe as ls
        >>> ls.masks(project, run).failed
        {}
    """
    vectorized = run.require("vectorize")
    recipe = effective_recipe(project.recipe, run)
    scene_ids = [i for i in split_of(project, run).validate if i in vectorized]
    if not scene_ids:
        need = "a predicted scene with labels that no model was trained on"
        raise DataError(problem("pictures --masks", "no scene validates", need=need))
    names = list(project.legend.names)

    def key_of(scene_id: str) -> str:
        settings = recipe.vectorize.model_dump(mode="json"), recipe.prepare.target
        return make_key(FORMAT, features=vectorized[scene_id].outputs, settings=settings, names=names)

    def make(scene_id: str) -> Made:
        scene = open_prepared(run, scene_id)
        found = read_own(run.checked(run.features(scene_id)))
        home, base = run.path("pictures", "masks"), safe_name(scene_id)
        written = [home / f"{base}_image.png"]
        _write_png(written[0], picture_of(scene, max(scene.grid.shape_hw))[..., ::-1])
        for land_class in project.legend:
            drawn = masks_of(run, scene, found, land_class.name, project.legend, recipe)
            for kind, mask_hw in drawn.items():
                written.append(home / f"{base}_{safe_name(land_class.name)}_{kind}_mask.png")
                _write_png(written[-1], mask_hw.astype(np.uint8) * 255)
        return Made(tuple(written), {"masks": len(written) - 1})

    return make_items(run, "masks", scene_ids, key_of, make, progress)


def masks_of(
    run: Run, scene: PreparedScene, found: gpd.GeoDataFrame, name: str, legend: Legend, recipe: Recipe
) -> dict[str, BoolArray]:
    """Return the masks of a class in a scene: `true`, `pixel` and `poly`, bool (H, W).

    Args:
        run: The run folder, for the probability.
        scene: A prepared scene with labels.
        found: Its polygons, in its ground coordinates.
        name: The class.
        legend: Classes in band order.
        recipe: Threshold, and what pixels the class was learned on.

    Raises:
        LimitError: If the scene is too large to be held in memory.
    """
    grid, table = scene.grid, recipe.vectorize
    check_size(f"scene {scene.id!r}, masks", grid.height * grid.width * (4 * len(legend) if table.exclusive else 8))

    def cover(features: gpd.GeoDataFrame) -> BoolArray:
        polygons = grid.ground_to_pixels(of_class(features, name))
        if recipe.prepare.target == "opencv":
            return burn_mask(polygons, grid.shape_hw, mode="opencv") > 0
        return burn_share(polygons, grid.shape_hw) >= HALF

    band = legend.index(name)
    with open_raster(run.checked(run.probability(scene.id))) as raster:
        stored_khw, valid_hw = raster.read(grid.window, bands=None if table.exclusive else [band + 1])
    p_hw = against_the_best_other(stored_khw)[band] if table.exclusive else stored_khw[0] / np.float32(255)
    pixel_hw = (p_hw >= max(1e-6, table.threshold.of(name))) & valid_hw
    return {"true": cover(scene.read_labels()), "pixel": pixel_hw, "poly": cover(found)}


def _write_png(target: Path, image: AnyArray) -> None:
    fine, content = cv2.imencode(".png", image)
    if not fine:
        raise LandscribeError(problem("pictures", "OpenCV cannot write PNG", do="install opencv-python-headless"))
    write_bytes(target, content.tobytes())


def picture_of(scene: PreparedScene, side: int) -> ByteArray:
    """Return a scene as a picture whose longer side is at most so many pixels, uint8 (H, W, 3), red, green, blue."""
    sensor, positions = choose_bands(scene.bands)
    grid = scene.grids[sensor]
    with open_raster(scene.raster(sensor)) as raster:

        def read(row: int, rows: int) -> tuple[AnyArray, BoolArray]:
            image_chw, valid_hw = raster.read(Window(row, 0, rows, grid.width))
            return image_chw[list(positions)], valid_hw

        return stretch(*shrink(read, grid.shape_hw, shrink_factor(grid.shape_hw, side)))


def draw_scene(scene: PreparedScene, features: gpd.GeoDataFrame, legend: Legend) -> ByteArray:
    """Draw one scene.

    Args:
        scene: A prepared scene.
        features: Polygons in its ground coordinates.
        legend: Classes and colours; later ones lie on top.

    Returns:
        uint8 (H, 2 W + a gap, 3), red, green, blue.
    """
    grid = scene.grids[choose_bands(scene.bands)[0]]
    factor = shrink_factor(grid.shape_hw, SIDE)
    picture_hwc = picture_of(scene, SIDE)
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
