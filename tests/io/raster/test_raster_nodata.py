"""Rasters: what is invalid is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landscribe.core.grid import Window
from landscribe.errors import DataError
from landscribe.io.raster.nodata import is_data
from landscribe.io.raster.rasters import open_raster
from raster_files import GRID, H, W, image, save, save_foreign


def test_nodata_needs_every_band_at_once(tmp_path: Path):
    image_chw = image(3, "uint16")
    image_chw[:, 3, 5] = 0
    image_chw[0, 7, 7] = 0
    with open_raster(save_foreign(tmp_path / "o.tif", image_chw, nodata=0)) as raster:
        for bands in (None, [1], [3, 2]):
            valid_hw = raster.read(bands=bands)[1]
            assert not valid_hw[3, 5]
            assert valid_hw.sum() == H * W - 1
        assert raster.info.nodata == 0


def test_the_callers_nodata_wins_over_the_files(tmp_path: Path):
    image_chw = image(2)
    image_chw[:, 0, 0], image_chw[:, 0, 1] = 0, 255
    path = save_foreign(tmp_path / "o.tif", image_chw, nodata=0)
    with open_raster(path, nodata=255) as raster:
        valid_hw = raster.read()[1]
        assert raster.info.nodata == 255
    assert valid_hw[0, 0]
    assert not valid_hw[0, 1]


@pytest.mark.parametrize("value", [-9999.0, 0.5, 256.0, math.nan, 1e300])
def test_a_nodata_value_that_no_pixel_can_have_marks_none(value: float):
    assert is_data(image(2), [value, value]).all()


def test_nodata_as_decimal_text_means_the_nearest_float(tmp_path: Path):
    low = np.float32(-3.4028234663852886e38)
    image_chw = image(1, "float32")
    image_chw[0, 5, 5] = low
    assert is_data(image_chw, [-3.40282346638529e38]).sum() == H * W - 1


def test_what_is_not_finite_is_invalid_in_any_band(tmp_path: Path):
    image_chw = image(3, "float32")
    image_chw[1, 2, 3], image_chw[2, 4, 5] = np.nan, np.inf
    with open_raster(save(tmp_path / "o.tif", image_chw, overviews=False)) as raster:
        valid_hw = raster.read(bands=[1])[1]
    assert [tuple(p) for p in np.argwhere(~valid_hw)] == [(2, 3), (4, 5)]


@given(
    hnp.arrays(np.uint8, (2, 3, 4), elements=st.integers(0, 3)),
    st.tuples(*[st.none() | st.integers(0, 3)] * 2),
)
def test_is_data_says_what_it_says(image_chw, nodata):
    expected_hw = np.ones((3, 4), dtype=bool)
    for i in range(3):
        for j in range(4):
            expected_hw[i, j] = not all(n is not None and image_chw[c, i, j] == n for c, n in enumerate(nodata))
    assert np.array_equal(is_data(image_chw, nodata), expected_hw)


def test_alpha_is_no_band_and_says_what_is_valid(tmp_path: Path):
    image_chw = image(4)
    image_chw[3] = 255
    image_chw[3, :5] = 0
    image_chw[3, 5] = 1
    save_foreign(tmp_path / "a.tif", image_chw, photometric="RGB", alpha="YES")
    rasterio.shutil.copy(tmp_path / "a.tif", tmp_path / "a.png", driver="PNG")
    for name in ("a.tif", "a.png"):
        with open_raster(tmp_path / name) as raster:
            read_chw, valid_hw = raster.read()
            assert (raster.info.alpha_band, raster.info.count) == (4, 4)
            with pytest.raises(DataError, match="need 1 to 3"):
                raster.read(bands=[4])
        assert np.array_equal(read_chw, image_chw[:3])
        assert np.array_equal(valid_hw, image_chw[3] > 0)


def test_tiles_that_were_never_written_are_invalid(tmp_path: Path):
    size = {"height": 307, "width": 271, "tiled": True, "blockxsize": 128, "blockysize": 128, "sparse_ok": True}
    with rasterio.open(
        tmp_path / "o.tif", "w", driver="GTiff", count=2, dtype="uint8", transform=GRID.transform, **size
    ) as dataset:
        dataset.write(image(2, h=128, w=128), window=rasterio.windows.Window(128, 0, 128, 128))
    with open_raster(tmp_path / "o.tif") as raster:
        expected_hw = np.zeros((307, 271), dtype=bool)
        expected_hw[:128, 128:256] = True
        assert np.array_equal(raster.read()[1], expected_hw)
        window = Window(100, 90, 60, 70)
        assert np.array_equal(raster.read(window)[1], expected_hw[window.slices])
