"""The stage `predict` on the way that it takes on a GPU, here on the processor by the same code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.arrays import AnyArray
from landscribe.core.grid import Grid
from landscribe.io.project import open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.nn.device import Engine
from landscribe.nn.predict import in_flight
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from small_scenes import TO_PREDICT, train_small

SHAPE_HW = (149, 227)
RECIPE = TO_PREDICT.replace("tile = 32\n", "")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two tiles of one grid, so that windows of a scene lie in a larger one, with holes in their data."""
    (tmp_path / "img").mkdir()
    (tmp_path / "r.toml").write_text(RECIPE)
    for number, name in enumerate(("west", "east")):
        west = 400_000 + 2 * number * SHAPE_HW[1]
        grid = Grid(*SHAPE_HW, Affine(2, 0, west, 0, -2, 5_000_000), CRS.from_epsg(32633))
        rng = np.random.default_rng(number)
        with write_raster(tmp_path / "img" / f"{name}.tif", grid, count=3, dtype="uint8", mask=True) as writer:
            writer.write(grid.window, rng.integers(1, 255, (3, *SHAPE_HW), dtype=np.uint8))
            writer.write_mask(grid.window, rng.random(SHAPE_HW) > 0.1)
    return tmp_path


def predicted(home: Path, name: str, models: Path) -> tuple[Run, dict[str, tuple[AnyArray, AnyArray]], list[str]]:
    run, seen = open_run(home / name), []
    project = open_project(load_recipe(home / "r.toml"))
    prepare(project, run)
    result = predict(project, run, lambda what, _done, total: seen.append(f"{what} {total}"), models=models)
    assert not result.failed
    found = {}
    for path in sorted((run.root / "probability").glob("*.tif")):
        with open_raster(path) as raster:
            values, valid = raster.read()
            found[path.name] = (values.copy(), valid.copy())
    return run, found, seen


def test_rasters_are_those_of_the_processor(home: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, plain, _ = predicted(home, "plain", models)
    monkeypatch.setattr(Engine, "samples", property(lambda _engine: True))
    monkeypatch.setattr(in_flight, "BLOCK_ROWS", 16)
    monkeypatch.setattr(in_flight, "STRIP_ROWS", 48)
    run, ours, seen = predicted(home, "ours", models)
    assert ours.keys() == plain.keys()
    assert len(ours) == 2
    for name, (values, valid) in ours.items():
        assert np.array_equal(valid, plain[name][1])
        assert not valid.all()
        apart = np.abs(values.astype(int) - plain[name][0])
        assert apart.max() <= 1
        assert (apart > 0).mean() < 1e-3
        assert (values[:, ~valid] == 0).all()
        assert values[:, valid].std() > 0
    assert any(line.endswith(" 4") for line in seen)  # strips of 48 rows
    assert not list(run.root.rglob(".tiles-*"))


def test_long_scenes_are_kept_and_a_run_that_was_cut_off_goes_on(
    home: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from landscribe.nn.predict import whole

    monkeypatch.setattr(Engine, "samples", property(lambda _engine: True))
    monkeypatch.setattr(in_flight, "BLOCK_ROWS", 16)
    monkeypatch.setattr(in_flight, "STRIP_ROWS", 48)
    _, at_once, _ = predicted(home, "at once", models)
    monkeypatch.setattr(whole, "QUICK_PX", 0)
    real, count = whole.with_validity, iter(range(100))

    def fails_late(classes_khw: AnyArray, valid_hw: AnyArray) -> AnyArray:
        if next(count) == 2:
            raise KeyboardInterrupt
        return real(classes_khw, valid_hw)

    monkeypatch.setattr(whole, "with_validity", fails_late)
    with pytest.raises(KeyboardInterrupt):
        predicted(home, "kept", models)
    assert list((home / "kept").rglob(".tiles-*"))
    _, kept, _ = predicted(home, "kept", models)
    assert kept.keys() == at_once.keys()
    for name, (values, _) in kept.items():
        assert np.array_equal(values, at_once[name][0])
