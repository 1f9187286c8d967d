"""`plan`: what it sees of labels and imagery, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shapely
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.plan.facts import Facts
from landscribe.errors import DataError, RecipeError
from landscribe.io.project import Project
from landscribe.io.settings import load_recipe
from landscribe.stages.plan import expect, plan
from landscribe.stages.plan._looks import facts_from, look_at_scenes
from small_data import grid_at, project_of, write_image, write_polygons

H, W = 97, 211
SMALL = """[[models]]
name = "all"
network = { filters = 2, depth = 3 }     # tiny
chips = { size = 64, context = 8, batch = 2 }
schedule = { epochs = 2, steps = 3 }
[predict]
symmetries = 1
"""
LABELS = 'labels = { path = "lab/{scene}.gpkg", class_field = "kind" }\n'
FAST_S = 0.01


def town(folder: Path, *, labelled: int = 3, scenes: int = 4, height: int = H, more: str = SMALL) -> Project:
    """Scenes beside each other: a house of 20 x 30 in each labelled one, and a road of 3 px along all of the first."""
    for k in range(scenes):
        grid = grid_at(k, height, W)
        write_image(folder / "img" / f"t{k}.tif", grid, seed=k)
        if k < labelled:
            shapes, kinds = [shapely.box(11, 13, 31, 43)], ["house"]
            if k == 0:
                shapes, kinds = [*shapes, shapely.box(0, 50, W, 53)], [*kinds, "road"]
            write_polygons(folder / "lab" / f"t{k}.gpkg", shapes, grid, kind=kinds)
    return project_of(folder, LABELS + more)


def facts(project: Project) -> Facts:
    return facts_from(project, *look_at_scenes(project), gpu=False)


def test_what_is_seen_of_labels(tmp_path: Path) -> None:
    found = facts(town(tmp_path))
    assert (found.scenes, found.places, found.unlabelled, found.side_px) == (3, 3, 1, H)
    house, road = found.classes["house"], found.classes["road"]
    assert (house.count, road.count) == (3, 1)
    assert house.share == pytest.approx(600 / (H * W), rel=1e-3)
    assert road.share == pytest.approx(3 / H / 3, rel=1e-3)
    assert house.width_px == pytest.approx(2 * 600 / 100)
    assert road.width_px == pytest.approx(2 * 3 * W / (2 * (W + 3)))
    # Cells of 96 px: two rows of three in each scene; a house is in one of them, the road in three.
    assert (house.near, road.near) == (3 / 18, 3 / 18)
    assert found.covered == pytest.approx((3 * 600 + 3 * W) / (3 * H * W), rel=1e-3)
    assert found.overlap == pytest.approx(0, abs=1e-9)
    # One of three places is held out; it and the unlabelled scene are predicted.
    assert found.train_px == pytest.approx(2 * H * W)
    assert found.held_px == pytest.approx(H * W)
    assert found.all_px == pytest.approx(2 * H * W)
    assert found.store_bytes == 3 * H * W * (4 + 3)


def test_classes_that_overlap_are_seen(tmp_path: Path) -> None:
    grid = grid_at(0, H, W)
    write_image(tmp_path / "img" / "t0.tif", grid)
    shapes = [shapely.box(0, 0, 40, 40), shapely.box(20, 0, 60, 40)]
    write_polygons(tmp_path / "lab" / "t0.gpkg", shapes, grid, kind=["a", "b"])
    assert facts(project_of(tmp_path, LABELS + SMALL)).overlap == pytest.approx(3200 / 2400 - 1)


def test_a_plan_becomes_steps_of_this_machine(tmp_path: Path) -> None:
    project = town(tmp_path)
    found = plan(project, 5, measure_s=FAST_S)
    chosen = {choice.name: choice.value for choice in found.choices}
    assert chosen["models.0.chips.size"] == 64
    assert chosen["validate.share"] == 0.34
    (cost,) = found.costs
    count = max(len(chosen["models.0.seeds"]), 1)
    assert cost.networks == count
    epochs = chosen["models.0.schedule.epochs"] + chosen.get("adapt.epochs", 0)
    assert cost.steps == epochs * chosen["models.0.schedule.steps"]
    assert 0 < cost.train_s <= 0.9 * 300
    assert all(choice.why for choice in found.choices)


def test_what_a_recipe_takes_as_it_is(tmp_path: Path) -> None:
    (cost,) = expect(town(tmp_path), measure_s=FAST_S).costs
    assert (cost.steps, cost.networks) == (6, 1)
    assert cost.train_s == pytest.approx(6 * cost.pace.step_s + 2 * H * W / 1e6 * cost.pace.mpx_s)
    assert cost.memory_bytes > 3 * H * W * 7


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf")])
def test_no_minutes_are_refused_before_anything_is_read(tmp_path: Path, minutes: float) -> None:
    project = project_of(tmp_path, LABELS + SMALL)
    with pytest.raises(RecipeError, match="--minutes: not a time"):
        plan(project, minutes)


def test_one_tiny_tile_and_no_labels_are_one_line(tmp_path: Path) -> None:
    tiny = town(tmp_path / "tiny", labelled=1, scenes=1, height=41)
    with pytest.raises(DataError, match="plan: a scene is too small for a chip, got 41 px, need 64 px on a side"):
        plan(tiny, 5, measure_s=FAST_S)
    for k in range(2):
        write_image(tmp_path / "img" / f"t{k}.tif", grid_at(k, H, W), seed=k)
    with pytest.raises(DataError, match="plan: no scene has labels that say anything"):
        plan(project_of(tmp_path, LABELS + '[[classes]]\nname = "house"\ncolour = "#112233"\n' + SMALL), 5)


def test_the_command_writes_into_the_recipe_only_when_asked(tmp_path: Path) -> None:
    town(tmp_path)
    recipe = tmp_path / "r.toml"
    before = recipe.read_text()
    done = CliRunner().invoke(app, ["plan", str(recipe), "--minutes", "3"])
    assert done.exit_code == 0, done.stderr
    assert "models.0.chips.batch" in done.stdout
    assert "nothing is written" in done.stderr
    assert recipe.read_text() == before
    done = CliRunner().invoke(app, ["plan", str(recipe), "--minutes", "3", "--write", "--json"])
    assert done.exit_code == 0, done.stderr
    said = {row["setting"]: row["value"] for row in json.loads(done.stdout)["choices"]}
    table = load_recipe(recipe).recipe.models[0]
    assert table.chips.batch == said["models.0.chips.batch"] == 8
    assert list(table.seeds) == said["models.0.seeds"]
    assert table.schedule.steps == said["models.0.schedule.steps"]
    assert "# tiny" in recipe.read_text()


def test_a_built_in_recipe_is_not_written_to(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["plan", "demo", "--write"])
    assert isinstance(done.exception, RecipeError)
    assert "demo: is no file to write to" in str(done.exception)


def test_a_dry_run_says_minutes_and_memory(tmp_path: Path) -> None:
    town(tmp_path)
    done = CliRunner().invoke(app, ["run", str(tmp_path / "r.toml"), "--dry-run"])
    assert done.exit_code == 0, done.stderr
    assert "train 'all': 6 steps of" in done.stdout
    assert "GB free" in done.stdout


def test_init_plans_what_it_writes(tmp_path: Path) -> None:
    town(tmp_path)
    (tmp_path / "r.toml").unlink()
    out = tmp_path / "own.toml"
    done = CliRunner().invoke(app, ["init", str(tmp_path), "--out", str(out), "--minutes", "0"])
    assert isinstance(done.exception, RecipeError)
    assert not out.exists()
    done = CliRunner().invoke(app, ["init", str(tmp_path), "--out", str(out), "--no-plan"])
    assert done.exit_code == 0, done.stderr
    assert load_recipe(out).recipe.models[0].schedule.steps is None
