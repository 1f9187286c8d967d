"""Scenes outside of what networks were trained on are refused by name; `--anyway` predicts them, with a caution."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
import rasterio
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.errors import DataError, PartialError
from landscribe.io.raster.geotiff import write_raster
from sealed_files import read_values, write_as_older
from small_scenes import SHAPE_HW, train_small, write_image

NEW = '[data]\nroot = "new"\nsensors.RGB = { path = "{scene}.tif", kind = "rgb8" }\n'
SAID = "RGB: numbers of band 'red' are others, got "


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, and two new scenes: one alike, one of 16 bits."""
    folder = tmp_path_factory.mktemp("outside")
    train_small(folder)
    grid = write_image(folder / "new" / "good.tif", 9000, 7)
    deep = np.random.default_rng(3).integers(900, 60_000, (3, *SHAPE_HW), dtype=np.uint16)
    with write_raster(folder / "new" / "deep.tif", grid, count=3, dtype="uint16") as writer:
        writer.write(grid.window, deep)
    (folder / "new.toml").write_text(NEW)
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "home")
    return tmp_path / "home"


def call(home: Path, *words: str) -> tuple[int, str]:
    """Exit code and what was said of a command on the new scenes."""
    found = CliRunner().invoke(
        app,
        [
            words[0],
            str(home / "new.toml"),
            "--run",
            str(home / "run"),
            "--models",
            str(home / "old_run/models"),
            *words[1:],
        ],
    )
    code = found.exit_code
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        code = getattr(found.exception, "exit_code", 1)
    return code, found.output + str(found.exception or "")


def test_the_scene_is_refused_and_the_other_is_done(home: Path):
    code, text = call(home, "run")
    assert code == PartialError.exit_code
    assert f"scene 'deep': lies outside of what the models were trained on: {SAID}" in text
    assert "in uint16, need " in text
    assert "--anyway predicts it all the same" in text
    assert sorted(path.name for path in (home / "run" / "probability").glob("*.tif")) == ["good.tif"]


def test_one_scene_alone_is_bad_data(home: Path):
    (home / "new" / "good.tif").unlink()
    assert call(home, "run")[0] == DataError.exit_code


def test_where_all_are_refused_all_are_named(home: Path):
    with rasterio.open(home / "new" / "deep.tif") as dataset:
        numbers, profile = dataset.read(), dataset.profile
    with rasterio.open(home / "new" / "good.tif", "w", **profile) as dataset:
        dataset.write(numbers // 5)
    code, text = call(home, "run")
    assert code == DataError.exit_code
    assert "scene 'deep': lies outside" in text
    assert "scene 'good': lies outside" in text


def test_anyway_predicts_it_and_says_so_wherever_the_result_goes(home: Path):
    code, text = call(home, "run", "--anyway")
    assert code == 0
    caution = f"deep: predicted all the same, outside of what the models were trained on: {SAID}"
    assert caution in text
    run = home / "run"
    with rasterio.open(run / "probability" / "deep.tif") as dataset:
        assert dataset.tags()["CAUTION"].startswith(caution)
    with rasterio.open(run / "probability" / "good.tif") as dataset:
        assert "CAUTION" not in dataset.tags()
    assert pq.read_schema(run / "features" / "deep.parquet").metadata[b"CAUTION"].decode().startswith(caution)
    assert b"CAUTION" not in pq.read_schema(run / "features" / "good.parquet").metadata
    metadata = pyogrio.read_info(run / "features" / "features.gpkg", layer="features")["layer_metadata"]
    assert metadata["CAUTION"].startswith(caution)
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "Polygons of these scenes may be worth nothing. deep: predicted all the same" in report


def test_what_was_predicted_anyway_is_refused_again_without(home: Path):
    assert call(home, "run", "--anyway")[0] == 0
    code, text = call(home, "run")
    assert code == PartialError.exit_code
    assert "scene 'deep': lies outside" in text


def test_models_of_before_are_used_as_they_were(home: Path):
    for file in (home / "old_run" / "models").glob("*/model.json"):
        content = read_values(file)
        assert content["extra"]["knows"].pop("ranges")["sensors"]["RGB"]["types"] == ["uint8"]
        write_as_older(file, content)
    code, text = call(home, "run")
    assert code == 0, text
    assert "outside of what" not in text
