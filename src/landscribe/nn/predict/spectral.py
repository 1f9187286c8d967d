"""Spectral rules on a scene: bands of several sensors on one grid, an index of them, and what a rule makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray
from landscribe.core.grid import Grid, Window
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import SpectralTable
from landscribe.core.sensors import SensorSpec
from landscribe.core.spectral.indices import band_positions, find_index
from landscribe.core.spectral.rules import Scan, SceneRule, grade, holds, passes, scan, thresholds_of
from landscribe.errors import RecipeError, problem
from landscribe.nn.sample import Raster, pack_rasters, sample

STRIP_ROWS = 512
Reader = Callable[[str, Window], tuple[AnyArray, BoolArray]]
"""Sensor name and a window inside its raster to raw values (C, h, w) and validity (h, w)."""


@dataclass(frozen=True)
class SpectralScene:
    """A scene as a spectral rule sees it."""

    source: PixelSource
    sensors: tuple[SensorSpec, ...]
    """In stack order: where two have a band of one name, the first counts."""

    def bands_of(self, index: str) -> list[tuple[SensorSpec, int]]:
        """Return the sensor and the position in it of each band that an index needs.

        Raises:
            RecipeError: If the index is unknown or a band is missing.
        """
        flat = [(sensor, k) for sensor in self.sensors for k in range(len(sensor.bands))]
        return [flat[place] for place in band_positions(index, tuple(s.bands[k] for s, k in flat))]

    def grid_of(self, table: SpectralTable, index: str) -> Grid:
        """Return the grid that a rule with this index runs on."""
        if table.grid == "reference":
            return self.source.grid
        return max(
            (self.source.grids[s.name] for s, _ in self.bands_of(index)),
            key=lambda grid: abs(grid.transform.determinant),
        )

    def values(self, index: str, grid: Grid, window: Window) -> FloatArray:
        """Return an index on a window of a grid, float32 (h, w), NaN where a band has no data or it has no value."""
        bands, known_hw = [], np.ones(window.shape_hw, dtype=np.bool_)
        for sensor, k in self.bands_of(index):
            values_chw, valid_hw = lay(
                self.source.read, sensor.name, self.source.grids[sensor.name], grid, window, bands=(k,)
            )
            bands.append(values_chw[0] / np.float32(sensor.full_scale))
            known_hw &= valid_hw
        with np.errstate(divide="ignore", invalid="ignore"):
            index_hw = find_index(index).formula(*bands)
        return np.where(known_hw & np.isfinite(index_hw), index_hw, np.float32(np.nan))

    def lowest(self, table: SpectralTable) -> float:
        """Return the smallest value of the rule's index, infinity where it has none."""
        grid = self.grid_of(table, table.index)
        lowest = [
            np.nanmin(v, initial=np.inf)
            for v in (self.values(table.index, grid, w) for w in grid.window.strips(STRIP_ROWS))
        ]
        return float(min(lowest))


def spectral_scene(source: PixelSource, sensors: Sequence[str] | None = None) -> SpectralScene:
    """Show a scene to spectral rules.

    Args:
        source: The scene.
        sensors: Sensors to take bands from, in order; None takes all.

    Raises:
        RecipeError: If the scene lacks one of them.
    """
    known = source.sensors
    chosen = tuple(known) if sensors is None else tuple(sensors)
    missing = [name for name in chosen if name not in known]
    if missing:
        raise RecipeError(problem(f"scene {source.id!r}", f"sensor {missing[0]!r} is missing", got=", ".join(known)))
    return SpectralScene(source, tuple(known[name] for name in chosen))


def lay(
    read: Reader, name: str, from_grid: Grid, grid: Grid, window: Window, *, bands: tuple[int, ...] | None = None
) -> tuple[FloatArray, BoolArray]:
    """Lay a raster on a window of another grid, bilinearly.

    Args:
        read: Reads the raster.
        name: What `read` knows it by.
        from_grid: Its grid.
        grid: The other grid.
        window: Part of `grid`, inside of it.
        bands: Some of the bands; None takes all.

    Returns:
        Values float32 (C, h, w), 0 where invalid, and validity (h, w).
    """
    to_raster = grid.pixel_map(from_grid)
    corners = [to_raster @ (c, r) for c in (window.col, window.col_stop) for r in (window.row, window.row_stop)]
    low, high = np.floor(np.min(corners, axis=0)) - 1, np.ceil(np.max(corners, axis=0)) + 1
    left, top = (int(v) for v in np.clip(low, 0, (from_grid.width - 1, from_grid.height - 1)))
    right, bottom = (int(v) for v in np.clip(high, (left + 1, top + 1), (from_grid.width, from_grid.height)))
    there = Window(top, left, bottom - top, right - left)
    image_chw, valid_hw = read(name, there)
    if bands is not None:
        image_chw = image_chw[list(bands)]
    raster = Raster(image_chw, valid_hw, Affine.translation(-there.col, -there.row) @ to_raster, grid.shape_hw)
    place = np.array([tuple(Affine.translation(window.col, window.row))[:6]])
    values, valid = sample(pack_rasters([raster]), np.zeros(1, np.int64), place, window.shape_hw)
    return values[0].numpy(), valid[0, 0].numpy()


def spectral_field(scene: SpectralScene, table: SpectralTable, rule: SceneRule) -> Callable[[Window], ByteArray]:
    """Return a function from a window of the reference grid to the probability of the class there, uint8 (h, w).

    The gate looks at the whole scene once; memory depends on the window, and with a native grid on the coarse scene.

    Raises:
        RecipeError: If the index lacks a band.
    """
    grid = scene.grid_of(table, rule.index)
    if rule.empty or not _is_open(scene, grid, rule):
        return lambda window: np.zeros(window.shape_hw, np.uint8)

    def graded(window: Window) -> ByteArray:
        return grade(scene.values(rule.index, grid, window), rule, table.soft)

    if grid == scene.source.grid:
        return graded
    whole_hw = np.concatenate([graded(window) for window in grid.window.strips(STRIP_ROWS)])

    def read(_name: str, window: Window) -> tuple[AnyArray, BoolArray]:
        return whole_hw[None][:, *window.slices], np.ones(window.shape_hw, np.bool_)

    def laid(window: Window) -> ByteArray:
        values_chw, _ = lay(read, "rule", grid, scene.source.grid, window)
        return np.rint(values_chw[0]).astype(np.uint8)

    return laid


def scan_scene(scene: SpectralScene, table: SpectralTable, classes: Sequence[int]) -> Scan:
    """Count what every index and threshold of a search would find in a scene.

    Args:
        scene: A training scene.
        table: A rule with a search.
        classes: Places of the classes sought in the scene's coverage.

    Raises:
        RecipeError: If there is no search, or an index lacks a band.
    """
    if table.search is None:
        raise RecipeError(problem("spectral.search", "none"))
    thresholds = thresholds_of(table.search)
    counts = np.zeros((len(table.search.indices), len(thresholds), 3), dtype=np.int64)

    def read(_name: str, window: Window) -> tuple[AnyArray, BoolArray]:
        return scene.source.read_coverage(window)

    for k, index in enumerate(table.search.indices):
        grid = scene.grid_of(table, index)
        for window in grid.window.strips(STRIP_ROWS):
            shares_khw, known_hw = lay(read, "truth", scene.source.grid, grid, window, bands=tuple(classes))
            values_hw = scene.values(index, grid, window)
            true_hw = shares_khw.sum(axis=0) >= 128
            counts[k] += scan(values_hw[known_hw], true_hw[known_hw], thresholds, table.side)
    return Scan(counts)


def _is_open(scene: SpectralScene, grid: Grid, rule: SceneRule) -> bool:
    if rule.gate.above is None and rule.gate.up_to is None:
        return True
    found = valid = 0
    for window in grid.window.strips(STRIP_ROWS):
        values_hw = scene.values(rule.index, grid, window)
        found += int(holds(values_hw, rule).sum())
        valid += int(np.isfinite(values_hw).sum())
    reference = scene.source.grid
    larger = abs(grid.transform.determinant / reference.transform.determinant) if grid.crs == reference.crs else 1.0
    return passes(rule.gate, found, valid, reference.pixel_area * larger)
