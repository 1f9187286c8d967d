"""The kind of geometry does not depend on the threshold: what holds at one half holds beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity
from shapely.geometry import box

from landscribe.core.burn import burn_share
from landscribe.core.trace import trace, trace_blocks
from landscribe.core.tracing import EXACT
from shapes import crowd, rectangle

SHAPE = (67, 71)
seeds = st.integers(0, 2**32 - 1)
HOUSE = affinity.rotate(box(20.13, 20.61, 47.9, 43.2), 30)


def far(a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance between the outlines of as many polygons."""
    lines = [shapely.boundary(geometries) for geometries in (a, b)]
    return float(shapely.hausdorff_distance(*lines).max(initial=0.0))


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([-1e-6, 1e-6]), st.sampled_from([4, 8, "mean"]))
def test_polygons_beside_one_half_are_those_at_one_half(seed, off, connectivity):
    share = burn_share(crowd(np.random.default_rng(seed), SHAPE, 7), SHAPE)
    at, beside = (trace(share, threshold=t, connectivity=connectivity).geometries for t in (0.5, 0.5 + off))
    assert len(at) == len(beside)
    assert far(at, beside) < 1e-3
    assert (shapely.get_num_coordinates(at) == shapely.get_num_coordinates(beside)).mean() > 0.9


@pytest.mark.parametrize("options", [{"simplify_px": 0.25}, {"right_angles": True}, {"smooth": 2}])
@pytest.mark.parametrize("off", [-1e-6, 1e-6])
def test_the_same_after_simplification_and_squaring(options, off):
    rng = np.random.default_rng(5)
    for _ in range(20):
        share = burn_share(np.array([rectangle(rng, 31, 17, SHAPE)]), SHAPE)
        at, beside = (trace(share, threshold=t, **options).geometries for t in (0.5, 0.5 + off))
        assert far(at, beside) < 1e-3


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(0.02, 0.98))
def test_what_is_between_two_thresholds_lies_between_their_polygons(seed, threshold):
    share = burn_share(crowd(np.random.default_rng(seed), SHAPE, 5), SHAPE)
    large, small = (shapely.union_all(trace(share, threshold=t).geometries) for t in (threshold, threshold + 0.02))
    # Corners that only one of the two got back may stick out by a little.
    assert small.difference(large).area < 0.02 * max(small.length, 1)


@pytest.mark.parametrize("threshold", [0.2, 0.35, 0.5, 0.65, 0.8])
@pytest.mark.parametrize("angle", [0, 30, 90, 137])
def test_straight_edges_are_straight_and_moved_by_what_the_threshold_differs(threshold, angle):
    house = affinity.rotate(HOUSE, angle - 30)
    outline = trace(burn_share(np.array([house]), SHAPE), threshold=threshold).geometries[0].exterior
    distance = shapely.distance(shapely.points(outline.coords), house.exterior)
    # A share grows by one over a pixel along the axis that an edge crosses more steeply.
    steep = max(abs(np.sin(np.radians(angle))), abs(np.cos(np.radians(angle))))
    assert np.median(distance) == pytest.approx(abs(threshold - 0.5) * steep, abs=0.02)
    assert shapely.Polygon(outline).area == pytest.approx(
        house.area + (0.5 - threshold) * steep * house.length, rel=0.006
    )


@pytest.mark.parametrize("threshold", [0.3, 0.45, 0.5, 0.55, 0.7])
def test_corners_come_back_at_every_threshold(threshold):
    grown = 0.5 - threshold
    share = burn_share(np.array([box(20.13, 20.61, 47.9, 43.2)]), SHAPE)
    [found] = trace(share, threshold=threshold, simplify_px=0.05).geometries
    expected = box(20.13 - grown, 20.61 - grown, 47.9 + grown, 43.2 + grown)
    assert shapely.get_num_coordinates(found) == 5
    assert found.normalize().equals_exact(expected.normalize(), 0.02)


def test_areas_grow_evenly_through_one_half():
    share = burn_share(np.array([HOUSE]), SHAPE)
    thresholds = np.arange(0.42, 0.5801, 0.0037)
    areas = [trace(share, threshold=t, simplify_px=0.05).area_px[0] for t in sorted([*thresholds, 0.5])]
    steps = -np.diff(areas)
    assert (steps >= 0).all()
    assert steps.max() < 2.5 * 0.0037 * HOUSE.length


def test_which_pixels_are_inside_is_decided_by_the_last_digit():
    field = np.zeros((13, 11), np.float32)
    field[3:7, 2:9] = np.float32(0.3)
    assert len(trace(field, threshold=float(np.float32(0.3)))) == 1
    assert len(trace(field, threshold=float(np.nextafter(np.float32(0.3), np.float32(1))))) == 0


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(0.01, 1.0), st.sampled_from([0.0, 0.25]), st.sampled_from([1, 5, 19]))
def test_polygons_are_valid_apart_and_without_seams_at_any_threshold(seed, threshold, simplify_px, block):
    share = burn_share(crowd(np.random.default_rng(seed), SHAPE, 7), SHAPE)
    tracing = replace(EXACT, threshold=threshold, simplify_px=simplify_px)
    traced = trace(share, tracing)
    assert shapely.is_valid(traced.geometries).all()
    a, b = shapely.STRtree(traced.geometries).query(traced.geometries, predicate="intersects")
    assert not shapely.relate_pattern(traced.geometries[a[a != b]], traced.geometries[b[a != b]], "T********").any()
    parts = trace_blocks(lambda w: share[w.slices], SHAPE, tracing, block=block)
    assert shapely.equals_exact(traced.geometries, parts.geometries, 0).all()
