"""A write that fails as GDAL puts a tile on the disk: it may be filled with zeros there, and nobody is told."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from failing_calls import build_shim, under_faults
from landscribe.core.grid import Grid, Window
from landscribe.io.raster.rasters import open_raster, write_raster

AT = 1000
PLACE = Affine(2, 0, 5e5, 0, -2, 4e6)
WRITE = """
import json, sys
from pathlib import Path
import numpy as np
from affine import Affine
from landscribe.core.grid import Grid
from landscribe.io.raster.cog import write_cog
from landscribe.io.raster.rasters import open_raster, write_raster

at, folder, counter = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
grid = Grid(157, 173, Affine(2, 0, 5e5, 0, -2, 4e6))
image = np.random.default_rng(1).integers(1, 2000, (3, *grid.shape_hw)).astype(np.uint16)
said = {}
for number in range(1, 19):  # a raster is written by some ten writes, a COG by some six more
    path, copy = folder / f"{number}.tif", folder / f"{number}-cog.tif"
    with counter.open("r+b") as file:
        file.write((at - number).to_bytes(8, sys.byteorder))
    try:
        with write_raster(path, grid, count=3, dtype="uint16", mask=True) as writer:
            writer.write(grid.window, image)
            writer.write_mask(grid.window, image[0] > 500)
        write_cog(path, copy)
    except OSError as error:
        said[number] = "refused"
        copy.unlink(missing_ok=True)
    with counter.open("r+b") as file:
        file.write((2 * at).to_bytes(8, sys.byteorder))
    for one in (path, copy):
        if one.exists():
            with open_raster(one) as raster:
                pixels, valid = raster.read()
            same = (pixels == image).all() and (valid == (image[0] > 500)).all()
            said[number] = said.get(number, "whole") if same else "other pixels"
print(json.dumps(said))
"""


@pytest.mark.parametrize("kind", [errno.ENOSPC, 0])
def test_a_write_that_fails_is_said_or_harms_nothing(tmp_path: Path, kind: int) -> None:
    (tmp_path / "out").mkdir()
    env = under_faults(build_shim(tmp_path), tmp_path / "out", tmp_path / "count", "write", kind, AT)
    command = [sys.executable, "-c", WRITE, str(AT), str(tmp_path / "out"), str(tmp_path / "count")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert len(said) == 18
    assert set(said.values()) <= {"whole", "refused"}, said
    assert ("refused" in said.values()) == (kind != 0)  # what is written by half is written on


@pytest.mark.parametrize("what", ["pixels", "mask"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_what_reads_back_otherwise_is_refused(tmp_path: Path, what: str, dtype: str) -> None:
    grid, part = Grid(157, 173, PLACE), Window(31, 37, 3, 2)
    image = np.random.default_rng(5).normal(90, 20, (2, *grid.shape_hw)).astype(dtype)

    def write_and_lose() -> None:
        with write_raster(tmp_path / "o.tif", grid, count=2, dtype=dtype, mask=True) as writer:
            writer.write(grid.window, image)
            writer.write_mask(grid.window, np.ones(grid.shape_hw, np.bool_))
            behind = writer._dataset  # as if this had not come through
            window = ((part.row, part.row_stop), (part.col, part.col_stop))
            if what == "pixels":
                behind.write(np.zeros((2, *part.shape_hw), dtype), window=window)
            else:
                behind.write_mask(np.zeros(part.shape_hw, np.bool_), window=window)

    with pytest.raises(OSError, match="what can be read back is not what was written"):
        write_and_lose()
    assert not list(tmp_path.iterdir())


def test_windows_in_any_order_are_one_raster(tmp_path: Path) -> None:
    grid = Grid(83, 89, PLACE)
    image = np.random.default_rng(5).normal(0, 20, (2, *grid.shape_hw)).astype(np.float32)
    image[0, 3, 5], image[1, 7, 11] = np.nan, -0.0
    with write_raster(tmp_path / "o.tif", grid, count=2, dtype="float32", mask=True) as writer:
        for window in (Window(40, 0, 43, 89), Window(0, 31, 40, 58), Window(0, 0, 40, 31)):
            writer.write(window, image[:, *window.slices])
            writer.write_mask(window, np.ones(window.shape_hw, np.bool_))
    with open_raster(tmp_path / "o.tif") as raster:
        np.testing.assert_array_equal(raster.read()[0], image)
