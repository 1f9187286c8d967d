"""Where chips lie: exact properties of what is drawn, and its distribution against what the rules say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from affine import Affine

from landscribe.core.recipe import ChipTable
from landscribe.errors import DataError
from landscribe.nn.sample.places import BLOCK_PX, chip_maps, count_places, draw_places, lie_inside
from landscribe.nn.train.bank import load_bank
from landscribe.nn.train.chips import draw_plan
from landscribe.nn.train.hard import WorstChips
from scenes import make_arrays

SIZES = ((61, 83), (17, 29), (101, 47))
KINDS = 3
NOWHERE = (np.empty(0, np.int64), np.empty((0, 2)))
CLASSES = np.arange(KINDS) + 1


def fields(seed=0, sizes=SIZES):
    """Labelled pixels and classes of which the last one is in the first scene alone."""
    rng = np.random.default_rng(seed)
    total = sum(h * w for h, w in sizes)
    labelled_n, coverage_nk = rng.random(total) < 0.7, rng.integers(0, 256, (total, KINDS)).astype(np.uint8)
    coverage_nk[:, 1] *= rng.random(total) < 0.03
    coverage_nk[sizes[0][0] * sizes[0][1] :, 2] = 0
    return labelled_n.astype(np.uint8), coverage_nk


def table_of(touched=100, seed=0, sizes=SIZES):
    labelled_n, coverage_nk = fields(seed, sizes)
    first = np.concatenate([[0], np.cumsum([h * w for h, w in sizes])[:-1]])
    return count_places(labelled_n, coverage_nk, np.array(sizes), first, touched)


def draw(chips, batches=1, places=None, seed=0, worst=NOWHERE, classes=CLASSES):
    rng, places = np.random.default_rng(seed), places or table_of()
    drawn = [draw_places(places, classes, chips, worst, rng) for _ in range(batches)]
    return np.concatenate([scene for scene, _ in drawn]), np.concatenate([maps for _, maps in drawn])


def centres(chips, map_b6, at=0.5):
    return map_b6.reshape(-1, 2, 3) @ np.array([at * chips.size, at * chips.size, 1.0])


def chi_square(counts, expected):
    expected = np.asarray(expected) * np.sum(counts) / np.sum(expected)
    return float(np.sum((counts - expected) ** 2 / expected))


STILL = {"rotate_deg": 0.0, "sharp": 0.0, "flips": False, "scale": 0.0}


@pytest.mark.parametrize("touched", [1, 100, 255])
def test_pixels_are_counted_by_kind_block_and_scene(touched):
    places, (labelled_n, coverage_nk) = table_of(touched), fields()
    for number in range(KINDS + 1):
        is_kind = labelled_n > 0 if number == 0 else (labelled_n > 0) & (coverage_nk[:, number - 1] >= touched)
        kind = places.kind(number)
        ends = [is_kind[:stop].sum() for stop in (*places.first_s, len(is_kind))]
        assert kind.scene_ends.tolist() == ends
        assert kind.count == is_kind.sum()
        blocks = [is_kind[: i + BLOCK_PX].sum() for i in range(0, len(is_kind), BLOCK_PX)]
        assert kind.pixels_so_far.tolist() == blocks


@pytest.mark.parametrize("kind", range(KINDS + 1))
def test_every_pixel_of_a_kind_is_drawn_and_no_other(kind):
    """All of them by turns: each number below the count is another pixel, in their order."""
    places, (labelled_n, coverage_nk) = table_of(), fields()
    is_kind = labelled_n > 0 if kind == 0 else (labelled_n > 0) & (coverage_nk[:, kind - 1] >= 100)
    wanted = np.flatnonzero(is_kind)

    class Counts:
        """In place of chance: the first pixel, the second, and so on."""

        def random(self, shape):
            count = shape[-1] if isinstance(shape, tuple) else shape
            u = np.zeros(shape)
            if isinstance(shape, tuple) and shape[0] == 10:
                u[0] = (np.arange(count) + 0.5) / count
                u[1:3] = 0.25
                u[3:5] = 0.5
            return u

    chips = ChipTable(size=16, context=0, batch=len(wanted), balance="area", oversample=float(kind > 0), **STILL)
    scene_b, map_b6 = draw_places(places, np.array([kind])[: int(kind > 0)], chips, NOWHERE, Counts())
    col, row = (centres(chips, map_b6) - 0.25 + 1e-9).T.astype(int)
    assert np.array_equal(places.first_s[scene_b] + row * places.size_s2[scene_b, 1] + col, wanted)


def test_maps_are_those_of_a_chain_of_affine_maps():
    rng, n = np.random.default_rng(3), 97
    chips = ChipTable(size=36, context=3, sharp=0.4, scale=0.3, rotate_deg=170.0)
    point, here, u = rng.uniform(0, 90, (n, 2)), rng.uniform(-15, 15, (n, 2)), rng.random((5, n))
    found = chip_maps(chips, point, here, u)
    for b in range(n):
        angle, zoom = -170 + 340 * u[1, b], 0.7 + 0.6 * u[2, b]
        sharp = u[0, b] < 0.4
        if sharp:
            angle, zoom = 90 * round(angle / 90), 1.0
        flips = [-1 if v < 0.5 else 1 for v in u[3:, b]]
        turned = Affine.rotation(angle) @ Affine.scale(zoom * flips[0], zoom * flips[1])
        expected = Affine.translation(*point[b]) @ turned @ Affine.translation(-18 - here[b, 0], -18 - here[b, 1])
        values = np.array(tuple(expected)[:6])
        assert np.allclose(found[b], values.round() if sharp else values, atol=1e-9)
    assert 0.2 < np.mean(u[0] < 0.4) < 0.6


def test_scenes_are_as_likely_as_one_another_or_as_their_pixels():
    places = table_of()
    for balance, kind in (("scene", 0), ("area", 0), ("scene", 2), ("area", 2), ("scene", 3)):
        chips = ChipTable(size=16, context=0, batch=1000, balance=balance, oversample=float(kind > 0))
        scene_b, _ = draw(chips, 6, places, classes=np.array([kind] if kind else [], np.int64))
        pixels = np.diff(places.ends_ks[kind])
        expected = pixels if balance == "area" else (pixels > 0).astype(float)
        counts = np.bincount(scene_b, minlength=3)
        assert (counts[expected == 0] == 0).all()
        assert chi_square(counts[expected > 0], expected[expected > 0]) < 13.8, "2 degrees of freedom, 1 in 1000"


def test_pixels_of_a_scene_are_as_likely_as_one_another():
    places = table_of(sizes=((13, 11),))
    chips = ChipTable(size=16, context=0, batch=1000, oversample=0.0, **STILL)
    _, map_b6 = draw(chips, 20, places)
    col, row = np.floor(centres(chips, map_b6)).astype(int).T
    counts = np.bincount(row * 11 + col, minlength=143)
    labelled = places.labelled_n > 0
    assert (counts[~labelled] == 0).all()
    assert chi_square(counts[labelled], np.ones(labelled.sum())) < 1.6 * labelled.sum(), "about 100 degrees"
    within = np.modf(centres(chips, map_b6))[0]
    for part in within.T:
        assert chi_square(np.histogram(part, 10, (0, 1))[0], np.ones(10)) < 27.9, "9 degrees of freedom, 1 in 1000"


def test_classes_are_as_likely_as_one_another_and_lie_anywhere_in_what_is_learned_from():
    """Of one pixel each, so that where it lies in the chip can be seen."""
    coverage = np.zeros((3, 97, 89), np.uint8)
    spots = np.array([[20, 30], [50, 60], [70, 40]])
    coverage[range(3), spots[:, 0], spots[:, 1]] = 255
    bank = load_bank([make_arrays({"F": coverage[:1]}, coverage=coverage)], {"F": 1}, torch.device("cpu"))
    chips = ChipTable(size=24, context=4, batch=3000, oversample=0.6, **STILL)
    scene_b, map_b6 = draw_places(bank.places, bank.present, chips, NOWHERE, np.random.default_rng(1))
    first = map_b6[:, [2, 5]]
    inside = [((spot[::-1] >= first + 3) & (spot[::-1] <= first + 20)).all(axis=1) for spot in spots]
    near = np.array(inside).sum(axis=1)
    chance = 3000 * 0.4 * 16**2 / (97 * 89)
    assert chi_square(near, np.ones(3)) < 13.8, "2 degrees of freedom, 1 in 1000"
    assert near.sum() == pytest.approx(3000 * 0.6 + 3 * chance, abs=4 * (3000 * 0.24) ** 0.5)
    hits = (spots[0][::-1] + 0.5 - first[inside[0]]) - 12
    for part in hits.T:
        assert np.abs(part).max() < 8.51
        counts, _ = np.histogram(part, 8, (-8, 8))
        assert chi_square(counts, np.ones(8)) < 24.3 + 20, "7 degrees of freedom, edges half a pixel wide"
    assert (scene_b == 0).all()


def test_changes_are_uniform_within_their_limits():
    chips = ChipTable(size=16, context=0, batch=6000, rotate_deg=25.0, sharp=0.0, scale=0.2, flips=True)
    _, map_b6 = draw(chips)
    square = map_b6.reshape(-1, 2, 3)[:, :, :2]
    determinant = np.linalg.det(square)
    zoom = np.sqrt(np.abs(determinant))
    assert chi_square(np.histogram(zoom, 10, (0.8, 1.2))[0], np.ones(10)) < 27.9
    kinds = []
    for flip_x in (1, -1):
        for flip_y in (1, -1):
            turned = square * np.array([flip_x, flip_y]) / zoom[:, None, None]
            angle = np.degrees(np.arctan2(turned[:, 1, 0], turned[:, 0, 0]))
            own = (np.abs(angle) <= 25) & (np.sign(determinant) == flip_x * flip_y)
            kinds.append(own.sum())
            assert chi_square(np.histogram(angle[own], 10, (-25, 25))[0], np.ones(10)) < 27.9
    assert sum(kinds) == 6000
    assert chi_square(kinds, np.ones(4)) < 16.3, "3 degrees of freedom, 1 in 1000"


@pytest.mark.parametrize("sharp", [0.0, 0.5, 1.0])
def test_chips_lie_inside_where_they_must_and_the_rest_is_drawn_again(sharp):
    chips = ChipTable(size=16, context=0, batch=700, sharp=sharp, scale=0.1, edges="inside", oversample=0.3)
    scene_b, map_b6 = draw(chips)
    sizes = np.array(SIZES)[scene_b]
    assert lie_inside(chips, map_b6, sizes).all()
    for across in (0, 16):
        for down in (0, 16):
            at = map_b6.reshape(-1, 2, 3) @ np.array([across, down, 1.0])
            assert ((at >= -1e-9) & (at <= sizes[:, ::-1] + 1e-9)).all()
    if sharp == 1.0:
        # The narrow scene has room for sharp chips, and as many of them as the others.
        assert chi_square(np.bincount(scene_b, minlength=3), np.ones(3)) < 30
    free, _ = draw(chips.model_copy(update={"edges": "mirror"}))
    assert set(free) == {0, 1, 2}


def test_a_scene_without_room_is_left_for_another_and_none_is_told():
    chips = ChipTable(size=32, context=0, batch=40, sharp=0.0, edges="inside", oversample=0.0)
    scene_b, _ = draw(chips)
    assert 1 not in scene_b  # 17 rows
    with pytest.raises(DataError, match="no room inside the scenes, got 32 px"):
        draw(chips, places=table_of(sizes=((17, 29), (31, 61))))
    worst = (np.zeros(1, np.int64), np.array([[2.0, 2.0]]))
    with pytest.raises(DataError, match="no room inside the scenes, got 32 px"):
        draw(chips.model_copy(update={"hard": 0.5}), worst=worst)


def test_what_is_drawn_follows_from_seed_and_step_and_the_worst_chips_only_move_their_own():
    coverage = np.random.default_rng(0).integers(0, 256, (2, 61, 83)).astype(np.uint8)
    bank = load_bank([make_arrays({"F": coverage[:1]}, coverage=coverage)], {"F": 1}, torch.device("cpu"))
    chips = ChipTable(size=16, context=2, batch=64, hard=0.5)
    plain, again, other = (draw_plan(bank, chips, 7, step) for step in (3, 3, 4))
    for name in ("scene_b", "map_b6"):
        assert np.array_equal(getattr(plain, name), getattr(again, name))
    assert not np.array_equal(plain.map_b6, other.map_b6)
    assert np.array_equal(plain.gains["F"], again.gains["F"])
    none_hard = draw_plan(bank, chips.model_copy(update={"hard": 0.0}), 7, 3)
    assert np.array_equal(plain.map_b6, none_hard.map_b6)
    hard = draw_plan(bank, chips, 7, 3, WorstChips(np.zeros(1, np.int64), np.array([[40.5, 30.5]])))
    same = (hard.map_b6 == plain.map_b6).all(axis=1)
    assert 10 < same.sum() < 54
    sharp = (hard.map_b6[~same] == hard.map_b6[~same].round()).all(axis=1)
    assert np.allclose(centres(chips, hard.map_b6[~same][~sharp]), [40.5, 30.5])
    assert np.abs(centres(chips, hard.map_b6[~same]) - [40.5, 30.5]).max() <= 1
    assert np.array_equal(hard.gains["F"], plain.gains["F"])


def test_a_bank_without_its_last_class_never_draws_it():
    coverage = np.zeros((2, 61, 83), np.uint8)
    coverage[1, 5, 7] = 255
    bank = load_bank([make_arrays({"F": coverage[:1]}, coverage=coverage)], {"F": 1}, torch.device("cpu"))
    assert bank.present.tolist() == [2]
    assert replace(bank, of_class=bank.of_class[:1]).present.tolist() == []
