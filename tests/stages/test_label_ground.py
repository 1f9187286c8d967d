"""No score on ground where no false find could count: check, train and score on labels that say too little."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.grid import Grid
from landscribe.errors import DataError
from landscribe.io.project import Project
from landscribe.io.run.runs import Run, open_run
from landscribe.stages.check import CheckResult, check
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.report import report
from landscribe.stages.score import score
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize
from small_data import H, W, grid_at, project_of, write_bands, write_image, write_polygons

YES = """
[[models]]
name = "yes"
kind = "index"
spectral = { index = "ndvi", threshold = -9.0, soft = 0.0 }
[vectorize]
min_area = { default = 0.0 }
[validate]
split = "named"
scenes = ["b"]
leak_check = false
"""
NAIP = 'sensors.RGB = { path = "img/{scene}.tif", kind = "naip" }\n'
PIXEL_M2 = grid_at(0).pixel_area


def images(folder: Path, *scenes: str, count: int = 4) -> None:
    for number, scene in enumerate(scenes):
        write_image(folder / "img" / f"{scene}.tif", grid_at(number), seed=number, count=count)


def said(result: CheckResult, level: str) -> list[str]:
    return [finding.text for finding in result.findings if finding.level == level]


def run_through(project: Project, folder: Path, *stages: object) -> Run:
    run = open_run(folder / "run")
    for stage in stages or (prepare, train, predict, vectorize, score):
        assert not stage(project, run).failed  # type: ignore[operator]
    return run


def mask(grid: Grid, seed: int) -> np.ndarray:
    values_hw = np.zeros(grid.shape_hw, np.uint8)
    top, left = np.random.default_rng(seed).integers(3, 30, 2)
    values_hw[top : top + 13, left : left + 29] = 255
    return values_hw


def write_masks(folder: Path, *scenes: str, **options: object) -> None:
    for number, scene in enumerate(scenes):
        write_bands(folder / "m" / f"{scene}.tif", mask(grid_at(number), number)[None], grid_at(number), **options)


def write_houses(folder: Path, *scenes: str, parts: int = 5) -> None:
    for number, scene in enumerate(scenes):
        boxes = [shapely.box(3 + 16 * k, 5, 14 + 16 * k, 20 + 7 * k) for k in range(parts)]
        write_polygons(folder / "lab" / f"{scene}.gpkg", boxes, grid_at(number))


WAYS = {
    "mask that calls 0 nodata": 'labels = { path = "m/{scene}.tif", values = { house = 255 } }',
    "mask by colour": 'labels = { path = "m/{scene}.tif", colours = { house = "#FFFFFF" } }',
    "mask by band": 'labels = { path = "m/{scene}.tif", bands = { house = 1 } }',
    "polygons": 'labels = { path = "lab/{scene}.gpkg", class = "house" }',
    "polygons in an area": 'labels = { path = "lab/{scene}.gpkg", class = "house", area = "aoi.gpkg" }',
}


@pytest.mark.parametrize("way", WAYS)
def test_saying_yes_everywhere_scores_the_share_of_positive_ground(tmp_path: Path, way: str) -> None:
    images(tmp_path, "a", "b")
    write_masks(tmp_path, "a", "b", nodata=0)
    write_houses(tmp_path, "a", "b")
    write_polygons(tmp_path / "aoi.gpkg", [shapely.box(-5, -5, 2 * W + 5, 37)], grid_at(0))
    project = project_of(tmp_path, NAIP + WAYS[way] + YES)
    result = check(project)
    assert not result.errors
    run = run_through(project, tmp_path)
    with_area = 37 if "area" in way else H
    counts = run.records("prepare")["b"].counts
    share = float(counts["area house"]) / (with_area * W)
    assert 0 < share < 0.5
    found = json.loads(run.path("score.json").read_text())["classes"]["house"]
    assert found["polygon"]["jaccard"] == pytest.approx(share, rel=1e-3)
    assert found["pixel"]["jaccard"] <= share * 1.05  # whole pixels, truth where half is covered
    assert found["polygon"]["recall"] == pytest.approx(1)
    assert result.ground["house"].positive == pytest.approx(
        sum(float(r.counts["area house"]) for r in run.records("prepare").values()) * PIXEL_M2, rel=1e-3
    )


def test_the_report_says_so_before_anybody_trusts_it(tmp_path: Path) -> None:
    images(tmp_path, "a", "b", "c")
    write_polygons(tmp_path / "l.gpkg", [shapely.box(3, 5, 80, 58), shapely.box(W + 5, 5, W + 40, 55)], grid_at(0))
    project = project_of(tmp_path, NAIP + 'labels = { path = "l.gpkg", class = "house" }' + YES)
    run = run_through(project, tmp_path, prepare, train, predict, vectorize, score, report)
    page = run.path("report.html").read_text()
    assert "No better than saying yes everywhere: house (Jaccard 0.3" in page
    assert "nothing in 1 scene (c), 33 % of the labelled ground" in page
    assert "empty on one side of b (52 %)" in page


def all_positive(folder: Path) -> Project:
    images(folder, "a", "b", count=3)
    for number, scene in enumerate("ab"):
        values_hw = np.full((H, W), 255, np.uint8)
        values_hw[:7] = 0
        write_bands(folder / "m" / f"{scene}.tif", values_hw[None], grid_at(number))
    text = (
        'labels = { path = "m/{scene}.tif", values = { house = 255 }, unlabelled = 0 }\n[validate]\nsplit = "named"\n'
    )
    return project_of(folder, text + 'scenes = ["b"]\nleak_check = false\n')


def test_a_class_that_covers_all_labelled_ground_is_an_error(tmp_path: Path) -> None:
    project = all_positive(tmp_path)
    result = check(project)
    pixels = (H - 7) * W
    (text,) = said(result, "error")
    area = f"{2 * pixels * PIXEL_M2:,.0f}"
    assert text.startswith(
        f"labels, class 'house': covers all labelled ground, so that no false find could count, got {area} of {area} m2"
    )
    assert "labels.area" in text
    ground = result.ground["house"]
    assert (ground.positive, ground.negative, ground.unlabelled) == pytest.approx(
        (2 * pixels * PIXEL_M2, 0, 2 * 7 * W * PIXEL_M2), rel=1e-3
    )
    run = open_run(tmp_path / "run")
    prepare(project, run)
    with pytest.raises(DataError, match="training scenes, class 'house': covers all labelled ground") as error:
        train(project, run)
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 3
    perfect = project_of(
        tmp_path, (tmp_path / "r.toml").read_text().split("\n", 2)[2] + "[[models]]\nkind = 'labels'\n"
    )
    run_through(perfect, tmp_path, prepare, train, predict, vectorize)
    with pytest.raises(DataError, match="scored scenes, class 'house': covers all labelled ground"):
        score(perfect, run)


def test_validation_scenes_that_cannot_be_scored_are_told_before_training(tmp_path: Path) -> None:
    images(tmp_path, "a", "b", count=3)
    write_polygons(tmp_path / "lab" / "a.gpkg", [shapely.box(3, 5, 20, 30)], grid_at(0))
    write_polygons(tmp_path / "lab" / "b.gpkg", [shapely.box(0, 0, W, H)], grid_at(1))
    text = 'labels = { path = "lab/{scene}.gpkg", class = "house" }\n[validate]\nsplit = "named"\nscenes = ["b"]\n'
    run = open_run(tmp_path / "run")
    project = project_of(tmp_path, text)
    prepare(project, run)
    with pytest.raises(DataError, match=r"validation scenes, class 'house': covers all labelled.*change \[validate\]"):
        train(project, run)
    assert not list(run.path("models").glob("*/state"))


def test_next_to_no_negative_ground_is_none(tmp_path: Path) -> None:
    for rows, errors in ((H - 2, 0), (H, 1)):
        folder = tmp_path / str(rows)
        images(folder, "a", count=3)
        write_polygons(folder / "l.gpkg", [shapely.box(0.02, 0, W, rows)], grid_at(0))
        assert check(project_of(folder, 'labels = { path = "l.gpkg", class = "house" }')).errors == errors


def test_a_class_without_ground_to_learn_from_is_an_error(tmp_path: Path) -> None:
    images(tmp_path, "a", "b", count=3)
    for number, scene in enumerate("ab"):
        boxes = [shapely.box(3, 5, 20, 30), shapely.box(40, 5, 55, 44)]
        kinds = ["house", "road" if scene == "b" else "house"]
        write_polygons(tmp_path / "lab" / f"{scene}.gpkg", boxes, grid_at(number), kind=kinds)
    text = 'labels = { path = "lab/{scene}.gpkg", class_field = "kind" }\n[validate]\nsplit = "named"\nscenes = ["b"]\n'
    project = project_of(tmp_path, text)
    assert not check(project).errors  # there is some
    run = run_through(project, tmp_path, prepare)
    with pytest.raises(DataError, match=r"training scenes: no ground of class 'road' to learn from, got a; label some"):
        train(project, run)
    nowhere = project_of(
        tmp_path, f'{text}[[classes]]\nname = "house"\n[[classes]]\nname = "road"\n[[classes]]\nname = "lake"\n'
    )
    assert said(check(nowhere), "error") == [
        "class 'lake': no ground in any scene; label some, or take the class out of the recipe"
    ]
    # A model of other classes learns all the same, and one without weights learns nothing.
    for models in ('[[models]]\nclasses = ["house"]\nkind = "labels"\n', '[[models]]\nkind = "labels"\n'):
        train(project_of(tmp_path, text + models), run)


def test_a_shared_file_that_touches_some_scenes_only_is_said(tmp_path: Path) -> None:
    images(tmp_path, "a", "b", "c", count=3)
    boxes = [shapely.box(3, 5, 80, 58), shapely.box(W + 5, 5, W + 40, 55)]
    write_polygons(tmp_path / "l.gpkg", boxes, grid_at(0))
    text = 'labels = { path = "l.gpkg", class = "house" }\n'
    assert said(check(project_of(tmp_path, text)), "warning") == [
        "labels: the shared label file has nothing in 1 of 3 scenes: c; they count as searched and empty; "
        'say where somebody looked with labels.area = "..."',
        "labels: the shared label file leaves more than 33% empty on one side of b (52%, right); "
        'that ground counts as searched; say where somebody looked with labels.area = "..."',
    ]
    write_polygons(tmp_path / "aoi.gpkg", [shapely.box(0, 0, W + 42, H)], grid_at(0))
    result = check(project_of(tmp_path, text.replace("l.gpkg", 'l.gpkg", area = "aoi.gpkg')))
    assert said(result, "warning") == [
        "scene 'c': nobody looked there: outside of the labels' area or picture, or not among their images; "
        "they are only predicted"
    ]
    assert result.labelled == 2
    assert result.ground["house"].unlabelled == pytest.approx((W - 42) * H * PIXEL_M2, rel=1e-3)


def test_a_scene_where_nobody_looked_is_only_predicted(tmp_path: Path) -> None:
    images(tmp_path, "a", "b", "c")
    write_houses(tmp_path, "a", "b", "c")
    write_polygons(tmp_path / "aoi.gpkg", [shapely.box(0, 0, 2 * W - 9, H)], grid_at(0))
    project = project_of(tmp_path, NAIP + WAYS["polygons in an area"] + YES)
    run = run_through(project, tmp_path)
    records = run.records("prepare")
    assert [i for i, record in records.items() if "labelled pixels" in record.counts] == ["a", "b"]
    assert any("nobody looked there" in note for note in records["c"].notes)
    assert list(json.loads(run.path("score.json").read_text())["scenes"]) == ["b"]


def test_missing_label_files_are_said_in_one_line(tmp_path: Path) -> None:
    images(tmp_path, "a", "b", "c", count=3)
    write_houses(tmp_path, "a")
    text = 'labels = { path = "lab/{scene}.gpkg", class = "house" }\n'
    assert said(check(project_of(tmp_path, text)), "warning") == [
        "2 scenes (b, c): no label file, such as lab/b.gpkg; they are only predicted, "
        'unless labels.missing = "empty" says that nothing is there'
    ]
    (lost,) = said(check(project_of(tmp_path, text.replace("lab/", "lba/"))), "error")
    assert lost == "labels: no scene has any, nothing can be trained, need lba/{scene}.gpkg"
    empty = check(project_of(tmp_path, text.replace('"house"', '"house", missing = "empty"')))
    assert not empty.findings
    assert empty.labelled == 3


def test_check_shows_the_ground_of_each_class(tmp_path: Path) -> None:
    images(tmp_path, "a", count=3)
    values_hw = np.zeros((1, H, W), np.uint8)
    values_hw[0, :11], values_hw[0, 11:24], values_hw[0, -2:] = 1, 2, 9
    write_bands(tmp_path / "m" / "a.tif", values_hw, grid_at(0))
    project_of(tmp_path, 'labels = { path = "m/{scene}.tif", values = { house = 1, road = 2 }, unlabelled = 9 }')
    done = CliRunner().invoke(app, ["check", str(tmp_path / "r.toml")], env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("house", "road"))]
    area = [W * rows * PIXEL_M2 for rows in (11, 13, 2, H)]
    expected = [
        [name, f"{own:,.0f}", f"{own / (area[3] - area[2]):.2%}", f"{area[3] - area[2] - own:,.0f}", f"{area[2]:,.0f}"]
        for name, own in (("house", area[0]), ("road", area[1]))
    ]
    assert rows == expected
    done = CliRunner().invoke(app, ["check", str(tmp_path / "r.toml"), "--json"])
    found = json.loads(done.stdout)
    assert found["unit"] == "m2"
    assert found["ground"]["road"]["positive"] == pytest.approx(area[1], rel=1e-3)
