"""Spectral rules on scenes of several sensors and grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine

from landscribe.core.arrays import AnyArray
from landscribe.core.grid import Grid, Window
from landscribe.core.recipe import GateTable, SpectralTable
from landscribe.core.sensors import describe_sensors
from landscribe.core.spectral.rules import SceneRule, rule_of
from landscribe.errors import RecipeError
from landscribe.nn.predict.spectral import SpectralScene, lay, scan_scene, spectral_field, spectral_scene
from landscribe.nn.scene import SceneArrays
from scenes import make_arrays

HEIGHT, WIDTH = 68, 92
KINDS = {"RGB": "worldview3-rgb", "M": "worldview3-m"}
BITS = {"RGB": 11, "M": 11}
BANDS = {
    "RGB": ("red", "green", "blue"),
    "M": ("coastal", "blue", "green", "yellow", "red", "red_edge", "nir1", "nir2"),
}


def source(images: dict[str, AnyArray], **labels: AnyArray) -> SceneArrays:
    reference = Grid(*images["RGB"].shape[1:], Affine.scale(0.25, -0.25))
    grids = {"RGB": reference, "M": reference.resize(*images["M"].shape[1:])}
    valid = {name: (values != 0).all(axis=0) for name, values in images.items()}
    sensors = describe_sensors(KINDS, BANDS, BITS).values()
    arrays = make_arrays(images, valid=valid, sensors=sensors, name="6010_0_1", **labels)  # type: ignore[arg-type]
    return replace(arrays, grid=reference, grids=grids)


def scene(images: dict[str, AnyArray], sensors: tuple[str, ...] | None = None) -> SpectralScene:
    return spectral_scene(source(images), sensors)


def images(seed: int = 1) -> dict[str, AnyArray]:
    rng = np.random.default_rng(seed)
    return {
        "RGB": rng.integers(1, 2047, (3, HEIGHT, WIDTH)).astype(np.uint16),
        "M": rng.integers(1, 2047, (8, HEIGHT // 4, WIDTH // 4)).astype(np.uint16),
    }


def test_bands_come_from_the_first_sensor_that_has_them() -> None:
    pictures = images()
    assert [(s.name, k) for s, k in scene(pictures).bands_of("ccci")] == [("M", 7), ("M", 5), ("RGB", 0)]
    assert [(s.name, k) for s, k in scene(pictures, sensors=("M",)).bands_of("ccci")] == [("M", 7), ("M", 5), ("M", 4)]
    with pytest.raises(RecipeError, match="'P' is missing"):
        scene(pictures, sensors=("P",))


def test_values_on_the_native_grid_are_the_formula_on_raw_numbers() -> None:
    pictures = images()
    pictures["M"][:, 3, 5] = 0
    seen = scene(pictures)
    grid = seen.grid_of(SpectralTable(grid="native"), "water")
    assert grid.shape_hw == (17, 23)
    red_edge, nir2 = (pictures["M"][k].astype(float) for k in (5, 7))
    with np.errstate(invalid="ignore"):
        expected = (red_edge - nir2) / (red_edge + nir2)
    np.testing.assert_allclose(seen.values("water", grid, grid.window), expected, atol=2e-5)
    assert np.isnan(seen.values("water", grid, grid.window)[3, 5])


def test_windows_make_up_the_whole() -> None:
    seen = scene(images())
    whole = seen.values("ccci", seen.source.grid, seen.source.grid.window)
    for window in (Window(0, 0, 13, 17), Window(40, 61, 28, 31), Window(11, 7, 1, 1)):
        assert (seen.values("ccci", seen.source.grid, window) == whole[window.slices]).all()


def test_a_raster_laid_on_its_own_grid_is_itself() -> None:
    pictures = images()
    seen = scene(pictures)
    values, valid = lay(seen.source.read, "M", seen.source.grids["M"], seen.source.grids["M"], Window(2, 3, 7, 11))
    assert (values == pictures["M"][:, 2:9, 3:14]).all()
    assert valid.all()


@pytest.mark.parametrize("grid", ["reference", "native"])
def test_a_gate_empties_the_whole_scene(grid: str) -> None:
    pictures = images()
    pictures["M"][5], pictures["M"][7] = 100, 900
    pictures["M"][5, 4:8, 4:10] = 1800  # 24 pixels of water, 16 times as many on the reference grid
    table = SpectralTable.model_validate({"grid": grid, "soft": 0.0})
    seen = scene(pictures)
    field = spectral_field(seen, table, rule_of(table, "x"))(seen.source.grid.window)
    found = int((field >= 128).sum())
    assert 24 * 16 * 0.7 < found < 24 * 16 * 1.3
    pixels = 24 if grid == "native" else found
    for above, is_open in ((pixels - 1, True), (pixels, False)):
        rule = SceneRule("water", 0.11, "above", GateTable(above=float(above)))
        assert spectral_field(seen, table, rule)(seen.source.grid.window).any() == is_open
    closed = SceneRule("water", 0.11, "above", GateTable(), empty=True)
    assert not spectral_field(seen, table, closed)(Window(3, 5, 7, 11)).any()


def test_a_native_rule_is_laid_on_the_reference_grid() -> None:
    pictures = images()
    pictures["M"][5, :, :12], pictures["M"][7, :, :12] = 1800, 100
    pictures["M"][5, :, 12:], pictures["M"][7, :, 12:] = 100, 1800
    table = SpectralTable(grid="native", soft=0.0)
    seen = scene(pictures)
    field = spectral_field(seen, table, rule_of(table, "x"))(Window(5, 30, 11, 40))
    assert ((field >= 128) == (np.arange(30, 70) < 48)).all()  # 12 columns of M are 48 of RGB


def test_the_lowest_value_of_a_scene() -> None:
    pictures = images()
    seen = scene(pictures)
    table = SpectralTable(index="ndvi_nir2", grid="native", side="below")
    red, nir2 = (pictures["M"][k].astype(float) for k in (4, 7))
    seen_m = scene(pictures, sensors=("M",))
    assert seen_m.lowest(table) == pytest.approx(((nir2 - red) / (nir2 + red)).min(), abs=1e-4)
    assert seen.lowest(table) != seen_m.lowest(table)  # there red is RGB's


def test_a_search_sees_truth_and_index_on_one_grid() -> None:
    pictures = images()
    pictures["M"][5], pictures["M"][7] = 100, 900
    pictures["M"][5, :, 10:] = 1000  # index -0.8 on land and 0.053 on water
    truth_khw = np.zeros((4, HEIGHT, WIDTH), np.uint8)
    truth_khw[3, :, 40:60], truth_khw[1, :, 60:], truth_khw[2] = 255, 255, 255
    known = np.ones((HEIGHT, WIDTH), np.bool_)
    known[:8] = False
    table = SpectralTable.model_validate(
        {"grid": "native", "search": {"indices": ("water",), "low": -1.0, "high": 0.5, "step": 0.1}}
    )
    found = scan_scene(spectral_scene(source(pictures, coverage=truth_khw, labelled=known)), table, [3, 1])
    assert found.positives == 15 * 13  # the first two rows of M are not labelled
    jaccard = found.counts_it3[0, :, 0] / found.counts_it3[0].sum(axis=1)
    assert jaccard.argmax() == 3  # -0.7, the first above the land
    assert jaccard.max() == 1
