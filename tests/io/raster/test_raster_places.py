"""Rasters that are placed in other ways, or hold something else."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.control import GroundControlPoint

from landscribe.core.grid import Grid
from landscribe.errors import DataError
from landscribe.io.raster.rasters import open_raster, webmercator_tile_grid
from raster_files import GRID, H, W, image, save, save_foreign


def test_control_points_alone_are_refused(tmp_path: Path):
    points = [GroundControlPoint(r, c, 30 + c / 100, 50 - r / 100) for r, c in ((0, 0), (0, 40), (50, 0), (50, 40))]
    path = save_foreign(tmp_path / "o.tif", image(), transform=None, crs=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, rasterio.crs.CRS.from_epsg(4326))
    with pytest.raises(DataError, match=r"4 ground control points only.*gdalwarp o.tif"), open_raster(path):
        pass


def test_a_crs_without_a_place_is_refused(tmp_path: Path):
    path = save_foreign(tmp_path / "o.tif", image(), transform=None)
    with pytest.raises(DataError, match="has a CRS and no position, got WGS 84 / UTM zone 36N"), open_raster(path):
        pass


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
        pytest.raises(DataError, match="complex numbers, as of radar, got complex64"),
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
