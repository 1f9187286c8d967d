"""L12: alignment by ECC as method L does it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from affine import Affine

from landscribe.core.grid import Grid
from landscribe.core.recipe import PrepareTable
from landscribe.core.register import Source, align_scene
from landscribe.core.register.climb import climb
from landscribe.core.register.ecc import EPSILON, ITERATIONS, resample

RGB_HW = (331, 347)
BANDS = {
    "RGB": (("red", "green", "blue"), (660, 547, 482), 1),
    "P": (("pan",), (649,), 1),
    "M": (("coastal", "blue", "green", "yellow", "red", "red_edge", "nir1", "nir2"),
          (427, 482, 547, 604, 660, 723, 824, 914), 4),
    "A": (tuple(f"swir{i}" for i in range(1, 9)), (1210, 1572, 1661, 1730, 2164, 2203, 2259, 2329), 10),
}  # fmt: skip
SHIFTS = {"RGB": (0.0, 0.0), "P": (0.6, -0.4), "M": (5.3, -3.9), "A": (-17.2, 12.6)}
"""Rows and columns, in RGB pixels, by which the content lies further down and to the right."""


def landscape(rng: np.random.Generator) -> np.ndarray:
    """Smooth random ground, far larger than the scene."""
    return sum(cv2.GaussianBlur(rng.normal(0, s**1.5, (600, 600)), (0, 0), s) for s in (4, 9, 18)).astype(np.float32)


def picture(ground: np.ndarray, name: str, rng: np.random.Generator) -> np.ndarray:
    bands, _, ratio = BANDS[name]
    height, width = (round(size / ratio) for size in RGB_HW)
    step_row, step_col = RGB_HW[0] / height, RGB_HW[1] / width
    rows = (np.arange(height) + 0.5) * step_row - SHIFTS[name][0] + 100 - 0.5
    cols = (np.arange(width) + 0.5) * step_col - SHIFTS[name][1] + 100 - 0.5
    map_x, map_y = (a.astype(np.float32) for a in np.meshgrid(cols, rows))
    band_hw = cv2.remap(ground, map_x, map_y, cv2.INTER_CUBIC)
    scale = band_hw.std()
    parts = [
        400 + 20 * k + (50 + 5 * k) * band_hw / scale + rng.normal(0, 0.2, band_hw.shape) for k in range(len(bands))
    ]
    return np.stack(parts).astype(np.float32)


def source(name: str, image_chw: np.ndarray, valid_hw: np.ndarray | None = None) -> Source:
    bands, nm, _ = BANDS[name]
    grid = Grid(*RGB_HW, Affine.identity()).resize(*image_chw.shape[1:])
    valid = np.ones(image_chw.shape[1:], bool) if valid_hw is None else valid_hw
    return Source(name, grid, bands, nm, lambda w: (image_chw[:, *w.slices], valid[w.slices]))


def scene(names: tuple[str, ...] = ("RGB", "P", "M", "A")) -> list[Source]:
    rng = np.random.default_rng(5)
    ground = landscape(rng)
    return [source(name, picture(ground, name, rng)) for name in names]


def test_l12_synthetic_shifts_are_recovered() -> None:
    moves = align_scene(scene(), PrepareTable(align="ecc"))
    assert moves["RGB"].decision == "reference"
    for name in ("P", "M", "A"):
        own_px = {"P": 1, "M": 4, "A": 10}[name]
        error = np.hypot(moves[name].row_px + SHIFTS[name][0], moves[name].col_px + SHIFTS[name][1]) / own_px
        assert error < 0.05, (name, moves[name])
        assert moves[name].decision == "applied"
        assert moves[name].score > 0.95
        assert moves[name].score > moves[name].before


def test_l12_each_sensor_is_compared_with_the_band_it_should_be() -> None:
    """P and M with grey RGB; A with the last band of the aligned M, or with the first of RGB where M is not aligned."""
    sources = {s.name: s for s in scene()}
    rng = np.random.default_rng(1)

    def with_noise(name: str, keep: tuple[int, ...]) -> Source:
        image = sources[name].read(sources[name].grid.window)[0].copy()
        for band in set(range(len(image))) - set(keep):
            image[band] = rng.normal(400, 50, image.shape[1:])
        return source(name, image)

    a_alone = [sources["RGB"], with_noise("M", (0, 1, 2, 7)), with_noise("A", (0,))]
    moves = align_scene(a_alone, PrepareTable(align="ecc"))
    assert [moves[n].decision for n in ("M", "A")] == ["applied", "applied"]
    assert moves["A"].row_px == pytest.approx(-SHIFTS["A"][0], abs=0.5)
    flat = source("M", np.full((8, 83, 87), 7, np.float32))
    lost = align_scene([with_noise("RGB", (0,)), flat, with_noise("A", (0,))], PrepareTable(align="ecc"))
    assert lost["M"].decision.startswith("failed")
    assert lost["A"].row_px == pytest.approx(-SHIFTS["A"][0], abs=0.5)
    red_only = [with_noise("RGB", (0,)), with_noise("A", (0,))]
    assert align_scene(red_only, PrepareTable(align="ecc"))["A"].row_px == pytest.approx(-SHIFTS["A"][0], abs=0.5)


def test_l12_a_constant_image_stays_where_it_is() -> None:
    sources = scene(("RGB", "M"))
    flat = source("M", np.full((8, 83, 87), 412, np.float32))
    move = align_scene([sources[0], flat], PrepareTable(align="ecc"))["M"]
    assert (move.row_px, move.col_px, move.decision) == (0, 0, "failed: nothing to hold on to")


def test_l12_the_template_is_what_opencv_resizes() -> None:
    band = landscape(np.random.default_rng(2))[: RGB_HW[0], : RGB_HW[1]]
    small = (83, 87)
    to_fixed = Affine.scale(RGB_HW[1] / small[1], RGB_HW[0] / small[0])
    ours = resample(band, to_fixed, small)
    theirs = cv2.resize(band, small[::-1], interpolation=cv2.INTER_CUBIC)
    # OpenCV's warp knows 32 places between two pixels.
    assert np.abs(ours - theirs).max() < 0.05 * band.std()


def test_l12_the_water_script_of_method_t_compares_green() -> None:
    sources = scene(("RGB", "M", "A"))
    moves = align_scene(sources, PrepareTable(align="ecc-green"))
    assert moves["M"].row_px == pytest.approx(-SHIFTS["M"][0], abs=0.2)
    assert moves["M"].col_px == pytest.approx(-SHIFTS["M"][1], abs=0.2)
    assert moves["A"].decision == "failed: no band to compare"


def test_l12_a_shift_beyond_the_limit_is_not_applied() -> None:
    move = align_scene(scene(("RGB", "M")), PrepareTable(align="ecc", max_shift_px=3.0))["M"]
    assert (move.row_px, move.col_px, move.decision) == (0, 0, "refused: too far")


def seen_twice(shape: tuple[int, int], seed: int, row: float, col: float, noise: float) -> list[np.ndarray]:
    """Ground with 1/f texture and the same shifted exactly, by numpy alone, so that no version of OpenCV matters."""
    rng = np.random.default_rng(seed)
    rows, cols = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    waves = np.fft.rfft2(rng.standard_normal(shape)) / np.maximum(np.hypot(rows, cols), 1 / 64) ** 1.2
    pictures = []
    for moved in (waves, waves * np.exp(-2j * np.pi * (rows * row + cols * col))):
        ground = np.fft.irfft2(moved, shape)
        noisy = 400 + 60 * ground / ground.std() + rng.normal(0, noise, shape)
        pictures.append(noisy[20:-20, 20:-20].astype(np.float32))
    return pictures


@pytest.mark.parametrize(
    ("shape", "seed", "row", "col", "noise", "hidden", "expected"),
    [
        ((331, 347), 1, 0.4, -0.13, 6.0, False, (0.397630, -0.149058)),
        ((251, 269), 2, 4.31, -3.77, 12.0, True, (4.322838, -3.781417)),
        ((174, 176), 3, 0.43, 0.06, 160.0, False, (0.208624, -0.028358)),
        ((174, 176), 4, -0.8, 0.02, 200.0, False, (-0.595250, -0.113218)),
    ],
)
def test_l12_the_answer_is_that_of_opencv_4(
    shape: tuple[int, int], seed: int, row: float, col: float, noise: float, hidden: bool, expected: tuple[float, float]
) -> None:
    """Numbers from cv2.findTransformECC of OpenCV 4.10.0 with the method's 5000 iterations or 1e-8."""
    template_hw, image_hw = seen_twice(shape, seed, row, col, noise)
    mask_hw = np.ones(template_hw.shape, np.uint8)
    if hidden:
        mask_hw[:41, 60:] = 0
    found = climb(template_hw, image_hw, mask_hw, ITERATIONS, EPSILON, 60.0)
    assert (found.row, found.col) == pytest.approx(expected, abs=1e-4)


def test_l12_a_stop_that_is_never_met_costs_nothing() -> None:
    """Five thousand steps between a few places; if each were looked at anew, the clock would cut them off."""
    pictures = seen_twice((331, 347), 1, 0.4, -0.13, 6.0)
    found = climb(*pictures, np.ones(pictures[0].shape, np.uint8), ITERATIONS, 0.0, 3.0)
    assert not found.is_late
    assert (found.row, found.col) == pytest.approx((0.4, -0.13), abs=0.04)


@pytest.mark.parametrize("align", ["ecc", "ecc-green"])
def test_l12_what_takes_too_long_is_refused_and_said(align: str) -> None:
    move = align_scene(scene(("RGB", "M")), PrepareTable(align=align, ecc_limit_s=1e-9))["M"]
    assert (move.row_px, move.col_px, move.decision) == (0, 0, "refused: it took too long")
