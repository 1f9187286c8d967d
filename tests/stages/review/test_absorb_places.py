"""Absorbing reviews: what names no scene, what a file says twice, what one call took, what was held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from landscribe.core.grid import Grid
from landscribe.core.split.split import Split, write_split
from landscribe.errors import DataError, RecipeError
from landscribe.io.project import open_project
from landscribe.io.project.splits import SPLIT
from landscribe.io.review.found import models_digest
from landscribe.io.review.reading import read_review
from landscribe.io.review.review import Review, looked_areas, review_features
from landscribe.io.review.writing import write_review
from landscribe.io.run.runs import Made, Run, note_made, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.files.compare import compare_runs
from landscribe.stages.review.absorb import absorb, absorbed, undo
from landscribe.stages.review.review import review as write_begun
from reviews import LEGEND, said, small_project

Box = tuple[float, float, float, float]


def of_run(path: Path, grid: Grid, rows: list[tuple[str, Box]], areas: list[Box], scenes: tuple[str, ...]) -> Path:
    """Write a review of some scenes: a row of a named scene that was found and rejected, and what names none."""
    shapes = [*_ground(grid, [(30, 2, 37, 9)]), *(one for _, box in rows for one in _ground(grid, [box]))]
    columns = {
        "id": ["0000000000000001", *[""] * len(rows)],
        "scene": [scenes[0], *[""] * len(rows)],
        "class_name": ["house", *[name for name, _ in rows]],
        "verdict": ["reject", *[""] * len(rows)],
        "source": ["model", *["drawn"] * len(rows)],
    }
    looked = looked_areas({}, _ground(grid, areas), grid.crs)
    write_review(path, Review(review_features(columns, shapes, grid.crs), looked, "city", scenes), LEGEND)
    return path


def _ground(grid: Grid, boxes: list[Box]) -> list[shapely.Geometry]:
    return [grid.pixels_to_ground(pd.array([shapely.box(*box)], dtype=object).to_numpy())[0] for box in boxes]


def test_what_names_no_scene_may_lie_in_one_that_the_run_has_not_predicted(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    # Scenes lie 1,000 m apart and have pixels of 2 m or so: o2 seen in the pixels of o5.
    away = [(~grids["o5"].transform) @ (grids["o2"].transform @ at) for at in ((3, 5), (10, 11))]
    far = (min(x for x, _ in away), min(y for _, y in away), max(x for x, _ in away), max(y for _, y in away))
    review = of_run(tmp_path / "r.gpkg", grids["o5"], [("house", far)], [(-9e6, -9e6, 9e6, 9e6)], ("o5",))
    [taken] = absorb(tmp_path / "old.toml", [review]).taken
    assert taken.scenes["o2"] == {"edited or drawn": 1, "areas looked at": 1}
    assert set(taken.scenes) == {"o1", "o2", "o3", "o4", "o5"}
    assert not any("lie in none" in note for note in taken.notes)


def test_an_area_covers_the_same_scenes_when_another_program_wrote_the_file_anew(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    review = of_run(tmp_path / "r.gpkg", grids["o5"], [], [(-9e6, -9e6, 9e6, 9e6)], ("o5", "o4"))
    plain = tmp_path / "plain.gpkg"
    for layer in ("features", "looked"):
        gpd.read_file(review, layer=layer).to_file(plain, layer=layer)
    first = absorb(tmp_path / "old.toml", [review]).taken[0].scenes
    undo(tmp_path / "old.toml")
    assert absorb(tmp_path / "old.toml", [plain]).taken[0].scenes == first


def test_what_lies_outside_of_every_scene_or_is_no_polygon_is_told_from_nothing_said(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    away = of_run(tmp_path / "away.gpkg", grids["o5"], [("house", (-9e5, 0, -9e5 + 9, 9))], [], ("o5",))
    table = gpd.read_file(away, layer="features").iloc[1:]
    table.to_file(tmp_path / "out.gpkg", layer="features")
    with pytest.raises(DataError, match=r"lies outside of every scene of the recipe, got .*1 polygons and areas that"):
        absorb(tmp_path / "old.toml", [tmp_path / "out.gpkg"])
    table.set_geometry(table.geometry.representative_point()).to_file(tmp_path / "point.gpkg", layer="features")
    with pytest.raises(DataError, match=r"says nothing: no polygon in it, .*got layer 'features': 1 .*polygon"):
        absorb(tmp_path / "old.toml", [tmp_path / "point.gpkg"])


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        ([("house", "accept", (3, 5, 10, 11)), ("house", "reject", (3, 5, 10, 11))], "accepted and rejected"),
        ([("house", "reject", (3, 5, 10, 11)), ("house", "accept", (3, 5, 10, 12))], ""),
        ([("house", "accept", (3, 5, 10, 11)), ("road", "reject", (3, 5, 10, 11))], ""),
    ],
)
def test_one_file_that_says_two_things_of_a_polygon_is_refused(tmp_path: Path, rows: list, want: str) -> None:
    grids = small_project(tmp_path)
    review = said(tmp_path / "r.gpkg", grids["o5"], "o5", rows)
    if not want:
        assert absorb(tmp_path / "old.toml", [review]).taken
        return
    with pytest.raises(DataError, match=rf"says two things of one polygon: scene 'o5', house at .*{want}, got 1 such"):
        absorb(tmp_path / "old.toml", [review], prefer_last=True)


def test_undo_takes_back_all_that_one_call_took(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    given = [
        said(tmp_path / f"{scene}.gpkg", grids[scene], scene, [("house", "accept", (30, 2, 37, 9))])
        for scene in ("o1", "o2", "o3")
    ]
    absorb(tmp_path / "old.toml", given[:1])
    absorb(tmp_path / "old.toml", given[1:])
    assert [own.source for own in undo(tmp_path / "old.toml")] == ["o2.gpkg", "o3.gpkg"]
    assert [own.holds for own in absorbed(tmp_path / "old.toml").reviews] == [True, False, False]
    assert [own.source for own in undo(tmp_path / "old.toml")] == ["o1.gpkg"]


def test_a_held_out_scene_that_is_reviewed_is_said_where_it_is_absorbed_checked_and_compared(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    recipe = tmp_path / "old.toml"
    review = said(tmp_path / "r.gpkg", grids["o4"], "o4", [("house", "accept", (30, 2, 37, 9))])
    text = "o4: held out by the recipe, and reviewed, so never scored; no other is left that could be"
    assert any(line.startswith(text) for line in absorb(recipe, [review]).lines)
    found = [finding.text for finding in check(open_project(load_recipe(recipe))).findings]
    assert any(line.startswith(text) for line in found)
    undo(recipe)
    # The run that it names lies where runs do: its split says it exactly, drawn or named.
    run = open_run(tmp_path / "runs" / "city")
    model = run.path("models", "house", "model.json")
    model.parent.mkdir(parents=True)
    model.write_text("{}")
    note_made(run, "train", "house", "key", Made((model,)))
    run.path(SPLIT).write_text(write_split(Split(("o1",), ("o3", "o4")), ""))
    other = said(tmp_path / "q.gpkg", grids["o4"], "o4", [("house", "accept", (20, 2, 27, 9))])
    layer = read_review(other)
    for found_by, want in (("0123", text), (models_digest(run), "o4: held out in city: they are not scored any more")):
        write_review(other, replace(layer, features=layer.features.assign(model=found_by)), LEGEND)
        assert any(line.startswith(want) for line in absorb(recipe, [other]).lines)
        undo(recipe)
    run.path(SPLIT).write_text(write_split(Split(("o1",), (), why="drawn; reviewed, so never scored: o4"), ""))
    with pytest.raises(DataError, match=r"nothing was scored: no scene is held out, got .*reviewed, so never scored"):
        compare_runs(run.root, run.root)


def test_what_is_no_review_or_no_recipe_is_called_so(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    review = said(tmp_path / "r.gpkg", grids["o5"], "o5", [("house", "accept", (3, 5, 10, 11))])
    gpd.read_file(review, layer="features").to_file(tmp_path / "r.geojson")
    with pytest.raises(DataError, match=r"r.geojson: no GeoPackage, as reviews are"):
        absorb(tmp_path / "old.toml", [tmp_path / "r.geojson"])
    with pytest.raises(RecipeError, match=r"r.gpkg: a review, or labels, where the recipe should be; name .* last"):
        absorb(review, [tmp_path / "old.toml"])
    with pytest.raises(RecipeError, match=r"nothing: no such run folder"):
        write_begun(Run(tmp_path / "nothing"), tmp_path / "begun.gpkg")
