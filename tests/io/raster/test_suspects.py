"""Numbers that nobody declared: those that mean "no data" are suspected, and measurements are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from landscribe.core.grid import Grid
from landscribe.io.raster.sidecars import say_ignored
from landscribe.io.raster.suspects import find_suspects, thin
from raster_files import GRID, H, W

VALID = np.ones((H, W), dtype=bool)


def measured(count: int, dtype: str, low: float, high: float) -> np.ndarray:
    numbers = np.random.default_rng(5).uniform(low, high, (count, H, W))
    return (np.rint(numbers) if np.dtype(dtype).kind in "iu" else numbers).astype(dtype)


def triangle() -> np.ndarray:
    """The corner that a turned mosaic leaves empty."""
    rows, cols = np.mgrid[:H, :W]
    return rows + cols < 29


@pytest.mark.parametrize(
    ("dtype", "low", "high", "value"),
    [
        ("float32", 0, 300, -9999), ("float32", 0, 1, -3.4028234663852886e38), ("int16", 0, 9000, -9999),
        ("int16", 100, 4000, -32768), ("uint16", 200, 3000, 65535), ("float64", 0.0, 0.6, -1.0),
        ("float32", 900, 3000, -999), ("uint8", 20, 60, 255),
    ],
)  # fmt: skip
@pytest.mark.parametrize("count", [1, 3])
def test_a_block_of_a_far_number_is_suspected(dtype: str, low: float, high: float, value: float, count: int):
    image_chw = measured(count, dtype, low, high)
    image_chw[:, 11:30, 7:29] = value
    (found,) = find_suspects(image_chw, VALID)
    assert found.value == pytest.approx(value)
    assert found.why == "far"
    assert found.in_all_bands
    assert found.share == pytest.approx(19 * 22 / (H * W))


@pytest.mark.parametrize(("dtype", "high", "value"), [("uint8", 250, 0), ("uint16", 3000, 0), ("uint8", 254, 255)])
def test_an_empty_corner_is_suspected(dtype: str, high: float, value: int):
    image_chw = measured(3, dtype, 1, high)
    image_chw[:, triangle()] = value
    (found,) = find_suspects(image_chw, VALID)
    assert (found.value, found.why, found.in_all_bands) == (value, "edge", True)
    assert found.share == pytest.approx(triangle().mean())


def test_a_missing_tile_inside_is_suspected():
    image_chw = measured(3, "uint8", 1, 250)
    image_chw[:, 13:30, 5:28] = 0
    (found,) = find_suspects(image_chw, VALID)
    assert (found.value, found.why) == (0, "block")


def test_a_far_number_in_one_band_is_told_from_one_in_all():
    image_chw = measured(4, "float32", 0, 200)
    image_chw[2, 20:40, 10:33] = -9999
    (found,) = find_suspects(image_chw, VALID)
    assert (found.value, found.in_all_bands) == (-9999, False)


@pytest.mark.parametrize("where", ["scattered", "known", "few", "in one band", "inside, of no shape"])
def test_measurements_are_not_suspected(where: str):
    image_chw = measured(3, "uint8", 30, 220)
    valid_hw = VALID.copy()
    if where == "scattered":  # glints
        image_chw[:, np.random.default_rng(2).random((H, W)) < 0.05] = 255
    elif where == "known":
        image_chw[:, triangle()] = 0
        valid_hw = ~triangle()
    elif where == "few":
        image_chw[:, :2, :3] = 0
    elif where == "in one band":  # deep water has no red
        image_chw[0, triangle()] = 0
    else:  # a shadow
        rows, cols = np.mgrid[:H, :W]
        image_chw[:, (rows - 30) ** 2 + (cols - 20) ** 2 < 120] = 0
    assert find_suspects(image_chw, valid_hw) == []


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_raster_has_no_suspect(value: int):
    assert find_suspects(np.full((2, H, W), value, np.uint8), VALID) == []


def test_thinning_takes_the_same_pixels_whatever_the_strips():
    grid = Grid(2503, 1709, GRID.transform, GRID.crs)
    image_chw = np.random.default_rng(1).integers(0, 99, (2, *grid.shape_hw)).astype(np.uint8)
    valid_hw = image_chw[0] > 5
    whole = thin(image_chw, valid_hw, grid.window, grid)
    for rows in (101, 1024):
        parts = [
            thin(image_chw[(slice(None), *w.slices)], valid_hw[w.slices], w, grid) for w in grid.window.strips(rows)
        ]
        assert np.array_equal(np.concatenate([part for part, _ in parts], axis=1), whole[0])
        assert np.array_equal(np.concatenate([part for _, part in parts]), whole[1])
    assert max(whole[1].shape) <= 1024


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tif.msk", "", "a mask beside it (.msk) is not followed: no TIFF of bytes of its size"),
        ("a.tif.ovr", "", None),
        ("3 further pages", "", "3 further pages are not read"),
        ("a.tif.aux.xml", "<PAMDataset><Metadata/><Histograms/></PAMDataset>", None),
        (
            "a.tif.aux.xml", "<PAMRasterBand band='1'><NoDataValue>-9.999E+03</NoDataValue></PAMRasterBand>",
            ".aux.xml beside it says nodata -9.999E+03, which is not followed",
        ),
        (
            "a.png.aux.xml", "<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>1,2,0,3,0,4</GeoTransform></PAMDataset>",
            ".aux.xml beside it says a CRS, a place on the ground, which is not followed",
        ),
    ],
)  # fmt: skip
def test_what_is_not_followed_is_said_where_it_matters(tmp_path: Path, name: str, content: str, said: str | None):
    if "." in name:
        (tmp_path / name).write_text(content)
    found = say_ignored(tmp_path, name)
    assert (found[0] if found else None) == said
    if said and "nodata" in said:
        assert found is not None
        assert found[1] == "say nodata = -9.999E+03 in the sensor's table"
