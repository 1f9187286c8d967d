"""A scene that lacks a sensor: refused, or allowed by the recipe and worked with to the end."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from landscribe.errors import RecipeError
from landscribe.io.prepared import open_prepared
from landscribe.io.projects import open_project
from landscribe.io.rasters import open_raster
from landscribe.io.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from landscribe.stages.world import write_world
from landscribe.worlds import WorldSpec

RECIPE = """
[data]
source = "dstl"
root = "world"
{optional}
[[models]]
name = "m"
classes = ["building"]
inputs = {{ sensors = ["RGB", "M", "A"], low = "branch" }}
network = {{ filters = 2, depth = 4 }}
chips = {{ size = 48, context = 8, batch = 2, sensor_dropout = {{ A = 0.3 }} }}
schedule = {{ epochs = 1, steps = 2 }}
[predict]
scenes = "all"
tile = 96
symmetries = 1
[validate]
split = "none"
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("missing")
    ids = write_world(folder / "world", WorldSpec(scenes=2, height=149, width=163, seed=2))
    (folder / "world" / "sixteen_band" / f"{ids[0]}_A.tif").unlink()
    return folder


def project_with(folder: Path, optional: str):
    (folder / "r.toml").write_text(RECIPE.format(optional=optional))
    return open_project(load_recipe(folder / "r.toml"))


def test_a_recipe_that_allows_it_goes_through_to_the_end(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "world", tmp_path / "world")
    project, run = project_with(tmp_path, 'optional = ["A"]'), open_run(tmp_path / "run")
    said = [finding.text for finding in check(project).findings]
    assert "A is missing in 1 of 2 scenes, as [data].optional allows" in said
    assert not [text for text in said if "'6010_0_0': A is missing" in text]
    assert prepare(project, run).made == ["6010_0_0", "6010_0_1"]
    lacking, whole = (open_prepared(run, i) for i in ("6010_0_0", "6010_0_1"))
    assert lacking.absent == {"A"}
    assert lacking.bands == whole.bands
    assert lacking.read("A")[0].shape == (8, 1, 1)
    assert not lacking.read("A")[1].any()
    assert lacking.grids["A"].footprint.equals(lacking.grid.footprint)
    train(project, run)
    assert not predict(project, run).failed
    for scene_id in ("6010_0_0", "6010_0_1"):
        with open_raster(run.probability(scene_id)) as raster:
            assert np.ptp(raster.read()[0]) > 0


def test_a_recipe_that_does_not_is_told_what_to_do(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "world", tmp_path / "world")
    project, run = project_with(tmp_path, ""), open_run(tmp_path / "run")
    assert any("'6010_0_0': A is missing" in finding.text for finding in check(project).findings)
    prepare(project, run)
    with pytest.raises(RecipeError, match=r"sensor 'A' is not in scene '6010_0_0'.*\[data\].optional"):
        train(project, run)


@pytest.mark.parametrize(
    ("optional", "said"), [('optional = ["B"]', "unknown sensor"), ('optional = ["RGB"]', "the reference cannot")]
)
def test_what_can_be_optional(world: Path, optional: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        _ = project_with(world, optional).scenes
