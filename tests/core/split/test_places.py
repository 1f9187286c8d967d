from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landscribe.core.split.places import dstl_place, folds, split_places, unlikeness
from landscribe.errors import DataError


def scenes(n_places: int, per_place: int = 1) -> dict[str, str]:
    return {f"s{p}_{i}": f"p{p:03d}" for p in range(n_places) for i in range(per_place)}


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_both_sides_have_a_place_and_the_share_is_kept(n_places, share, seed):
    chosen = split_places(scenes(n_places), share, seed)
    assert 1 <= len(chosen) <= n_places - 1
    assert abs(len(chosen) - share * n_places) <= 1


def test_one_place_cannot_be_split():
    assert split_places({"a": "town", "b": "town"}, 0.5, 0) == frozenset()


def test_the_seed_decides_and_the_order_does_not():
    places = scenes(23, 3)
    backwards = dict(reversed(places.items()))
    areas = {scene: np.random.default_rng(len(scene)).random(4) for scene in places}
    assert split_places(places, 0.3, 5) == split_places(backwards, 0.3, 5)
    assert split_places(places, 0.3, 5, areas) == split_places(backwards, 0.3, 5, areas)
    assert len({split_places(places, 0.3, seed) for seed in range(9)}) > 1


@pytest.mark.parametrize("seed", range(7))
def test_a_rare_class_stands_on_both_sides(seed):
    places = scenes(25)
    areas = {scene: np.array([100.0, 0, 0]) for scene in places}
    for scene in ("s3_0", "s17_0"):
        areas[scene] = np.array([100.0, 1e-6, 0])
    areas["s8_0"] = np.array([100.0, 0, 5])  # in one place: cannot stand on both
    chosen = split_places(places, 0.24, seed, areas)
    assert len(chosen) == 6
    assert len(chosen & {"p003", "p017"}) == 1


def test_areas_are_balanced_better_than_by_chance():
    rng = np.random.default_rng(7)
    places = scenes(31)
    areas = {scene: rng.lognormal(0, 2, 6) for scene in places}
    total = sum(areas.values())

    def off(chosen: frozenset[str]) -> float:
        held = sum(areas[scene] for scene, place in places.items() if place in chosen)
        return float(np.abs(held / total - 0.25).mean())

    by_chance = np.mean([off(split_places(places, 0.25, seed)) for seed in range(20)])
    balanced = np.mean([off(split_places(places, 0.25, seed, areas)) for seed in range(20)])
    assert balanced < by_chance / 4


def test_folds_deal_every_place_once():
    places = scenes(17, 2)
    found = folds(places, 5, 3)
    assert sorted(place for fold in found for place in fold) == sorted(set(places.values()))
    assert sorted(len(fold) for fold in found) == [3, 3, 3, 4, 4]


def test_folds_spread_a_class_over_as_many_folds_as_they_can():
    places = scenes(20)
    areas = {scene: np.array([1.0, 0.0]) for scene in places}
    rare = ["s2_0", "s5_0", "s11_0"]
    for scene in rare:
        areas[scene] = np.array([1.0, 3.0])
    for seed in range(5):
        found = folds(places, 4, seed, areas)
        assert sum(bool(fold & {places[scene] for scene in rare}) for fold in found) == 3


def test_many_places_are_split_in_time():
    places = scenes(4001)
    areas = {scene: np.ones(7) for scene in places}
    assert len(split_places(places, 0.2, 0, areas)) == 800


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_wrong_share_is_refused(share):
    with pytest.raises(DataError, match="out of range"):
        split_places(scenes(3), share, 0)


def test_wrong_numbers_of_folds_are_refused():
    with pytest.raises(DataError, match="got 4, need 2 to 3"):
        folds(scenes(3), 4, 0)


def test_a_scene_without_areas_is_named():
    with pytest.raises(DataError, match="s2_0"):
        split_places(scenes(3), 0.5, 0, {"s0_0": np.ones(2), "s1_0": np.ones(2)})


def test_the_seasons_of_dstl_share_a_place():
    assert dstl_place("6140_3_1") == dstl_place("6110_3_1") == "6110_3_1"
    assert dstl_place("6140_1_2") != dstl_place("6110_3_1")
    assert dstl_place("6010_1_2") == "6010_1_2"


def test_unlikeness_by_hand():
    assert unlikeness(np.array([1.0, 3.0]), np.array([2.0, 6.0])) == 0
    assert unlikeness(np.array([1.0, 0.0]), np.array([0.0, 5.0])) == 1
    assert unlikeness(np.array([1.0, 1.0]), np.array([3.0, 1.0])) == 0.25
    assert np.isnan(unlikeness(np.zeros(2), np.ones(2)))
