"""Threads change the filters of warnings one after the other, whatever pandas and shapely do to them."""

from __future__ import annotations

import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from numba.core.compiler_lock import global_compiler_lock
from shapely.geometry import LineString, box

from landscribe.core.features import make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass
from landscribe.core.polygons import quiet
from landscribe.io.project import open_project
from landscribe.io.raster.rasters import write_raster
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.late import importing
from landscribe.pipeline import run_pipeline
from landscribe.workers import abreast
from raster_files import GRID

RECIPE = """
seed = 1
[data]
sensors.RGB = { path = "images/{scene}.tif", kind = "rgb8" }
labels = { path = "labels.gpkg", class_field = "kind", buffer_m = 2 }
[[classes]]
name = "house"
[[classes]]
name = "road"
[[models]]
kind = "labels"
[prepare]
align = "none"
[predict]
scenes = "all"
[[rules]]
erase = { from = "house", by = "road" }
"""


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the places where a thread of ours changes filters while another one may."""
    found: list[str] = []
    enter = warnings.catch_warnings.__enter__

    def look(self: warnings.catch_warnings) -> object:
        ours = threading.current_thread() is not threading.main_thread()
        held = global_compiler_lock._lock._is_owned() or (importing._is_owned() and "numba" not in sys.modules)
        if ours and not held:
            stack = "".join(traceback.format_stack()[:-1])
            if "importlib" not in stack:  # a module is imported once
                found.append(stack[-3000:])
        return enter(self)

    monkeypatch.setattr(warnings.catch_warnings, "__enter__", look)
    return found


def make_project(root: Path) -> None:
    rng = np.random.default_rng(5)
    rows = []
    for number in range(5):
        grid = Grid(GRID.height, GRID.width, GRID.transform @ GRID.transform.translation(0, 100 * number), GRID.crs)
        with write_raster(root / "images" / f"s{number}.tif", grid, count=3, dtype="uint8") as writer:
            writer.write(grid.window, rng.integers(1, 200, (3, *grid.shape_hw)).astype(np.uint8))
        x, y = grid.transform @ (20, 20)
        rows += [("house", box(x, y - 5, x + 7, y)), ("road", LineString([(x - 5, y - 2), (x + 9, y - 3)]))]
    kinds, shapes = zip(*rows, strict=True)
    gpd.GeoDataFrame({"kind": kinds}, geometry=list(shapes), crs=GRID.crs).to_file(root / "labels.gpkg")
    (root / "r.toml").write_text(RECIPE)


@pytest.mark.slow
def test_scenes_side_by_side_change_filters_one_after_the_other(
    tmp_path: Path, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    make_project(tmp_path)
    monkeypatch.setattr("landscribe.workers.usable_processors", lambda: 3)
    project = open_project(load_recipe(tmp_path / "r.toml"))
    done = {result.stage: result for result in run_pipeline(project, open_run(tmp_path / "run"))}
    assert len(done["vectorize"].made) == 5
    assert not alone, "\n----\n".join(alone[:3])


def test_what_is_done_under_the_lock_leaves_the_filters_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = np.array([box(0, 0, 1, 1)] * 50, dtype=object)
    simplefilter = warnings.simplefilter

    def slowly(*arguments: object, **options: object) -> None:
        simplefilter(*arguments, **options)
        time.sleep(0.001)  # so that every thread is in between once

    monkeypatch.setattr(warnings, "simplefilter", slowly)

    def work(_item: str) -> None:
        for number in range(3):
            make_features("s", LandClass(1, f"class {number}", "#112233"), shapes)
        assert quiet.is_valid(shapes).all()
        assert quiet.total_bounds(shapes) == (0, 0, 1, 1)

    before = list(warnings.filters)
    with abreast(work, [str(k) for k in range(8)], 4) as outcomes:
        for _, outcome in outcomes:
            outcome()
    assert warnings.filters == before
