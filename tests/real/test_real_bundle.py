"""A bundle of the Las Vegas recipe: the same polygons by a run, by ONNX Runtime alone, and by Deepness' way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

from landscribe.core.recipe import AreaTable, LengthTable
from landscribe.io.project import Project, open_project
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe, recipe_of_run
from landscribe.io.vector.vectors import read_own
from landscribe.pipeline import run_pipeline
from landscribe.stages.bundles.export import export
from landscribe.stages.bundles.verify import verify
from landscribe.stages.vectorize import vectorize_scene
from portable import EXPORTER_SAYS, deepness_mask, has_onnx, members_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_onnx(), reason="the extra landscribe[onnx] is not installed"),
    pytest.mark.filterwarnings(*EXPORTER_SAYS),
]
ROOT = Path(__file__).parents[2]
SCENE = "img2144"
SHORT = (
    "models.*.network={ filters = 8 }", "models.*.seeds=[]", "models.*.schedule.epochs=2", "models.*.schedule.steps=32",
    "models.*.schedule.prior=0", "models.*.chips.batch=8", "adapt.epochs=0", "predict.symmetries=1",
    "predict.precision=float32", f'data.scenes=["img225", "img1265", "{SCENE}"]', f'validate.scenes=["{SCENE}"]',
    "vectorize.threshold.default=0.45",
)  # fmt: skip


def script() -> str:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len([line for line in found.splitlines() if line.strip()]) <= 30
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> tuple[Path, Run, Project]:
    folder = tmp_path_factory.mktemp("vegas")
    recipe = load_recipe(ROOT / "recipes" / "real" / "vegas.toml", [f"data.root={data_root / 'vegas'}", *SHORT])
    run = open_run(folder / "run")
    assert all(not result.failed for result in run_pipeline(open_project(recipe), run))
    project = open_project(recipe_of_run(run.root))
    export(project, run, folder / "vegas.zip")
    return folder, run, project


def test_a_real_bundle_replays(home: tuple[Path, Run, Project]) -> None:
    result = verify(home[0] / "vegas.zip")
    assert result.polygons > 1
    assert [line.split(":")[0] for line in result.lines] == ["torch", "ONNX Runtime"]


def test_onnx_runtime_alone_gives_the_same_probabilities_and_polygons(
    home: tuple[Path, Run, Project], data_root: Path
) -> None:
    folder, run, project = home
    (folder / "script.py").write_text(script())
    image = next((data_root / "vegas").rglob(f"*_{SCENE}.tif"))
    words = [sys.executable, folder / "script.py", folder / "vegas.zip", image, folder / "found"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    with rasterio.open(folder / "found.tif") as raster:
        alone_khw = raster.read()
    with open_raster(run.probability(SCENE)) as raster:
        ours_khw, _ = raster.read()
    apart_khw = np.abs(alone_khw.astype(np.int16) - ours_khw)
    assert apart_khw.max() <= 1
    assert (apart_khw > 0).mean() < 1e-4
    # Polygons of the run, from the raster of the script.
    found, _ = vectorize_scene(folder / "found.tif", SCENE, project.recipe, project.legend, SCENE)
    ours = read_own(run.features(SCENE))
    assert len(found) == len(ours) > 20
    moved = shapely.hausdorff_distance(*(shapely.normalize(f.geometry.to_numpy()) for f in (found, ours)))
    assert moved.max() < 0.1  # metres; one step of 255 moves an outline by a fraction of a pixel of 0.3 m
    # And the script's own, along pixel borders.
    table = project.recipe.vectorize.model_copy(
        update={"mode": "edge", "min_area": AreaTable(default=0.0), "simplify_px": LengthTable(default=0.0)}
    )
    edges, _ = vectorize_scene(
        run.probability(SCENE), SCENE, project.recipe.model_copy(update={"vectorize": table}), project.legend, SCENE
    )
    alone = json.loads((folder / "found.json").read_text())["features"]
    assert {feature["properties"]["name"] for feature in alone} == {"building"}
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in alone]
    together = [shapely.union_all(some) for some in (shapes, edges.geometry.to_numpy())]
    pixel = 0.27**2
    assert shapely.area(shapely.symmetric_difference(*together)) <= 2.5 * pixel
    assert abs(len(alone) - len(edges)) <= 2


def test_deepness_finds_the_same_pixels_where_tiles_overlap(home: tuple[Path, Run, Project], data_root: Path) -> None:
    folder, run, _ = home
    members = members_of(folder / "vegas.zip")
    about = json.loads(members["bundle.json"])
    (folder / "deepness.onnx").write_bytes(members["deepness-building.onnx"])
    with rasterio.open(next((data_root / "vegas").rglob(f"*_{SCENE}.tif"))) as raster:
        image_hwc = np.moveaxis(raster.read(), 0, -1)
    with open_raster(run.probability(SCENE)) as raster:
        ours_hw = raster.read()[0][0] >= about["classes"][0]["smallest_byte"]
    height, radius = image_hwc.shape[0] // about["divisor"] * about["divisor"], about["radius"]
    inner = np.s_[radius : height - radius, radius:-radius]
    found_hw = deepness_mask(folder / "deepness.onnx", image_hwc[:height])
    assert 0.05 < ours_hw[inner].mean() < 0.95
    assert (found_hw[inner] != ours_hw[inner]).sum() <= 2  # of 190,000: sums in another order
