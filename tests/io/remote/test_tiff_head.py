"""The head of a TIFF alone says all but pixels, and is a small part of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.errors import DataError
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.remote.tiff_head import BLOCK_BYTES, write_head

GRID = Grid(1511, 1709, Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))


@pytest.fixture(scope="module", params=["GTiff", "COG", "BigTIFF", "striped"])
def tiff(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    image = np.random.default_rng(5).integers(0, 255, (3, *GRID.shape_hw), np.uint8)
    with write_raster(path, GRID, count=3, dtype="uint8", nodata=0, descriptions=("red", "green", "blue")) as writer:
        writer.write(GRID.window, image)
    options = {
        "COG": {"driver": "COG"},
        "BigTIFF": {"driver": "GTiff", "tiled": True, "BIGTIFF": "YES"},
        "striped": {"driver": "GTiff", "ENDIANNESS": "BIG"},
    }.get(request.param)
    if options is not None:
        with rasterio.open(path) as source:
            rasterio.shutil.copy(source, path.with_name("b.tif"), **options)
        return path.with_name("b.tif")
    return path


def test_a_head_is_a_small_part_and_says_all_but_pixels(tiff: Path, tmp_path: Path) -> None:
    content, target = tiff.read_bytes(), tmp_path / "head.tif"
    known = write_head(target, "a.tif", len(content), content[:BLOCK_BYTES], lambda first, stop: content[first:stop])
    assert known < 0.05 * len(content)
    assert target.stat().st_size == len(content)
    assert target.stat().st_blocks * 512 < 0.1 * len(content)  # holes take no room
    with open_raster(tiff) as whole, open_raster(target) as head:
        one, other = whole.info.__dict__ | {"path": None}, head.info.__dict__ | {"path": None}
    assert one == other


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"<!DOCTYPE html>" + b" " * 99, "is no GeoTIFF"), (b"II*\x00", "is no GeoTIFF"),
     (b"II*\x00\xff\xff\x00\x00" + b"\x00" * 99, "points behind its end"),
     (b"MM\x00*\x00\x00\x00\x08" + b"\xff\xff" + b"\x00" * 900, "too many tags")],
)  # fmt: skip
def test_what_is_no_tiff_or_a_damaged_one_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=rf"^a\.tif: .*{words}"):
        write_head(tmp_path / "head.tif", "a.tif", len(content), content, lambda first, stop: content[first:stop])
    assert not (tmp_path / "head.tif").exists()
