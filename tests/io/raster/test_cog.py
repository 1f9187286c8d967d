"""A COG is the raster it was made from, laid out for windows over a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.io.raster.cog import write_cog
from landscribe.io.raster.geotiff import write_probabilities

GRID = Grid(1201, 1103, Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))


@pytest.mark.parametrize("count", [1, 3, 4])
def test_pixels_mask_names_and_scales_are_those_of_the_source(tmp_path: Path, count: int) -> None:
    legend = Legend(tuple(LandClass(k + 1, f"c{k}", f"#0000{k:02x}") for k in range(count)))
    rng = np.random.default_rng(count)
    image, valid = rng.integers(0, 255, (count, *GRID.shape_hw), np.uint8), rng.random(GRID.shape_hw) < 0.9
    with write_probabilities(tmp_path / "a.tif", GRID, legend, "mind") as writer:
        writer.write(GRID.window, image)
        writer.write_mask(GRID.window, valid)
    write_cog(tmp_path / "a.tif", tmp_path / "cog" / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as one, rasterio.open(tmp_path / "cog" / "a.tif") as other:
        assert other.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert other.overviews(1) == one.overviews(1) == [2, 4]
        np.testing.assert_array_equal(other.read(), image)
        np.testing.assert_array_equal(other.read_masks(1) > 0, valid)
        for what in ("crs", "transform", "descriptions", "scales", "colorinterp", "count", "nodata", "mask_flag_enums"):
            assert getattr(other, what) == getattr(one, what), what
        assert other.tags()["CAUTION"] == "mind"
        assert one.tags(1) == other.tags(1)  # statistics
    write_cog(tmp_path / "a.tif", tmp_path / "b.tif")
    assert (tmp_path / "b.tif").read_bytes() == (tmp_path / "cog" / "a.tif").read_bytes()
    assert not list(tmp_path.rglob(".partial-*"))
