"""T1 to T3, T14, T17, T18: the data, the cached inputs and the numbers of method T, its packages and its paper."""

from __future__ import annotations

import json
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.spectral.indices import find_index
from landscribe.errors import DataError
from landscribe.io.project import Project, open_project
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run
from landscribe.io.settings import load_recipe
from landscribe.nn.predict.spectral import spectral_scene
from landscribe.stages.stats import shapes

ROOT = Path(__file__).parents[2]
RECIPES = ("dstl-lopuhin", "dstl-ternaus", "dstl-ternaus-water")


def test_t01_the_layout_of_the_data_is_found(project: Project, home: Path, tmp_path: Path) -> None:
    world = home / "world"
    assert {p.name for p in world.iterdir()} >= {
        "three_band", "sixteen_band", "grid_sizes.csv", "train_wkt_v4.csv", "sample_submission.csv",
    }  # fmt: skip
    found = project.scenes
    assert [scene.id for scene in found.scenes] == ["6010_0_0", "6010_0_1", "6020_0_0", "6020_0_1"]
    assert all(tuple(scene.sensors) == ("RGB", "P", "M", "A") for scene in found.scenes)
    assert [bool(scene.label_files) for scene in found.scenes] == [True, True, True, False]
    for lacking, message in (("grid_sizes.csv", "grid_sizes.csv: missing"), ("*_band", "no DSTL image found")):
        copy = tmp_path / lacking.strip("*")
        shutil.copytree(world, copy, ignore=shutil.ignore_patterns(lacking))
        with pytest.raises(DataError, match=message):
            assert open_project(load_recipe("dstl-ternaus", [f'data.root="{copy}"'])).scenes


def test_t02_sizes_of_all_images_and_no_stray_files(project: Project, home: Path) -> None:
    stray = home / "world" / "three_band" / "notes.txt"
    stray.write_text("not an image")
    rows = shapes(project)
    stray.unlink()
    assert [(r.scene, r.sensor) for r in rows] == [(s.id, n) for s in project.scenes.scenes for n in s.sensors]
    first = {r.sensor: (r.file, r.bands, r.height, r.width, r.dtype) for r in rows[:4]}
    assert first["RGB"] == ("6010_0_0.tif", 3, 149, 163, "uint16")
    assert first["M"][:2] == ("6010_0_0_M.tif", 8)
    assert first["M"][2:4] == (37, 41)
    out = CliRunner().invoke(app, ["stats", str(home / "r.toml"), "--images"]).stdout.split()
    assert out[:7] == ["scene", "sensor", "file", "dtype", "bands", "height", "width"]
    assert out[7:14] == ["6010_0_0", "RGB", "6010_0_0.tif", "uint16", "3", "149", "163"]


def test_t03_prepared_scenes_stand_for_the_training_cache(project: Project, run: Run) -> None:
    scenes = [open_prepared(run, i) for i in sorted(run.records("prepare"))]
    assert [scene.id for scene in scenes] == [scene.id for scene in project.scenes.scenes]
    for scene in scenes[:3]:
        rgb_chw, _ = scene.read("RGB")
        coverage_khw, labelled_hw = scene.read_coverage()
        assert (rgb_chw.dtype, coverage_khw.dtype) == (np.uint16, np.uint8)
        assert coverage_khw.shape == (10, *rgb_chw.shape[1:])
        assert labelled_hw.all()
        assert scene.read("M")[0].shape[0] == 8  # at its own resolution


FORMULAS = {
    "ndwi": lambda g, r, b, red_edge, nir: (g - nir) / (g + nir),
    "ndvi": lambda g, r, b, red_edge, nir: (nir - r) / (nir + r),  # called SAVI
    "ternaus_evi": lambda g, r, b, red_edge, nir: (nir - r) / (nir + 6 * r - 7.5 * b + 1),
    "ccci": lambda g, r, b, red_edge, nir: (nir - red_edge) / (nir + red_edge) * (nir - r) / (nir + r),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_t03_indices_are_the_formulas_of_the_cache(run: Run, name: str) -> None:
    scene = open_prepared(run, "6010_0_0")
    seen = spectral_scene(scene, ("RGB", "P", "M"))
    red, green, blue = (scene.read("RGB")[0] / 2047).astype(np.float64)
    laid = {}
    for band, k in (("red_edge", 5), ("nir", 7)):
        from landscribe.nn.predict.spectral import lay

        laid[band] = lay(scene.read, "M", scene.grids["M"], scene.grid, scene.grid.window, bands=(k,))[0][0] / 2047
    expected = FORMULAS[name](green, red, blue, laid["red_edge"], laid["nir"])
    ours = seen.values(name, scene.grid, scene.grid.window)
    known = np.isfinite(ours)
    assert known.mean() > 0.95
    assert np.abs(ours - expected)[known].max() < 2e-3  # half a step of float16 near 1 is 5e-4
    assert find_index(name).source


def test_t03_the_recipe_has_the_sixteen_channels() -> None:
    for model in load_recipe("dstl-ternaus").recipe.models[:6]:
        assert model.inputs.sensors == ("RGB", "P", "M")
        assert set(model.inputs.indices) == set(FORMULAS)


NUMBER = re.compile(r"(?<![\w-])\d")
ORIGINS = re.compile(r"\[(code|readme|file names|history|ours)\]|\[(readme|code|file names)[,\]]")


@pytest.mark.parametrize("name", RECIPES[:2])
def test_t14_every_number_of_a_recipe_says_where_it_is_from(name: str) -> None:
    lines = (ROOT / "recipes" / f"{name}.toml").read_text().splitlines()
    told: set[str] = set()
    above = ""
    missing = []
    for line in lines:
        setting, _, comment = line.partition("#")
        if not setting.strip():
            above = above + comment if comment else ""
            continue
        if setting.startswith("["):
            above += comment
            continue
        # Beside it, in the comment above its table, or where the same setting stood first.
        key = setting.split("=")[0].strip()
        if ORIGINS.search(comment) or ORIGINS.search(above):
            told.add(key)
        elif NUMBER.search(setting) and key not in told and key not in ("seed", "root"):
            missing.append(line)
    assert not missing


TWO_STAGES = [(50, 1e-3), (50, 1e-4)]
SCRIPTS = {
    "building": (128, [(50, 1e-3)]),
    "structure": (128, TWO_STAGES),
    "road": (128, TWO_STAGES),
    "track": (96, TWO_STAGES),
    "tree": (128, [(50, 1e-2)]),
    "crop": (128, TWO_STAGES),
}
"""Of each script of the method: chips in a batch; epochs and rate of each stage."""


def test_t14_the_numbers_are_those_of_the_scripts() -> None:
    recipe = load_recipe("dstl-ternaus").recipe
    networks = {model.classes[0]: model for model in recipe.models if model.kind == "network"}
    assert list(networks) == list(SCRIPTS)
    for name, (batch, stages) in SCRIPTS.items():
        model = networks[name]
        assert [(stage.epochs, stage.rate) for stage in model.schedule.stages] == stages, name
        assert (model.chips.batch, model.chips.size, model.chips.context) == (batch, 112, 16), name
        assert (model.schedule.steps, model.schedule.optimizer, model.schedule.decay) == (400, "nadam", "constant")
        assert (model.network.filters, model.network.depth, model.network.activation) == (32, 5, "elu"), name
        assert (model.network.norm_momentum, model.network.norm_epsilon) == (0.01, 1e-3), name
        assert (model.loss.bce, model.loss.dice, model.loss.log_jaccard) == (1.0, 0.0, 1.0), name
    fast, slow = (model.spectral for model in recipe.models if model.kind == "index")
    for rule in (fast, slow):
        assert (rule.index, rule.threshold, rule.side, rule.gate.unit) == ("water", 0.11, "above", "px")
    assert (fast.gate.above, fast.gate.up_to, slow.gate.above, slow.gate.up_to) == (500_000, None, None, 680_000)
    predict = recipe.predict
    assert (predict.patch, predict.symmetries, predict.views, predict.combine) == (80, 4, "mirrors", "geometric")


def test_t14_recipes_lie_in_the_repository_and_come_with_the_package() -> None:
    build = (ROOT / "pyproject.toml").read_text()
    for name in RECIPES:
        assert (ROOT / "recipes" / f"{name}.toml").is_file()
        assert f'"recipes/{name}.toml" = "landscribe/recipes/{name}.toml"' in build
        assert load_recipe(name).recipe == load_recipe(ROOT / "recipes" / f"{name}.toml").recipe


def test_t17_versions_are_pinned_and_written_down(run: Run) -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    needed = [re.split(r"[<>=\[ ;]", text)[0] for text in metadata.requires("landscribe") or () if "extra" not in text]
    assert not [name for name in needed if name not in pinned]
    written = json.loads(run.path("run.json").read_text())["versions"]
    assert written.pop("python") == platform.python_version()
    # What is written down is what ran, not what is pinned.
    assert {"torch", "numpy"} <= set(written)
    assert written == {name: metadata.version(name) for name in written}


def test_t18_the_paper_is_cited_and_that_its_body_was_not_read_is_said() -> None:
    for page in ("README.md", "docs/reference-methods.md"):
        text = " ".join((ROOT / page).read_text().split())
        link = re.search(r"\[arXiv:1706\.06169\]\(https://arxiv\.org/abs/1706\.06169\)", text)
        assert link or "https://arxiv.org/abs/1706.06169" in text, page
        assert "body of the paper was not consulted" in text, page
    # Whoever has the package alone finds it in the recipe.
    assert "1706.06169" in load_recipe("dstl-ternaus").text
