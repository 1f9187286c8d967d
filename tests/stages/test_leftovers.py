"""A scene that validated once and trains now leaves nothing behind."""

from __future__ import annotations

from landscribe.io.project import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize
from landscribe.stages.world import write_world
from landscribe.worlds import WorldSpec

RECIPE = """
[data]
source = "dstl"
root = "world"
[[models]]
kind = "labels"
[validate]
split = "named"
scenes = ["{held}"]
whole_places = false
leak_check = false
"""


def test_predictions_of_an_earlier_split_are_removed_and_named(tmp_path):
    write_world(tmp_path / "world", WorldSpec(scenes=3, height=137, width=149, seed=4))
    run, recipe = open_run(tmp_path / "run"), tmp_path / "r.toml"
    ids = [scene.id for scene in _project(recipe, "6010_0_0").scenes.scenes if scene.has_labels]
    first, second = ids[:2]
    results = {}
    for held in (first, second):
        project = _project(recipe, held)
        results[held] = [stage(project, run) for stage in (prepare, train, predict, vectorize)]
        assert set(run.records("predict")) & {first, second} == {held}
        assert set(run.records("vectorize")) & {first, second} == {held}
    for path in (run.probability(first), run.features(first)):
        assert not path.exists()
    for path in (run.probability(second), run.features(second)):
        assert path.is_file()
    for result in results[second][2:]:
        assert any("removed what an earlier split" in note and first in note for note in result.notes)
    assert not any("removed" in note for result in results[first] for note in result.notes)


def _project(recipe, held):
    recipe.write_text(RECIPE.format(held=held))
    return open_project(load_recipe(recipe))
