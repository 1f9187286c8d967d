"""Exclusive classes: the share against the best other one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landscribe.core.owners import against_the_best_other, one_against_the_best_other

fields = hnp.arrays(np.uint8, st.tuples(st.integers(2, 5), st.integers(1, 7), st.integers(1, 5)))


@given(fields)
def test_it_is_the_brute_force_share(p_khw: np.ndarray) -> None:
    shares = against_the_best_other(p_khw)
    for k in range(len(p_khw)):
        other = np.delete(p_khw, k, axis=0).max(axis=0).astype(float)
        whole = p_khw[k] + other
        expected = np.where(whole > 0, p_khw[k] / np.where(whole > 0, whole, 1), 0)
        assert np.allclose(shares[k], expected, atol=1e-6)


@given(fields)
def test_no_pixel_goes_to_two_classes(p_khw: np.ndarray) -> None:
    assert ((against_the_best_other(p_khw) > 0.5).sum(axis=0) <= 1).all()


def test_one_class_stays_as_it_is() -> None:
    p_khw = np.array([[[0, 51, 255]]], np.uint8)
    assert np.allclose(against_the_best_other(p_khw), [[[0, 0.2, 1]]])


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 4)))
def test_one_class_alone_is_the_same_to_the_last_bit(probability_khw):
    everything = against_the_best_other(probability_khw)
    for index in range(len(probability_khw)):
        assert np.array_equal(one_against_the_best_other(probability_khw, index), everything[index])
