"""What the score of a run leaves out is counted in `score.json` and said on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from shapely import box
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.features import empty_features, join_features, make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.left_out import LeftOut
from landscribe.core.score.score import Score
from landscribe.io.project import open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import open_run
from landscribe.io.run.scored import run_score
from landscribe.io.settings import load_recipe
from landscribe.io.vector.vectors import write_features
from landscribe.pipeline import run_pipeline
from landscribe.stages.report import gather

SHAPE_HW = (41, 53)
SEEN = 37
"""Columns with data."""
PIXEL = 4.0
"""Square metres on the map; by the ellipsoid, near this meridian, 0.08 % more."""
HOUSE = LandClass(1, "house", "#B22222", countable=True)
RECIPE = """
[data]
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.gpkg", class = "house" }
[[models]]
name = "truth"
kind = "labels"
[predict]
scenes = "all"
[validate]
"""

NAMED = 'split = "named"\nscenes = ["b", "c"]'


def write_scene(folder: Path, scene: str, east: float, *, labelled: bool = True) -> None:
    """Three houses: one on ground with data, one across its edge, one beyond it."""
    grid = Grid(*SHAPE_HW, Affine(2, 0, 500_000 + east, 0, -2, 5_000_000), CRS.from_epsg(32633))
    image_chw = np.random.default_rng(int(east)).integers(1, 255, (3, *SHAPE_HW), dtype=np.uint8)
    image_chw[:, :, SEEN:] = 0
    (folder / "img").mkdir(exist_ok=True)
    (folder / "lab").mkdir(exist_ok=True)
    with write_raster(folder / "img" / f"{scene}.tif", grid, count=3, dtype="uint8", nodata=0) as writer:
        writer.write(grid.window, image_chw)
    if labelled:
        houses = np.array([box(3, 3, 14, 16), box(SEEN - 3, 20, SEEN + 4, 29), box(SEEN + 2, 3, SEEN + 9, 10)])
        features = make_features(scene, HOUSE, grid.pixels_to_ground(houses), crs=grid.crs)
        write_features(folder / "lab" / f"{scene}.gpkg", features, legend=Legend((HOUSE,)))


def scored(folder: Path, validate: str) -> tuple[Score, dict[tuple[str, str], LeftOut]]:
    for k, scene in enumerate("abcd"):
        write_scene(folder, scene, 1000 * k, labelled=scene != "d")
    (folder / "r.toml").write_text(RECIPE + validate)
    list(run_pipeline(open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")))
    score = run_score(open_run(folder / "run"))
    assert score is not None
    return score, {(row.what, row.why): row for row in score.left_out}


def test_scenes_ground_and_polygons_that_do_not_count(tmp_path: Path) -> None:
    score, found = scored(tmp_path, NAMED)
    assert found["scenes", "trained on"] == LeftOut("scenes", "trained on", 1, 4, ("a",))
    assert found["scenes", "without labels"].names == ("d",)
    ground = found["ground", "without data, or nobody said what it is"]
    height, width = SHAPE_HW
    assert ground.count == pytest.approx(2 * height * (width - SEEN) * PIXEL, rel=2e-3)
    assert ground.total == pytest.approx(2 * height * width * PIXEL, rel=2e-3)
    assert found["polygons", "true on such ground"] == LeftOut("polygons", "true on such ground", 2, 6)
    assert ("polygons", "predicted on such ground") not in found
    assert len(found) == 4
    house = score.classes["house"].polygon
    assert house.tp + house.fn == pytest.approx(2 * (11 * 13 + 3 * 9) * PIXEL, rel=2e-3)
    data = gather(open_project(load_recipe(tmp_path / "r.toml")), open_run(tmp_path / "run"))
    assert ("score", "polygons: true on such ground", 2) in data.dropped
    assert ("score", "ground in m2: without data, or nobody said what it is", ground.count) in data.dropped


def test_a_scene_more_makes_the_score_anew_although_it_is_not_scored(tmp_path: Path) -> None:
    _, found = scored(tmp_path, NAMED)
    assert found["scenes", "without labels"].total == 4
    write_scene(tmp_path, "e", 9000, labelled=False)
    _, found = scored(tmp_path, NAMED)
    assert found["scenes", "without labels"] == LeftOut("scenes", "without labels", 2, 5, ("d", "e"))


def test_ground_outside_of_the_corner_does_not_count(tmp_path: Path) -> None:
    _, found = scored(tmp_path, 'split = "corner"\ncorner_px = 19')
    height, width = SHAPE_HW
    corner = found["ground", "outside of the corner that is held out"]
    assert corner.count == pytest.approx(3 * (height * width - 19 * 19) * PIXEL, rel=2e-3)
    assert found["polygons", "true on such ground"].count == 3 * 2
    assert ("ground", "without data, or nobody said what it is") not in found


def invoke(*arguments: str) -> tuple[str, str]:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout, done.stderr


def test_the_command_line_says_it_beside_the_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored(tmp_path, NAMED)
    monkeypatch.chdir(tmp_path)
    for arguments in (("score", "r.toml", "--run", "run"), ("score", "r.toml", "--run", "run", "--json")):
        out, err = invoke(*arguments)
        assert "not scored" not in out
        assert "not scored: 1 of 4 scenes, trained on: a\n" in err
        assert "not scored: 30 % of the ground of scored scenes (" in err
        assert "WARNING" not in err
    assert json.loads(out)["left_out"][0]["what"] == "scenes"


def test_an_empty_file_and_an_empty_submission_are_said_loudly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    truth = join_features([make_features(scene, HOUSE, np.array([box(0, 0, 3, 5)])) for scene in ("a", "b")])
    write_features(tmp_path / "truth.gpkg", truth, legend=None)
    write_features(tmp_path / "none.gpkg", empty_features(), legend=None)
    out, err = invoke("score", "none.gpkg", "truth.gpkg")
    assert "house" in out
    assert err.endswith("WARNING: nothing is predicted in any scored scene: all that is true counts as missed\n")
    (tmp_path / "empty.csv").write_text("ImageId,ClassType,MultipolygonWKT\n6110_1_2,1,MULTIPOLYGON EMPTY\n")
    out, err = invoke("check", "empty.csv")
    assert "WARNING: empty.csv is empty: no row has a polygon" in err
    out, err = invoke("score", "truth.gpkg", "truth.gpkg")
    assert "WARNING" not in err
