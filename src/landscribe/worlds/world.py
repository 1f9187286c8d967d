"""Synthetic worlds: scenes of land in the shape of the DSTL data, with exact polygons and known sensor shifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from landscribe.core.arrays import AnyArray, GeometryArray
from landscribe.errors import DataError, problem
from landscribe.worlds.camera import View, take_images
from landscribe.worlds.ground.light import cast_shadows, sun_vector
from landscribe.worlds.ground.regions import make_region
from landscribe.worlds.landscape import labels, plan_landscape
from landscribe.worlds.render import render

# DSTL's frame: 3391 columns are 0.009169 wide and 3349 rows 0.009042 high, so that a pixel is about 2.7e-6.
UNITS_PER_COLUMN: Final = 0.009169 / 3391
UNITS_PER_ROW: Final = 0.009042 / 3349
SMALLEST_SIDE: Final = 128


@dataclass(frozen=True)
class WorldSpec:
    """What world to make. The same spec gives the same bits."""

    scenes: int = 4
    height: int = 768
    """Rows of RGB, 0.31 m each."""
    width: int = 812
    """Columns of RGB."""
    seed: int = 0
    scenes_per_place: int = 2
    """Scenes that share a region: its soil, plants, roofs, sun and direction of roads. 1 to 25."""
    max_shift_px: float = 20.0
    """Largest shift of A against RGB, in RGB pixels; M is off by up to 0.3 of it and P by up to 0.05."""

    def __post_init__(self) -> None:
        checks = (
            ("scenes", self.scenes, self.scenes >= 1, "1 or more"),
            ("height", self.height, self.height >= SMALLEST_SIDE, f"{SMALLEST_SIDE} or more"),
            ("width", self.width, self.width >= SMALLEST_SIDE, f"{SMALLEST_SIDE} or more"),
            ("seed", self.seed, self.seed >= 0, "0 or more"),
            ("scenes_per_place", self.scenes_per_place, 1 <= self.scenes_per_place <= 25, "1 to 25"),
            ("max_shift_px", self.max_shift_px, 0 <= self.max_shift_px <= 100, "0 to 100"),
        )
        for name, value, good, need in checks:
            if not good:
                raise DataError(problem("world", f"{name} out of range", got=value, need=need))


@dataclass(frozen=True)
class SyntheticScene:
    """One scene: numbers of each sensor, polygons, and the truth about shifts."""

    scene_id: str
    """`region_row_col`, as in DSTL."""
    place: str
    """The region."""
    images_chw: dict[str, AnyArray]
    """uint16 by sensor: RGB (3, H, W), P (1, H', W'), M (8, h, w), A (8, h'', w''); same footprint, 0 never occurs."""
    polygons: dict[int, GeometryArray]
    """Polygons by ClassType 1..10, in RGB pixels: x = col, y = row, from the top-left corner, y down."""
    shifts_px: dict[str, tuple[float, float]]
    """By sensor: by how many rows and columns, in RGB pixels, its content lies further down and to the right."""
    x_max: float
    """DSTL's Xmax."""
    y_min: float
    """DSTL's Ymin, negative."""


def scene_ids(spec: WorldSpec) -> list[str]:
    """Return the ids of all scenes, `region_row_col`, regions from 6010 in steps of 10."""
    return [_scene_id(spec, index) for index in range(spec.scenes)]


def _scene_id(spec: WorldSpec, index: int) -> str:
    region, within = divmod(index, spec.scenes_per_place)
    return f"{6010 + 10 * region}_{within // 5}_{within % 5}"


def make_scene(spec: WorldSpec, index: int) -> SyntheticScene:
    """Make one scene of a world; it depends on no other scene.

    Args:
        spec: The world.
        index: Position in `scene_ids`.

    Raises:
        DataError: If the world has no scene of that index.
    """
    if not 0 <= index < spec.scenes:
        raise DataError(problem("world", "no such scene", got=index, need=f"0 to {spec.scenes - 1}"))
    number, within = divmod(index, spec.scenes_per_place)
    region = make_region(number, np.random.default_rng([spec.seed, 1, number]))
    plan_rng, paint_rng, sensor_rng = (np.random.default_rng([spec.seed, part, index]) for part in (2, 3, 4))
    shape_hw = (spec.height, spec.width)
    shifts = _draw_shifts(sensor_rng, spec.max_shift_px)
    margin = int(np.ceil(spec.max_shift_px)) + 32
    landscape = plan_landscape(plan_rng, region, shape_hw, margin, river=(within + number) % 2 == 0)
    sun_xyz = sun_vector(region)
    canvas = render(paint_rng, landscape, shape_hw, margin, sun_xyz)
    view = View(
        canvas=canvas,
        blocked_hw=cast_shadows(canvas.height_hw, sun_xyz),
        vehicles=landscape.vehicles,
        sun_xyz=sun_xyz,
        haze=region.haze,
        shape_hw=shape_hw,
        shifts_px=shifts,
    )
    images = take_images(sensor_rng, view)
    scene_id = _scene_id(spec, index)
    return SyntheticScene(
        scene_id=scene_id,
        place=scene_id.split("_")[0],
        images_chw=images,
        polygons=labels(landscape, shape_hw),
        shifts_px=shifts,
        x_max=UNITS_PER_COLUMN * spec.width,
        y_min=-UNITS_PER_ROW * spec.height,
    )


def _draw_shifts(rng: Generator, largest_px: float) -> dict[str, tuple[float, float]]:
    shifts = {"RGB": (0.0, 0.0)}
    for sensor, share in (("P", 0.05), ("M", 0.3), ("A", 1.0)):
        size, angle = largest_px * share * rng.uniform(0.3, 1.0), rng.uniform(0, 2 * np.pi)
        shifts[sensor] = (float(size * np.sin(angle)), float(size * np.cos(angle)))
    return shifts
