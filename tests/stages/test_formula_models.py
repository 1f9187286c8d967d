"""Models without weights through the stages: a spectral rule, and the labels as a perfect model."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.errors import RecipeError
from landscribe.io.models.formulas import read_formula
from landscribe.io.project import Project, open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.score import score
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec

RECIPE = """
[data]
source = "dstl"
root = "world"
[[models]]
name = "river"
kind = "index"
classes = ["waterway"]
inputs = { sensors = ["RGB", "M"] }
spectral = { index = "water", threshold = 0.0, soft = 0.0, gate = { above = 0.02, unit = "share" } }
[[models]]
name = "rest"
kind = "labels"
classes = ["building", "tree"]
[predict]
tile = 96
scenes = "all"
[vectorize]
simplify_px = 0.0
min_area = { default = 0.0 }
[validate]
split = "named"
scenes = ["6010_0_1"]
leak_check = false
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a world of three scenes."""
    folder = tmp_path_factory.mktemp("formulas")
    write_world(folder / "world", WorldSpec(scenes=3, height=149, width=163, seed=4))
    (folder / "r.toml").write_text(RECIPE)
    return folder


def opened(home: Path, *overrides: str) -> Project:
    return open_project(load_recipe(home / "r.toml", overrides))


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    folder = open_run(home / "run")
    for stage in (prepare, train, predict, vectorize, score):
        assert not stage(opened(home), folder).failed
    return folder


def test_labels_as_a_model_score_what_polygons_cost(run: Run) -> None:
    classes = json.loads(run.path("score.json").read_text())["classes"]
    assert classes["building"]["polygon"]["jaccard"] > 0.98
    assert 0.9 < classes["tree"]["polygon"]["jaccard"] < 1  # small crowns lose a little


def test_a_rule_leaves_the_other_bands_alone(home: Path, run: Run) -> None:
    legend = opened(home).legend
    with open_raster(run.probability("6010_0_1")) as raster:
        p_khw, _ = raster.read()
    with open_raster(run.scene_folder("6010_0_1") / "coverage.tif") as raster:
        coverage_khw, _ = raster.read()
    for k, name in enumerate(legend.names):
        if name in ("building", "tree"):
            assert (p_khw[k] == coverage_khw[k]).all()
        elif name != "waterway":
            assert not p_khw[k].any()
    assert set(np.unique(p_khw[legend.index("waterway")])) <= {0, 255}


def test_a_changed_rule_is_carried_out_anew(home: Path, run: Run) -> None:
    none = opened(home, "models.0.spectral.gate.above=2.0")
    assert train(none, run).made == ["river"]
    assert len(predict(none, run).made) == 3
    k = none.legend.index("waterway")
    for scene in ("6010_0_0", "6010_0_1", "6020_0_0"):
        with open_raster(run.probability(scene)) as raster:
            assert not raster.read()[0][k].any()


def test_finished_rules_go_to_another_run(home: Path, run: Run) -> None:
    other = open_run(home / "other")
    prepare(opened(home), other)
    assert len(predict(opened(home), other, models=run.path("models")).made) == 3


def test_a_search_looks_at_training_scenes_only(home: Path) -> None:
    search = 'models.0.spectral.search={indices=["water","ndwi"], low=-0.5, high=0.5, step=0.05, by="all"}'
    project, folder = opened(home, search), open_run(home / "searched")
    prepare(project, folder)
    train(project, folder)
    found = read_formula(folder.path("models", "river", "formula.json"))
    assert found.trained_on == ("6010_0_0", "6020_0_0")
    assert found.held_out == ("6010_0_1",)
    assert found.spectral.index in ("water", "ndwi")


def test_a_rule_owns_one_class(home: Path, tmp_path: Path) -> None:
    project, folder = opened(home, 'models.0.classes=["waterway","standing-water"]'), open_run(tmp_path / "run")
    prepare(project, folder)
    with pytest.raises(RecipeError, match="owns, got 2"):
        train(project, folder)


def test_a_switch_looks_at_the_scenes_of_the_region(home: Path, tmp_path: Path) -> None:
    switch = "models.0.spectral.switch={below=5.0, threshold=9.0}"
    project, folder = opened(home, switch), open_run(tmp_path / "run")
    prepare(project, folder)
    train(project, folder)
    assert len(predict(project, folder).made) == 3
    with open_raster(folder.probability("6010_0_1")) as raster:  # every value is below 5 and none above 9
        assert not raster.read()[0][project.legend.index("waterway")].any()


def test_an_index_across_two_sensors_knows_the_bits_of_the_recipes_own_kinds(tmp_path: Path) -> None:
    grid = Grid(61, 47, Affine(2, 0, 400_000, 0, -2, 5_000_000), CRS.from_epsg(32633))
    for name, value in (("rgb", 50), ("nir", 150)):  # (150 - 50) / (150 + 50) = 0.5
        bands = 3 if name == "rgb" else 1
        with write_raster(tmp_path / f"a_{name}.tif", grid, count=bands, dtype="uint8") as writer:
            writer.write(grid.window, np.full((bands, 61, 47), value, np.uint8))
    gpd.GeoDataFrame(geometry=[grid.footprint], crs=32633).to_file(tmp_path / "fields.gpkg")
    (tmp_path / "r.toml").write_text("""
[data]
labels = { path = "fields.gpkg", class = "green" }
sensors.RGB = { path = "{scene}_rgb.tif", kind = "rgb8" }
sensors.NIR = { path = "{scene}_nir.tif", kind = "own" }
[[data.kinds]]
kind = "own"
bands = ["nir"]
wavelengths_nm = [840]
bits = 8
[[classes]]
name = "green"
id = 1
colour = "#00AA00"
[[models]]
name = "rule"
kind = "index"
spectral = { index = "ndvi", threshold = 0.45, soft = 0.0 }
[prepare]
align = "none"
[predict]
scenes = "all"
[validate]
split = "none"
""")
    project, run = open_project(load_recipe(tmp_path / "r.toml")), open_run(tmp_path / "run")
    for stage in (prepare, train, predict):
        assert not stage(project, run).failed
    with open_raster(run.probability("a")) as raster:
        assert (raster.read()[0] == 255).all()
