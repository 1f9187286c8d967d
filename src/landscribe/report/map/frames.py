"""Frames: flat pieces of ground that a page can draw without knowing any CRS.

Scenes of one CRS with rows from west to east share a frame in metres. A scene that is rotated, sheared or without a CRS
has a frame of its own along its rows and columns. In all of them x goes right, y goes up, and one linear map leads back
to map coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import SQUARE, Grid
from landscribe.errors import DataError

Unit: TypeAlias = Literal["m", "px"]

SAME_SCALE = 0.005
"""Scenes share a frame as long as a unit of the CRS is as long on the ground, to this part."""


@dataclass(frozen=True)
class Frame:
    """A flat piece of ground."""

    id: int
    crs_name: str | None
    """Code and name of the CRS, None without one."""
    unit: Unit
    """Of frame coordinates: metres on the ground, or pixels where nothing is known."""
    to_map: Affine
    """Frame (x, y) -> map coordinates; pixels (col, row) where the picture lies nowhere."""

    def to_plain(self) -> dict[str, object]:
        """Return it as it stands in the manifest."""
        return {"id": self.id, "crs": self.crs_name, "unit": self.unit, "to_map": list(tuple(self.to_map)[:6])}


def frames_of(grids: Mapping[str, Grid]) -> tuple[tuple[Frame, ...], dict[str, int]]:
    """Lay scenes into as few frames as show them without bending.

    Args:
        grids: Scene -> its reference grid.

    Returns:
        The frames, and scene -> the id of its frame.
    """
    groups: list[tuple[CRS | None, tuple[float, float] | None, list[str]]] = []
    for scene, grid in grids.items():
        scale = _scale(grid)
        for crs, first, members in groups:
            if scale is not None and first is not None and grid.crs == crs and _alike(scale, first):
                members.append(scene)
                break
        else:
            groups.append((grid.crs, scale, [scene]))
    frames, frame_of = [], {}
    for number, (_crs, shared, members) in enumerate(groups):
        own = [grids[scene] for scene in members]
        frames.append(_own_frame(number, own[0]) if shared is None else _shared_frame(number, own))
        frame_of.update(dict.fromkeys(members, number))
    return tuple(frames), frame_of


def place_of(grid: Grid, frame: Frame) -> Affine:
    """Return the map from pixels (col, row) of a scene's reference grid to its frame; it is axis-parallel."""
    place = ~frame.to_map @ grid.transform
    # What is left of a rotation is rounding.
    return Affine(place.a, 0.0, place.c, 0.0, place.e, place.f)


def extent_of(grid: Grid, frame: Frame) -> tuple[float, float, float, float]:
    """Return where a scene lies in its frame: left, bottom, right, top."""
    place = place_of(grid, frame)
    return place.c, place.f + place.e * grid.height, place.c + place.a * grid.width, place.f


def _scale(grid: Grid) -> tuple[float, float] | None:
    """Return metres per unit of the CRS along x and y, None for a scene that wants a frame of its own."""
    a, b, _, d, e, _ = tuple(grid.transform)[:6]
    turned = max(abs(b), abs(d)) * max(grid.shape_hw) > 1e-3 * min(abs(a), abs(e))
    size = _size_m(grid)
    if size is None or turned or a <= 0 or e >= 0:
        return None
    down_m, right_m = size
    return right_m / a, down_m / -e


def _size_m(grid: Grid) -> tuple[float, float] | None:
    try:
        return grid.pixel_size_m
    except DataError:  # it lies outside of where its CRS is defined, and is shown all the same
        return None


def _alike(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(abs(one / other - 1) < SAME_SCALE for one, other in zip(first, second, strict=True))


def _shared_frame(number: int, grids: Sequence[Grid]) -> Frame:
    scales = [scale for grid in grids if (scale := _scale(grid)) is not None]
    unit_x, unit_y = (float(value) for value in np.mean(scales, axis=0))
    bounds = np.array([grid.footprint.bounds for grid in grids])
    left, bottom = bounds[:, :2].min(axis=0)
    right, top = bounds[:, 2:].max(axis=0)
    to_map = Affine(1 / unit_x, 0, float(left + right) / 2, 0, 1 / unit_y, float(bottom + top) / 2)
    return Frame(number, _name(grids[0].crs), "m", to_map)


def _own_frame(number: int, grid: Grid) -> Frame:
    size = _size_m(grid)
    plane = None if size is None else grid.plane
    if size is None or plane is None or abs(plane.b) > SQUARE * abs(plane.a):
        # Lengths on a sheared picture depend on the direction, so pixels are all that can be said.
        return Frame(number, _name(grid.crs), "px", grid.transform @ Affine.scale(1, -1))
    down_m, right_m = size
    return Frame(number, _name(grid.crs), "m", grid.transform @ Affine.scale(1 / right_m, -1 / down_m))


def _name(crs: CRS | None) -> str | None:
    if crs is None:
        return None
    code = crs.to_authority()
    return crs.name if code is None else f"{':'.join(code)} {crs.name}"
