"""Quantiles of scenes: noted when prepared, and what training makes of them."""

from pathlib import Path

import numpy as np
import pytest

from landscribe.core.quantiles import LEVELS, quantiles_of
from landscribe.core.recipe.chips import LATER
from landscribe.io.project import Project, open_project
from landscribe.io.project.splits import split_of
from landscribe.io.project.training import training_jobs
from landscribe.io.run.prepared import open_prepared, read_facts, scene_quantiles
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from small_scenes import RECIPE, write_image, write_labels


def write_scenes(folder: Path, unlabelled: int = 0) -> None:
    for number in range(1, 5 + unlabelled):
        grid = write_image(folder / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        if number < 5:
            write_labels(folder / "old" / "lab" / f"o{number}.gpkg", grid)


def opened(folder: Path, *overrides: str) -> tuple[Project, Run]:
    (folder / "r.toml").write_text(RECIPE)
    wishes = ["models.0.schedule.steps=3", *overrides]
    project, run = open_project(load_recipe(folder / "r.toml", wishes)), open_run(folder / "run")
    prepare(project, run)
    return project, run


@pytest.mark.parametrize("noted", [True, False])
def test_quantiles_are_those_of_the_scene_whether_noted_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    write_scenes(tmp_path, 1)
    if not noted:
        monkeypatch.setattr("landscribe.stages.prepare.QUANTILES", "of another version")
    _, run = opened(tmp_path)
    assert ("quantiles" in read_facts(run, "o5")["statistics"]["RGB"]) == noted
    found = scene_quantiles(run, "o5")
    image_chw, valid_hw = open_prepared(run, "o5").read("RGB")
    assert set(found) == {"RGB"}
    assert found["RGB"].shape == (3, len(LEVELS))
    assert np.array_equal(found["RGB"], quantiles_of(image_chw, valid_hw))
    assert np.allclose(found["RGB"], np.percentile(image_chw.reshape(3, -1), LEVELS, axis=1).T, atol=1)


def test_chips_take_colours_of_scenes_without_labels_or_of_training_scenes_alone(tmp_path: Path) -> None:
    write_scenes(tmp_path)
    wish = "models.0.chips.match=1.0"
    project, run = opened(tmp_path)
    first = train(project, run)
    plain = run.checked(run.path("models", "net", "model.safetensors")).read_bytes()
    project, run = opened(tmp_path, wish)
    jobs = training_jobs(project, run, split_of(project, run))
    assert set(jobs["net"].quantiles or {}) == {"o1", "o2", "o3", "o4"}
    assert train(project, run).made == first.made == ["net"]
    changed = run.checked(run.path("models", "net", "model.safetensors")).read_bytes()
    assert changed != plain
    assert train(project, run).current == ["net"]
    assert run.require("train")["net"].counts["scenes whose colours chips take"] == 4

    alone = 'models.0.chips.match_scenes="train"'
    project, run = opened(tmp_path, wish, alone)
    jobs = training_jobs(project, run, split_of(project, run))
    assert set(jobs["net"].quantiles or {}) == {"o1", "o2", "o3"}
    assert train(project, run).made == ["net"]
    write_scenes(tmp_path, 1)
    assert train(*opened(tmp_path, wish, alone)).current == ["net"]
    assert train(*opened(tmp_path, wish)).made == ["net"]
    write_scenes(tmp_path, 2)
    assert train(*opened(tmp_path, wish)).made == ["net"]


def test_a_recipe_that_asks_for_nothing_new_is_what_it_was(tmp_path: Path) -> None:
    """Its key does not name what it does not use, so that finished runs stay up to date."""
    write_scenes(tmp_path)
    keys = []
    for wishes in ((), ("models.0.chips.strength=0.5",)):
        project, run = opened(tmp_path, *wishes)
        job = training_jobs(project, run, split_of(project, run))["net"]
        settings = job.made_from(run.require("prepare"))["settings"]
        assert isinstance(settings, dict)
        assert "quantiles" not in settings
        keys.append(set(settings["chips"]) & set(LATER))
    assert keys == [set(), {"strength"}]
