"""Networks of several seeds, several rows of one class, and snapshots: trained, kept, averaged."""

from __future__ import annotations

import numpy as np
import pytest

from landscribe.errors import DataError, RecipeError
from landscribe.io.models.model_files import read_model
from landscribe.io.project import open_project
from landscribe.io.project.splits import split_of
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.nn.network.bundle import from_files
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec

# Networks of a few steps differ by what was drawn; with a first guess of their classes' shares they would be alike.
RECIPE = """
[data]
source = "dstl"
root = "world"
[[models]]
name = "a"
seeds = [4, 5]
inputs = {{ sensors = ["RGB"] }}
network = {{ filters = 2, depth = 2 }}
chips = {{ size = 32, context = 4, batch = 2 }}
schedule = {{ epochs = 3, steps = 2, rate = 1e-2, prior = 0.0, snapshots = 2, snapshot_mean = true }}
[[models]]
name = "b"
classes = ["building"]
inputs = {{ sensors = ["RGB"] }}
network = {{ filters = 2, depth = 1 }}
chips = {{ size = 32, context = 4, batch = 2 }}
schedule = {{ epochs = 1, steps = 2, rate = 1e-2, prior = 0.0, snapshots = 1 }}
[predict]
tile = 64
symmetries = 1
{predict}
"""
ROUNDING = 3
"""Of 255: the type of convolutions may be bf16, and the tiles of several networks together may be larger."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensembles")
    write_world(folder / "world", WorldSpec(scenes=3, height=131, width=149, seed=2))
    run, project = open_run(folder / "run"), project_with(folder, "ensemble = true")
    prepare(project, run)
    train(project, run)
    return folder


def project_with(folder, settings):
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(predict=settings))
    return open_project(load_recipe(path))


def probability(folder, settings, models=None):
    run = open_run(folder / "run")
    project = project_with(folder, settings)
    predict(project, run, models=models)
    scene = split_of(project, run).validate[0]
    with open_raster(run.probability(scene)) as raster:
        return raster.read()[0].astype(float)


def test_seeds_make_networks_of_their_own(home):
    models = home / "run" / "models"
    assert {path.name for path in models.iterdir()} == {"a+seed4", "a+seed5", "b"}
    one, other = ((models / name / "model.safetensors").read_bytes() for name in ("a+seed4", "a+seed5"))
    assert one != other


def test_a_scene_gets_the_weighted_mean_of_its_networks(home):
    models = home / "run" / "models"
    alone = [probability(home, "", models / name) for name in ("a+seed4", "a+seed5", "b")]
    whole = probability(home, "ensemble = true\nweights = { b = 3 }")
    expected = (alone[0] + alone[1]) / 2
    assert np.abs(whole[1:] - expected[1:]).max() <= ROUNDING
    assert np.abs(whole[0] - (expected[0] + 3 * alone[2][0]) / 4).max() <= ROUNDING
    assert np.abs(alone[0][0] - alone[2][0]).max() > 5
    geometric = probability(home, 'ensemble = true\ncombine = "geometric"')
    assert np.abs(geometric[1:] - np.sqrt(alone[0] * alone[1])[1:]).max() <= ROUNDING


def test_the_last_snapshots_are_kept_and_the_model_is_their_mean(home):
    folder = home / "run" / "models" / "a+seed4"
    assert [path.name for path in sorted(folder.glob("epoch-*"))] == ["epoch-00002", "epoch-00003"]
    one, two, mean = (from_files(read_model(folder / part))[0] for part in ("epoch-00002", "epoch-00003", "."))
    two_state, mean_state = two.state_dict(), mean.state_dict()
    for name, value in one.state_dict().items():
        if value.is_floating_point():
            assert np.allclose(mean_state[name], (value + two_state[name]) / 2, atol=1e-7)
    # Without `snapshot_mean` the model is the last snapshot.
    b = home / "run" / "models" / "b"
    assert (b / "model.safetensors").read_bytes() == (b / "epoch-00001" / "model.safetensors").read_bytes()


def test_snapshots_predict_together(home):
    folder = home / "run" / "models" / "a+seed5"
    alone = [probability(home, "", folder / part) for part in ("epoch-00002", "epoch-00003")]
    both = probability(home, "snapshots = true", folder)
    assert np.abs(both - (alone[0] + alone[1]) / 2).max() <= ROUNDING
    with pytest.raises(DataError, match=r"model without snapshots, got epoch-00002; set schedule.snapshots"):
        probability(home, "snapshots = true", folder / "epoch-00002")


def test_rows_of_one_class_are_refused_before_anything_is_trained(home):
    with pytest.raises(RecipeError, match=r"two models own a class, got building; set predict.ensemble"):
        train(project_with(home, ""), open_run(home / "run"))


def test_patches_that_do_not_fit_are_refused_before_anything_is_trained(home):
    with pytest.raises(RecipeError, match=r"predict.patch: with its context does not divide, got 57 \+ 2 x 4 = 65"):
        train(project_with(home, "ensemble = true\npatch = 57"), open_run(home / "run"))


def test_classes_with_empty_edges_must_exist(home):
    with pytest.raises(RecipeError, match="billding"):
        train(project_with(home, 'ensemble = true\nempty_edges = ["billding"]'), open_run(home / "run"))


def test_models_that_the_recipe_no_longer_names_are_left_alone(home):
    recipe = RECIPE.format(predict="ensemble = true").replace("seeds = [4, 5]", "seeds = [5]")
    (home / "one.toml").write_text(recipe)
    run, project = open_run(home / "run"), open_project(load_recipe(home / "one.toml"))
    assert train(project, run).current == ["a+seed5", "b"]
    predict(project, run)
    with open_raster(run.probability(split_of(project, run).validate[0])) as raster:
        found = raster.read()[0].astype(float)
    alone = probability(home, "", home / "run" / "models" / "a+seed5")
    assert np.abs(found[1:] - alone[1:]).max() <= ROUNDING
