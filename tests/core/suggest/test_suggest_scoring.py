"""How unsure, how much of two minds, how unlike: by hand and by laws."""

from __future__ import annotations

import numpy as np
import pytest

from landscribe.core.suggest.doubt import at_threshold, disagreement, doubt_table, entropy, in_means
from landscribe.core.suggest.looks import TRAITS, apart, describe, in_units, spread_of, unlikeness, usual
from landscribe.core.suggest.reasons import Evidence, say_why


def test_nobody_is_less_sure_than_at_a_half():
    p = np.linspace(0, 1, 101)
    found = entropy(p)
    assert found[50] == pytest.approx(1, abs=1e-6)
    assert np.argmax(found) == 50
    assert found[[0, -1]] == pytest.approx(0, abs=1e-4)
    assert found[25] == pytest.approx(-0.25 * np.log2(0.25) - 0.75 * np.log2(0.75), abs=1e-6)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.83])
def test_doubt_is_largest_at_the_threshold(threshold: float):
    table = doubt_table(threshold)
    assert table.shape == (256,)
    assert abs(int(np.argmax(table)) - round(255 * threshold)) <= 1
    assert at_threshold(np.array([0.0, threshold, 1.0]), threshold) == pytest.approx([0, 0.5, 1], abs=1e-6)


def test_thresholds_at_the_ends_give_numbers():
    assert np.isfinite(doubt_table(0.0)).all()
    assert np.isfinite(doubt_table(1.0)).all()


def test_those_who_say_the_same_do_not_disagree_however_unsure():
    same = np.array([[0.0, 0.5], [0.9, 1.0]])
    assert disagreement([same, same, same]) == pytest.approx(0, abs=1e-6)
    one, other = np.array([0.0, 0.2]), np.array([1.0, 0.6])
    assert disagreement([one, other])[0] == pytest.approx(1, abs=1e-4)
    mean, own = entropy(np.array([0.4]))[0], entropy(np.array([0.2, 0.6])).mean()
    assert disagreement([one, other])[1] == pytest.approx(mean - own, abs=1e-6)


def test_each_class_weighs_the_same_and_a_class_without_doubt_weighs_nothing():
    rare, common = np.array([0.0, 0.0, 0.03]), np.array([0.6, 0.3, 0.3])
    found = in_means(np.stack([rare, common, np.full(3, 1e-7)], axis=1))
    assert found[:, 0] == pytest.approx([0, 0, 3])
    assert found[:, 1] == pytest.approx([1.5, 0.75, 0.75])
    assert found[:, 2].max() < 1e-3


def test_a_window_is_described_band_by_band():
    ramp = np.tile(np.arange(7, dtype=np.uint16), (5, 1))
    flat = np.full((5, 7), 300, np.uint16)
    valid = np.ones((5, 7), np.bool_)
    valid[:, 6] = False
    found = describe(np.stack([ramp, flat]), valid)
    assert found[:TRAITS] == pytest.approx([2.5, np.std(np.arange(6)), 0, 2.5, 5, 25 / 49])  # 25 steps of 1 in 49 pairs
    assert found[TRAITS:] == pytest.approx([300, 0, 300, 300, 300, 0])
    assert np.isnan(describe(np.stack([ramp, flat]), np.zeros((5, 7), np.bool_))).all()


def test_units_are_what_training_pixels_vary_by_and_what_is_missing_is_usual():
    random = np.random.default_rng(1)
    taught = np.stack([describe(random.normal(50, 4, (2, 23, 29)), np.ones((23, 29), np.bool_)) for _ in range(5)])
    unit = spread_of(taught, [23 * 29] * 5)
    assert unit == pytest.approx([4, 4], rel=0.1)
    other = taught[:1].copy()
    other[:, 0] += 8  # two deviations brighter in the first band
    other[:, TRAITS:] = np.nan
    middle = usual(taught)
    units = in_units(other, middle, unit)
    assert units[0, 0] == pytest.approx(2, abs=0.3)
    assert (units[0, TRAITS:] == 0).all()
    assert (in_units(other, middle, np.array([0.0, 1.0]))[0, :TRAITS] == 0).all()


def test_unlike_is_far_from_the_nearest_training_window():
    taught = np.array([[0.0, 0.0], [6.0, 0.0]])
    windows = np.array([[0.0, 0.0], [6.0, 2.0], [3.0, 0.0]])
    assert unlikeness(windows, taught) == pytest.approx([0, np.sqrt(2), 3 / np.sqrt(2)])
    assert apart(windows, windows) == pytest.approx(apart(windows, windows).T)
    many = np.random.default_rng(2).normal(size=(1031, 5))
    assert unlikeness(many, many[::97]) == pytest.approx(apart(many, many[::97]).min(axis=1))
    assert unlikeness(windows[:0], taught).shape == (0,)


def test_worth_is_1_for_windows_like_most_and_reasons_name_what_is_above():
    doubt = np.array([[0.1, 0.2], [0.1, 0.2], [0.4, 0.2]])
    evidence = Evidence(("house", "road"), doubt, np.zeros((3, 2)), np.array([1.0, 7.0, 1.0]))
    assert evidence.parts["doubt"] == pytest.approx([0.75, 0.75, 1.5])
    assert evidence.parts["unlike"] == pytest.approx([1 / 3, 7 / 3, 1 / 3])
    assert evidence.worth_n == pytest.approx(np.mean([*evidence.parts.values()], axis=0))
    assert say_why(evidence, 1) == "unlike the training ground (2.3 times the mean)"
    assert say_why(evidence, 2) == "unsure of house (1.5 times the mean)"
    assert say_why(evidence, 0) == "new among the chosen, else like most"
    both = Evidence(("house", "road"), doubt, None, np.array([1.0, 1.0, 7.0]))
    assert say_why(both, 2) == "unlike the training ground (2.3 times the mean); unsure of house (1.5 times the mean)"
    alone = Evidence(("house",), np.full((2, 1), 0.3))
    assert alone.worth_n == pytest.approx([1, 1])
