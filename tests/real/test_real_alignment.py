"""Alignment on real imagery: known shifts put into Las Vegas, and what Rio's two sensors say of each other."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from landscribe.core.grid import Grid
from landscribe.core.recipe import PrepareTable
from landscribe.core.register import Source, align_scene
from landscribe.io.project.alignment import scene_sources
from landscribe.io.raster.rasters import open_raster
from landscribe.io.settings import load_recipe
from landscribe.io.source.patterns import list_files

RIO = """
[data]
root = "{root}"
sensors.RGB = {{ path = "3band/3band_013022223130_Public_{{scene}}.tif", kind = "worldview2-rgb8", nodata = 0 }}
sensors.M = {{ path = "8band/8band_013022223130_Public_{{scene}}.tif", kind = "worldview2-m", nodata = 0 }}
"""
FRAME = 40


def move_exactly(band, rows, cols):
    """Move by the phase of the spectrum; the frame takes what wraps around."""
    turn = np.exp(-2j * np.pi * (np.fft.fftfreq(band.shape[0])[:, None] * rows + np.fft.fftfreq(band.shape[1]) * cols))
    return np.fft.ifft2(np.fft.fft2(band) * turn).real


def source(name, image, frame):
    grid = frame.resize(*image.shape[1:])
    bands, nm = ("red", "green", "blue"), (660.0, 547.0, 482.0)
    return Source(name, grid, bands, nm, lambda w: (image[:, *w.slices], np.ones(w.shape_hw, bool)))


@pytest.mark.parametrize("shift", [(0.4, -1.3), (-18.3, 14.9)])
@pytest.mark.parametrize(("ratio", "bar"), [(1, 0.02), (4, 0.1)])
def test_known_shifts_in_las_vegas(data_root, shift, ratio, bar):
    file = sorted((data_root / "vegas").rglob("*.tif"))[0]
    with open_raster(file) as raster:
        image = raster.read()[0].astype(np.float64)
    padded = np.pad(image, ((0, 0), (64, 64), (64, 64)), mode="reflect")
    moved = np.stack([move_exactly(band, *shift) for band in padded])[:, 64:-64, 64:-64]
    size = (image.shape[1] - 2 * FRAME) // ratio * ratio
    fixed, moved = (a[:, FRAME : FRAME + size, FRAME : FRAME + size] for a in (image, moved))
    small = moved.reshape(3, size // ratio, ratio, size // ratio, ratio).mean((2, 4))
    noisy = np.rint(0.7 * small + 60 + np.random.default_rng(0).normal(0, 3, small.shape)).astype(np.uint16)
    frame = Grid(size, size, Affine.identity())
    move = align_scene([source("F", fixed.astype(np.uint16), frame), source("C", noisy, frame)], PrepareTable())["C"]
    assert move.decision == "applied"
    assert np.hypot(move.row_px + shift[0], move.col_px + shift[1]) < bar


def test_no_tile_of_rio_is_made_worse(data_root, tmp_path):
    recipe = tmp_path / "rio.toml"
    recipe.write_text(RIO.format(root=data_root / "rio"))
    loaded = load_recipe(recipe)
    scenes = list_files(loaded.recipe.data, loaded.root).scenes
    assert len(scenes) == 8
    moves = [align_scene(scene_sources(scene), PrepareTable())["M"] for scene in scenes]
    applied = [move for move in moves if move.is_applied]
    assert len(applied) >= 4
    assert all(move.score > move.before for move in applied)
    assert all(move.length_px < 4 for move in moves)
    assert not [move for move in moves if move.is_lost]
    # The shift is the satellite's, not the tile's: along the columns all of them agree.
    assert np.ptp([move.col_px for move in applied]) < 1
