"""Finished models on new scenes: the models know the classes, and what they were trained on is not scored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.errors import DataError, IntegrityError, RecipeError
from landscribe.io.project import Project, open_project, with_models
from landscribe.io.project.splits import SPLIT, split_of
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.io.vector.vectors import read_own
from landscribe.pipeline import do_stage, run_pipeline
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.score import score
from landscribe.stages.vectorize import vectorize
from sealed_files import read_values, write_as_older
from small_scenes import RECIPE, SHAPE_HW, train_small, write_image, write_labels

NEW = """
[data]
root = "new"
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.gpkg", class_field = "class_name" }
"""
BY_PIXELS, BY_GROUND = "n1 (the same pixels as 'o1')", "n2 (the same ground, 50 % of the smaller footprint, as 'o2')"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, and new scenes: two that the models have seen, one held out, one new, one unlabelled."""
    folder = tmp_path_factory.mktemp("finished")
    train_small(folder)
    images, labels = folder / "new" / "img", folder / "new" / "lab"
    for name, old in (("n1", "o1"), ("o3", "o4")):  # o3 is called like a scene that trained
        images.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "old" / "img" / f"{old}.tif", images / f"{name}.tif")
        write_labels(labels / f"{name}.gpkg", write_image(folder / "nowhere.tif", 1000 * int(old[1]), 0))
    write_labels(labels / "n2.gpkg", write_image(images / "n2.tif", 2000 + SHAPE_HW[1], 77))
    write_labels(labels / "n4.gpkg", write_image(images / "n4.tif", 9000, 78))
    write_image(images / "n5.tif", 11000, 79)
    (folder / "new.toml").write_text(NEW)
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "home")
    return tmp_path / "home"


def opened(home: Path, *overrides: str) -> Project:
    return open_project(load_recipe(home / "new.toml", overrides))


def scored(run: Run) -> tuple[set[str], set[str]]:
    content = json.loads(run.path("score.json").read_text())
    return set(content["scenes"]), set(content["classes"])


def models_of(home: Path) -> Path:
    return home / "old_run" / "models"


def test_new_scenes_need_no_classes_and_no_split(trained: Path, tmp_path: Path) -> None:
    project, run = opened(trained), open_run(tmp_path / "run")
    results = {result.stage: result for result in run_pipeline(project, run, models_of(trained))}
    assert not any(result.failed for result in results.values())
    assert "train" not in results
    assert scored(run) == ({"o3", "n4"}, {"house", "road"})
    (note,) = results["score"].notes
    assert BY_PIXELS in note
    assert BY_GROUND in note
    assert note in results["prepare"].notes
    facts = json.loads(run.path("run.json").read_text())
    assert facts["classes"] == [{"id": 3, "name": "road", "colour": "#0000AA"},
                                {"id": 5, "name": "house", "colour": "#AA0000"}]  # fmt: skip
    assert list(facts["models"]["digests"]) == ["net/model.json"]
    assert {scene: row["split"] for scene, row in facts["scenes"].items()} == {
        "n1": "train", "n2": "train", "n4": "validate", "n5": "unlabelled", "o3": "validate"
    }  # fmt: skip
    found = read_own(run.features("n5"))
    assert set(zip(found["class_id"], found["class_name"], strict=True)) <= {(3, "road"), (5, "house")}
    report = run.path("report.html").read_text()
    assert "finished models" in report
    assert "edited by hand" not in report
    assert not any(result.made for result in run_pipeline(opened(trained), run, models_of(trained)))
    # Single stages know which models the run uses.
    assert do_stage("score", opened(trained), run).current == ["all"]


def test_nothing_is_scored_where_all_is_known_and_that_is_said(home: Path, tmp_path: Path) -> None:
    results = list(run_pipeline(opened(home, 'data.scenes=["n1","n5"]'), open_run(tmp_path / "run"), models_of(home)))
    left_out = {result.stage: result.left_out for result in results if result.left_out}
    assert left_out == {"score": "no labelled scene is new to the models, nothing to score"}
    assert not (tmp_path / "run" / "score.json").exists()


def test_classes_that_labels_cannot_name_are_not_scored(home: Path, tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    labels = 'data.labels={path="lab/{scene}.gpkg",class="house"}'
    results = {result.stage: result for result in run_pipeline(opened(home, labels), run, models_of(home))}
    assert scored(run) == ({"o3", "n4"}, {"house"})
    assert "not scored, since the labels say nothing of them: road" in results["score"].notes
    classes = 'classes=[{name="road"},{name="house"}]'  # nor where the recipe names them
    results = {result.stage: result for result in run_pipeline(opened(home, labels, classes), run, models_of(home))}
    assert scored(run) == ({"o3", "n4"}, {"house"})


def test_classes_that_no_model_knows_are_left_out_and_counted(home: Path, tmp_path: Path) -> None:
    write_labels(home / "new" / "lab" / "n4.gpkg", write_image(home / "nowhere.tif", 9000, 0), "house", "pond")
    run = open_run(tmp_path / "run")
    assert not any(result.failed for result in run_pipeline(opened(home), run, models_of(home)))
    counts = run.records("prepare")["n4"].counts
    assert counts["of a class that no model knows, or of none"] == 1
    assert counts["area house"] > 0
    assert counts["area road"] == 0
    with pytest.raises(RecipeError, match=r"unknown class, got 'pond', need road \| house"):
        list(run_pipeline(opened(home, 'data.labels={path="lab/{scene}.gpkg",class="pond"}'), run, models_of(home)))


def test_layers_of_classes_that_no_model_knows_are_left_out(home: Path, tmp_path: Path) -> None:
    grid = write_image(home / "nowhere.tif", 9000, 0)
    boxes = grid.pixels_to_ground(np.array([shapely.box(3, 5, 17, 11), shapely.box(23, 19, 40, 29)], dtype=object))
    for layer, box in zip(("houses", "ponds"), boxes, strict=True):
        frame = gpd.GeoDataFrame({"n": [1]}, geometry=[box], crs=grid.crs)
        pyogrio.write_dataframe(frame, home / "new" / "lab" / "n4.layers.gpkg", layer=layer)
    run = open_run(tmp_path / "run")
    table = 'data.labels={path="lab/{scene}.layers.gpkg",layers={house="houses",pond="ponds"}}'
    results = {result.stage: result for result in run_pipeline(opened(home, table), run, models_of(home))}
    assert run.records("prepare")["n4"].counts["area house"] == pytest.approx(6 * 14, abs=1)
    assert scored(run) == ({"n4"}, {"house"})
    assert "not scored, since the labels say nothing of them: road" in results["score"].notes


def test_label_pictures_may_show_classes_that_no_model_knows(home: Path, tmp_path: Path) -> None:
    grid = write_image(home / "nowhere.tif", 9000, 0)
    shown_hw = np.zeros(SHAPE_HW, np.uint8)
    shown_hw[5:11, 3:17], shown_hw[19:29, 23:40] = 1, 2
    with write_raster(home / "new" / "lab" / "n4.tif", grid, count=1, dtype="uint8") as writer:
        writer.write(grid.window, shown_hw[None])
    run = open_run(tmp_path / "run")
    table = 'data.labels={path="lab/{scene}.tif",values={house=1,pond=2}}'
    assert not any(result.failed for result in run_pipeline(opened(home, table), run, models_of(home)))
    assert run.records("prepare")["n4"].counts["area house"] == 6 * 14
    assert scored(run) == ({"n4"}, {"house"})
    table = 'data.labels={path="lab/{scene}.tif",values={lake=1,pond=2}}'
    with pytest.raises(DataError, match=r"no class that a model knows, got lake, pond, need road \| house"):
        list(run_pipeline(opened(home, 'data.scenes=["n4"]', table), open_run(tmp_path / "other"), models_of(home)))


def bound(home: Path) -> Project:
    return with_models(opened(home), models_of(home))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (('data.sensors={MS={path="img/{scene}.tif",kind="rgb8"}}',), "the models read sensor 'RGB', got MS"),
        (('data.sensors.RGB.kind="bgr"', 'data.kinds=[{kind="bgr",bands=["blue","green","red"]}]'),
         "the models read other bands of 'RGB', got blue, green, red, need red, green, blue"),
        (('classes=[{name="house"}]',), "a model knows other classes, got road"),
    ],
)  # fmt: skip
def test_models_that_do_not_fit_are_noticed_before_anything_is_done(
    home: Path, tmp_path: Path, overrides: tuple[str, ...], said: str
) -> None:
    options = [word for override in overrides for word in ("--set", override)]
    command = [str(home / "new.toml"), "--models", str(models_of(home)), *options]
    for name in ("run", "predict", "prepare"):
        error = CliRunner().invoke(app, [name, *command, "--run", str(tmp_path / "run")]).exception
        assert isinstance(error, RecipeError), (name, error)
        assert said in str(error)
        assert "--models" in str(error)
    assert not (tmp_path / "run").exists()
    assert isinstance(CliRunner().invoke(app, ["check", *command]).exception, RecipeError)


def test_a_scene_that_models_know_cannot_be_put_on_the_scored_side(home: Path, tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    list(run_pipeline(opened(home), run, models_of(home)))
    content = json.loads(run.path(SPLIT).read_text())
    run.path(SPLIT).write_text(json.dumps(content | {"train": [], "validate": ["n4"]}))
    list(run_pipeline(opened(home), run, models_of(home)))
    assert scored(run)[0] == {"n4"}
    run.path(SPLIT).write_text(json.dumps(content | {"train": [], "validate": ["n4", "n1"]}))
    with pytest.raises(IntegrityError, match="scene 'n1' validates, and finished models were trained on it"):
        do_stage("score", opened(home), run)


def test_a_run_goes_back_to_models_of_its_own(home: Path, tmp_path: Path) -> None:
    recipe = home / "again.toml"
    recipe.write_text(
        RECIPE.replace('"old"', '"new"')
        .replace('"o4"', '"n4"')
        .replace('split = "named"', 'split="named"\nleak_check = false')
    )
    project, run = open_project(load_recipe(recipe)), open_run(tmp_path / "run")
    prepare(project, run)
    own = split_of(project, run)
    assert own.validate == ("n4",)
    predict(project, run, models=models_of(home))
    vectorize(project, run)
    score(project, run)
    assert scored(run)[0] == {"o3", "n4"}
    do_stage("train", project, run)
    assert split_of(project, run) == own
    assert not run.path("finished.json").exists()


def test_models_of_an_older_version_know_scenes_by_their_names(home: Path, tmp_path: Path) -> None:
    file = models_of(home) / "net" / "model.json"
    content = read_values(file)
    del content["extra"]["knows"]
    write_as_older(file, content)
    run = open_run(tmp_path / "run")
    results = {result.stage: result for result in run_pipeline(opened(home), run, models_of(home))}
    assert scored(run)[0] == {"n1", "n2", "n4"}
    assert "o3 (by its name, all that an older model knows of its scenes)" in results["score"].notes[0]
    assert [c.id for c in bound(home).legend] == [3, 5]


def test_a_run_folder_stands_for_its_models_too(home: Path, tmp_path: Path) -> None:
    options = ["--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, ["run", str(home / "new.toml"), *options, "--models", str(models_of(home))])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["run", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert "train: " not in done.stderr
    assert "score: 1 up to date" in done.stderr
    done = CliRunner().invoke(app, ["check", str(home / "new.toml"), "--models", str(models_of(home))])
    assert "classes road, house" in done.stdout
