"""What is no image is refused in one line, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

import landscribe as ls
from small_scenes import SHAPE_HW, train_small

PLACE = {"transform": Affine(2, 0, 400_000, 0, -2, 5_000_000), "crs": 32633}
GOOD = np.full((3, *SHAPE_HW), 90, np.uint8)
HOLE = np.where(np.arange(SHAPE_HW[1]) == 5, np.nan, 90.0).astype(np.float32) * np.ones((3, *SHAPE_HW), np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    train_small(folder)
    return folder / "old_run" / "models"


@pytest.mark.parametrize(
    ("image", "given", "message"),
    [
        (GOOD[:2], PLACE, "image: wrong number of bands, got 2, need 3 for the models: red, green, blue"),
        (np.moveaxis(GOOD, 0, -1), PLACE, "bands come first"),
        (GOOD[0], PLACE, "wrong number of bands, got 1"),
        (GOOD[None], PLACE, r"not an image, got shape \(1, 3, 41, 53\)"),
        (GOOD[:, :0], PLACE, r"not an image, got shape \(3, 0, 53\)"),
        (GOOD.astype(np.int64), PLACE, r"type of pixels, got int64.*astype\('uint16'\)"),
        (GOOD.astype(np.complex64), PLACE, "type of pixels, got complex64"),
        (GOOD.astype(object), PLACE, "type of pixels, got object"),
        (GOOD > 3, PLACE, "type of pixels, got bool"),
        (GOOD.tolist(), PLACE, "no image, got list"),
        (7, PLACE, "no image, got int"),
        (HOLE, PLACE, r"NaN or infinite numbers, got 41 pixels; say nodata=float\('nan'\)"),
        (HOLE * np.float32(np.inf), PLACE, "NaN or infinite numbers"),
        (GOOD, {}, "image: no transform: nobody says where it lies"),
        (GOOD, {"transform": (1, 0, 0)}, "image: no transform, got"),
        (GOOD, {"transform": "north up"}, "image: no transform, got"),
        (GOOD, {"transform": Affine(1, 0, 0, 1, 0, 0)}, "transform is not invertible"),
        (GOOD, {**PLACE, "crs": "EPSG:0"}, "image: no CRS, got 'EPSG:0'"),
        (GOOD, {"grid": ls.Grid(53, 41, Affine.identity())}, r"grid of another size, got \(53, 41\), need \(41, 53\)"),
        (GOOD, {**PLACE, "valid_hw": np.ones((53, 41), bool)}, r"valid_hw of another kind, got bool \(53, 41\)"),
        (GOOD, {**PLACE, "valid_hw": np.ones(SHAPE_HW)}, "valid_hw of another kind, got float64"),
        ({"M": GOOD}, PLACE, "image: other sensors, got M, need RGB"),
        ("no/such.tif", {}, r"no/such\.tif"),
    ],
)
def test_bad_images(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: Any, given: dict[str, Any], message: str
) -> None:
    model = ls.load_model(models)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ls.LandscribeError, match=message) as caught:
        model.predict(image, **given)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_nan_may_be_let_in(models: Path) -> None:
    found = ls.load_model(models).predict(HOLE, **PLACE, nodata=float("nan"), anyway=True)
    assert (~found.valid_hw).sum() == 41
    assert not found.values_khw[:, ~found.valid_hw].any()


@pytest.mark.parametrize(
    ("raster", "given", "message"),
    [
        (np.zeros((7, 11), np.int32), PLACE, r"type of the raster, got int32.*trace\(map == 3\)"),
        (np.arange(77, dtype=np.uint8).reshape(7, 11) // 13, PLACE, r"like a map of classes, got 6 whole.*map == 3"),
        (np.linspace(0, 150.5, 77).reshape(7, 11), PLACE, "neither probabilities nor classes, got 0 to 150.5"),
        (np.full((7, 11), 7.5), {**PLACE, "taken_for": "probability"}, r"out of range|0\.\.1"),
        (np.zeros((2, 7, 11), bool), {**PLACE, "classes": ["a"]}, "names of classes, got 1, need 2"),
        (np.zeros((7, 11), bool), {}, "trace: no transform"),
        (np.zeros((7, 11), bool), {**PLACE, "threshold": {"b": 0.5}}, "threshold: of other classes, got b"),
        (np.zeros((7, 11), bool), {**PLACE, "threshold": 0.0}, "threshold out of range"),
        (np.zeros((7, 11), bool), {**PLACE, "mode": "edges"}, "unknown mode"),
    ],
)
def test_bad_rasters(raster: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ls.LandscribeError, match=message) as caught:
        ls.trace(raster, **given)
    assert "\n" not in str(caught.value)


def test_a_model_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ls.RecipeError, match="no such folder"):
        ls.load_model(tmp_path / "none")
