"""Parts of the synthetic world that can be computed by hand."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landscribe.worlds.ground.canvas import GSD_M, blank_canvas, fractal, paint, px, stamp
from landscribe.worlds.ground.light import cast_shadows
from landscribe.worlds.ground.regions import CHARACTERS
from landscribe.worlds.ground.spectra import BANDS, PAN_SHARES, SKYLIGHT, SPECTRA, spectrum
from landscribe.worlds.objects.buildings import Block, Frame, make_house
from landscribe.worlds.objects.roads import make_way
from landscribe.worlds.objects.trees import plan_crowns, tree_cover
from landscribe.worlds.objects.vehicles import Vehicle
from landscribe.worlds.sensors import Sampling, pansharpen, sample, to_numbers


def rng(seed=0):
    return np.random.default_rng(seed)


def test_spectra_are_reflectances_and_mixes_lie_between():
    for name, values in SPECTRA.items():
        assert values.shape == (BANDS,), name
        assert ((values > 0) & (values < 1)).all(), name
    mixed = spectrum(("grass", 3), ("soil", 1))
    np.testing.assert_allclose(mixed, 0.75 * SPECTRA["grass"] + 0.25 * SPECTRA["soil"], rtol=1e-6)
    assert sum(PAN_SHARES.values()) == pytest.approx(1)
    assert (np.diff(SKYLIGHT) <= 0).all()


def test_every_material_a_place_names_has_a_spectrum():
    special = {"ploughed"}
    for character in CHARACTERS:
        named = {character.soil, *character.water}
        named |= {name for mix in (character.crops, character.trees, character.roofs) for name, _ in mix}
        assert named - special <= set(SPECTRA)


@given(st.integers(0, 2**31), st.floats(2, 40))
def test_texture_is_standardised(seed, size_px):
    texture = fractal(np.random.default_rng(seed), (61, 83), size_px, 3)
    assert texture.shape == (61, 83)
    assert texture.dtype == np.float32
    assert abs(float(texture.mean())) < 1e-3
    assert float(texture.std()) == pytest.approx(1, abs=1e-3)


def test_a_stamp_holds_exact_shares_and_is_cut_at_the_canvas():
    canvas = blank_canvas(rng(), (13, 17), 5)
    on = stamp(canvas, shapely.box(2.25, 3.5, 4, 5))
    assert (on.row, on.col) == (8, 7)
    np.testing.assert_allclose(on.share_hw, [[0.375, 0.5], [0.75, 1.0]], atol=1e-6)
    cut = stamp(canvas, shapely.box(-50, -2, 3, 100))
    assert (cut.row, cut.col) == (3, 0)
    assert cut.share_hw.shape == (13 + 5 + 2, 8)
    assert stamp(canvas, shapely.box(40, 40, 50, 50)) is None
    assert stamp(canvas, shapely.Polygon()) is None


def test_paint_mixes_by_share():
    canvas = blank_canvas(rng(), (13, 17), 5)
    canvas.reflectance_chw[:] = 0.2
    paint(canvas, stamp(canvas, shapely.box(0, 0, 1.5, 1)), np.full(BANDS, 0.6, np.float32))
    np.testing.assert_allclose(canvas.reflectance_chw[:, 5, 5], 0.6, rtol=1e-6)
    np.testing.assert_allclose(canvas.reflectance_chw[:, 5, 6], 0.4, rtol=1e-6)
    np.testing.assert_allclose(canvas.reflectance_chw[:, 6, 5], 0.2, rtol=1e-6)


def test_shadow_of_a_wall_has_the_length_that_the_sun_gives():
    height = np.zeros((41, 59), np.float32)
    height[:, 40] = 3.1
    sun = np.array([np.cos(np.pi / 4), 0.0, np.sin(np.pi / 4)])  # in the east, 45 degrees up
    blocked = cast_shadows(height, sun)
    row = blocked[20]
    # 3.1 m high at 45 degrees is 3.1 m long: ten pixels west of the wall, half a metre of it soft.
    assert (row[33:38] > 0.9).all()
    assert row[:28].max() < 0.05
    assert row[42:].max() < 0.05


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.25, -2.5), (-3.0, 4.5)])
def test_sampling_moves_content_down_and_right_by_the_shift(shift):
    margin, scene_hw = 12, (48, 60)
    y = np.arange(48 + 2 * margin)[:, None] + 0.5 - margin
    x = np.arange(60 + 2 * margin)[None, :] + 0.5 - margin
    plane = (0.3 + 0.002 * y + 0.005 * x).astype(np.float32)
    found = sample(plane, scene_hw, margin, Sampling((12, 15), shift, 0.3))
    rows, cols = (np.arange(12) + 0.5) * 4, (np.arange(15) + 0.5) * 4
    wanted = 0.3 + 0.002 * (rows[:, None] - shift[0]) + 0.005 * (cols[None, :] - shift[1])
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_sampling_keeps_a_constant_at_odd_ratios():
    found = sample(np.full((61 + 40, 83 + 40), 0.25, np.float32), (61, 83), 20, Sampling((7, 9), (3.3, -2.2), 0.5))
    assert found.shape == (7, 9)
    np.testing.assert_allclose(found, 0.25, rtol=1e-5)


def test_pansharpening_a_band_with_itself_changes_nothing():
    band = (0.2 + 0.05 * fractal(rng(), (61, 83), 6, 2)).clip(0.05, 1).astype(np.float32)
    np.testing.assert_allclose(pansharpen(band, band, 1.7), band, rtol=1e-4)


def test_numbers_are_rounded_noisy_and_within_their_bits():
    value = np.full((211, 223), 0.2, np.float32)
    numbers = to_numbers(rng(), value, 1000.0, 250.0, 11)
    assert numbers.dtype == np.uint16
    assert numbers.mean() == pytest.approx(450, abs=0.2)
    assert 1.5 < numbers.std() < 4
    assert to_numbers(rng(), value, 1e6, 0.0, 11).max() == 2047
    assert to_numbers(rng(), value, 1e6, 0.0, 14).max() == 16383
    assert to_numbers(rng(), -value, 1e6, 0.0, 14).min() == 1


@pytest.mark.parametrize("roof", ["gable", "hip", "shed", "flat"])
def test_roof_planes_tile_the_footprint(roof):
    block = Block(Frame(40.0, 30.0, 0.7), 31.0, 23.0, roof, 3.0, 0.5)
    planes = [plane for plane, _ in block.facets()]
    assert sum(plane.area for plane in planes) == pytest.approx(31 * 23)
    assert shapely.union_all(planes).symmetric_difference(block.outline).area < 1e-6


def test_a_house_is_one_piece():
    for seed in range(60):
        house = make_house(rng(seed), Frame(0, 0, 0.3), 11, 8, "tile_red")
        assert isinstance(house.outline, shapely.Polygon), seed


def test_frame_turns_u_towards_v():
    frame = Frame(10.0, 20.0, np.pi / 2)
    np.testing.assert_allclose(frame.to_scene(np.array([[3.0, 0.0], [0.0, 2.0]])), [[10, 23], [8, 20]], atol=1e-9)


def test_moving_vehicles_move_and_parked_ones_stay():
    parked = Vehicle(Frame(50, 50, 0.0), px(4.5), px(1.8), 1.4, "paint_red", large=False)
    assert parked.body(0.3).equals(parked.outline)
    driving = Vehicle(Frame(50, 50, 0.0), px(4.5), px(1.8), 1.4, "paint_red", large=False, speed=px(10))
    assert driving.body(0.3).centroid.x - driving.outline.centroid.x == pytest.approx(px(3))
    assert driving.outline.area == pytest.approx(px(4.5) * px(1.8), rel=0.05)


def test_a_crown_keeps_its_radius_and_groups_merge():
    crowns = plan_crowns(
        rng(), np.array([[30.0, 30.0], [36.0, 30.0], [90.0, 30.0]]), np.full(3, 8.0), ["broadleaf"] * 3
    )
    assert len(tree_cover(crowns)) == 2
    for outline in crowns.outlines:
        assert outline.is_valid
        assert 0.5 * np.pi * 64 < outline.area < 1.6 * np.pi * 64


def test_a_way_is_as_wide_as_it_says():
    line = shapely.LineString([(0.0, 10.0), (60.0, 10.0), (120.0, 14.0)])
    way = make_way(rng(), line, 6.2, "asphalt")
    assert way.paved
    assert way.outline.area / line.length == pytest.approx(6.2 / GSD_M, rel=0.05)
    assert not make_way(rng(), line, 3.0, "dirt").paved
