"""Scenes that are tiles of one grid: which of them lie beside a scene, found once for all of a run.

Two are tiles of one grid where CRS and pixels are the same, a whole number of pixels lies between them, and nothing of
them overlaps. A scene that overlaps another one is no tile: which of its neighbours shows the same day, nobody can say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid, Window

PHASE_PX = 0.01
"""So far from a whole number of pixels, at most, tiles of one grid lie from each other."""
ALIKE = 1e-9
"""Relative difference, at most, of the sides of their pixels: a hundredth of a pixel in ten million."""


@dataclass(frozen=True)
class _Sheaf:
    """Scenes of one CRS and one pixel."""

    names: Sequence[str]
    tree: shapely.STRtree
    """Of their places, in pixels of the first."""


@dataclass(frozen=True)
class Tiling:
    """The tiles among scenes."""

    grids: Mapping[str, Grid]
    """Reference grid of each scene."""
    _sheaves: Mapping[str, _Sheaf] = field(default_factory=dict, repr=False)
    """Of each tile, those that may lie on its grid."""

    def around(self, scene_id: str, reach_px: int) -> dict[str, Window]:
        """Return the tiles that begin less than so many pixels from a scene, and where they lie in its pixels."""
        sheaf = self._sheaves.get(scene_id)
        if sheaf is None:
            return {}
        own, first = self.grids[scene_id], self.grids[sheaf.names[0]]
        place = _placed(own, first)
        near = sheaf.tree.query(
            shapely.box(*(place[0] - reach_px, place[1] - reach_px), *(place[2] + reach_px, place[3] + reach_px))
        )
        found = {}
        for name in sorted(sheaf.names[k] for k in near):
            window = None if name == scene_id else window_on(self.grids[name], own)
            if window is not None and window.intersection(own.window.pad(reach_px)) is not None:
                found[name] = window
        return found


def window_on(grid: Grid, other: Grid) -> Window | None:
    """Return where a grid lies in pixels of another one; None where their pixels do not fall on each other."""
    between = ~other.transform @ grid.transform
    if not between.almost_equals(Affine.translation(between.c, between.f), ALIKE):
        return None
    col, row = round(between.c), round(between.f)
    if abs(between.c - col) > PHASE_PX or abs(between.f - row) > PHASE_PX:
        return None
    return Window(row, col, *grid.shape_hw)


def find_tiles(grids: Mapping[str, Grid]) -> Tiling:
    """Find the tiles among scenes.

    Args:
        grids: Reference grid of each scene.
    """
    alone = _free_of_others(grids)
    sheaves: dict[tuple[object, ...], list[str]] = defaultdict(list)
    numbers = _crs_numbers(grids)
    for name in alone:
        sheaves[numbers[name], *(f"{value:.7e}" for value in _linear(grids[name]))].append(name)
    found: dict[str, _Sheaf] = {}
    for names in sheaves.values():
        if len(names) > 1:
            first = grids[names[0]]
            places = np.array([_placed(grids[name], first) for name in names])
            found |= dict.fromkeys(names, _Sheaf(names, shapely.STRtree(shapely.box(*places.T))))
    return Tiling(grids, found)


def _crs_numbers(grids: Mapping[str, Grid]) -> dict[str, int]:
    """Number the CRSs of grids, equal ones alike; grids without one, which all lie at one origin, are left out.

    Grids share objects mostly, and two CRSs take thousands of times as long to compare as to be seen to be the same.
    """
    numbers: dict[int, int] = {}
    different: list[CRS] = []
    for crs in (grid.crs for grid in grids.values()):
        if crs is not None and id(crs) not in numbers:
            numbers[id(crs)] = next((k for k, other in enumerate(different) if other == crs), len(different))
            different += [crs] if numbers[id(crs)] == len(different) else []
    return {name: numbers[id(grid.crs)] for name, grid in grids.items() if grid.crs is not None}


def _linear(grid: Grid) -> tuple[float, float, float, float]:
    a, b, _, d, e, _ = tuple(grid.transform)[:6]
    return a, b, d, e


def _placed(grid: Grid, first: Grid) -> tuple[float, float, float, float]:
    """Return smallest column and row, and largest, of a grid in pixels of another one of the same pixels."""
    between = ~first.transform @ grid.transform
    return between.c, between.f, between.c + grid.width, between.f + grid.height


def _free_of_others(grids: Mapping[str, Grid]) -> list[str]:
    """Return the scenes with a CRS that overlap no other one of it by more than rounding."""
    by_crs: dict[int, list[str]] = defaultdict(list)
    for name, number in _crs_numbers(grids).items():
        by_crs[number].append(name)
    free: list[str] = []
    for names in by_crs.values():
        outlines = np.array([_shrunk(grids[name]) for name in names], dtype=object)
        first, second = shapely.STRtree(outlines).query(outlines, predicate="intersects")
        over = set(first[first != second].tolist())
        free += [name for k, name in enumerate(names) if k not in over]
    return free


def _shrunk(grid: Grid) -> shapely.Polygon:
    """Return the outline of a grid without the hundredth of a pixel at its edge."""
    low, (high_col, high_row) = PHASE_PX, (grid.width - PHASE_PX, grid.height - PHASE_PX)
    corners: Iterable[tuple[float, float]] = [(low, low), (high_col, low), (high_col, high_row), (low, high_row)]
    return shapely.Polygon([grid.transform @ corner for corner in corners])
