"""No reviewed ground is ever scored: splits that are drawn and edited, and scores that are compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from landscribe.core.grid import Grid
from landscribe.core.score.score import Score
from landscribe.core.split.split import Split
from landscribe.errors import RecipeError, some
from landscribe.io.labels.reviewed import reviewed_ground
from landscribe.io.project import Project, open_project
from landscribe.io.project.splits import open_side, split_of
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe, recipe_of_run
from landscribe.pipeline import run_pipeline
from landscribe.report.words import plural
from landscribe.stages.files.compare import compare_runs, comparison_lines
from landscribe.stages.prepare import prepare
from landscribe.stages.review.absorb import absorb
from landscribe.stages.train import train
from reviews import said, small_project
from small_scenes import SHAPE_HW

NAMED = 'split = "named"\nscenes = ["o4"]\n'
DRAWN = 'split = "place"\nshare = 0.4\n'
CORNER = 'split = "corner"\ncorner_px = 13\n'
SCENES = 'split = "random"\nwhole_places = false\nleak_check = false\n'
BOX = (30, 2, 37, 9)


def open_small(folder: Path, validate: str, name: str = "run") -> tuple[Project, Run]:
    text = (folder / "old.toml").read_text()
    head, _, _ = text.partition("[validate]\n")
    (folder / "old.toml").write_text(f"{head}[validate]\n{validate}")
    return open_project(load_recipe(folder / "old.toml")), open_run(folder / name)


def drawn(folder: Path, validate: str) -> Split:
    project, run = open_small(folder, validate)
    prepare(project, run)
    return split_of(project, run)


def review(folder: Path, grids: dict[str, Grid], scene: str, box: tuple[float, ...] = BOX) -> None:
    row = [("house", "accept", box)]
    absorb(folder / "old.toml", [said(folder / f"{scene}.gpkg", grids[scene], scene, row, [("", box)])])  # type: ignore[list-item]


def test_a_scene_that_only_a_review_labels_trains_and_moves_no_other(tmp_path: Path) -> None:
    grids = small_project(tmp_path, labelled=(1, 2, 3, 4, 6, 7), bare=(5,))
    before = drawn(tmp_path, DRAWN)
    review(tmp_path, grids, "o5")
    after = drawn(tmp_path, DRAWN)
    assert before.validate == after.validate
    assert set(after.train) == {*before.train, "o5"}
    assert any(note == "reviewed, so never scored: o5" for note in after.notes)


def test_a_held_out_scene_that_is_reviewed_trains_and_the_others_stay(tmp_path: Path) -> None:
    grids = small_project(tmp_path, labelled=(1, 2, 3, 4, 6, 7))
    before = drawn(tmp_path, DRAWN)
    first, *others = before.validate
    assert others
    review(tmp_path, grids, first)
    after = drawn(tmp_path, DRAWN)
    assert list(after.validate) == others
    assert set(after.train) == {*before.train, first}
    assert any(f"{first}, which leaves {len(others)} held-out scenes" in note for note in after.notes)


def test_a_training_scene_that_is_reviewed_changes_no_side(tmp_path: Path) -> None:
    grids = small_project(tmp_path, labelled=(1, 2, 3, 4, 6, 7))
    before = drawn(tmp_path, DRAWN)
    for scene in before.train[:2]:
        review(tmp_path, grids, scene, (0, 0, 50, 40))
    after = drawn(tmp_path, DRAWN)
    assert (before.train, before.validate) == (after.train, after.validate)


def test_a_reviewed_scene_on_held_out_ground_waits(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    from small_scenes import write_image

    grids["o5"] = write_image(tmp_path / "old" / "img" / "o5.tif", 4000 + 2 * 20, 5)  # overlaps o4
    before = drawn(tmp_path, NAMED)
    review(tmp_path, grids, "o5")
    after = drawn(tmp_path, NAMED)
    assert (before.train, before.validate) == (after.train, after.validate) == (("o1", "o2", "o3"), ("o4",))
    assert any("neither trained on nor scored: 'o5', it shows the ground of 'o4'" in note for note in after.notes)


@pytest.mark.parametrize(("box", "kept"), [((0, 0, 9, 7), False), ((30, 2, 37, 9), True)])
def test_a_corner_is_scored_as_long_as_nothing_in_it_was_reviewed(tmp_path: Path, box: tuple, kept: bool) -> None:
    grids = small_project(tmp_path, labelled=(1, 2), bare=())
    corner = 'split = "corner"\ncorner_px = 20\n'
    review(tmp_path, grids, "o1", box)
    split = drawn(tmp_path, corner)
    assert split.train == ("o1", "o2")
    assert split.validate == (("o1", "o2") if kept else ("o2",))
    assert set(split.corners) == set(split.validate)


def test_an_edited_split_cannot_score_what_was_reviewed(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    drawn(tmp_path, NAMED)
    file = tmp_path / "run" / "split.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, "train": ["o1", "o2"], "validate": ["o3", "o4"]}))
    review(tmp_path, grids, "o3")
    with pytest.raises(RecipeError, match=r"split.json: scene 'o3' validates, and people have reviewed it"):
        drawn(tmp_path, NAMED)


@pytest.mark.parametrize("validate", [DRAWN, CORNER, SCENES])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_reviewed_ground_counts_in_a_score(tmp_path: Path, validate: str, seed: int) -> None:
    """The law: whatever is reviewed anywhere, what is scored shares no ground with it."""
    rng = np.random.default_rng(seed)
    grids = small_project(tmp_path, labelled=(1, 2, 3, 4, 6), bare=(5,))
    for scene in rng.choice(sorted(grids), 3, replace=False):
        left, top = rng.integers(0, SHAPE_HW[1] - 8), rng.integers(0, SHAPE_HW[0] - 8)
        review(tmp_path, grids, str(scene), (left, top, left + 7, top + 5))
    project, run = open_small(tmp_path, validate)
    prepare(project, run)
    split = split_of(project, run)
    assert split.train
    reviewed = 0
    for scene in project.scenes.scenes:
        ground = shapely.union_all(
            grids[scene.id].pixels_to_ground(reviewed_ground(scene, project.legend, grids[scene.id]))
        )
        reviewed += ground.area > 0
        if scene.id in split.validate:
            scored = open_side(run, scene.id, split, "validate").labelled_ground()
            assert scored.area > 0
            assert scored.intersection(ground).area == 0
    assert reviewed == 3


def scored(project: Project, run: Run) -> Score:
    list(run_pipeline(project, run))
    return Score.from_json(run.path("score.json").read_text())


def test_scores_before_and_after_are_of_the_same_held_out_places(tmp_path: Path) -> None:
    grids = small_project(tmp_path, labelled=(1, 2, 3, 4, 6, 7))
    before = scored(*open_small(tmp_path, DRAWN, "before"))
    first, *others = before.scenes
    review(tmp_path, grids, first)
    review(tmp_path, grids, "o5")
    after = scored(*open_small(tmp_path, DRAWN, "after"))
    assert list(after.scenes) == others
    why = [row for row in after.left_out if row.why.startswith("reviewed: ")]
    assert [(row.count, set(row.names)) for row in why] == [(2, {first, "o5"})]
    found = compare_runs(tmp_path / "before", tmp_path / "after")
    assert list(found.scenes) == others
    assert (found.only_first.scenes, found.other_truth) == ((first,), ())
    assert comparison_lines(found) == [
        f"on {plural(len(others), 'scene')} in {plural(len(others), 'place')} that both scored: {some(others)}",
        f"scored by the first alone: {first}",
        "how far other seeds would move these scores is not known: give one of the runs seeds = [0, 1, 2] in "
        "[[models]]",
    ]
    for scene in others:
        for name in ("house", "road"):
            one, two = (score.scenes[scene][name].polygon for score in (before, after))
            assert one.tp + one.fn == pytest.approx(two.tp + two.fn)
    again = open_project(recipe_of_run(tmp_path / "after"))
    assert [scene.id for scene in again.scenes.scenes if scene.reviews] == sorted([first, "o5"])
    assert "reviewed: people have seen" in (tmp_path / "after" / "report.html").read_text()


def test_nothing_is_left_to_score_where_all_was_reviewed(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    review(tmp_path, grids, "o4")
    results = list(run_pipeline(*open_small(tmp_path, NAMED)))
    assert [result.left_out for result in results if result.stage == "score"] == [
        "no labelled scene is held out, nothing to score"
    ]
    assert any("which leaves 0 held-out scenes" in note for result in results for note in result.notes)


def test_finished_models_are_not_scored_on_what_was_reviewed_either(tmp_path: Path) -> None:
    grids = small_project(tmp_path, labelled=(1, 2, 3, 4, 6))
    project, run = open_small(tmp_path, 'split = "named"\nscenes = ["o3", "o4", "o6"]\n')
    prepare(project, run)
    train(project, run)
    for scene in ("o4", "o5"):
        review(tmp_path, grids, scene)
    project, other = open_small(tmp_path, NAMED, "other")
    list(run_pipeline(project, other, run.path("models")))
    score = Score.from_json(other.path("score.json").read_text())
    assert list(score.scenes) == ["o3", "o6"]
    assert {row.why.split(":")[0]: row.count for row in score.left_out if row.what == "scenes"} == {
        "reviewed": 2, "trained on": 2,
    }  # fmt: skip
