"""`split.json`: drawn once, kept when a person edits it, and what hangs on it is made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.features import make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.left_out import scenes_left_out
from landscribe.errors import DataError, IntegrityError, RecipeError
from landscribe.io.project import Project, open_project
from landscribe.io.project.splits import SPLIT, split_of
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.run.scored import run_score
from landscribe.io.settings import load_recipe
from landscribe.io.vector.vectors import write_features
from landscribe.pipeline import run_pipeline, write_run_json
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.report import gather
from landscribe.stages.score import score
from landscribe.stages.train import train
from landscribe.stages.tune import tune
from landscribe.stages.vectorize import vectorize

SHAPE_HW = (41, 53)
SCENES = ("a1", "a2", "b1", "c1", "d1", "e1")
RECIPE = """
[data]
sensors.RGB = { path = "img/{town}_{n}.tif", kind = "rgb8" }
labels = { path = "lab/{town}_{n}.gpkg", class = "building" }
scene = "{town}{n}"
place = "{town}"
[[models]]
name = "truth"
kind = "labels"
[predict]
scenes = "all"
[validate]
share = 0.4
"""


def write_scene(folder: Path, scene: str, east: float, *, labelled: bool = True) -> None:
    rng = np.random.default_rng(len(list(folder.rglob("*.tif"))))
    grid = Grid(*SHAPE_HW, Affine(2, 0, 400_000 + east, 0, -2, 5_000_000), CRS.from_epsg(32633))
    path = folder / "img" / f"{scene[0]}_{scene[1]}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_raster(path, grid, count=3, dtype="uint8", descriptions=("red", "green", "blue")) as writer:
        writer.write(grid.window, rng.integers(1, 255, (3, *SHAPE_HW), dtype=np.uint8))
    if labelled:
        house = LandClass(1, "building", "#aa0000")
        boxes = grid.pixels_to_ground(np.array([shapely.box(3, 5, 17, 11), shapely.box(23, 19, 40, 29)], dtype=object))
        (folder / "lab").mkdir(exist_ok=True)
        write_features(folder / "lab" / f"{scene[0]}_{scene[1]}.gpkg", make_features(scene, house, boxes, crs=grid.crs),
                       legend=Legend((house,)))  # fmt: skip


@pytest.fixture(scope="module")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six labelled scenes of five places, one without labels, and a run as far as `prepare`."""
    root = tmp_path_factory.mktemp("splitfile")
    for number, scene in enumerate(SCENES):
        write_scene(root, scene, 1000 * number)
    write_scene(root, "z1", 9000, labelled=False)
    (root / "r.toml").write_text(RECIPE)
    prepare(project_of(root), open_run(root / "run"))
    return root


@pytest.fixture
def home(prepared_home: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(prepared_home, tmp_path / "home")
    return tmp_path / "home"


def project_of(home: Path, *overrides: str) -> Project:
    return open_project(load_recipe(home / "r.toml", overrides))


def edit(run: Run, **values: Any) -> None:
    file = run.path(SPLIT)
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def swap(run: Run) -> tuple[str, str]:
    """Exchange, by hand, all scenes of a place of each side; return one of each as they stand now: train, validate."""
    content = json.loads(run.path(SPLIT).read_text())
    comes, goes = content["validate"][0], content["train"][-1]
    places = {side: [i for i in SCENES if i[0] == scene[0]] for side, scene in (("in", comes), ("out", goes))}
    train = [i for i in content["train"] if i not in places["out"]] + places["in"]
    edit(run, train=train, validate=[i for i in SCENES if i not in train], folds=[])
    return comes, goes


def test_prepare_draws_it_for_people_to_read(home: Path) -> None:
    content = json.loads((home / "run" / SPLIT).read_text())
    assert sorted(content["train"] + content["validate"]) == sorted(SCENES)
    assert content["why"].startswith("drawn: 0.4 of 5 labelled places, seed 0")
    assert "deleted, it is drawn again" in content["about"]
    split = split_of(project_of(home), open_run(home / "run"))
    assert (split.edited, split.notes, split.folds) == (False, (), ())


def test_it_is_drawn_once_and_again_when_scenes_or_settings_change(home: Path) -> None:
    run = open_run(home / "run")
    file = run.path(SPLIT)
    before = file.stat().st_mtime_ns
    for overrides in ((), ("validate.leak_check=false",), ("predict.tile=96",)):
        split_of(project_of(home, *overrides), run)
        assert file.stat().st_mtime_ns == before
    first = split_of(project_of(home), run)
    assert split_of(project_of(home, "validate.split=none"), run).train == SCENES
    assert split_of(project_of(home), run) == first
    assert len(split_of(project_of(home, "tune.folds=3"), run).folds) == min(3, len({i[0] for i in first.train}))
    write_scene(home, "f1", 7000)
    project = project_of(home)
    prepare(project, run)
    assert "f1" in split_of(project, run).sides


def test_an_edited_file_is_kept_and_said(home: Path) -> None:
    project, run = project_of(home), open_run(home / "run")
    comes, goes = swap(run)
    text = run.path(SPLIT).read_text()
    split = split_of(project, run)
    assert comes in split.train
    assert goes in split.validate
    assert [*split.train] == sorted(split.train)
    assert split.notes == ("split.json: edited by hand and kept; delete it to have it drawn again",)
    changed = split_of(project_of(home, "validate.share=0.7"), run)
    assert changed.sides == split.sides
    assert "though scenes or settings have changed" in changed.notes[0]
    assert prepare(project, run).notes == list(split.notes)
    assert run.path(SPLIT).read_text() == text
    run.path(SPLIT).unlink()
    assert split_of(project, run).sides != split.sides


def test_scenes_left_out_by_hand_are_counted(home: Path) -> None:
    project, run = project_of(home), open_run(home / "run")
    edit(run, train=["b1", "c1"], validate=["d1"])
    assert split_of(project, run).notes[1].endswith("neither trained on nor scored: 3")


def test_folds_are_dealt_where_an_edited_file_has_none(home: Path) -> None:
    project, run = project_of(home, "tune.folds=2"), open_run(home / "run")
    edit(run, train=["a1", "a2", "b1", "c1"], validate=["d1"], folds=[])
    folds = split_of(project, run).folds
    assert sorted(i for fold in folds for i in fold) == ["a1", "a2", "b1", "c1"]
    edit(run, folds=[["a1", "b1"], ["a2", "c1"]])
    assert split_of(project, run).folds == (("a1", "b1"), ("a2", "c1"))
    assert split_of(project_of(home), run).folds == ()


def test_each_stage_goes_by_the_edited_file(home: Path) -> None:
    project, run = project_of(home), open_run(home / "run")
    assert not any(result.failed for result in run_pipeline(project, run))
    scored = set(json.loads(run.path("score.json").read_text())["scenes"])
    assert scored == set(split_of(project, run).validate)

    comes, goes = swap(run)
    # The truth as a model is trained on nothing; a network of the run would know the scene.
    write_taught_model(run, goes)
    with pytest.raises(IntegrityError, match=r"was trained on scene .*run `landscribe train`"):
        score(project, run)
    shutil.rmtree(run.path("models", "net"))
    results = {result.stage: result for result in run_pipeline(project, run)}
    assert results["score"].made == ["all"]
    assert results["report"].made == ["all"]
    scored = set(json.loads(run.path("score.json").read_text())["scenes"])
    assert goes in scored
    assert comes not in scored
    facts = json.loads(run.path("run.json").read_text())
    assert facts["split"]["edited"] is True
    assert (facts["scenes"][comes]["split"], facts["scenes"][goes]["split"]) == ("train", "validate")
    assert "edited by hand" in run.path("report.html").read_text()
    assert gather(project, run).splits[goes] == (goes[0], "validate")
    again = {result.stage: result.made for result in run_pipeline(project, run)}
    assert not any(again.values())


def test_a_validating_scene_that_was_not_predicted_is_named(home: Path) -> None:
    project, run = project_of(home, "predict.scenes=held-out", "tune.folds=0"), open_run(home / "run")
    for stage in (train, predict, vectorize):
        stage(project, run)
    assert score(project, run).notes == []
    swap(run)
    held = split_of(project, run).validate
    lost = [i for i in held if not run.features(i).is_file()]
    assert lost
    score(project, run)
    found = run_score(run)
    assert found is not None
    assert (
        scenes_left_out("held out from training, but not predicted", lost, len(run.records("prepare")))
        in found.left_out
    )


def write_taught_model(run: Run, scene: str) -> None:
    folder = run.path("models", "net")
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"extra": {"trained_on": [scene]}}))


def test_networks_train_anew_on_an_edited_side_and_their_folds_with_them(home: Path) -> None:
    network = ("models.0.kind=network", "models.0.network.filters=4", "models.0.network.depth=2",
               "models.0.chips.size=32", "models.0.chips.context=4", "models.0.chips.batch=2",
               "models.0.schedule.epochs=1", "models.0.schedule.steps=1", "tune.folds=2")  # fmt: skip
    project, run = project_of(home, *network), open_run(home / "run")
    split_of(project, run)
    assert train(project, run).made == ["truth", "truth~fold1", "truth~fold2"]
    assert train(project, run).made == []
    comes, goes = swap(run)
    result = train(project, run)
    assert "truth" in result.made
    assert result.notes
    extra = json.loads(run.path("models", "truth", "model.json").read_text())["extra"]
    assert comes in extra["trained_on"]
    assert goes in extra["held_out"]
    with pytest.raises(DataError, match="no out-of-fold probabilities"):
        tune(project, run)


def test_a_place_on_both_sides_by_hand_is_a_leak(home: Path) -> None:
    project, run = project_of(home), open_run(home / "run")
    edit(run, train=["a1", "b1"], validate=["a2", "c1"])
    with pytest.raises(DataError, match="'a1' and 'a2' show the same ground on both sides"):
        train(project, run)
    for allowed in ("validate.whole_places=false", "validate.leak_check=false"):
        assert train(project_of(home, allowed), run).stage == "train"


def test_footprints_on_both_sides_by_hand_are_a_leak(home: Path) -> None:
    write_scene(home, "g1", 1000 * SCENES.index("b1") + 30)
    project, run = project_of(home), open_run(home / "run")
    prepare(project, run)
    edit(run, train=["b1", "c1"], validate=["g1"])
    with pytest.raises(DataError, match="footprints share"):
        train(project, run)
    corner = {"row": 0, "col": 0, "height": 17, "width": 19}
    edit(run, train=["b1", "c1"], validate=["b1"], corners={"b1": corner})
    assert train(project, run).stage == "train"
    # Ground next to a corner is known to be near it; another scene of the same ground is not.
    edit(run, train=["b1", "g1"], validate=["b1"], corners={"b1": corner})
    with pytest.raises(DataError, match="footprints share"):
        train(project, run)
    edit(run, train=["b1"], validate=["b1", "g1"], corners={"b1": corner})
    with pytest.raises(DataError, match="footprints share"):
        train(project, run)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"train": ["q9"]}, "unknown scene 'q9'"),
        ({"train": ["z1"]}, "scene 'z1' has no prepared labels"),
        ({"train": ["a1", "a2"], "validate": ["a2"]}, "scene 'a2' stands on both sides"),
        ({"train": []}, "no training scene"),
        ({"train": ["a1"], "validate": ["a1"],
          "corners": {"a1": {"row": 0, "col": 0, "height": 42, "width": 3}}}, "no part of it"),
    ],
)  # fmt: skip
def test_a_wrong_edit_stops_every_stage_in_one_line(home: Path, values: dict[str, Any], said: str) -> None:
    project, run = project_of(home), open_run(home / "run")
    edit(run, **values)
    for stage in (prepare, train, write_run_json):
        with pytest.raises(RecipeError) as caught:
            stage(project, run)
        assert said in str(caught.value)
        assert str(caught.value).startswith("split.json: ")
        assert "\n" not in str(caught.value)


def test_a_damaged_file_is_named(home: Path) -> None:
    run = open_run(home / "run")
    run.path(SPLIT).write_bytes(run.path(SPLIT).read_bytes()[:57] + b"\xff")
    with pytest.raises(RecipeError, match=r"^split.json: not JSON, got .*; mend it, or delete it"):
        train(project_of(home), run)
