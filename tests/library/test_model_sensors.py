"""Models that read several sensors, and spectral rules, on what is in memory: the bytes of the run that made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

import landscribe as ls
from landscribe.io.raster.rasters import open_raster
from small_data import write_bands
from small_scenes import write_labels

UTM = CRS.from_epsg(32633)
FINE_HW, COARSE_HW = (61, 53), (19, 17)


def grids(number: int) -> dict[str, ls.Grid]:
    fine = ls.Grid(*FINE_HW, Affine(2, 0, 400_000 + 1000 * number, 0, -2, 5_000_000), UTM)
    return {"RGB": fine, "NEAR": fine.resize(*COARSE_HW)}


def tables(home: Path) -> dict[str, Any]:
    kind = {"kind": "near", "bands": ["nir", "edge"], "bits": 8}
    sensors = {
        name: {"path": f"{name}/{{scene}}.tif", "kind": kind} for name, kind in (("RGB", "rgb8"), ("NEAR", "near"))
    }
    schedule = {"epochs": 1, "steps": 40, "rate": 0.01, "average": 0.9, "prior": 0}
    network = {
        "name": "net",
        "classes": ["house"],
        "network": {"filters": 4, "depth": 2},
        "chips": {"size": 32, "context": 4, "batch": 2},
        "schedule": schedule,
    }
    rule = {
        "name": "green",
        "kind": "index",
        "classes": ["tree"],
        "spectral": {"index": "ndvi", "threshold": 0.0, "soft": 0.3},
    }
    return {
        "data": {"root": home, "sensors": sensors, "kinds": [kind],
                 "labels": {"path": "lab/{scene}.gpkg", "class_field": "class_name"}},
        "classes": [{"name": "house"}, {"name": "tree"}],
        "prepare": {"align": "none"},
        "models": [network, rule],
        "predict": {"symmetries": 1, "tile": 32},
        "validate": {"split": "named", "scenes": ["o4"]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ls.Run:
    home = tmp_path_factory.mktemp("sensors")
    for number in (1, 2, 3, 4):
        own = grids(number)
        for name, bands in (("RGB", 3), ("NEAR", 2)):
            image = np.random.default_rng(10 * number + bands).integers(1, 250, (bands, *own[name].shape_hw), np.uint8)
            write_bands(home / name / f"o{number}.tif", image, own[name])
        write_labels(home / "lab" / f"o{number}.gpkg", own["RGB"], second="tree")
    return ls.run(tables(home), home / "run")


def image_of(run: ls.Run) -> dict[str, Path]:
    return {name: run.root.parent / name / "o4.tif" for name in ("RGB", "NEAR")}


def test_several_sensors_and_a_rule_give_the_bytes_of_their_run(run: ls.Run) -> None:
    model = ls.load_model(run.root / "models")
    assert model.sensors == {"RGB": ("red", "green", "blue"), "NEAR": ("nir", "edge")}
    with open_raster(run.probability("o4")) as raster:
        written, _ = raster.read()
    assert min(written[0].std(), written[1].std()) > 2  # else it would prove nothing
    assert (model.predict(image_of(run)).values_khw == written).all()
    arrays = {}
    for name, path in image_of(run).items():
        with open_raster(path) as raster:
            arrays[name] = raster.read()[0]
    known = {name: np.ones(image.shape[1:], bool) for name, image in arrays.items()}
    found = model.predict(arrays, grid=grids(4), valid_hw=known)
    assert (found.values_khw == written).all()
    known["RGB"][:, :7] = False
    assert not model.predict(arrays, grid=grids(4), valid_hw=known).valid_hw[:, :7].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda image: image["RGB"],
            "several sensors of a scene, got one, need a mapping from RGB, NEAR",
        ),
        (lambda image: {"RGB": image["RGB"]}, "image: other sensors, got RGB, need RGB, NEAR"),
        (lambda image: image | {"NEAR": image["NEAR"].with_name("o1.tif")}, "image, NEAR: shows other ground than RGB"),
        (lambda image: image | {"NEAR": np.ones((2, *COARSE_HW), np.uint8)}, "image, NEAR: no transform"),
        (lambda image: image | {"NEAR": image["RGB"]}, r"o4\.tif: wrong number of bands, got 3, need 2"),
    ],
)
def test_sensors_that_do_not_fit_are_named(run: ls.Run, change: Any, message: str) -> None:
    with pytest.raises(ls.DataError, match=message):
        ls.load_model(run.root / "models").predict(change(image_of(run)))


def test_images_of_several_sensors_are_still_refused_by_the_command_line(run: ls.Run) -> None:
    from typer.testing import CliRunner

    from landscribe.cli.app import app

    given = ["--models", str(run.root / "models"), "--out", str(run.root.parent / "out")]
    done = CliRunner().invoke(app, ["predict", str(image_of(run)["RGB"]), *given])
    assert isinstance(done.exception, ls.RecipeError)
    assert "the models read several sensors of a scene, got RGB, NEAR, need one" in str(done.exception)
