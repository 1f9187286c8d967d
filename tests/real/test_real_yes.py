"""A network that says yes everywhere scores the share of positive ground on real labels of every kind, and no more."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from landscribe.core.grid import Grid
from landscribe.io.project import Project, open_project
from landscribe.io.project.label_facts import ground_of
from landscribe.io.project.splits import split_of
from landscribe.io.raster.rasters import write_raster
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Made, Run, make_item, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.prepare import prepare
from landscribe.stages.score import score
from landscribe.stages.vectorize import vectorize

RECIPES = Path(__file__).parent.parent.parent / "recipes" / "real"
OWN = {
    "rio_masks": """
sensors.RGB = { path = "images/{scene}.tif", kind = "rgb8" }
labels = { path = "masks/{scene}.tif", values = { building = 255 } }
""",
    "chesapeake": """
sensors.RGB = { path = "wv2014/images/{scene}.tif", kind = "naip" }
labels = { path = "wv2014/landcover/{scene}.tif", values = { tree = 2, low = 3, impervious = 5 }, unlabelled = 15 }
""",
    "naip_trees": """
sensors.RGB = { path = "images/{scene}.tif", kind = "naip" }
labels = { path = "json/{scene}.json", class = "tree", buffer_m = 2.5 }
""",
}
MOST_SCENES = 5


def project(data_root: Path, folder: Path, name: str) -> Project:
    path = RECIPES / f"{name}.toml"
    if name in OWN:
        path = folder / f"{name}.toml"
        path.write_text(f"[data]{OWN[name]}")
    root = f"data.root={(data_root / name).as_posix()}"
    scenes = open_project(load_recipe(path, [root])).scenes.scenes
    chosen = [scene.id for scene in scenes][:: max(len(scenes) // MOST_SCENES, 1)]
    split = ["split=named", f"scenes={json.dumps(chosen[1:])}", "places=[]", "whole_places=false", "leak_check=false"]
    tracing = ["vectorize.min_area={ default = 0.0 }", "rules=[]"]
    settings = [root, f"data.scenes={json.dumps(chosen)}", *(f"validate.{s}" for s in split), *tracing]
    return open_project(load_recipe(path, settings))


def say_yes(project: Project, run: Run) -> None:
    names = project.legend.names
    for scene_id in split_of(project, run).validate:
        grid = open_prepared(run, scene_id).grid

        make_item(run, "predict", scene_id, "key", partial(write_yes, run.probability(scene_id), grid, names))


def write_yes(target: Path, grid: Grid, names: tuple[str, ...]) -> Made:
    with write_raster(target, grid, count=len(names), dtype="uint8", descriptions=names, mask=True) as writer:
        writer.write(grid.window, np.full((len(names), *grid.shape_hw), 255, np.uint8))
        writer.write_mask(grid.window, np.ones(grid.shape_hw, np.bool_))
    return Made((target,))


@pytest.mark.parametrize("name", ["rio", "rio_masks", "chesapeake", "naip_trees", "kampala", "vegas", "dubai"])
def test_saying_yes_everywhere_scores_the_share_of_positive_ground(data_root: Path, tmp_path: Path, name: str) -> None:
    own, run = project(data_root, tmp_path, name), open_run(tmp_path / "run")
    prepare(own, run)
    say_yes(own, run)
    assert not vectorize(own, run).failed
    assert not score(own, run).failed
    found = json.loads(run.path("score.json").read_text())
    prepared = run.records("prepare")
    for class_name in own.legend.names:
        grounds = [
            ground_of(prepared[i], [class_name])[class_name].scaled(open_prepared(run, i).grid.pixel_area)
            for i in found["scenes"]
        ]
        positive, negative = sum(g.positive for g in grounds), sum(g.negative for g in grounds)
        jaccard = found["classes"][class_name]["polygon"]["jaccard"]
        assert jaccard == pytest.approx(positive / (positive + negative), rel=0.01, abs=1e-5)
        assert jaccard < 0.95
