"""What a network was trained on: ordinary scenes of the same sensor pass, others are told with both facts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.io.models.ranges import learn_ranges, outside_of, pixel_size
from landscribe.io.project import open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.prepare import prepare

H, W = 61, 47
UTM = CRS.from_epsg(32633)


def ground(low: float, high: float, dtype: str, seed: int = 0) -> np.ndarray:
    """Three bands of ground between two numbers."""
    image_chw = np.random.default_rng(seed).beta(2, 3, (3, H, W)) * (high - low) + low
    return (np.rint(image_chw) if np.dtype(dtype).kind in "iu" else image_chw).astype(dtype)


def prepared(folder: Path, images: dict[str, np.ndarray], pixel_m: float = 0.5, bands: str = "red green blue") -> Run:
    """Prepare scenes of one sensor."""
    for name, image_chw in images.items():
        grid = Grid(H, W, Affine(pixel_m, 0, 500_000, 0, -pixel_m, 5_000_000), UTM)
        with write_raster(folder / f"{name}.tif", grid, count=3, dtype=str(image_chw.dtype)) as writer:
            writer.write(grid.window, image_chw)
    (folder / "r.toml").write_text(
        f'[data]\nsensors.S = {{ path = "{{scene}}.tif", kind = "own" }}\n[[data.kinds]]\nkind = "own"\n'
        f'bands = {bands.split()}\nbits = 0\n[[classes]]\nname = "a"\n[validate]\nsplit = "none"\n'
    )
    run = open_run(folder / "run")
    prepare(open_project(load_recipe(folder / "r.toml")), run)
    return run


def said(folder: Path, trained: dict[str, np.ndarray], scene: np.ndarray, **options: object) -> list[str]:
    """What is said of a scene by a model that was trained on others."""
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    old = prepared(folder / "a", trained)
    scenes = [open_prepared(old, name) for name in trained]
    ranges = learn_ranges([s.folder for s in scenes], [pixel_size(s) for s in scenes])
    new = prepared(folder / "b", {"n": scene}, **options)  # type: ignore[arg-type]
    return outside_of(ranges, open_prepared(new, "n"), ["S"])


EIGHT = {"one": ground(20, 220, "uint8", 1), "two": ground(30, 180, "uint8", 2)}
REFLECTANCE = {"one": ground(200, 3500, "uint16", 1), "two": ground(300, 3000, "uint16", 2)}
DECIBEL = {"one": ground(-25, -3, "float32", 1)}
SHARE = {"one": ground(0.02, 0.35, "float32", 1)}


def clouded(image_chw: np.ndarray, share: float, value: float) -> np.ndarray:
    image_chw = image_chw.copy()
    image_chw[:, : round(share * H)] = value
    return image_chw


@pytest.mark.parametrize(
    ("trained", "scene"),
    [
        (EIGHT, ground(10, 110, "uint8")),  # half the light
        (EIGHT, ground(60, 255, "uint8")),
        (EIGHT, ground(20, 60, "uint8")),  # water
        (EIGHT, clouded(ground(20, 200, "uint8"), 0.4, 255)),
        (EIGHT, ground(20, 220, "uint16")),  # the same numbers in another type
        (EIGHT, ground(20, 220, "float32")),
        (REFLECTANCE, ground(100, 1700, "uint16")),
        (REFLECTANCE, ground(500, 6500, "uint16")),
        (REFLECTANCE, ground(150, 450, "uint16")),  # open water
        (REFLECTANCE, ground(1200, 4500, "uint16")),  # offset by 1000
        (REFLECTANCE, clouded(ground(200, 3000, "uint16"), 0.45, 9800)),
        (DECIBEL, ground(-31, -8, "float32")),
        (SHARE, ground(0.01, 0.6, "float32")),
        ({"one": ground(100, 118, "uint8")}, ground(40, 190, "uint8")),  # one dull scene to learn from
    ],
)
def test_ordinary_scenes_of_the_same_sensor_pass(tmp_path: Path, trained: dict[str, np.ndarray], scene: np.ndarray):
    assert said(tmp_path, trained, scene) == []


@pytest.mark.parametrize(
    ("trained", "scene", "got", "need"),
    [
        (EIGHT, ground(200, 3500, "uint16"), "in uint16", "in uint8"),
        (EIGHT, ground(200, 2000, "uint16"), "in uint16", "in uint8"),  # 11 bits
        (EIGHT, ground(5000, 60000, "uint16"), "in uint16", "in uint8"),
        (EIGHT, ground(0.05, 0.9, "float32"), "in float32", "in uint8"),
        (REFLECTANCE, ground(20, 220, "uint8"), "in uint8", "in uint16"),
        (REFLECTANCE, ground(5000, 62000, "uint16"), "in uint16", "in uint16"),
        ({"one": ground(4000, 60000, "uint16")}, ground(100, 1800, "uint16"), "in uint16", "in uint16"),
        (SHARE, ground(20, 220, "uint8"), "in uint8", "in float32"),
        (DECIBEL, ground(0, 4000, "uint16"), "in uint16", "in float32"),
    ],
)
def test_numbers_of_another_kind_are_told_with_both_facts(
    tmp_path: Path, trained: dict[str, np.ndarray], scene: np.ndarray, got: str, need: str
):
    (text,) = said(tmp_path, trained, scene)
    assert text.startswith("S: numbers of band 'red' are others, got ")
    ours, theirs = text.split(", need ")
    assert got in ours
    assert need in theirs


@pytest.mark.parametrize(("pixel_m", "passes"), [(0.5, True), (0.7, True), (0.36, True), (0.8, False), (0.3, False)])
def test_pixels_may_be_one_and_a_half_times_as_large(tmp_path: Path, pixel_m: float, passes: bool):
    found = said(tmp_path, EIGHT, ground(20, 220, "uint8"), pixel_m=pixel_m)
    assert found == ([] if passes else [f"S: pixels of another size, got {pixel_m:g} m, need 0.5 m"])


def test_bands_in_another_order_are_told(tmp_path: Path):
    found = said(tmp_path, EIGHT, ground(20, 220, "uint8"), bands="blue green red")
    assert found == ["S: other bands, got blue, green, red, need red, green, blue"]


def test_models_that_say_nothing_are_asked_nothing(tmp_path: Path):
    run = prepared(tmp_path, {"n": ground(200, 60000, "uint16")})
    assert outside_of({}, open_prepared(run, "n"), ["S"]) == []
