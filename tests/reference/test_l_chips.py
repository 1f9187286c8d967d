"""Chips of the two reference methods: `reference_methods.md` 2.7, 2.8 and 3.5."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from landscribe.core.recipe import ChipTable
from landscribe.errors import DataError
from landscribe.io.settings import load_recipe
from landscribe.nn.train.chips import cut_chips, draw_plan, load_bank
from scenes import make_arrays

CPU = torch.device("cpu")
PLAIN = {"gain": 0.0, "band_gain": 0.0, "scale": 0.0, "oversample": 0.0}
"""What neither method has, switched off."""
L = {"size": 32, "context": 5, "sharp": 0.0, "edges": "inside", **PLAIN}
MARGIN_PX = 20
"""How near to the border method L's targets come."""
SIZES = ((97, 211), (151, 83), (127, 131))


def make_scene(number, shape, coverage_khw=None):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    smooth = (127 + 60 * np.sin(rows / 9) + 60 * np.cos(cols / 7)).astype(np.uint8)
    coverage = smooth[None] if coverage_khw is None else coverage_khw
    image = np.stack([smooth.astype(np.float32), 500 + 3.0 * smooth])
    return make_arrays({"F": image}, coverage=coverage, name=f"s{number}")


def plans(bank, count, seed=0, **table):
    chips = ChipTable(**{**L, "batch": 100, **table})
    drawn = [draw_plan(bank, chips, seed, step) for step in range(count // 100)]
    return (
        np.concatenate([plan.scene_b for plan in drawn]),
        np.concatenate([plan.map_b6 for plan in drawn]).reshape(-1, 2, 3),
        np.concatenate([plan.gains["F"] for plan in drawn]),
        np.concatenate([plan.offsets["F"] for plan in drawn]),
    )


@pytest.fixture(scope="module")
def bank():
    return load_bank([make_scene(i, shape) for i, shape in enumerate(SIZES)], {"F": 1}, CPU)


def chi_square(counts):
    expected = np.sum(counts) / len(counts)
    return float(np.sum((counts - expected) ** 2) / expected)


def test_l07_images_and_places_are_uniform_and_nothing_lies_outside(bank):
    scene_b, map_b23, _, _ = plans(bank, 6000)
    assert chi_square(np.bincount(scene_b, minlength=3)) < 13.8, "2 degrees of freedom, 1 in 1000"
    centre_b2 = map_b23 @ np.array([16, 16, 1.0])
    margin = 16 * math.sqrt(2)
    for number, (height, width) in enumerate(SIZES):
        own = centre_b2[scene_b == number] - margin
        room = np.array([width - 2 * margin, height - 2 * margin])
        assert (own >= 0).all()
        assert (own <= room).all()
        cells = np.floor(own / room * 4).astype(int).clip(0, 3)
        counts = np.bincount(cells[:, 0] * 4 + cells[:, 1], minlength=16)
        # Places are drawn by pixel, margins are no whole pixels: cells differ by up to 2 %.
        assert chi_square(counts) < 50, "15 degrees of freedom, 1 in 1000 is 37.7"
    corners = np.array([[a, b, 1.0] for a, b in itertools.product((0, 32), repeat=2)])
    at = np.einsum("bij,cj->bci", map_b23, corners)
    sizes = np.array(SIZES)[scene_b][:, None, ::-1]
    assert (at > -1e-9).all()
    assert (at < sizes + 1e-9).all()


def test_l07_a_scene_without_room_is_told():
    small = load_bank([make_scene(0, (37, 61))], {"F": 1}, CPU)
    with pytest.raises(DataError, match="no room inside the scenes, got 32 px"):
        draw_plan(small, ChipTable(**L), 0, 0)


def test_l08_an_epoch_of_the_recipe_sees_64_percent_of_the_pixels():
    """Chips are drawn as the recipe says and counted; the scene is smaller, and so is their number."""
    networks = load_recipe("dstl-lopuhin").recipe.models
    assert {(model.schedule.steps, model.chips.batch) for model in networks} == {(554, 128)}
    chips = networks[0].chips
    inner = chips.size - 2 * chips.context
    nominal = 554 * 128 * inner**2 / (25 * 3349 * 3391)
    assert nominal == pytest.approx(1.02, abs=0.005)
    scene = make_scene(0, (1201, 1301))
    small = load_bank([scene], {"F": 1}, CPU)
    # Chips keep away from the border; what counts is the ground that they can reach.
    height, width = (size - 2 * MARGIN_PX for size in (1201, 1301))
    count = round(nominal * height * width / inner**2)
    table = chips.model_copy(update={"batch": count, "rotate_deg": 0.0, "flips": False})
    plan = draw_plan(small, table, 0, 0)
    assert len(plan.scene_b) == count
    seen_hw = np.zeros((1201, 1301), np.int64)
    for map_23 in plan.map_b6.reshape(-1, 2, 3):
        col, row = np.rint(map_23 @ np.array([chips.context, chips.context, 1.0])).astype(int)
        seen_hw[row : row + inner, col : col + inner] += 1
    middle_hw = seen_hw[3 * inner : -3 * inner, 3 * inner : -3 * inner]
    density = middle_hw.mean()
    assert density == pytest.approx(nominal, rel=0.2)
    # Uniform places: a pixel is missed by all chips with probability exp(-density), 36 % at the nominal one.
    assert (middle_hw > 0).mean() == pytest.approx(1 - math.exp(-density), abs=0.03)
    assert 1 - math.exp(-nominal) == pytest.approx(0.64, abs=0.005)


@pytest.mark.parametrize("angle", [10.0, 25.0, 180.0])
def test_l10_angles_are_uniform_within_their_limits(bank, angle):
    _, map_b23, _, _ = plans(bank, 4000, rotate_deg=angle, flips=False)
    turned = np.degrees(np.arctan2(map_b23[:, 1, 0], map_b23[:, 0, 0]))
    assert np.abs(turned).max() <= angle + 1e-9
    counts, _ = np.histogram(turned, bins=10, range=(-angle, angle))
    assert chi_square(counts) < 27.9, "9 degrees of freedom, 1 in 1000"
    assert np.linalg.det(map_b23[:, :, :2]) == pytest.approx(1)


def test_l10_flips_of_rows_and_of_columns_each_in_half_of_the_chips(bank):
    _, map_b23, _, _ = plans(bank, 2000, rotate_deg=0.0, flips=True)
    signs = {(1, 1): 0, (1, -1): 0, (-1, 1): 0, (-1, -1): 0}
    for a, b in map_b23[:, [0, 1], [0, 1]].round():
        signs[int(a), int(b)] += 1
    assert chi_square(np.array(list(signs.values()))) < 16.3, "3 degrees of freedom, 1 in 1000"


def test_l10_all_eight_symmetries_without_interpolation(bank):
    _, map_b23, _, _ = plans(bank, 4000, sharp=1.0, rotate_deg=180.0, flips=True)
    assert np.array_equal(map_b23, map_b23.round())
    kinds, counts = np.unique(map_b23[:, :, :2].reshape(-1, 4).round(), axis=0, return_counts=True)
    assert len(kinds) == 8
    assert chi_square(counts) < 24.3, "7 degrees of freedom, 1 in 1000"


@pytest.mark.parametrize("table", [{"rotate_deg": 25.0}, {"rotate_deg": 180.0}, {"rotate_deg": 0.0, "sharp": 1.0}])
def test_l10_image_and_target_stay_together_and_nothing_is_filled(bank, table):
    chips = ChipTable(**{**L, "flips": True, "batch": 40, **table})
    cut = cut_chips(bank, chips, draw_plan(bank, chips, 3, 0))
    inner = (..., slice(5, -5), slice(5, -5))
    assert torch.allclose(cut.images["F"][inner][:, :1], 255 * cut.target, atol=1e-3)
    assert cut.valid["F"].all()
    assert (cut.weight == 1).all()
    # The smooth field has nothing below 7: no zeros were filled in.
    assert cut.images["F"][:, 0].min() > 6.9


def test_l24_a_factor_for_each_band_and_chip_on_what_is_standardised(bank):
    sigma = 0.1
    _, _, gains, offsets = plans(bank, 4000, band_contrast=sigma)
    mean, std = bank.bands["F"].mean, bank.bands["F"].spread
    raw = np.array([[mean + 1.7 * std]])[0]
    standardised = (gains * raw + offsets - mean) / std
    factor = standardised / 1.7
    assert factor.mean(axis=0) == pytest.approx(1, abs=4 * sigma / math.sqrt(len(factor)))
    assert factor.std(axis=0) == pytest.approx(sigma, rel=0.05)
    assert abs(np.corrcoef(factor.T)[0, 1]) < 0.06
    # A band at its mean stays there.
    assert gains * mean + offsets == pytest.approx(np.broadcast_to(mean, gains.shape), rel=1e-5)
    # Chips are cut with them.
    chips = ChipTable(**{**L, "batch": 10, "band_contrast": sigma})
    plan = draw_plan(bank, chips, 5, 0)
    gain, offset = (torch.from_numpy(a["F"])[:, :, None, None] for a in (plan.gains, plan.offsets))
    even = replace(plan, gains={"F": np.ones_like(plan.gains["F"])}, offsets={"F": np.zeros_like(plan.offsets["F"])})
    noisy, plain = (cut_chips(bank, chips, p).images["F"] for p in (plan, even))
    assert torch.allclose(noisy, plain * gain + offset, rtol=1e-4, atol=0.05)
    assert not torch.allclose(noisy, plain, rtol=0.01)
    _, _, gains, offsets = plans(bank, 100, band_contrast=0.0)
    assert (gains == 1).all()
    assert (offsets == 0).all()


@pytest.mark.parametrize("q", [0.0, 0.3, 0.8])
def test_l25_rare_classes_are_found_as_often_as_asked_for(q):
    coverage = np.zeros((1, 197, 199), np.uint8)
    for row, col in ((40, 60), (90, 150), (150, 70)):
        coverage[0, row : row + 3, col : col + 3] = 255
    rare = load_bank([make_scene(0, (197, 199), coverage)], {"F": 1}, CPU)

    def share(oversample):
        chips = ChipTable(**{**L, "rotate_deg": 180.0, "flips": True, "batch": 500, "oversample": oversample})
        hits = [cut_chips(rare, chips, draw_plan(rare, chips, 1, step)).target.amax((1, 2, 3)) > 0 for step in (0, 1)]
        return float(torch.cat(hits).float().mean())

    base = share(0.0)
    assert 0.02 < base < 0.2
    assert share(q) == pytest.approx(q + (1 - q) * base, abs=0.05)
