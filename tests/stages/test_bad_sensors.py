"""Sensors that do not fit together: a clear line in `check`, and a sound result or a refusal in `prepare`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Transformer
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.grid import Grid
from landscribe.errors import DataError, RecipeError
from landscribe.io.project import open_project
from landscribe.io.raster.rasters import write_raster
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.prepare import prepare
from landscribe.worlds import WorldSpec, make_scene

UTM = CRS.from_epsg(32633)
SCENE = make_scene(WorldSpec(scenes=1, height=283, width=311, seed=4, max_shift_px=10.0), 0)
RGB = Grid(283, 311, Affine(0.31, 0, 500_000, 0, -0.31, 4_200_000), UTM)
M = RGB.resize(*SCENE.images_chw["M"].shape[1:])
RECIPE = """
[data]
root = "."
sensors.RGB = { path = "{scene}_RGB.tif", kind = "worldview3-rgb", nodata = 0 }
sensors.M = { path = "{scene}_M.tif", kind = "worldview3-m", nodata = 0 }
[[classes]]
name = "building"
"""


def write(path: Path, grid: Grid, image: np.ndarray) -> None:
    with write_raster(path, grid, count=len(image), dtype="uint16", overviews=False) as writer:
        writer.write(grid.window, np.ascontiguousarray(image))


def run_with(folder: Path, m: tuple[Grid, np.ndarray], rgb: tuple[Grid, np.ndarray] | None = None):
    """Return what `check` says, and the prepared scene or the error of `prepare`, with its row of the table."""
    write(folder / "tile7_M.tif", *m)
    write(folder / "tile7_RGB.tif", *(rgb or (RGB, SCENE.images_chw["RGB"])))
    (folder / "r.toml").write_text(RECIPE)
    project, run = open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")
    said = "\n".join(f"{finding.level}: {finding.text}" for finding in check(project).findings)
    try:
        prepare(project, run)
    except DataError as error:
        return said, error, ""
    table = (folder / "run" / "prepared" / "alignment.csv").read_text().splitlines()
    return said, open_prepared(run, "tile7"), table[2]


@pytest.mark.parametrize("command", ["check", "prepare", "run"])
@pytest.mark.parametrize("name", ["coverage", "../x", "a/b"])
def test_names_that_would_lie_over_other_files_end_every_command(command, name, tmp_path):
    (tmp_path / "r.toml").write_text(f'[data]\nsensors."{name}" = {{ path = "{{scene}}.tif", kind = "rgb8" }}\n')
    options = [] if command == "check" else ["--run", str(tmp_path / "run")]
    error = CliRunner().invoke(app, [command, str(tmp_path / "r.toml"), *options]).exception
    assert isinstance(error, RecipeError)
    assert error.exit_code == 2
    assert not (tmp_path / "run").exists()


def test_each_sensor_has_a_file_of_its_own(tmp_path):
    scene = run_with(tmp_path, (M, SCENE.images_chw["M"]))[1]
    assert scene.raster("M") == scene.folder / "sensors" / "M.tif"
    assert sorted(path.name for path in scene.folder.rglob("*.tif")) == ["M.tif", "RGB.tif"]


def moved_px(scene, truth=SCENE.shifts_px["M"]) -> float:
    """Distance of M from where it belongs, in pixels of RGB."""
    col, row = scene.grids["M"].pixel_map(scene.grid) @ (0.0, 0.0)
    return float(np.hypot(row + truth[0], col + truth[1]))


def test_a_good_pair_is_moved_and_nobody_complains(tmp_path: Path) -> None:
    said, scene, row = run_with(tmp_path, (M, SCENE.images_chw["M"]))
    assert ", M:" not in said
    assert row.endswith(",applied")
    assert moved_px(scene) < 0.2


def test_half_of_the_scene(tmp_path: Path) -> None:
    half = Grid(M.height, M.width // 2, M.transform, UTM)
    said, scene, row = run_with(tmp_path, (half, SCENE.images_chw["M"][:, :, : M.width // 2]))
    assert "warning: scene 'tile7', M: covers a part of the reference only, got 50%" in said
    assert row.endswith(",applied")
    assert moved_px(scene) < 0.3


def test_kilometres_away(tmp_path: Path) -> None:
    far = Grid(M.height, M.width, Affine.translation(5000, 0) @ M.transform, UTM)
    said, error, _ = run_with(tmp_path, (far, SCENE.images_chw["M"]))
    assert "error: scene 'tile7', M: shows other ground than the reference" in said
    assert "M: shows other ground than the reference; check its georeference" in str(error)


@pytest.mark.parametrize(
    ("rows", "cols", "how"), [(-1, 1, "up to down"), (1, -1, "left to right"), (-1, -1, "in both directions")]
)
def test_a_flipped_raster(tmp_path: Path, rows: int, cols: int, how: str) -> None:
    said, scene, row = run_with(tmp_path, (M, SCENE.images_chw["M"][:, ::rows, ::cols]))
    assert f"warning: scene 'tile7', M: pixels look flipped {how} against the reference" in said
    assert "failed" in row or "refused" in row
    assert moved_px(scene, (0, 0)) < 1e-6


def test_one_constant_band(tmp_path: Path) -> None:
    image = SCENE.images_chw["M"].copy()
    image[2] = 700
    said, scene, row = run_with(tmp_path, (M, image))
    assert "warning: scene 'tile7', M: band 'green' is constant, got 700" in said
    assert row.endswith(",applied")
    assert moved_px(scene) < 0.2


def test_nothing_but_nodata(tmp_path: Path) -> None:
    said, scene, row = run_with(tmp_path, (M, np.zeros_like(SCENE.images_chw["M"])))
    assert "error: scene 'tile7', M: no valid pixel; all is nodata" in said
    assert row == "tile7,M,0.0,0.0,,,failed: no common ground"
    assert not scene.read("M")[1].any()


def test_another_crs(tmp_path: Path) -> None:
    to_other = Transformer.from_crs(UTM, CRS.from_epsg(4326), always_xy=True)
    corners = [to_other.transform(*(M.transform @ at)) for at in ((0, 0), (M.width, 0), (0, M.height))]
    (x0, y0), (x1, y1), (x2, y2) = corners
    frame = Affine((x1 - x0) / M.width, (x2 - x0) / M.height, x0, (y1 - y0) / M.width, (y2 - y0) / M.height, y0)
    said, scene, row = run_with(tmp_path, (Grid(M.height, M.width, frame, CRS.from_epsg(4326)), SCENE.images_chw["M"]))
    assert ", M:" not in said
    assert row.endswith(",applied")
    assert scene.grids["M"].crs == CRS.from_epsg(4326)
    assert moved_px(scene) < 0.2


def test_a_crs_beside_none(tmp_path: Path) -> None:
    bare = Grid(RGB.height, RGB.width, Affine.identity()), SCENE.images_chw["RGB"]
    said, error, _ = run_with(tmp_path, (M, SCENE.images_chw["M"]), bare)
    assert (
        "error: scene 'tile7': grid: one sensor has a CRS and the other has none, got WGS 84 / UTM zone 33N and none"
        in said
    )
    assert "one sensor has a CRS and the other has none" in str(error)


def test_a_sensor_without_files_is_named_scene_by_scene_and_hides_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "tile7_RGB.tif", RGB, SCENE.images_chw["RGB"])
    (tmp_path / "r.toml").write_text(RECIPE + '[[models]]\ninputs = { indices = ["ndvi"] }\n')
    said = [finding.text for finding in check(open_project(load_recipe(tmp_path / "r.toml"))).findings]
    assert any("M is missing" in text and "tile7_M.tif" in text for text in said)
