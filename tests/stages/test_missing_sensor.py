"""A scene that lacks a sensor: refused, or allowed by the recipe and worked with to the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from landscribe.errors import DataError, IntegrityError, RecipeError
from landscribe.io.project import open_project
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Made, note_made, open_run
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
inputs = {{ sensors = ["RGB", "M", "A"], low = "branch", mask = true }}
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


def test_where_a_recipe_does_not_the_scene_is_named_and_the_others_go_on(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "world", tmp_path / "world")
    (tmp_path / "world" / "sixteen_band" / "6010_0_0_P.tif").unlink()
    project, run = project_with(tmp_path, ""), open_run(tmp_path / "run")
    said = {finding.text: finding.level for finding in check(project).findings}
    needed = "scene '6010_0_0': A is missing, need sixteen_band/6010_0_0_A.tif; "
    needed += "add the file, or say in [data].optional that scenes may lack it"
    assert said.get(needed) == "error", said
    assert said["P is missing in 1 of 2 scenes, which no model reads"] == "warning"
    result = prepare(project, run)
    assert (result.made, result.failed) == (["6010_0_1"], {"6010_0_0": needed})
    train(project, run)
    assert predict(project, run).made == ["6010_0_1"]


def test_a_scene_prepared_by_a_version_that_noted_less_is_named(world: Path, tmp_path: Path) -> None:
    project, run = project_with(world, 'optional = ["A"]'), open_run(tmp_path / "run")
    prepare(project, run)
    file = run.scene_folder("6010_0_1") / "scene.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in facts.items() if name != "absent"}))
    with pytest.raises(IntegrityError, match=r"scene\.json: is not what was written"):
        open_prepared(run, "6010_0_1")
    note_made(run, "prepare", "6010_0_1", "as of another version", Made((file,)))
    with pytest.raises(DataError, match=r"scene.json: says nothing of 'absent'.*run `landscribe prepare` again"):
        open_prepared(run, "6010_0_1")


def test_a_scene_without_its_reference_is_named_by_every_stage_that_would_read_it(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "world", tmp_path / "world")
    recipe = """
    data.sensors.M = {{ path = "world/sixteen_band/{{scene}}_M.tif", kind = "worldview3-m" }}
    data.sensors.A = {{ path = "world/sixteen_band/{{scene}}_A.tif", kind = "worldview3-a" }}
    data.scenes = {scenes}
    classes = [{{ name = "building" }}]
    """
    (tmp_path / "world" / "sixteen_band" / "6010_0_1_M.tif").unlink()
    for scenes, failed in (('["6010_0_0", "6010_0_1"]', ["6010_0_1"]), ('["6010_0_0"]', [])):
        (tmp_path / "r.toml").write_text(recipe.format(scenes=scenes) + 'data.optional = ["A"]\n')
        project = open_project(load_recipe(tmp_path / "r.toml"))
        assert check(project).errors == len(failed)
        result = prepare(project, open_run(tmp_path / "run"))
        assert list(result.failed) == failed
        assert [*result.made, *result.current] == ["6010_0_0"]


def test_a_model_that_names_an_unknown_sensor(world: Path) -> None:
    (world / "r.toml").write_text(RECIPE.format(optional="").replace('"RGB", "M"', '"RGB", "N"'))
    with pytest.raises(RecipeError, match=r"model 'm', inputs.sensors: unknown sensor, got 'N', need RGB, P, M, A"):
        _ = open_project(load_recipe(world / "r.toml")).scenes


@pytest.mark.parametrize(
    ("optional", "said"), [('optional = ["B"]', "unknown sensor"), ('optional = ["RGB"]', "the reference cannot")]
)
def test_what_can_be_optional(world: Path, optional: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        _ = project_with(world, optional).scenes
