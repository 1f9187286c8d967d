"""`prepare` with alignment: into the georeference, never into the pixels."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from landscribe.core.spectral.pansharpen import degrade
from landscribe.io.project import open_project
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.prepare import prepare
from landscribe.stages.world import write_world
from landscribe.worlds import WorldSpec

RECIPE = '[data]\nsource = "dstl"\nroot = "world"\n[prepare]\nalign = "{align}"\n'
SPEC = WorldSpec(scenes=2, height=307, width=331, seed=3, max_shift_px=12.0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("align")
    write_world(folder / "world", SPEC)
    return folder


def rows_of(file: Path) -> dict[tuple[str, str], dict[str, str]]:
    with file.open(newline="") as text:
        return {(row["scene"], row["sensor"]): row for row in csv.DictReader(text)}


def prepared_with(home: Path, align: str):
    recipe = home / f"{align}.toml"
    recipe.write_text(RECIPE.format(align=align))
    run = open_run(home / align)
    result = prepare(open_project(load_recipe(recipe)), run)
    return run, result


def test_the_shift_is_in_the_georeference_and_in_the_table(home: Path) -> None:
    run, _ = prepared_with(home, "ecc")
    plain, _ = prepared_with(home, "none")
    found = rows_of(run.path("prepared", "alignment.csv"))
    truth = rows_of(home / "world" / "true_shifts.csv")
    assert {row["decision"] for row in rows_of(plain.path("prepared", "alignment.csv")).values()} == {
        "reference",
        "not estimated",
    }
    assert list(found) == list(truth)
    moved, still = (open_prepared(r, "6010_0_0") for r in (run, plain))
    row = found["6010_0_0", "M"]
    assert row["decision"] == "applied"
    error = [float(row[axis]) + float(truth["6010_0_0", "M"][axis]) for axis in ("row_px", "col_px")]
    assert np.hypot(*error) < 1.0
    # Where a pixel of M lies on the reference, with and without the move.
    (to_moved, to_still) = (s.grids["M"].pixel_map(s.grid) @ (10.0, 20.0) for s in (moved, still))
    assert to_moved[0] - to_still[0] == pytest.approx(float(row["col_px"]), abs=1e-3)
    assert to_moved[1] - to_still[1] == pytest.approx(float(row["row_px"]), abs=1e-3)
    for name in ("RGB", "P", "M", "A"):
        with open_raster(
            home / "world" / ("three_band/6010_0_0.tif" if name == "RGB" else f"sixteen_band/6010_0_0_{name}.tif")
        ) as raw:
            assert np.array_equal(moved.read(name)[0], raw.read()[0])
    assert moved.grid == still.grid


def test_what_is_aligned_is_not_aligned_again(home: Path) -> None:
    run, _ = prepared_with(home, "ecc")
    before = {file: file.stat().st_mtime_ns for file in run.path("prepared").rglob("*.json")}
    _, result = prepared_with(home, "ecc")
    assert not result.made
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.parametrize("method", ["brovey", "modulation"])
def test_sharpened_rasters_lie_beside_the_others(home: Path, method: str) -> None:
    recipe = home / "sharp.toml"
    recipe.write_text(RECIPE.format(align="fit") + f'pansharpen = "{method}"\n')
    run = open_run(home / method)
    prepare(open_project(load_recipe(recipe)), run)
    scene = open_prepared(run, "6010_0_0")
    assert sorted(scene.kinds) == ["A", "M", "P", "RGB"]
    with open_raster(scene.raster("M-sharp")) as raster:
        sharp_chw, valid_hw = raster.read()
        grid = raster.info.grid
    # P is the finest with the fewest bands.
    assert grid.shape_hw == scene.grids["P"].shape_hw
    assert grid.transform.almost_equals(scene.grids["P"].transform)
    assert valid_hw.mean() > 0.9
    image_chw = scene.read("M")[0]
    to_m = grid.pixel_map(scene.grids["M"])
    back = degrade(sharp_chw[4].astype(np.float32), to_m, image_chw.shape[1:])
    inner = np.s_[8:-8, 8:-8]
    off = np.abs(back - image_chw[4])[inner].mean() / image_chw[4][inner].std()
    assert off < (0.5 if method == "brovey" else 0.02)
    assert scene.raster("A-sharp").exists()
