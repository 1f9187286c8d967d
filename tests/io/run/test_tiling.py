"""Which scenes are tiles of one grid, and where they lie in each other's pixels."""

from __future__ import annotations

import math

import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid, Window
from landscribe.io.run.tiling import find_tiles, window_on

UTM = CRS.from_epsg(32633)
TURNED = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000) @ Affine.rotation(17)


def tile(
    row: float, col: float, height: int = 53, width: int = 47, base: Affine = TURNED, crs: CRS | None = UTM
) -> Grid:
    return Grid(height, width, base @ Affine.translation(col, row), crs)


def test_tiles_of_a_turned_grid_lie_where_they_are() -> None:
    tiles = find_tiles({"a": tile(0, 0), "b": tile(0, 47), "c": tile(53, 10), "far": tile(400, 0)})
    assert tiles.around("a", 5) == {"b": Window(0, 47, 53, 47), "c": Window(53, 10, 53, 47)}
    assert tiles.around("b", 5) == {"a": Window(0, -47, 53, 47), "c": Window(53, -37, 53, 47)}
    assert tiles.around("far", 290) == {}
    assert set(tiles.around("far", 299)) == {"c"}


@pytest.mark.parametrize(
    "other",
    [
        tile(0, 47.3),
        tile(0.5, 47),
        tile(0, 46),
        tile(0, 47, base=TURNED @ Affine.scale(1.001)),
        tile(0, 47, base=TURNED @ Affine.rotation(0.01)),
        tile(0, 47, crs=CRS.from_epsg(32634)),
        tile(0, 47, base=TURNED @ Affine.scale(1, -1)),
    ],
    ids=["phase", "half", "overlap", "size", "turn", "crs", "flipped"],
)
def test_what_is_off_the_grid_is_no_tile_of_it(other: Grid) -> None:
    tiles = find_tiles({"a": tile(0, 0), "b": other})
    assert tiles.around("a", 9) == {}
    assert tiles.around("b", 9) == {}


def test_rounding_of_georeference_is_none() -> None:
    moved = tile(0, 47.004)
    assert find_tiles({"a": tile(0, 0), "b": moved}).around("a", 9) == {"b": Window(0, 47, 53, 47)}
    assert window_on(moved, tile(0, 0)) == Window(0, 47, 53, 47)


def test_a_scene_that_another_one_overlaps_is_no_neighbour_to_anybody() -> None:
    tiles = find_tiles({"a": tile(0, 0), "b": tile(0, 47), "again": tile(20, 60), "c": tile(53, 0)})
    assert tiles.around("a", 9) == {"c": Window(53, 0, 53, 47)}
    assert tiles.around("b", 9) == {}
    assert tiles.around("again", 9) == {}


def test_pictures_without_a_place_are_no_tiles() -> None:
    """Thousands of them lie at one origin, and are not compared with each other."""
    many = {f"p{k:04}": Grid(41, 43, Affine.identity()) for k in range(5000)}
    tiles = find_tiles({**many, "q": Grid(41, 43, Affine.translation(43, 0))})
    assert tiles.around("q", 9) == {}
    assert math.prod(tiles.grids["q"].shape_hw) == 41 * 43
