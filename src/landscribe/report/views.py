"""What a report shows of one scene, read from the run folder: its picture with both sides, and its histograms."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray, IntArray
from landscribe.core.features import of_class
from landscribe.core.grid import Window
from landscribe.core.legend import Legend
from landscribe.core.owners import against_the_best_other
from landscribe.core.trace import trace
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Run
from landscribe.io.vector.vectors import read_own
from landscribe.report.data import SceneView, ThresholdCurve
from landscribe.report.overlays import ClassGround, draw_layers
from landscribe.report.pictures import choose_bands, encode, hatch, shrink, shrink_factor, stretch
from landscribe.workers import result_of, stop_if_asked

STRIP_PIXELS = 8_000_000
HALF = 128
"""A pixel counts as truth where at least half of it is covered, as in the score."""
LEVELS = 256
CALIBRATION_BINS = 12
FEW_PIXELS = 50
"""A bin with fewer pixels says nothing about how often it was right."""


@dataclass(frozen=True)
class Pictured:
    """The picture of a scene, and what it takes to lay polygons on it."""

    content: bytes
    """WebP."""
    shape_hw: tuple[int, int]
    """In pixels of the picture."""
    scored_hw: BoolArray
    """Where ground counts, by blocks of `factor` pixels of the sensor: the picture may be smaller still."""
    sensor: str
    positions: tuple[int, int, int]
    """Bands shown as red, green and blue, from 0."""
    factor: int


def picture_scene(run: Run, scene_id: str, limit_bytes: int) -> Pictured:
    """Make the picture of one scene; threads may do so side by side.

    Args:
        run: The run folder.
        scene_id: A prepared scene.
        limit_bytes: Bytes it may take.

    Raises:
        DataError: If the scene is not prepared or a file is damaged.
    """
    stop_if_asked()
    scene = open_prepared(run, scene_id)
    sensor, positions = choose_bands(scene.bands)
    factor = shrink_factor(scene.grids[sensor].shape_hw)
    image_chw, valid_hw = _read_small(scene, sensor, positions, factor)
    scored_hw = _scored(scene, sensor, factor, valid_hw)
    content, shape_hw = encode(hatch(stretch(image_chw, valid_hw), scored_hw), limit_bytes)
    return Pictured(content, shape_hw, scored_hw, sensor, positions, factor)


def view_scene(
    run: Run, scene_id: str, legend: Legend, split: str, limit_bytes: int, making: Future[Pictured]
) -> SceneView:
    """Lay what there is of one scene on its picture.

    Args:
        run: The run folder.
        scene_id: A prepared scene; what else there is of it (labels, features) is drawn.
        legend: Classes to draw.
        split: Side of the split it stands on.
        limit_bytes: Bytes that its paths may take.
        making: Its picture, which is waited for.

    Raises:
        DataError: If the scene is not prepared or a file is damaged.
    """
    scene = open_prepared(run, scene_id)
    ground = _ground(run, scene, legend)
    picture = result_of(making)
    grid, (height, width) = scene.grids[picture.sensor], picture.shape_hw
    small = Affine.scale(width / picture.scored_hw.shape[1], height / picture.scored_hw.shape[0])
    to_picture = small @ Affine.scale(1 / picture.factor) @ scene.grid.pixel_map(grid) @ ~scene.grid.transform
    region = None if picture.scored_hw.all() else _region(picture.scored_hw, small)
    layers, tolerance = draw_layers(ground, to_picture, (height, width), limit_bytes, region)
    shown = tuple(scene.bands[picture.sensor][k] for k in picture.positions)
    shrunk = max(1, round(grid.width / width))
    return SceneView(scene_id, scene.place, split, picture.content, height, width, layers, tolerance, shrunk, shown)


def count_levels(run: Run, scene_id: str, classes: int, *, exclusive: bool = False) -> IntArray:
    """Count the pixels of each probability level that are truth and that are not.

    Args:
        run: The run folder.
        scene_id: A labelled and predicted scene.
        classes: Number of classes.
        exclusive: Levels are of the share against the best other class, as thresholds are then.

    Returns:
        Int64 (K, 2, 256): row 0 not truth, row 1 truth; only labelled and valid pixels.
    """
    scene = open_prepared(run, scene_id)
    counts = np.zeros((classes, 2, LEVELS), np.int64)
    with open_raster(run.checked(run.probability(scene_id))) as predicted, open_raster(scene.coverage) as truth:
        for window in scene.grid.window.strips(max(1, STRIP_PIXELS // scene.grid.width)):
            p_khw, known_hw = predicted.read(window)
            if exclusive:
                p_khw = np.round(255 * against_the_best_other(p_khw)).astype(np.uint8)
            share_khw, labelled_hw = truth.read(window)
            keep_hw = known_hw & labelled_hw
            for k in range(classes):
                code = p_khw[k][keep_hw].astype(np.int64) + LEVELS * (share_khw[k][keep_hw] >= HALF)
                counts[k] += np.bincount(code, minlength=2 * LEVELS).reshape(2, LEVELS)
    return counts


def curve_of(name: str, counts: IntArray, chosen: float) -> ThresholdCurve:
    """Turn the histogram of one class into Jaccard at every threshold and a calibration.

    Args:
        name: Class name.
        counts: Int64 (2, 256), as from `count_levels`, summed over scenes.
        chosen: Threshold of the run.
    """
    above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]  # pixels at or above each level
    whole = above[0] + counts[1].sum()
    jaccard = np.divide(above[1], whole, out=np.full(LEVELS, np.nan), where=whole > 0)
    levels = np.arange(LEVELS) / (LEVELS - 1)
    said, true = _calibration(counts, levels)
    return ThresholdCurve(name, levels[1:], jaccard[1:], chosen, said, true)


def _calibration(counts: IntArray, levels: FloatArray) -> tuple[FloatArray, FloatArray]:
    bins = np.minimum((levels * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    total = np.bincount(bins, counts.sum(0), CALIBRATION_BINS)
    keep = total >= FEW_PIXELS
    said = np.bincount(bins, counts.sum(0) * levels, CALIBRATION_BINS)[keep] / total[keep]
    return said, np.bincount(bins, counts[1], CALIBRATION_BINS)[keep] / total[keep]


def _read_small(
    scene: PreparedScene, sensor: str, positions: Sequence[int], factor: int
) -> tuple[FloatArray, BoolArray]:
    grid = scene.grids[sensor]
    with open_raster(scene.raster(sensor)) as raster:

        def read(row: int, rows: int) -> tuple[AnyArray, BoolArray]:
            return raster.read(Window(row, 0, rows, grid.width), bands=[k + 1 for k in positions])

        return shrink(read, grid.shape_hw, factor)


def _scored(scene: PreparedScene, sensor: str, factor: int, valid_hw: BoolArray) -> BoolArray:
    """Return where the small picture shows ground that counts: valid, and labelled where the scene has labels."""
    if not scene.is_labelled:
        return valid_hw
    grid = scene.grid
    with open_raster(scene.coverage) as raster:

        def read(row: int, rows: int) -> tuple[ByteArray, BoolArray]:
            labelled_hw = raster.read(Window(row, 0, rows, grid.width), bands=[1])[1]
            return labelled_hw[None].astype(np.uint8), np.ones_like(labelled_hw)

        step = shrink_factor(grid.shape_hw)
        known_hw = shrink(read, grid.shape_hw, step)[0][0] >= 0.5
    rows, cols = (np.arange(n) + 0.5 for n in valid_hw.shape)
    to_reference = Affine.scale(1 / step) @ scene.grids[sensor].pixel_map(grid) @ Affine.scale(factor)
    a, b, c, d, e, f = tuple(to_reference)[:6]
    col = np.floor(a * cols[None] + b * rows[:, None] + c).astype(np.int64)
    row = np.floor(d * cols[None] + e * rows[:, None] + f).astype(np.int64)
    inside = (row >= 0) & (row < known_hw.shape[0]) & (col >= 0) & (col < known_hw.shape[1])
    found_hw = known_hw[row.clip(0, known_hw.shape[0] - 1), col.clip(0, known_hw.shape[1] - 1)]
    return found_hw & inside & valid_hw


def _region(scored_hw: BoolArray, scale: Affine) -> BaseGeometry:
    polygons = shapely.union_all(trace(scored_hw, mode="edge").geometries)
    return shapely.transform(polygons, lambda xy: xy * (scale.a, scale.e))


def _ground(run: Run, scene: PreparedScene, legend: Legend) -> dict[str, ClassGround]:
    file = run.features(scene.id)
    predicted = read_own(run.checked(file)) if file.is_file() else None
    truth = scene.read_labels() if scene.is_labelled else None
    none = np.empty(0, dtype=object)
    return {
        name: ClassGround(
            none if predicted is None else of_class(predicted, name), None if truth is None else of_class(truth, name)
        )
        for name in legend.names
    }
