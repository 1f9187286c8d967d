from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import shapely

from landscribe.core.burn import burn_mask
from landscribe.core.features import of_class
from landscribe.core.recipe import Recipe
from landscribe.core.score.areas import Matches, match_objects
from landscribe.core.trace import trace
from landscribe.errors import DataError, IntegrityError, RecipeError
from landscribe.io.project import Project, open_project
from landscribe.io.project.splits import draw_split, split_of
from landscribe.io.raster.rasters import open_raster, write_raster
from landscribe.io.run.prepared import COVERAGE, open_prepared
from landscribe.io.run.runs import Made, Run, make_item, open_run
from landscribe.io.run.tuned import TUNED, UNTUNED_PROBABILITY, accepted, effective_recipe, read_tuned
from landscribe.io.settings import load_recipe
from landscribe.pipeline import run_pipeline
from landscribe.stages.prepare import prepare
from landscribe.stages.report import gather
from landscribe.stages.score import score
from landscribe.stages.tune import tune
from landscribe.stages.vectorize import vectorize
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec

RECIPE = """
[data]
source = "dstl"
root = "world"
[validate]
share = 0.3
[tune]
folds = 3
thresholds = [0.2, 0.35]
open_px = []
close_px = []
buffer_px = [0.5]
simplify_px = []
symmetries = [4]
[vectorize]
tuned = true
"""
TOO_LOW = 0.4
"""Of the true coverage is what the made-up model says, so that 0.5 finds nothing and 0.2 is right."""


def write_probability(project: Project, run: Run, stage: str, scene_id: str) -> None:
    scene = open_prepared(run, scene_id)
    with open_raster(scene.folder / COVERAGE) as raster:
        coverage_khw, valid_hw = raster.read()
    names = project.legend.names
    # All views together lay trees beside where they are; four of them do not.
    beside_khw = coverage_khw.copy()
    beside_khw[names.index("tree")] = np.roll(beside_khw[names.index("tree")], 2, axis=1)
    fields = {run.probability(scene_id): coverage_khw}
    if stage == UNTUNED_PROBABILITY:
        fields = {run.untuned(scene_id, ".tif"): beside_khw}
    if stage == "oof":
        fields = {run.out_of_fold(scene_id): beside_khw, run.out_of_fold(scene_id, 4): coverage_khw}

    def make() -> Made:
        for target, field_khw in fields.items():
            with write_raster(
                target, scene.grid, count=len(names), dtype="uint8", descriptions=names, mask=True
            ) as writer:
                writer.write(scene.grid.window, (TOO_LOW * field_khw).astype(np.uint8))
                writer.write_mask(scene.grid.window, valid_hw)
        return Made(tuple(fields))

    make_item(run, stage, scene_id, "key", make)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> tuple[Project, Run]:
    folder = tmp_path_factory.mktemp("tune")
    write_world(folder / "world", WorldSpec(scenes=10, height=131, width=149, seed=3))
    (folder / "r.toml").write_text(RECIPE)
    project, run = open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")
    prepare(project, run)
    split = split_of(project, run)
    training, valid = split.train, split.validate
    for scene_id in training:
        write_probability(project, run, "oof", scene_id)
    for scene_id in valid:
        write_probability(project, run, "predict", scene_id)
        write_probability(project, run, UNTUNED_PROBABILITY, scene_id)
    tune(project, run)
    return project, run


def with_recipe(project: Project, table: str, **values: object) -> Project:
    changed = getattr(project.recipe, table).model_copy(update=values)
    return replace(project, recipe=project.recipe.model_copy(update={table: changed}))


def test_it_finds_the_threshold_that_is_right(home):
    _, run = home
    tuned = read_tuned(run)
    used = {name: row for name, row in tuned["classes"].items() if row["accepted"]}
    assert used
    for row in used.values():
        assert row["default"]["threshold"] == 0.5
        assert row["chosen"]["threshold"] == 0.2
        assert row["jaccard"]["nested"] > row["jaccard"]["default"]
        assert row["gain"]["low"] > 0
        assert row["places"] >= 6
    refused = [row for row in tuned["classes"].values() if not row["accepted"]]
    assert all(row["why_not"] for row in refused)


def test_fewer_views_are_taken_for_the_class_that_they_suit(home):
    project, run = home
    classes = read_tuned(run)["classes"]
    assert classes["tree"]["accepted"]
    assert {name: row["chosen"]["symmetries"] for name, row in classes.items()} == dict.fromkeys(classes, 0) | {
        "tree": 4
    }
    predict = effective_recipe(project.recipe, run).predict
    assert predict.class_symmetries == {"tree": 4}
    assert (predict.views_of("tree"), predict.views_of("building")) == (4, 8)
    assert effective_recipe(project.recipe, Run(run.root / "new"), needed=False) == project.recipe
    one = with_recipe(project, "tune", symmetries=(1,))
    with pytest.raises(DataError, match="no out-of-fold probabilities"):
        tune(one, run)


def test_it_looks_at_no_scored_scene(home):
    project, run = home
    split = split_of(project, run)
    training, valid = split.train, split.validate
    assert set(read_tuned(run)["scenes"]) == set(training)
    assert not set(read_tuned(run)["scenes"]) & set(valid)


def test_folds_are_whole_places_and_cover_the_training_scenes_once(home):
    project, run = home
    prepared = run.records("prepare")
    folds = split_of(project, run).folds
    training = split_of(project, run).train
    assert len(folds) == 3
    assert sorted(i for left_out in folds for i in left_out) == sorted(training)
    assert draw_split(with_recipe(project, "tune", folds=0), prepared).folds == ()
    assert len(draw_split(with_recipe(project, "tune", folds=50), prepared).folds) == len(training)


def test_what_was_tuned_is_used_and_scores_better(home):
    project, run = home
    plain = with_recipe(project, "vectorize", tuned=False)
    scores = []
    for one in (plain, project):
        vectorize(one, run)
        score(one, run)
        scores.append(json.loads(run.path("score.json").read_text()))
    means = [one["mean"] for one in scores]
    assert means[1]["polygon"]["jaccard"] > means[0]["polygon"]["jaccard"] + 0.1
    # The same two figures side by side in the one score; only trees were predicted otherwise by default.
    plain_score, tuned_score = scores
    rows = tuned_score["tuning"]
    assert "tuning" not in plain_score
    assert rows["mean"]["tuned"] == means[1]["polygon"]["jaccard"]
    for name, row in rows["classes"].items():
        assert row["tuned"] == tuned_score["classes"][name]["polygon"]["jaccard"]
        assert row["difference"] == pytest.approx(row["tuned"] - row["default"])
        if name != "tree":
            assert row["default"] == plain_score["classes"][name]["polygon"]["jaccard"]
    assert rows["classes"]["tree"]["default"] == 0.0
    assert rows["mean"]["low"] > 0
    assert means[1]["pixel"]["jaccard"] > means[0]["pixel"]["jaccard"] + 0.1
    recipe = effective_recipe(project.recipe, run)
    used = [name for name, row in read_tuned(run)["classes"].items() if row["accepted"]]
    assert {recipe.vectorize.threshold.of(name) for name in used} == {0.2}
    data = gather(project, run)
    assert data.tuned["classes"].keys() == set(project.legend.names)
    assert {c.chosen for c in data.curves if c.name in used} == {0.2}


def test_truth_painted_as_opencv_does_is_fatter(home):
    project, run = home
    vectorize(project, run)
    score(project, run)
    found = json.loads(run.path("score.json").read_text())
    shown = [row for row in found["classes"].values() if row["pixel"]["tp"] > 0]
    assert shown
    for row in shown:
        half, painted = (row[kind]["tp"] + row[kind]["fn"] for kind in ("pixel", "pixel_opencv"))
        assert painted > half
        # The prediction is the same on both sides.
        assert row["pixel"]["tp"] + row["pixel"]["fp"] == row["pixel_opencv"]["tp"] + row["pixel_opencv"]["fp"]
    grid_hw = {i: open_prepared(run, i).grid.shape_hw for i in found["scenes"]}
    name = next(iter(found["classes"]))
    whole = 0
    for scene_id, shape_hw in grid_hw.items():
        scene = open_prepared(run, scene_id)
        pixels = scene.grid.ground_to_pixels(of_class(scene.read_labels(), name))
        whole += int((burn_mask(pixels, shape_hw, mode="opencv") & scene.read_coverage()[1]).sum())
    row = found["classes"][name]["pixel_opencv"]
    assert row["tp"] + row["fn"] == whole
    assert found["mean"]["pixel_opencv"]["jaccard"] is not None


def test_shapes_become_rules_before_those_of_the_recipe(home):
    project, run = home
    recipe = effective_recipe(project.recipe, run)
    shaped = [name for name, choice in accepted(read_tuned(run)).items() for _ in choice.rules(name)]
    assert shaped
    assert [rule.classes for rule in recipe.rules] == shaped
    assert isinstance(recipe, Recipe)


def test_it_is_tuned_again_only_when_something_changed(home):
    project, run = home
    assert tune(project, run).current == ["all"]
    assert tune(with_recipe(project, "tune", thresholds=(0.2,)), run).made == ["all"]
    assert tune(project, run).made == ["all"]


def test_countable_classes_may_be_chosen_by_their_objects(home):
    project, run = home
    before = read_tuned(run)["classes"]
    by_objects = with_recipe(project, "tune", by="objects")
    assert tune(by_objects, run).made == ["all"]
    rows = read_tuned(run)["classes"]
    for land_class in project.legend:
        assert ("f1" in rows[land_class.name]) == land_class.countable
        if not land_class.countable:
            assert rows[land_class.name] == before[land_class.name]
    counts = Matches(0, 0, 0)
    band = project.legend.index("building")
    for scene_id in split_of(project, run).train:
        scene = open_prepared(run, scene_id)
        with open_raster(run.out_of_fold(scene_id)) as raster:
            found = trace(raster.read()[0][band], threshold=0.2).geometries
        truth = scene.grid.ground_to_pixels(of_class(scene.read_labels(), "building"))
        counts += match_objects(found, truth, region=shapely.box(0, 0, scene.grid.width, scene.grid.height))
    chosen = rows["building"]["chosen"]
    assert chosen["threshold"] == 0.2
    f1 = 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)
    assert rows["building"]["f1"]["on_the_same_places"] >= f1 > 0.5
    assert rows["building"]["f1"]["default"] == 0.0
    assert tune(project, run).made == ["all"]


def test_without_folds_it_says_what_to_do(home):
    project, run = home
    with pytest.raises(RecipeError, match="2 or more"):
        tune(with_recipe(project, "tune", folds=0), run)


def test_without_tuned_json_vectorize_says_what_to_run(home, tmp_path):
    project, _ = home
    with pytest.raises(DataError, match="landscribe tune"):
        effective_recipe(project.recipe, open_run(tmp_path))
    other = open_run(tmp_path)
    prepare(project, other)
    with pytest.raises(DataError, match="no out-of-fold probabilities"):
        tune(project, other)


@pytest.mark.parametrize(
    "content", ["{", "{}", '{"classes": {"building": {"accepted": true, "chosen": {"threshold": 7, "min_area": 1}}}}']
)
def test_a_damaged_file_is_refused(home, tmp_path, content):
    (tmp_path / TUNED).write_text(content)
    with pytest.raises(IntegrityError, match="damaged"):
        effective_recipe(home[0].recipe, Run(tmp_path))


@pytest.mark.slow
def test_a_run_with_folds_trains_predicts_tunes_and_says_so(tmp_path):
    write_world(tmp_path / "world", WorldSpec(scenes=5, height=131, width=137, seed=3))
    (tmp_path / "r.toml").write_text(
        RECIPE.replace("folds = 3", "folds = 2")
        + """
[[models]]
inputs = { sensors = ["RGB"] }
network = { filters = 4, depth = 2 }
chips = { size = 32, context = 4, batch = 2 }
schedule = { epochs = 1, steps = 2 }
[predict]
symmetries = 1
"""
    )
    project, run = open_project(load_recipe(tmp_path / "r.toml")), open_run(tmp_path / "run")
    list(run_pipeline(project, run))
    split = split_of(project, run)
    training, valid = split.train, split.validate
    seen = {}
    for number, left_out in enumerate(split.folds, start=1):
        extra = json.loads((run.fold(number) / "all" / "model.json").read_text())["extra"]
        seen |= {i: set(extra["trained_on"]) for i in left_out}
    assert set(seen) == set(training)
    for scene_id, trained_on in seen.items():
        assert scene_id not in trained_on
        assert not trained_on & set(valid)
        assert run.out_of_fold(scene_id).is_file()
    assert sorted(run.records("predict")) == sorted(valid)
    facts = json.loads(run.path("run.json").read_text())
    assert facts["tuned"]["folds"] == 2
    assert facts["seconds"]["tune"] > 0
    assert "Tuning" in run.path("report.html").read_text()
