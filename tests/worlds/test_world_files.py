"""The files of a world: what a reader that knows nothing but plain TIFFs makes of them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.io.raster.rasters import open_raster

FILES = ("three_band/6010_0_0.tif", "sixteen_band/6010_0_0_P.tif", "sixteen_band/6010_0_0_M.tif")


def world(folder: Path, *options: str) -> Path:
    size = ("--scenes", "1", "--height", "181", "--width", "193", "--seed", "3")
    done = CliRunner().invoke(app, ["world", str(folder), *size, *options])
    assert done.exit_code == 0, done.output
    return folder


def read(path: Path) -> np.ndarray:
    with open_raster(path) as raster:
        return raster.read(raster.info.grid.window)[0]


def tags_of(data: bytes) -> dict[int, tuple[int, ...]]:
    """The numbers in the first directory of a little-endian TIFF."""
    assert data[:4] == b"II*\0"
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    tags = {}
    for k in range(count):
        tag, kind, n, where = struct.unpack_from("<HHII", data, start + 2 + 12 * k)
        if kind in (3, 4):
            size = {3: 2, 4: 4}[kind] * n
            at = start + 2 + 12 * k + 8 if size <= 4 else where
            tags[tag] = struct.unpack_from(f"<{n}{'H' if kind == 3 else 'I'}", data, at)
    return tags


def read_plain(path: Path) -> np.ndarray:
    """Read an unpacked, tiled TIFF of 16 bits, band after band, as a reader without any codec does."""
    data = path.read_bytes()
    tags = tags_of(data)
    (width,), (height,), (tile_w,), (tile_h,), (bands,) = (tags[t] for t in (256, 257, 322, 323, 277))
    assert tags[259] == (1,), "packed"
    assert bands == 1 or tags[284] == (2,), "bands side by side"
    across, down = -(-width // tile_w), -(-height // tile_h)
    image = np.zeros((bands, down * tile_h, across * tile_w), np.uint16)
    for k, offset in enumerate(tags[324]):
        band, place = divmod(k, across * down)
        row, col = divmod(place, across)
        tile = np.frombuffer(data, "<u2", tile_h * tile_w, offset).reshape(tile_h, tile_w)
        image[band, row * tile_h : (row + 1) * tile_h, col * tile_w : (col + 1) * tile_w] = tile
    return image[:, :height, :width]


def test_a_world_without_packing_is_read_by_the_plainest_reader(tmp_path: Path) -> None:
    usual, plain = world(tmp_path / "a"), world(tmp_path / "b", "--compression", "none")
    for name in FILES:
        assert np.array_equal(read_plain(plain / name), read(usual / name)), name


@pytest.mark.parametrize("packing", ["lzw", "zstd", "deflate"])
def test_every_packing_holds_the_same_pixels_band_after_band(tmp_path: Path, packing: str) -> None:
    usual, packed = world(tmp_path / "a"), world(tmp_path / "b", "--compression", packing)
    for name in FILES:
        assert np.array_equal(read(usual / name), read(packed / name)), name
    tags = tags_of((packed / FILES[2]).read_bytes())
    assert tags[259] == {"lzw": (5,), "zstd": (50000,), "deflate": (8,)}[packing]
    assert tags[284] == (2,)


def test_an_unknown_packing_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["world", str(tmp_path / "a"), "--compression", "zip"])
    assert done.exit_code == 2
