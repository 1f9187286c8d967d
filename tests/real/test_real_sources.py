"""Real imagery through the doors: every recipe checks out, labels lie on what they label, init finds its way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from landscribe.io.project import Project, open_project
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe
from landscribe.stages.prepare import prepare
from landscribe.stages.stats import stats

RECIPES = Path(__file__).parent.parent.parent / "recipes" / "real"
SCENES = {"dubai": 45, "kampala": 24, "rio": 8, "vegas": 6}
POLYGONS = {"kampala": 108, "rio": 68, "vegas": 137}


def project(data_root: Path, name: str) -> Project:
    return open_project(load_recipe(RECIPES / f"{name}.toml", [f"data.root={(data_root / name).as_posix()}"]))


@pytest.mark.parametrize("name", SCENES)
def test_recipes_find_their_scenes_without_errors(data_root: Path, name: str) -> None:
    result = check(project(data_root, name))
    assert result.scenes == result.labelled == SCENES[name]
    assert result.errors == 0, result.findings


@pytest.mark.parametrize("name", ["rio", "vegas"])
def test_every_polygon_is_read(data_root: Path, name: str) -> None:
    rows = stats(project(data_root, name))
    assert sum(row.count for row in rows) == POLYGONS[name]


def test_labels_in_degrees_lie_on_tiles_in_metres(data_root: Path, tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    result = prepare(project(data_root, "kampala"), run)
    assert len(result.made) == SCENES["kampala"]
    inside, around = [], []
    for scene_id in result.made:
        scene = open_prepared(run, scene_id)
        image_chw, valid_hw = scene.read("RGB")
        coverage_khw, _ = scene.read_coverage()
        assert scene.grid.pixel_length == pytest.approx(0.149, abs=0.002)
        texture = np.abs(np.diff(image_chw.astype(float).mean(0), axis=1))[:, :-1]
        edges = np.abs(np.diff(coverage_khw[0].astype(float), axis=1))[:, :-1] > 100
        both = valid_hw[:, :-2]
        inside.append(texture[edges & both])
        around.append(texture[~edges & both])
    # Roofs end where the picture changes: outlines lie on stronger edges than the rest of the picture.
    assert np.concatenate(inside).mean() > 1.4 * np.concatenate(around).mean()


def test_nodata_of_rio_counts_as_invalid(data_root: Path, tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    prepare(project(data_root, "rio"), run)
    shares = []
    for scene_id in run.records("prepare"):
        scene = open_prepared(run, scene_id)
        assert scene.grids["RGB"].shape_hw == (406, 439) or scene.grids["RGB"].height > 3 * scene.grids["M"].height
        shares.append(scene.read("M")[1].mean())
    assert min(shares) > 0.05
    assert max(shares) < 0.5


@pytest.mark.parametrize("name", SCENES)
def test_init_writes_a_recipe_that_checks_out(data_root: Path, tmp_path: Path, name: str) -> None:
    recipe = tmp_path / "own.toml"
    write_recipe(data_root / name, recipe)
    scenes = [scene.id for scene in open_project(load_recipe(recipe)).scenes.scenes]
    assert len(scenes) == SCENES[name]
    some = scenes[:: max(1, len(scenes) // 6)]  # the recipes' test has looked at every file
    result = check(open_project(load_recipe(recipe, [f"data.scenes={json.dumps(some)}"])))
    assert (result.scenes, result.labelled, result.errors) == (len(some), len(some), 0)
