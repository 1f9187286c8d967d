"""What `[vectorize]` says is what tracing does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from pydantic import ValidationError
from pyproj import CRS

from landscribe.core.burn import burn_share
from landscribe.core.features import of_class
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.recipe import Recipe, VectorizeTable
from landscribe.io.raster.geotiff import write_raster
from landscribe.stages.vectorize import vectorize_scene

GRID = Grid(61, 83, Affine.translation(600_000, 4_000_000) @ Affine.scale(0.5, -0.5), CRS.from_epsg(32611))
LEGEND = Legend(tuple(LandClass(k + 1, name, "#B22222") for k, name in enumerate(("house", "road", "tree"))))


def recipe(**vectorize: object) -> Recipe:
    return Recipe.model_validate({"data": {"source": "dstl"}, "vectorize": vectorize})


def write(path: Path, *fields_hw: np.ndarray) -> Path:
    with write_raster(path, GRID, count=len(LEGEND), dtype="uint8", mask=True) as writer:
        writer.write(GRID.window, np.stack(fields_hw))
        writer.write_mask(GRID.window, np.ones(GRID.shape_hw, bool))
    return path


def right(polygon: shapely.Polygon) -> bool:
    side = np.diff(np.array(polygon.exterior.coords), axis=0)
    side /= np.hypot(*side.T)[:, None]
    return bool(np.abs((side * np.roll(side, 1, axis=0)).sum(axis=1)).max() < 1e-5)


def test_right_angles_are_for_the_classes_that_are_named(tmp_path: Path):
    rng = np.random.default_rng(3)
    house = shapely.affinity.rotate(shapely.box(20, 15, 55, 40), 17)
    share = burn_share(np.array([house]), GRID.shape_hw)
    noisy = np.clip(share + rng.normal(0, 25, share.shape), 0, 255).astype(np.uint8)
    path = write(tmp_path / "p.tif", noisy, noisy, 0 * noisy)
    features, _ = vectorize_scene(path, "s", recipe(right_angles=("house",), min_area={"default": 50.0}), LEGEND)
    [one], [other] = (of_class(features, name) for name in ("house", "road"))
    assert right(one)
    assert not right(other)
    smooth, _ = vectorize_scene(path, "s", recipe(smooth=4, min_area={"default": 50.0}), LEGEND)
    assert of_class(smooth, "road")[0].length < other.length


def test_shared_borders_leave_neither_gap_nor_overlap(tmp_path: Path):
    rng = np.random.default_rng(8)
    fields = rng.integers(0, 255, (3, 8, 11)).repeat(8, axis=1).repeat(8, axis=2)[:, :61, :83].astype(np.uint8)
    path = write(tmp_path / "p.tif", *fields)
    table = {"exclusive": True, "shared_borders": True, "min_area": {"default": 0.0}, "simplify_px": 1.0}
    features, counts = vectorize_scene(path, "s", recipe(**table), LEGEND)
    pixels = GRID.ground_to_pixels(features.geometry.to_numpy())
    assert shapely.coverage_is_valid(np.asarray(shapely.set_precision(pixels, 1e-6)))
    assert shapely.area(pixels).sum() == pytest.approx(61 * 83)
    assert features["area"].sum() == pytest.approx(61 * 83 * GRID.pixel_area)
    assert features["score"].between(0.01, 1).all()
    large, dropped = vectorize_scene(path, "s", recipe(**table | {"min_area": {"default": 100.0}}), LEGEND)
    for name in LEGEND.names:
        small = dropped.get(f"{name}: polygon below minimum area", 0)
        assert counts[f"{name}: kept"] == dropped[f"{name}: kept"] + small
    assert len(large) < len(features)


def test_each_class_keeps_its_own_settings_with_shared_borders(tmp_path: Path):
    rows, cols = np.mgrid[:61, :83]
    house, road = (cols < 20 + rows // 3) * np.uint8(200), (cols >= 45 + rows // 3) * np.uint8(200)
    path = write(tmp_path / "p.tif", house, road, np.full_like(house, 100))
    table = {"exclusive": True, "shared_borders": True, "simplify_px": {"default": 2.0, "house": 0.0}}
    vertices = {}
    for name, simplify in (("all", 2.0), ("own", table["simplify_px"])):
        features, _ = vectorize_scene(path, "s", recipe(**table | {"simplify_px": simplify}), LEGEND)
        vertices[name] = {n: shapely.get_num_coordinates(of_class(features, n))[0] for n in LEGEND.names}
    assert vertices["own"]["house"] > vertices["all"]["house"] + 20
    assert vertices["own"]["tree"] > vertices["all"]["tree"] + 20  # the border that it shares with the house
    assert vertices["own"]["road"] == vertices["all"]["road"]
    half, _ = vectorize_scene(path, "s", recipe(**table, threshold={"default": 0.5, "road": 0.7}), LEGEND)
    assert set(half["class_name"]) == {"house", "tree"}  # 200 against 100 is two thirds


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"shared_borders": True}, "needs exclusive = true"),
        ({"mode": "edge", "connectivity": "mean"}, "4 or 8"),
        ({"mode": "opencv", "connectivity": "mean"}, "4 or 8"),
        ({"mode": "opencv", "right_angles": ("building",)}, "no meaning"),
        ({"mode": "opencv", "smooth": 1}, "no meaning"),
        ({"mode": "edge", "smooth": 1}, "no meaning"),
        ({"exclusive": True, "shared_borders": True, "right_angles": ("road",)}, "road: tracing: right angles"),
        ({"threshold": {"default": 0.5, "road": 0.0}}, "road: tracing: threshold out of range"),
        ({"min_area": {"road": -2.0}}, "road: tracing: min_area_px out of range"),
        ({"min_hole": {"road": -2.0}}, "road: tracing: min_hole_px out of range"),
    ],
)
def test_options_that_exclude_each_other_are_refused(values: dict, said: str):
    with pytest.raises(ValidationError, match=said):
        VectorizeTable(**values)
