"""What can be shown of a scene's sensors: bands by name, combinations worth a look, and codes of eight bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.grid import Window
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import PreparedScene
from landscribe.report.pictures import choose_bands, ends_of, known_of, shrink

MOST_BANDS = 15
"""Of one scene; what a sensor has beyond them is not shown."""
BELOW, ABOVE = 0.25, 0.5
"""Room for the sliders below the dark end and above the bright one, as parts of what lies between them."""
COMBINATIONS = (
    ("natural", ("red", "green", "blue")),
    ("infrared", ("nir", "red", "green")),
    ("short wave", ("swir", "nir", "red")),
)
"""Name, and how the names of three bands begin."""


@dataclass(frozen=True)
class Band:
    """One band of one sensor of a scene."""

    sensor: str
    position: int
    """In its sensor, from 0."""
    name: str
    """As it is shown."""


@dataclass(frozen=True)
class Codes:
    """How numbers of a band become codes 0..255."""

    first: float
    """Number of code 0."""
    last: float
    """Number of code 255."""
    low: int
    """Code that is black as long as nobody changes the stretch."""
    high: int
    """Code that is white then."""


def bands_of(scene: PreparedScene) -> tuple[Band, ...]:
    """Return the bands that can be shown, those of the first picture before the others."""
    there = {sensor: names for sensor, names in scene.bands.items() if sensor not in scene.absent}
    sensor, positions = choose_bands(there)
    first = [(sensor, k) for k in dict.fromkeys(positions)]
    others = [(name, k) for name, names in there.items() for k in range(len(names)) if (name, k) not in first]
    several = len(there) > 1
    return tuple(
        Band(name, k, f"{name} {there[name][k]}" if several else there[name][k])
        for name, k in [*first, *others][:MOST_BANDS]
    )


def views_of(scene: PreparedScene, bands: Sequence[Band]) -> list[dict[str, Any]]:
    """Return combinations of three of the bands by their numbers, the one to begin with first."""
    own = [scene.bands[band.sensor][band.position].lower() for band in bands]
    _, positions = choose_bands({bands[0].sensor: scene.bands[bands[0].sensor]})
    n = len(dict.fromkeys(positions))
    begin = [0, 1, 2] if n == 3 else [0, min(1, n - 1), min(1, n - 1)]
    views: list[dict[str, Any]] = []
    for name, parts in COMBINATIONS:
        numbers = [next((k for k, word in enumerate(own) if word.startswith(part)), -1) for part in parts]
        if min(numbers) >= 0:
            views.append({"name": name, "bands": numbers})
    grey = next((k for k, word in enumerate(own) if word.startswith("pan")), None)
    if grey is not None and len(bands) > 1:
        views.append({"name": "pan", "bands": [grey] * 3})
    if all(view["bands"] != begin for view in views):
        name = bands[0].name if begin == [0, 0, 0] else ", ".join(bands[k].name for k in begin)
        views.insert(0, {"name": name, "bands": begin})
    return sorted(views, key=lambda view: view["bands"] != begin)


def codes_of(band_hw: AnyArray, valid_hw: BoolArray) -> Codes:
    """Choose the numbers that a band's codes stand for, by its percentiles with room on both sides."""
    known = known_of(band_hw, valid_hw)
    if not known.size:
        return Codes(0.0, 255.0, 0, 255)
    low, high = ends_of(known, band_hw.shape[1])
    span = (high - low) or 1.0
    first = max(float(known.min()), low - BELOW * span)
    last = max(min(float(known.max()), high + ABOVE * span), first + span)
    unit = 255 / (last - first)
    return Codes(first, last, round((low - first) * unit), max(1, round((low + span - first) * unit)))


def to_codes(band_hw: AnyArray, codes: Codes) -> ByteArray:
    """Return a band as codes."""
    if band_hw.dtype.kind == "u" and 2 ** (8 * band_hw.itemsize) < band_hw.size:
        # A code for each number that there is, then look them up.
        table: ByteArray = to_codes(np.arange(2 ** (8 * band_hw.itemsize), dtype=np.float32), codes)
        coded_hw: ByteArray = np.asarray(cv2.LUT(band_hw, table), np.uint8) if band_hw.itemsize == 1 else table[band_hw]
        return coded_hw
    scaled = band_hw.astype(np.float32)
    scaled -= np.float32(codes.first)
    scaled *= np.float32(255 / (codes.last - codes.first))
    np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled)
    return scaled.astype(np.uint8)


def read_bands(scene: PreparedScene, bands: Sequence[Band], factor: int) -> tuple[AnyArray, BoolArray]:
    """Read bands of one sensor on the pixels of the reference grid, `factor` of them averaged to one.

    Args:
        scene: The scene.
        bands: All of one sensor.
        factor: Pixels of the reference along one side of a pixel that comes back.

    Returns:
        Float32 (C, ceil(H / factor), ceil(W / factor)), or the pixels in their own type where they are those of the
        reference and `factor` is 1; and where it is valid.
    """
    sensor, reference = bands[0].sensor, scene.grid
    grid = scene.grids[sensor]
    with open_raster(scene.raster(sensor)) as raster:

        def read(row: int, rows: int) -> tuple[AnyArray, BoolArray]:
            return raster.read(Window(row, 0, rows, grid.width), bands=[band.position + 1 for band in bands])

        to_sensor = reference.pixel_map(grid)
        if grid.shape_hw == reference.shape_hw and to_sensor.almost_equals(Affine.identity(), 1e-6):
            return shrink(read, grid.shape_hw, factor)
        own = max(1, int(factor * abs(to_sensor.determinant) ** 0.5))
        image_chw, valid_hw = shrink(read, grid.shape_hw, own)
    # OpenCV counts from the centres of pixels.
    place = (
        Affine.translation(-0.5, -0.5)
        @ Affine.scale(1 / own)
        @ to_sensor
        @ Affine.scale(factor)
        @ Affine.translation(0.5, 0.5)
    )
    matrix = np.array(tuple(place)[:6]).reshape(2, 3)
    size = -(-reference.width // factor), -(-reference.height // factor)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = [
        cv2.warpAffine(band.astype(np.float32), matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        for band in image_chw
    ]
    share_hw = cv2.warpAffine(valid_hw.astype(np.float32), matrix, size, flags=flags)
    return np.stack(moved), share_hw > 0.5
