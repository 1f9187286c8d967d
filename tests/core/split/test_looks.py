from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landscribe.core.split.looks import Look, looks_apart, pool_looks


def look(pixels_bn: np.ndarray) -> Look:
    return Look(pixels_bn.shape[1], pixels_bn.mean(axis=1), pixels_bn.std(axis=1))


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_pooled_is_what_all_pixels_give(seed, scenes):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(rng.uniform(0, 900), 30, (3, int(rng.integers(2, 61)))) for _ in range(scenes)]
    pooled, whole = pool_looks([look(p) for p in parts]), look(np.concatenate(parts, axis=1))
    assert pooled is not None
    assert pooled.pixels == whole.pixels
    assert pooled.mean == pytest.approx(whole.mean)
    assert pooled.std == pytest.approx(whole.std, abs=1e-6)


def test_the_distance_is_in_standard_deviations_and_does_not_depend_on_the_unit():
    known = Look(100, np.array([100.0, 50.0]), np.array([10.0, 5.0]))
    scene = Look(7, np.array([130.0, 50.0]), np.array([1.0, 1.0]))
    assert looks_apart(scene, known) == pytest.approx(3 / math.sqrt(2))
    assert looks_apart(known, known) == 0
    larger = (Look(x.pixels, 16 * x.mean, 16 * x.std) for x in (scene, known))
    assert looks_apart(*larger) == pytest.approx(looks_apart(scene, known))


def test_what_cannot_be_compared_is_nan():
    known = Look(100, np.array([100.0]), np.array([10.0]))
    assert math.isnan(looks_apart(None, known))
    assert math.isnan(looks_apart(Look(5, np.array([1.0, 2.0]), np.ones(2)), known))
    assert math.isnan(looks_apart(known, Look(5, np.array([1.0]), np.zeros(1))))
    assert pool_looks([]) is None
    assert pool_looks([Look(0, np.zeros(1), np.zeros(1))]) is None
    assert pool_looks([known, Look(3, np.zeros(2), np.zeros(2))]) is None
