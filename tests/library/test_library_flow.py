"""Recipes, projects and runs from a program: as the command line, with results and exceptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import landscribe as ls
from landscribe.io.raster.rasters import open_raster
from landscribe.library.progress import bars_html
from small_scenes import RECIPE, train_small, write_image

SENSORS = {"RGB": {"path": "{scene}.tif", "kind": "rgb8"}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    train_small(folder)
    return folder


def tables(home: Path) -> dict[str, Any]:
    """What the recipe of the small scenes says, as lists and dictionaries."""
    return {
        "data": {
            "root": home / "old",
            "sensors": {"RGB": {"path": "img/{scene}.tif", "kind": "rgb8"}},
            "labels": {"path": "lab/{scene}.gpkg", "class_field": "class_name"},
        },
        "classes": [
            {"name": "house", "id": 5, "colour": "#AA0000", "countable": True},
            {"name": "road", "id": 3, "colour": "#0000AA"},
        ],
        "models": [
            {"name": "net", "network": {"filters": 2, "depth": 2}, "chips": {"size": 32, "context": 4, "batch": 2},
             "schedule": {"epochs": 1, "steps": 1}},
        ],
        "predict": {"symmetries": 1},
        "vectorize": {"threshold": {"default": 0.01}},
        "validate": {"split": "named", "scenes": ["o4"]},
    }  # fmt: skip


def test_a_run_of_lists_and_dictionaries_is_that_of_the_file(home: Path, tmp_path: Path) -> None:
    (home / "same.toml").write_text(RECIPE)
    told: list[str] = []
    made = ls.run(tables(home), tmp_path / "a", progress=lambda what, _done, _total: told.append(what.split()[0]))
    ls.run(str(home / "same.toml"), tmp_path / "b")
    ls.run(ls.Recipe(**tables(home)), tmp_path / "c")
    assert {"prepare", "train", "predict", "vectorize", "score"} <= set(told)
    assert (made.root / "report.html").is_file()
    for other in ("b", "c"):
        assert ls.compare(made, tmp_path / other).mean.difference == 0
        with (
            open_raster(made.probability("o4")) as ours,
            open_raster(ls.Run(tmp_path / other).probability("o4")) as own,
        ):
            assert (ours.read()[0] == own.read()[0]).all()
    shown = made._repr_html_()
    for text in ("vectorize", "house", "report.html", "Jaccard"):
        assert text in shown
    assert not told[len(told) :]


def test_what_is_up_to_date_is_left_out_and_models_can_be_given(home: Path, tmp_path: Path) -> None:
    run = ls.run(tables(home), tmp_path / "a", models=home / "old_run" / "models", progress=True)
    assert not run.records("train")
    before = run.probability("o4").stat().st_mtime_ns
    project = ls.open_project(tables(home), models=home / "old_run" / "models")
    ls.run(project, tmp_path / "a", models=home / "old_run" / "models")
    assert run.probability("o4").stat().st_mtime_ns == before


def test_scenes_that_fail_are_one_line_at_the_end(home: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "good.tif", 100, 3)
    (tmp_path / "bad.tif").write_bytes(b"II*\x00 no raster")
    recipe = {"data": {"root": tmp_path, "sensors": SENSORS}, "predict": {"symmetries": 1}}
    with pytest.raises(ls.PartialError, match=r"1 failed, the others are done: prepare: .*bad\.tif") as caught:
        ls.run(recipe, tmp_path / "run", models=home / "old_run" / "models")
    assert "\n" not in str(caught.value)
    run = ls.open_run(tmp_path / "run")
    assert run.probability("good").is_file()
    assert "failed: prepare" in run._repr_html_()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"data": {"sensors": SENSORS}, "sede": 3}, "recipe: unknown key 'sede', did you mean 'seed'"),
        ("none.toml", r"none\.toml: no such recipe"),
        ({}, "recipe: 'data' is missing"),
    ],
)
def test_recipes_that_are_none(tmp_path: Path, recipe: Any, message: str) -> None:
    with pytest.raises(ls.RecipeError, match=message) as caught:
        ls.run(recipe, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_init_returns_the_recipe_and_what_it_took(home: Path, tmp_path: Path) -> None:
    loaded = ls.init(home / "old", tmp_path / "r.toml")
    assert loaded.recipe == ls.load_recipe(tmp_path / "r.toml").recipe
    assert loaded.said
    assert "data in" in loaded._repr_html_()
    with pytest.raises(ls.DataError, match="is there already; choose another one or say force=True"):
        ls.init(home / "old", tmp_path / "r.toml")
    ls.init(home / "old", tmp_path / "r.toml", force=True, images="img", class_field="class_name")


def test_a_recipe_shows_what_it_says(home: Path) -> None:
    shown = ls.Recipe(**tables(home))._repr_html_()
    for text in ("models.net.network.filters", "predict.symmetries", "all settings", "memory_share"):
        assert text in shown
    assert "<b>" not in ls.Recipe(**{**tables(home), "classes": [{"name": "<b>"}]})._repr_html_()


def test_bars_say_how_far_each_stage_is() -> None:
    shown = bars_html({"predict": ("predict <a>", 2, 7, 1.0), "score": ("score", 0, 0, 3.0)}, 4.0)
    assert '<progress value="2" max="7"></progress> predict &lt;a&gt;: 2 of 7, 3 s' in shown
    assert 'max="1"' in shown
