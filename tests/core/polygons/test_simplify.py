"""Contract 5: simplification moves no boundary further than it says, and breaks no topology."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from landscribe.core.burn import burn_mask, burn_share
from landscribe.core.trace import trace
from shapes import inside, random_field, rectangle

SHAPE = (61, 47)
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(["contour", "edge"]), st.floats(0.02, 1.5))
@example(244929410, "contour", 0.5)  # a vertex on a line exactly, where the thinned line passed behind a centre
def test_simplification_keeps_its_distance_and_the_topology(seed, mode, tolerance):
    field = random_field(seed)
    whole = trace(field, mode=mode, sharp=False)
    thin = trace(field, mode=mode, sharp=False, simplify_px=tolerance)
    assert len(whole) == len(thin)
    for before, after in zip(whole.geometries, thin.geometries, strict=True):
        assert len(before.interiors) == len(after.interiors)
        rings = zip((before.exterior, *before.interiors), (after.exterior, *after.interiors), strict=True)
        for a, b in rings:
            assert shapely.hausdorff_distance(a, b, densify=0.2) <= tolerance + 1e-9
    assert shapely.get_num_coordinates(thin.geometries).sum() <= shapely.get_num_coordinates(whole.geometries).sum()
    assert np.array_equal(burn_mask(thin.geometries, field.shape), inside(field))
    assert shapely.is_valid(thin.geometries).all()
    # Along the border of the scene nothing is left out, so that the tiles of a larger one still fit.
    frame = box(0, 0, *field.shape[::-1]).exterior
    along = [shapely.length(shapely.intersection(shapely.boundary(t.geometries), frame)).sum() for t in (whole, thin)]
    assert along[0] == pytest.approx(along[1])


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.05, 1.0))
def test_simplification_keeps_its_distance_where_corners_were_restored(seed, tolerance):
    rng = np.random.default_rng(seed)
    houses = np.array([rectangle(rng, 17, 11, SHAPE)])
    field = burn_share(houses, SHAPE)
    [before], [after] = (trace(field, simplify_px=d).geometries for d in (0.0, tolerance))
    assert shapely.hausdorff_distance(before.exterior, after.exterior, densify=0.2) <= tolerance + 1e-6
    assert shapely.get_num_coordinates(after) <= shapely.get_num_coordinates(before)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 4))
def test_smoothing_moves_nothing_over_a_pixel_centre(seed, times):
    field = random_field(seed)
    traced = trace(field, smooth=times, sharp=False)
    assert shapely.is_valid(traced.geometries).all()
    assert np.array_equal(burn_mask(traced.geometries, field.shape), inside(field))
