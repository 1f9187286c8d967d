"""Rasters: what is written is read, bit for bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.enums import ColorInterp

from landscribe.core.grid import Grid, Window
from landscribe.errors import DataError, LimitError
from landscribe.io.raster.geotiff import compression
from landscribe.io.raster.rasters import open_raster, write_raster
from raster_files import DTYPES, GRID, SLOW, UTM, H, W, image, save


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_pixels_and_mask_come_back(tmp_path: Path, dtype: str, count: int):
    image_chw, kept_hw = image(count, dtype), image(1)[0] > 40
    names = tuple(f"class {k}" for k in range(count))
    with write_raster(
        tmp_path / "o.tif", GRID, count=count, dtype=dtype, descriptions=names, mask=True, overviews=False
    ) as writer:
        writer.write(GRID.window, image_chw)
        writer.write_mask(GRID.window, kept_hw)
    with open_raster(tmp_path / "o.tif") as raster:
        read_chw, valid_hw = raster.read()
        info = raster.info
    assert read_chw.dtype == image_chw.dtype
    assert np.array_equal(read_chw, image_chw)
    assert np.array_equal(valid_hw, kept_hw)
    assert (info.grid, info.count, info.dtype, info.descriptions) == (GRID, count, dtype, names)
    assert (info.has_mask, info.alpha_band, info.georeferenced, info.nodata) == (True, None, True, None)


finite = st.floats(-1e7, 1e7, allow_nan=False)
scale = st.floats(1e-6, 1e4)


@pytest.mark.filterwarnings("ignore:The given matrix is equal to Affine.identity")
@SLOW
@given(a=scale, e=scale, b=st.sampled_from([0.0, 0.3]), x=finite, y=finite, south_up=st.booleans())
def test_georeference_comes_back_to_the_last_bit(tmp_path: Path, a, e, b, x, y, south_up):
    transform = Affine(a, b * e, x, -b * a, e if south_up else -e, y)
    grid = Grid(5, 7, transform, UTM)
    with open_raster(save(tmp_path / "o.tif", image(1, h=5, w=7), grid, overviews=False)) as raster:
        assert raster.info.grid == grid


@pytest.mark.parametrize(
    "crs",
    ["EPSG:4326", "OGC:CRS84", "EPSG:7415", "EPSG:27700", "ESRI:54009", "+proj=omerc +lat_0=4 +lonc=102 +alpha=33"],
)
def test_any_crs_comes_back(tmp_path: Path, crs: str):
    grid = Grid(H, W, GRID.transform, CRS.from_user_input(crs))
    with open_raster(save(tmp_path / "o.tif", image(), grid, overviews=False)) as raster:
        read = raster.info.grid.crs
    assert read is not None
    assert read.to_2d().equals(grid.crs.to_2d(), ignore_axis_order=True)


def test_a_crs_that_no_geotiff_can_keep_is_refused(tmp_path: Path):
    rotated_pole = CRS.from_user_input("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=30 +lon_0=10")
    with pytest.raises(DataError, match="georeference cannot be kept in a GeoTIFF"):
        save(tmp_path / "o.tif", image(), Grid(H, W, GRID.transform, rotated_pole))
    assert list(tmp_path.iterdir()) == []


def test_nodata_comes_back(tmp_path: Path):
    image_chw = image(2, "int16")
    image_chw[:, 2, 3] = -7
    with open_raster(save(tmp_path / "o.tif", image_chw, nodata=-7)) as raster:
        assert raster.info.nodata == -7
        assert [tuple(p) for p in np.argwhere(~raster.read()[1])] == [(2, 3)]


def test_without_georeference_it_has_none(tmp_path: Path):
    with open_raster(save(tmp_path / "o.tif", image(), Grid(H, W, Affine.identity()))) as raster:
        assert raster.info.grid == Grid(H, W, Affine.identity())
        assert not raster.info.georeferenced


def test_an_affine_without_crs_places_it(tmp_path: Path):
    grid = Grid(H, W, Affine.scale(0.001, -0.001))
    with open_raster(save(tmp_path / "o.tif", image(), grid)) as raster:
        assert raster.info.grid == grid
        assert raster.info.georeferenced


@SLOW
@given(data=st.data())
def test_a_window_is_a_part_of_the_whole(tmp_path: Path, data):
    path = tmp_path / "big.tif"
    whole_chw = image(4, "uint16", 307, 271)
    grid = Grid(307, 271, GRID.transform, UTM)
    if not path.exists():
        save(path, whole_chw, grid)
    row, col = data.draw(st.integers(0, 306)), data.draw(st.integers(0, 270))
    window = Window(row, col, data.draw(st.integers(1, 307 - row)), data.draw(st.integers(1, 271 - col)))
    bands = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    with open_raster(path) as raster:
        part_chw, valid_hw = raster.read(window, bands)
    assert np.array_equal(part_chw, whole_chw[[b - 1 for b in bands]][(slice(None), *window.slices)])
    assert valid_hw.shape == window.shape_hw


def test_written_in_windows_it_is_the_same(tmp_path: Path):
    whole_chw = image(2, "uint16", 601, 523)
    grid = Grid(601, 523, GRID.transform, UTM)
    with write_raster(tmp_path / "parts.tif", grid, count=2, dtype="uint16") as writer:
        for row in range(0, 601, 97):
            window = Window(row, 0, min(97, 601 - row), 523)
            writer.write(window, whole_chw[:, row : row + 97])
    with open_raster(tmp_path / "parts.tif") as raster:
        assert np.array_equal(raster.read()[0], whole_chw)


def test_the_same_pixels_make_the_same_bytes(tmp_path: Path):
    save(tmp_path / "a.tif", image(3, "uint16", 1031, 523), Grid(1031, 523, GRID.transform, UTM))
    save(tmp_path / "b.tif", image(3, "uint16", 1031, 523), Grid(1031, 523, GRID.transform, UTM))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_statistics_leave_out_what_is_invalid(tmp_path: Path, dtype: str):
    image_chw, kept_hw = image(2, dtype), image(1)[0] > 40
    image_chw[:, ~kept_hw] = 200
    with write_raster(tmp_path / "o.tif", GRID, count=2, dtype=dtype, mask=True) as writer:
        writer.write(GRID.window, image_chw)
        writer.write_mask(GRID.window, kept_hw)
    with rasterio.open(tmp_path / "o.tif") as dataset:
        for band_hw, number in zip(image_chw, (1, 2), strict=True):
            tags, values = dataset.tags(number), band_hw[kept_hw].astype(float)
            got = [float(tags[f"STATISTICS_{name}"]) for name in ("MINIMUM", "MAXIMUM", "MEAN", "STDDEV")]
            assert got == pytest.approx([values.min(), values.max(), values.mean(), values.std()], rel=1e-9)


def test_a_raster_without_valid_pixels_is_written(tmp_path: Path):
    with write_raster(tmp_path / "o.tif", GRID, count=1, dtype="float32", mask=True) as writer:
        writer.write(GRID.window, np.full((1, H, W), np.nan, dtype=np.float32))
    with open_raster(tmp_path / "o.tif") as raster:
        assert not raster.read()[1].any()


def test_viewers_find_overviews_names_scale_and_colours(tmp_path: Path):
    grid = Grid(1301, 701, GRID.transform, UTM)
    options = {"scale": 1 / 255, "descriptions": ("tree",), "tags": {"MADE_BY": "a test"}}
    save(tmp_path / "o.tif", image(1, "uint8", 1301, 701), grid, colours={1: "#1B7837"}, **options)
    with rasterio.open(tmp_path / "o.tif") as dataset:
        assert dataset.overviews(1) == [2, 4]
        assert dataset.scales == (1 / 255,)
        assert dataset.descriptions == ("tree",)
        assert dataset.colormap(1)[1] == (27, 120, 55, 255)
        assert dataset.tags()["MADE_BY"] == "a test"
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.compression.value.lower() == compression()["compress"]


@pytest.mark.parametrize("rgb", [False, True])
def test_the_fourth_band_is_no_alpha(tmp_path: Path, rgb: bool):
    path = save(tmp_path / "o.tif", image(4), rgb=rgb, overviews=False)
    with rasterio.open(path) as dataset:
        assert ColorInterp.alpha not in dataset.colorinterp
        assert (dataset.colorinterp[0] == ColorInterp.red) is rgb
    with open_raster(path) as raster:
        assert raster.info.alpha_band is None
        assert raster.read()[1].all()


def test_a_part_that_was_not_written_is_noticed(tmp_path: Path):
    with (
        pytest.raises(DataError, match="not completely written, got 47 pixels, need 2867"),
        write_raster(tmp_path / "o.tif", GRID, count=1, dtype="uint8") as writer,
    ):
        writer.write(Window(0, 0, 1, W), image(1)[:, :1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("window", "part_chw", "match"),
    [
        (Window(0, 0, H, W), image(2), "wrong shape"),
        (Window(0, 0, H, W), image(3, "uint16"), "wrong type, got uint16, need uint8"),
        (Window(1, 0, H, W), image(3), "reaches over the edge"),
    ],
)
def test_the_writer_refuses_what_does_not_fit(tmp_path: Path, window: Window, part_chw: np.ndarray, match: str):
    with (
        pytest.raises(DataError, match=match),
        write_raster(tmp_path / "o.tif", GRID, count=3, dtype="uint8") as writer,
    ):
        writer.write(window, part_chw)


@pytest.mark.parametrize(
    "window", [Window(-1, 0, 5, 5), Window(0, 0, H + 1, 5), Window(0, W, 1, 1), Window(3, 3, 0, 2)]
)
def test_reading_over_the_edge_is_refused(tmp_path: Path, window: Window):
    with open_raster(save(tmp_path / "o.tif", image())) as raster:
        with pytest.raises(DataError, match=r"window reaches over the edge.*inside \(61, 47\)"):
            raster.read(window)
        with pytest.raises(DataError, match=r"no such band, got \[4\], need 1 to 3"):
            raster.read(bands=[4])


def test_a_limit_is_kept(tmp_path: Path):
    with open_raster(save(tmp_path / "o.tif", image())) as raster:
        with pytest.raises(LimitError, match="need at most 100 bytes"):
            raster.read(limit_bytes=100)
        assert raster.read(limit_bytes=1 << 20)[0].shape == (3, H, W)


def test_threads_read_side_by_side(tmp_path: Path):
    images = [image(2, "uint16") + np.uint16(k) for k in range(6)]
    paths = [save(tmp_path / f"{k}.tif", chw, Grid(H, W, Affine.identity())) for k, chw in enumerate(images)]

    def read(path: Path) -> np.ndarray:
        with open_raster(path) as raster:
            return raster.read()[0]

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(read, paths * 5))
    assert all(np.array_equal(got, images[k % 6]) for k, got in enumerate(results))


def test_real_rasters_are_read_as_rasterio_reads_them(data_root: Path):
    tiffs = sorted(data_root.glob("*/*/*.tif"))
    for path in tiffs[:: max(1, len(tiffs) // 12)]:
        with rasterio.open(path) as dataset, open_raster(path) as raster:
            assert np.array_equal(raster.read()[0], dataset.read())
            assert raster.info.grid.transform == dataset.transform
            assert raster.info.grid.crs == CRS.from_user_input(dataset.crs.to_string())
            assert raster.info.georeferenced


def test_nodata_of_rio_is_known(data_root: Path):
    shares = []
    for path in sorted((data_root / "rio" / "8band").glob("*.tif")):
        with open_raster(path, nodata=0) as raster:
            shares.append(raster.read()[1].mean())
    assert all(0.1 < share < 0.35 for share in shares), shares
