"""What the system refuses is one line with the place and a code, whatever command asks for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.io.raster.geotiff import write_raster
from warm import landscribe

pytestmark = pytest.mark.slow

RECIPE = '[data]\nsensors.S = { path = "{scene}.tif", kind = "rgb8" }\n'


@pytest.mark.parametrize(
    "words",
    [
        ["init", ".", "--out", "file/r.toml"],
        ["trace", "image.tif", "file/o.gpkg"],
        ["burn", "image.gpkg", "file/o.tif", "--like", "image.tif"],
        ["prepare", "r.toml", "--run", "file/run"],
        ["world", "file/w", "--scenes", "1", "--height", "128", "--width", "128"],
    ],
    ids=lambda words: words[0],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, words: list[str]) -> None:
    grid = Grid(61, 47, Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    with write_raster(tmp_path / "image.tif", grid, count=3, dtype="uint8") as writer:
        writer.write(grid.window, np.random.default_rng(0).integers(0, 255, (3, 61, 47), dtype=np.uint8))
    (tmp_path / "r.toml").write_text(RECIPE)
    (tmp_path / "file").write_text("no folder")
    if words[0] in ("trace", "burn"):
        with write_raster(tmp_path / "image.tif", grid, count=1, dtype="uint8") as writer:
            writer.write(grid.window, np.pad(np.ones((1, 20, 20), np.uint8), ((0, 0), (9, 32), (8, 19))))
        assert landscribe("trace", "image.tif", "image.gpkg", cwd=tmp_path).returncode == 0
    done = landscribe(*words, cwd=tmp_path)
    assert done.returncode in (2, 3, 5), done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "file" in errors[0]
    assert ".partial-" not in errors[0]
