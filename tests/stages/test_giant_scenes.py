"""A scene longer than a window: its windows are anybody's, and the raster has the bytes that one process gives it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.io.digests import file_digest
from landscribe.io.project import StageResult, open_project, silent
from landscribe.io.project.batches import Batch, Part, carry_out
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.leases import Leases
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.pipeline import do_part
from landscribe.stages.predict import WINDOWS, predict, predict_work
from landscribe.stages.prepare import prepare
from small_scenes import TO_PREDICT, train_small

SHAPE_HW = (149, 227)
RECIPE = (
    TO_PREDICT
    + """\
[scale]
window = 101
"""
)
COUNT = 2 * 3
"""Windows of it."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for name, shape_hw, west in (("giant", SHAPE_HW, 0), ("other", (41, 53), 9000)):
        grid = Grid(*shape_hw, Affine(2, 0, 400_000 + west, 0, -2, 5_000_000), CRS.from_epsg(32633))
        with write_raster(tmp_path / "img" / f"{name}.tif", grid, count=3, dtype="uint8") as writer:
            writer.write(grid.window, np.random.default_rng(west).integers(1, 255, (3, *shape_hw), dtype=np.uint8))
    return tmp_path


def begun(home: Path, name: str, recipe: str = RECIPE) -> Run:
    (home / "r.toml").write_text(recipe)
    run = open_run(home / name)
    prepare(open_project(load_recipe(home / "r.toml")), run)
    return run


def predicted(home: Path, run: Run, models: Path) -> list[str]:
    seen: list[str] = []
    project = open_project(load_recipe(home / "r.toml"))
    predict(project, run, lambda what, _done, _total: seen.append(what), models=models)
    return seen


def in_part(home: Path, run: Run, models: Path, part: Part) -> list[str]:
    seen: list[str] = []

    def tell(what: str, _done: int, _total: int) -> None:
        seen.append(what)

    project = open_project(load_recipe(home / "r.toml"))
    carry_out(run, "predict", predict_work(project, run, tell, models=models), tell, part)
    return seen


def batch_of(home: Path, run: Run, models: Path) -> Batch:
    """The scenes themselves, the second batch of the stage."""
    work = predict_work(open_project(load_recipe(home / "r.toml")), run, models=models)
    next(work)
    return work.send(StageResult("predict"))


def left(run: Run) -> list[str]:
    return [path.name for path in run.path("probability").glob(".tiles*")] + list(run.records(WINDOWS))


def test_windows_give_the_bytes_of_one_sweep(home: Path, models: Path) -> None:
    whole = begun(home, "whole", RECIPE.replace("101", "8192"))
    assert not any("giant 0, 0" in what for what in predicted(home, whole, models))
    run = begun(home, "windows")
    seen = predicted(home, run, models)
    assert len({what for what in seen if what.startswith("predict giant ")}) == COUNT
    for name in ("giant", "other"):
        assert file_digest(run.probability(name)) == file_digest(whole.probability(name))
    assert left(run) == []
    assert predicted(home, run, models) == []  # up to date, windows too


def test_a_part_that_does_not_own_the_scene_makes_windows_of_it(home: Path, models: Path) -> None:
    whole = begun(home, "whole", RECIPE.replace("101", "8192"))
    predicted(home, whole, models)
    run = begun(home, "shared")
    owner = next(k for k in (1, 2) if Part(Leases(run), k, 2).takes(batch_of(home, run, models), "giant"))
    seen = in_part(home, run, models, Part(Leases(run), 3 - owner, 2))
    assert len({what for what in seen if what.startswith("predict giant ")}) == COUNT
    assert not run.probability("giant").exists()
    assert len(run.records(WINDOWS)) == COUNT
    again = in_part(home, run, models, Part(Leases(run), owner, 2))
    assert not any(what.startswith("predict giant ") for what in again)  # it lays them together
    assert file_digest(run.probability("giant")) == file_digest(whole.probability("giant"))
    predicted(home, run, models)
    assert left(run) == []


def test_parts_with_finished_models_need_no_split(home: Path, models: Path) -> None:
    run = begun(home, "shared")
    project = open_project(load_recipe(home / "r.toml"))
    results = [do_part("predict", project, run, silent, Part(Leases(run), k, 2), models=models) for k in (1, 2)]
    assert sorted(name for result in results for name in result.made) == ["giant", "other"]


def test_only_makes_no_windows_of_other_scenes(home: Path, models: Path) -> None:
    run = begun(home, "some")
    in_part(home, run, models, Part(Leases(run), only=frozenset({"other"})))
    assert left(run) == []
    assert run.probability("other").exists()


def test_a_window_that_was_lost_is_made_again(home: Path, models: Path) -> None:
    whole = begun(home, "whole", RECIPE.replace("101", "8192"))
    predicted(home, whole, models)
    run = begun(home, "lost")
    work = predict_work(open_project(load_recipe(home / "r.toml")), run, models=models)
    batch = next(work)
    for item in batch.items[:-1]:
        batch.make(item, 1)
    tiles = sorted(run.path("probability").glob(".tiles*/*/*"))
    tiles[0].unlink()
    tiles[1].write_bytes(tiles[1].read_bytes()[:-1] + b"\x00")
    predicted(home, run, models)
    assert file_digest(run.probability("giant")) == file_digest(whole.probability("giant"))
