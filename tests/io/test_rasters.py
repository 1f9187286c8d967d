"""Rasters: what is written is read, bit for bit, and what is invalid is known."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from landscribe.core.grid import Grid, Window
from landscribe.errors import DataError, LimitError
from landscribe.io.geotiff import compression
from landscribe.io.nodata import is_data
from landscribe.io.rasters import open_raster, webmercator_tile_grid, write_raster

H, W = 61, 47
UTM = CRS.from_epsg(32636)
GRID = Grid(H, W, Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000), UTM)
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def image(count: int = 3, dtype: str = "uint8", h: int = H, w: int = W) -> np.ndarray:
    return np.random.default_rng(11).integers(1, 120, (count, h, w)).astype(dtype)


def save(path: Path, image_chw: np.ndarray, grid: Grid = GRID, **options: object) -> Path:
    with write_raster(path, grid, count=len(image_chw), dtype=str(image_chw.dtype), **options) as writer:
        writer.write(grid.window, image_chw)
    return path


def save_foreign(path: Path, image_chw: np.ndarray, **options: object) -> Path:
    count, height, width = image_chw.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": image_chw.dtype}
    with rasterio.open(path, "w", **profile | {"transform": GRID.transform, "crs": "EPSG:32636"} | options) as dataset:
        dataset.write(image_chw)
    return path


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


# --- what is invalid ---


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


# --- what is placed otherwise, or holds something else ---


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_control_points_alone_are_refused(tmp_path: Path):
    points = [GroundControlPoint(r, c, 30 + c / 100, 50 - r / 100) for r, c in ((0, 0), (0, 40), (50, 0), (50, 40))]
    path = save_foreign(tmp_path / "o.tif", image(), transform=None, crs=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    with pytest.raises(DataError, match=r"4 ground control points only.*gdalwarp o.tif"), open_raster(path):
        pass


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_crs_without_a_place_is_refused(tmp_path: Path):
    path = save_foreign(tmp_path / "o.tif", image(), transform=None)
    with pytest.raises(DataError, match="has a CRS and no position, got WGS 84 / UTM zone 36N"), open_raster(path):
        pass


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("driver", "suffix"), [("PNG", ".pgw"), ("JPEG", ".jgw"), ("GTiff", ".tfw"), ("PNG", ".WLD")])
def test_a_world_file_places_the_centre_of_the_first_pixel(tmp_path: Path, driver: str, suffix: str):
    save_foreign(tmp_path / "a.tif", image(), transform=None, crs=None)
    path = tmp_path / "b.img"
    rasterio.shutil.copy(tmp_path / "a.tif", path, driver=driver)
    with open_raster(path) as raster:
        assert not raster.info.georeferenced
    (tmp_path / f"b{suffix}").write_text("0.5\n0\n0\n-0.5\n500000.25\n3999999.75\n")
    with open_raster(path) as raster:
        assert raster.info.georeferenced
        assert raster.info.grid == Grid(H, W, GRID.transform)


def test_a_world_file_may_be_rotated(tmp_path: Path):
    path = save(tmp_path / "a.tif", image(), Grid(H, W, Affine.identity()))
    (tmp_path / "a.tfw").write_text("2\n0,25\n0.75\n-3\n100\n200\n")  # the line order is A, D, B, E, C, F
    with open_raster(path) as raster:
        transform = raster.info.grid.transform
    assert transform @ (0.5, 0.5) == (100, 200)
    assert transform @ (1.5, 0.5) == (102, 200.25)
    assert transform @ (0.5, 1.5) == (100.75, 197)


@pytest.mark.parametrize("text", ["", "1\n0\n0\n-1\n5\n", "1 0 0 x 5 5", "nan 0 0 -1 5 5", "0 0 0 0 5 5", "1 " * 4000])
def test_a_world_file_that_is_none_is_refused(tmp_path: Path, text: str):
    path = save(tmp_path / "a.tif", image(), Grid(H, W, Affine.identity()))
    (tmp_path / "a.tfw").write_text(text)
    with pytest.raises(DataError, match=r"a.tfw: not a(n invertible transform| world file)"), open_raster(path):
        pass


def test_the_files_own_georeference_beats_a_world_file(tmp_path: Path):
    path = save(tmp_path / "a.tif", image())
    (tmp_path / "a.tfw").write_text("9\n0\n0\n-9\n5\n5\n")
    with open_raster(path) as raster:
        assert raster.info.grid == GRID


def test_complex_numbers_and_cmyk_are_refused(tmp_path: Path):
    save_foreign(tmp_path / "c.tif", image(1).astype(np.complex64))
    save_foreign(tmp_path / "k.tif", image(4), photometric="CMYK")
    with (
        pytest.raises(DataError, match="got complex64, need one type of real numbers"),
        open_raster(tmp_path / "c.tif"),
    ):
        pass
    with pytest.raises(DataError, match="no sensor's bands, got CMYK"), open_raster(tmp_path / "k.tif"):
        pass


def test_a_colour_table_is_let_in_only_on_request(tmp_path: Path):
    path = save(tmp_path / "p.tif", image(1), colours={1: "#102030", 2: "#405060"})
    with pytest.raises(DataError, match="colour table"), open_raster(path):
        pass
    with open_raster(path, palette=True) as raster:
        assert raster.info.palette is not None
        assert raster.info.palette[2] == (0x40, 0x50, 0x60)
        assert np.array_equal(raster.read()[0], image(1))


def test_one_bit_grey_is_grey(tmp_path: Path):
    bits = (image(1) > 50).astype(np.uint8)
    with open_raster(save_foreign(tmp_path / "b.tif", bits, nbits=1)) as raster:
        assert raster.info.palette is None
        assert np.array_equal(raster.read()[0], bits)


def test_further_pages_are_reported(tmp_path: Path):
    cv2.imwritemulti(str(tmp_path / "m.tif"), [image(1)[0], image(1)[0], image(1)[0]])
    with open_raster(tmp_path / "m.tif") as raster:
        assert raster.info.ignored == ("2 further pages",)


# --- web mercator ---


def test_tile_zero_is_the_whole_square():
    grid = webmercator_tile_grid(0, 0, 0, 256, 256)
    half = math.pi * 6378137
    assert grid.footprint.bounds == pytest.approx((-half, -half, half, half))
    assert grid.crs == CRS.from_epsg(3857)


def test_a_known_tile_lies_in_kampala():
    west, _, east, north = webmercator_tile_grid(619227, 523266, 20, 256, 256).footprint.bounds
    lon, lat = math.degrees(west / 6378137), math.degrees(2 * math.atan(math.exp(north / 6378137)) - math.pi / 2)
    assert (lon, lat) == pytest.approx((32.5933, 0.3485), abs=0.02)
    assert east - west == pytest.approx(40075016.68 / 2**20)


@given(st.integers(0, 24), st.data())
def test_four_tiles_make_their_parent(z: int, data):
    x, y = data.draw(st.integers(0, 2**z - 1)), data.draw(st.integers(0, 2**z - 1))
    parent = webmercator_tile_grid(x, y, z, 64, 64)
    child = webmercator_tile_grid(2 * x + 1, 2 * y, z + 1, 64, 64)
    got = ~parent.transform @ (child.transform @ (0, 64))
    assert got == pytest.approx((32, 32), abs=1e-3)


@pytest.mark.parametrize("tile", [(0, 0, -1), (2, 0, 1), (0, -1, 3), (0, 0, 99)])
def test_no_such_tile(tile: tuple[int, int, int]):
    with pytest.raises(DataError, match="not in the web-mercator pyramid"):
        webmercator_tile_grid(*tile, 256, 256)


# --- threads, real files ---


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
