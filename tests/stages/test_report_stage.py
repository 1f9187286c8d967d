from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from landscribe.core.score.score import scene_jaccard
from landscribe.errors import IntegrityError
from landscribe.io.project import Project, open_project
from landscribe.io.project.splits import split_of
from landscribe.io.raster.rasters import open_raster, write_raster
from landscribe.io.run.prepared import COVERAGE, open_prepared
from landscribe.io.run.runs import Made, Run, make_item, open_run
from landscribe.io.run.scored import run_score
from landscribe.io.settings import load_recipe
from landscribe.pipeline import write_run_json
from landscribe.stages.prepare import prepare
from landscribe.stages.report import gather, report
from landscribe.stages.score import score
from landscribe.stages.vectorize import vectorize
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec

RECIPE = """
[data]
source = "dstl"
root = "world"
[validate]
split = "place"
share = 0.5
[[rules]]
drop_small = 40.0
"""


def predict_from_truth(project: Project, run: Run) -> None:
    """Write probabilities that know the truth, but blurred, noisy and differently so in each scene."""
    rng = np.random.default_rng(5)
    for number, scene_id in enumerate(split_of(project, run).validate or run.records("prepare")):
        scene = open_prepared(run, scene_id)
        with open_raster(scene.folder / COVERAGE) as raster:
            coverage_khw, valid_hw = raster.read()
        noise_khw = rng.normal(0, 20 + 15 * number, coverage_khw.shape)
        probability_khw = np.clip(0.7 * coverage_khw + 30 + noise_khw, 0, 255).astype(np.uint8)

        def make(_name: str = scene_id, values: np.ndarray = probability_khw, known: np.ndarray = valid_hw) -> Made:
            target = run.probability(_name)
            grid = open_prepared(run, _name).grid
            names = project.legend.names
            with write_raster(target, grid, count=len(names), dtype="uint8", descriptions=names, mask=True) as writer:
                writer.write(grid.window, values)
                writer.write_mask(grid.window, known)
            return Made((target,))

        make_item(run, "predict", scene_id, "key", make)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> tuple[Project, Run]:
    folder = tmp_path_factory.mktemp("report")
    write_world(folder / "world", WorldSpec(scenes=4, height=157, width=173, seed=3))
    (folder / "r.toml").write_text(RECIPE)
    project, run = open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")
    prepare(project, run)
    predict_from_truth(project, run)
    vectorize(project, run)
    score(project, run)
    report(project, run)
    return project, run


def test_the_report_shows_every_held_out_scene_worst_first(home):
    project, run = home
    data = gather(project, run)
    scored = run_score(run)
    assert scored is not None
    assert {view.id for view in data.scenes} == set(scored.scenes)
    order = [scene_jaccard(scored.scenes[view.id]) for view in data.scenes]
    assert order == sorted(order)
    assert all(view.split == "validate" for view in data.scenes)
    assert all(view.bands == ("red", "green", "blue") for view in data.scenes)
    assert any(layer.found and layer.missed for view in data.scenes for layer in view.layers)
    assert data.score == scored


def test_it_says_how_unlike_training_the_held_out_scenes_are(home):
    project, run = home
    data = gather(project, run)
    held = [scene for scene, (_, split) in data.splits.items() if split == "validate"]
    train = [scene for scene, (_, split) in data.splits.items() if split == "train"]
    names = [row.name for row in data.unlike]
    assert names[:2] == ["held-out scenes together", "a training place against the others, median"]
    assert sorted(names[2:]) == sorted(held)

    shares = [np.array([data.areas[side][n] for n in project.legend.names]) for side in ("train", "validate")]
    expected = np.abs(shares[0] / shares[0].sum() - shares[1] / shares[1].sum()).sum() / 2
    assert data.unlike[0].mixture == pytest.approx(expected, abs=1e-3)

    def pixels(scenes: list[str], sensor: str) -> np.ndarray:
        found = [open_prepared(run, i).read(sensor) for i in scenes]
        return np.concatenate([image[:, known] for image, known in found], axis=1).astype(float)

    sensors = list(open_prepared(run, held[0]).kinds)
    sides = [(pixels(held, name), pixels(train, name)) for name in sensors]
    steps = np.concatenate([(ours.mean(axis=1) - known.mean(axis=1)) / known.std(axis=1) for ours, known in sides])
    assert data.unlike[0].looks == pytest.approx(np.sqrt((steps**2).mean()), rel=1e-6)
    page = run.path("report.html").read_text()
    assert "How unlike training the held-out scenes are" in page


def test_the_threshold_curve_goes_through_the_pixel_score(home):
    project, run = home
    data = gather(project, run)
    assert data.curves
    for curve in data.curves:
        expected = data.score.classes[curve.name].pixel.jaccard
        at = int(np.argmax(curve.thresholds >= curve.chosen))
        assert curve.jaccard[at] == pytest.approx(expected, abs=1e-12)


def test_areas_of_both_sides_are_those_of_the_labels(home):
    project, run = home
    data = gather(project, run)
    total = sum(sum(side.values()) for side in data.areas.values())
    expected = sum(v for r in run.records("prepare").values() for k, v in r.counts.items() if k.startswith("area "))
    assert total == pytest.approx(expected)
    assert set(data.areas) == {"train", "validate"}
    assert data.area_unit == "px2"


def test_what_was_dropped_is_told_and_what_was_kept_is_not(home):
    project, run = home
    reasons = [what for _, what, _ in gather(project, run).dropped]
    assert not any(re.search("kept|labelled pixels|^area |rule 1: (before|after)", what) for what in reasons)
    assert "rule 1: dropped, small" in reasons
    still = (": kept", "rule 1: before", "rule 1: after")
    total = sum(n for r in run.records("vectorize").values() for k, n in r.counts.items() if not k.endswith(still))
    assert sum(n for stage, _, n in gather(project, run).dropped if stage == "vectorize") == total


def test_the_page_is_whole_and_small(home):
    _, run = home
    page = run.path("report.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    assert len(page) < 15_000_000
    assert page.count("data:image/webp") == 2 + 2, "two scenes, and the worst shift before and after"


def test_it_is_written_again_only_when_something_changed(home):
    project, run = home
    assert report(project, run).current == ["all"]
    changed = replace(project, recipe=project.recipe.model_copy(update={"seed": 9}))
    assert report(changed, run).made == ["all"]
    assert report(project, run).made == ["all"]


def test_a_run_that_only_predicted_gives_a_report_without_scores(home, tmp_path):
    project, run = home
    shutil.copytree(run.root, tmp_path / "run")
    bare = open_run(tmp_path / "run")
    shutil.rmtree(bare.path(".done", "score"))
    Path(bare.path("score.json")).unlink()
    data = gather(project, bare)
    assert data.score is None
    assert len(data.scenes) == 2
    assert sum(data.predicted_areas.values()) > 0
    report(project, bare)
    assert "There is no score" in bare.path("report.html").read_text(encoding="utf-8")


def test_a_damaged_score_stops_the_report_and_is_made_again(home, tmp_path):
    project, run = home
    shutil.copytree(run.root, tmp_path / "run")
    hurt = open_run(tmp_path / "run")
    whole = hurt.path("score.json").read_text()
    hurt.path("score.json").write_text(whole[:-13])
    with pytest.raises(IntegrityError, match=r"score.json: is not what was written.*run `landscribe score` again"):
        gather(project, hurt)
    write_run_json(project, hurt)
    assert json.loads(hurt.path("run.json").read_text())["score"] is None
    assert score(project, hurt).made == ["all"]
    assert hurt.path("score.json").read_text() == whole
    write_run_json(project, hurt)
    assert json.loads(hurt.path("run.json").read_text())["score"] == json.loads(whole)["mean"]


def test_a_run_that_was_only_prepared_shows_its_scenes(home, tmp_path):
    project, _ = home
    fresh = open_run(tmp_path / "run")
    prepare(project, fresh)
    data = gather(project, fresh)
    assert len(data.scenes) == 4
    assert any(layer.truth or layer.missed for view in data.scenes for layer in view.layers)
    report(project, fresh)
