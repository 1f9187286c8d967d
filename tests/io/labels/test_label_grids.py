"""Label pictures on another grid than the image: warped to the nearest pixel, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Transformer

from landscribe.core.grid import Grid
from landscribe.errors import DataError
from landscribe.io.labels.grids import BEYOND, WARPED, lay_on
from landscribe.io.labels.pictures import Painted

UTM = CRS.from_epsg(32636)
GRID = Grid(53, 71, Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), UTM)


def painted(values_hw: np.ndarray, grid: Grid, *, georeferenced: bool = True) -> Painted:
    """Class 1 where a value is 1; unlabelled where it is 2."""
    coverage_khw = np.stack([values_hw == 0, values_hw == 1]).astype(np.uint8) * 255
    return Painted(coverage_khw, values_hw != 2, {"before": 3}, grid, georeferenced)


def random_values(shape_hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, shape_hw)


def slow_twin(values_hw: np.ndarray, own: Grid, grid: Grid) -> np.ndarray:
    """Ask for each pixel's centre one by one; -1 where the picture has no pixel."""
    move = Transformer.from_crs(grid.crs, own.crs, always_xy=True)
    found_hw = np.full(grid.shape_hw, -1)
    for row in range(grid.height):
        for col in range(grid.width):
            x, y = ~own.transform @ move.transform(*(grid.transform @ (col + 0.5, row + 0.5)))
            if 0 <= x < own.width and 0 <= y < own.height:
                found_hw[row, col] = values_hw[int(y), int(x)]
    return found_hw


@pytest.mark.parametrize(
    "own",
    [
        Grid(29, 37, Affine(1, 0, 500_000, 0, -1, 4_000_000), UTM),
        Grid(211, 307, Affine(0.1307, 0, 499_998.31, 0, -0.1293, 4_000_001.73), UTM),
        Grid(31, 41, Affine(0.9, 0.3, 499_995, 0.2, -0.8, 4_000_003), UTM),
        Grid(61, 83, Affine(0.6, 0, 499_990, 0, -0.6, 4_000_005), CRS.from_epsg(32637)),
        Grid(53, 71, Affine(0.5, 0, 500_003.5, 0, -0.5, 4_000_002), UTM),
    ],
    ids=["coarser", "finer", "sheared", "other zone", "same size elsewhere"],
)
def test_each_pixel_is_that_of_the_picture_under_its_centre(own: Grid) -> None:
    if own.crs != UTM:
        move = Transformer.from_crs(UTM, own.crs, always_xy=True)
        x, y = move.transform(499_990, 4_000_005)
        own = Grid(own.height, own.width, Affine(0.6, 0, x, 0, -0.6, y), own.crs)
    values_hw = random_values(own.shape_hw)
    expected_hw = slow_twin(values_hw, own, GRID)
    found = lay_on(painted(values_hw, own), GRID, "a")
    assert (found.coverage_khw[1] == 255 * (expected_hw == 1)).all()
    assert (found.coverage_khw[0] == 255 * (expected_hw == 0)).all()
    assert (found.labelled_hw == ((expected_hw == 0) | (expected_hw == 1))).all()
    inside = int((expected_hw >= 0).sum())
    beyond = {BEYOND: expected_hw.size - inside} if inside < expected_hw.size else {}
    assert found.counts == {"before": 3, WARPED: inside, **beyond}


def test_a_picture_on_the_image_s_grid_is_left_alone() -> None:
    values_hw = random_values(GRID.shape_hw)
    for own in (GRID, GRID.shift(0.3, -0.2)):
        assert lay_on(p := painted(values_hw, own), GRID, "a") is p


def test_without_a_frame_on_one_side_size_decides() -> None:
    plain = Grid(53, 71, Affine.identity())
    for own, grid, georeferenced in ((plain, GRID, False), (GRID, plain, True), (plain, plain, False)):
        picture = painted(random_values(own.shape_hw), own, georeferenced=georeferenced)
        assert lay_on(picture, grid, "a") is picture
    half = Grid(26, 35, Affine.identity())  # half as many pixels, the odd ones cut off
    values_hw = random_values(half.shape_hw)
    found = lay_on(painted(values_hw, half, georeferenced=False), GRID, "a")
    rows = ((np.arange(53) + 0.5) * 26 / 53).astype(int)
    cols = ((np.arange(71) + 0.5) * 35 / 71).astype(int)
    assert (found.coverage_khw[1] == 255 * (values_hw[np.ix_(rows, cols)] == 1)).all()
    assert found.counts == {"before": 3, WARPED: 53 * 71}
    other = painted(random_values((53, 47)), Grid(53, 47, Affine.identity()), georeferenced=False)
    with pytest.raises(DataError, match=r"a: wrong size, got \(53, 47\), need \(53, 71\) as the image; give"):
        lay_on(other, GRID, "a")


def test_a_picture_of_other_ground_says_nothing() -> None:
    far = GRID.shift(1000, 0)
    found = lay_on(painted(random_values(far.shape_hw), far), GRID, "a")
    assert not found.labelled_hw.any()
    assert not found.coverage_khw.any()
    assert found.counts == {"before": 3, BEYOND: 53 * 71}
