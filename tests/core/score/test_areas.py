from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from landscribe.core.polygons.flatten import flatten, require_polygons, subdivide
from landscribe.core.score.areas import (
    Areas,
    Matches,
    boundary_areas,
    common_area,
    mask_areas,
    match_objects,
    polygon_areas,
    sum_areas,
)
from landscribe.errors import DataError

NONE = np.empty(0, dtype=object)


def array(*geometries: object) -> np.ndarray:
    out = np.empty(len(geometries), dtype=object)
    out[:] = geometries
    return out


def blobs(seed: int, count: int, side: float = 61.0, vertices: int = 23, radius: float = 5.0) -> np.ndarray:
    """Star-shaped polygons at random places: valid, overlapping each other."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    reach = radius * rng.uniform(0.4, 1.3, (count, vertices))
    centre = rng.uniform(0, side, (count, 2))
    xy = np.stack((centre[:, :1] + reach * np.cos(angle), centre[:, 1:] + reach * np.sin(angle)), -1)
    return shapely.polygons(xy)


def brute(predicted: np.ndarray, truth: np.ndarray, region: object = None) -> tuple[float, float, float]:
    ours, theirs = shapely.union_all(predicted), shapely.union_all(truth)
    if region is not None:
        ours, theirs = ours.intersection(region), theirs.intersection(region)
    return ours.intersection(theirs).area, ours.difference(theirs).area, theirs.difference(ours).area


def as_tuple(areas: Areas) -> tuple[float, float, float]:
    return areas.tp, areas.fp, areas.fn


boxes = st.lists(
    st.tuples(*(st.integers(0, 17) for _ in range(2)), *(st.integers(1, 9) for _ in range(2))).map(
        lambda v: box(v[0], v[1], v[0] + v[2], v[1] + v[3])
    ),
    max_size=7,
).map(lambda found: array(*found))


def test_two_shifted_squares_by_hand():
    found = polygon_areas(array(box(0, 0, 3, 2)), array(box(1, 0, 5, 2)))
    assert as_tuple(found) == (4.0, 2.0, 4.0)
    assert (found.jaccard, found.precision, found.recall, found.f1) == (0.4, 4 / 6, 0.5, 8 / 14)


def test_nothing_on_either_side_has_no_ratio():
    found = polygon_areas(NONE, array(None, Polygon(), MultiPolygon()))
    assert as_tuple(found) == (0, 0, 0)
    assert all(math.isnan(v) for v in (found.jaccard, found.precision, found.recall, found.f1))


def test_prediction_without_truth_is_zero_and_truth_without_prediction_too():
    invented, missed = polygon_areas(array(box(0, 0, 1, 1)), NONE), polygon_areas(NONE, array(box(0, 0, 1, 1)))
    assert (invented.jaccard, invented.precision, missed.jaccard, missed.recall) == (0, 0, 0, 0)
    assert math.isnan(invented.recall)
    assert math.isnan(missed.precision)


def test_ground_covered_twice_counts_once():
    truth = array(box(0, 0, 4, 4))
    twice = array(box(0, 0, 3, 4), box(1, 0, 4, 4), box(1, 1, 2, 2))
    assert as_tuple(polygon_areas(twice, truth)) == (16, 0, 0)
    assert as_tuple(polygon_areas(truth, twice)) == (16, 0, 0)


def test_a_hole_is_no_area_and_an_island_in_it_is():
    ring = box(0, 0, 7, 7).difference(box(2, 2, 5, 5))
    assert as_tuple(polygon_areas(array(ring, box(3, 3, 4, 4)), array(box(0, 0, 7, 7)))) == (41, 0, 8)


def test_the_region_clips_both_sides():
    ours, theirs = array(box(0, 0, 4, 4), box(8, 8, 9, 9)), array(box(2, 0, 6, 4))
    assert as_tuple(polygon_areas(ours, theirs, box(1, 0, 5, 2))) == (4, 2, 2)
    assert as_tuple(polygon_areas(ours, theirs, box(20, 20, 30, 30))) == (0, 0, 0)


def test_a_region_with_holes_and_parts():
    region = MultiPolygon([box(0, 0, 3, 3).difference(box(1, 1, 2, 2)), box(5, 0, 6, 1)])
    assert as_tuple(polygon_areas(array(box(0, 0, 10, 10)), array(box(0, 0, 3, 3)), region)) == (8, 1, 0)


@given(boxes, boxes)
@settings(max_examples=60, deadline=None)
def test_agrees_with_brute_force_on_boxes(ours, theirs):
    assert as_tuple(polygon_areas(ours, theirs)) == pytest.approx(brute(ours, theirs), abs=1e-9)


@given(boxes, boxes)
@settings(max_examples=60, deadline=None)
def test_exchanging_the_sides_exchanges_the_errors(ours, theirs):
    one, other = polygon_areas(ours, theirs), polygon_areas(theirs, ours)
    assert (one.tp, one.fp, one.fn) == pytest.approx((other.tp, other.fn, other.fp), abs=1e-9)


@given(boxes.filter(len))
@settings(max_examples=30, deadline=None)
def test_a_side_agrees_with_itself_and_with_its_union(side):
    assert polygon_areas(side, side).jaccard == pytest.approx(1)
    assert polygon_areas(side, array(shapely.union_all(side))).jaccard == pytest.approx(1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agrees_with_brute_force_on_overlapping_blobs(seed):
    ours, theirs = blobs(seed, 89), blobs(seed + 100, 71)
    region = blobs(seed + 200, 1, vertices=37, radius=40)[0].intersection(box(3, 5, 59, 47))
    assert as_tuple(polygon_areas(ours, theirs)) == pytest.approx(brute(ours, theirs), rel=1e-12)
    assert as_tuple(polygon_areas(ours, theirs, region)) == pytest.approx(brute(ours, theirs, region), rel=1e-12)


def test_agrees_with_brute_force_in_degrees():
    ours, theirs = (shapely.transform(blobs(s, 53), lambda xy: 36.8 + xy * 2.7e-6) for s in (3, 4))
    assert as_tuple(polygon_areas(ours, theirs)) == pytest.approx(brute(ours, theirs), rel=1e-6)


def test_flatten_covers_the_same_ground_without_overlap():
    side = blobs(7, 101)
    flat = flatten(side)
    assert shapely.area(flat).sum() == pytest.approx(shapely.union_all(side).area)
    assert set(shapely.get_type_id(flat)) == {shapely.GeometryType.POLYGON}


def test_flatten_leaves_what_overlaps_nothing_as_it_is():
    side = array(box(0, 0, 1, 1), box(1, 0, 2, 1), box(5, 5, 6, 6))
    assert list(flatten(side)) == list(side)


def test_subdivide_keeps_the_ground_and_bounds_the_vertices():
    large = blobs(11, 1, vertices=1511, radius=50)
    small = array(box(0, 0, 1, 1))
    pieces = subdivide(np.concatenate((large, small)), max_vertices=97)
    assert shapely.get_num_coordinates(pieces).max() <= 97
    assert shapely.area(pieces).sum() == pytest.approx(shapely.area(large).sum() + 1, rel=1e-12)
    assert any(piece is small[0] for piece in pieces)


def test_many_vertices_change_nothing():
    large, many = blobs(13, 1, vertices=3001, radius=45), blobs(14, 61)
    expected = shapely.intersection(large[0], shapely.union_all(many)).area
    assert common_area(large, flatten(many)) == pytest.approx(expected, rel=1e-12)


def test_an_invalid_polygon_is_repaired_and_counted():
    bow_tie = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    fixed, broken = require_polygons(array(bow_tie, None, box(0, 0, 1, 1)))
    assert broken == 1
    assert fixed[0].is_valid
    assert fixed[1] is None
    assert polygon_areas(array(bow_tie), array(box(0, 0, 2, 2))).tp == pytest.approx(2)


def test_what_is_no_polygon_is_refused():
    with pytest.raises(DataError, match="2 of POINT"):
        polygon_areas(array(Point(0, 0), Point(1, 1)), NONE)


def test_masks_by_hand():
    predicted, truth, valid = (np.zeros((7, 5), bool) for _ in range(3))
    predicted[1:4, 1:4], truth[2:6, 1:3], valid[:, :3] = True, True, True
    assert as_tuple(mask_areas(predicted, truth)) == (4, 5, 4)
    assert as_tuple(mask_areas(predicted, truth, valid)) == (4, 2, 4)


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(DataError, match="shapes differ"):
        mask_areas(np.zeros((5, 7), bool), np.zeros((7, 5), bool))


def test_masks_and_polygons_agree_on_whole_pixels():
    rng = np.random.default_rng(5)
    ours_hw, theirs_hw = rng.random((2, 13, 11)) > 0.5
    ours, theirs = (
        array(*(box(c, r, c + 1, r + 1) for r, c in zip(*np.nonzero(hw), strict=True))) for hw in (ours_hw, theirs_hw)
    )
    assert as_tuple(polygon_areas(ours, theirs)) == pytest.approx(as_tuple(mask_areas(ours_hw, theirs_hw)))


def test_objects_match_at_exactly_half():
    truth = array(box(0, 0, 2, 1), box(10, 0, 12, 1), box(20, 0, 22, 1))
    predicted = array(box(0, 0, 1, 1), box(10, 0, 10.9, 1))
    assert match_objects(predicted, truth) == Matches(1, 1, 2)
    assert match_objects(predicted, truth, iou=0.4) == Matches(2, 0, 1)


def test_each_object_matches_once():
    assert match_objects(array(box(0, 0, 5, 1), box(0, 0, 4, 1)), array(box(0, 0, 5, 1))) == Matches(
        1, 1, 0, fragmented=1
    )
    assert match_objects(array(box(0, 0, 5, 1)), array(box(0, 0, 5, 1), box(0, 0, 4, 1))) == Matches(1, 0, 1, merged=1)


def test_merged_and_fragmented_objects_are_counted():
    rows = array(box(0, 0, 3, 2), box(3, 0, 5, 2), box(20, 0, 24, 2))
    one = array(box(0, 0, 5, 2), box(20, 0, 22, 2), box(22, 0, 23, 2))
    # The first fits the larger of the two that it holds (6/10), and of the last two the larger one fits (4/8).
    assert match_objects(one, rows) == Matches(2, 1, 1, merged=1, fragmented=1)
    assert match_objects(rows, one) == Matches(2, 1, 1, merged=1, fragmented=1)
    assert match_objects(array(box(0, 0, 4, 2)), array(box(0, 0, 2, 2), box(3, 0, 5.1, 2))).merged == 0


def test_counts_of_objects_add_up():
    assert Matches(1, 2, 3, 4, 5) + Matches(10, 20, 30, 40, 50) == Matches(11, 22, 33, 44, 55)


def test_the_best_pair_matches_first():
    truth = array(box(0, 0, 10, 1), box(3, 0, 13, 1))
    predicted = array(box(2, 0, 12, 1), box(0, 0, 7, 1))
    # 2..12 fits 3..13 (9/11) better than 0..10 (8/12); 0..7 then still finds 0..10 (7/10).
    assert match_objects(predicted, truth).tp == 2


def test_objects_outside_the_region_are_left_out():
    side = array(box(0, 0, 1, 1), box(5, 5, 6, 6), MultiPolygon([box(0, 3, 1, 4), box(0, 5, 1, 6)]))
    assert match_objects(side, side, region=box(0, 0, 2, 8)) == Matches(2, 0, 0)


@pytest.mark.parametrize("iou", [0, 1.1, float("nan")])
def test_an_impossible_iou_is_refused(iou):
    with pytest.raises(DataError, match="iou out of range"):
        match_objects(NONE, NONE, iou=iou)


def test_boundaries_of_squares_by_hand():
    # Strips of width 1: 10 x 10 minus 8 x 8, and the same moved by 1.
    found = boundary_areas(array(box(0, 0, 10, 10)), array(box(1, 0, 11, 10)), 1)
    assert found.tp == pytest.approx(18)
    assert (found.fp, found.fn) == pytest.approx((18, 18))


def test_a_seam_is_no_boundary():
    whole, halves = array(box(0, 0, 10, 6)), array(box(0, 0, 5, 6), box(5, 0, 10, 6))
    assert boundary_areas(halves, whole, 1).jaccard == pytest.approx(1)


def test_a_boundary_needs_width():
    with pytest.raises(DataError, match="strip without width"):
        boundary_areas(NONE, NONE, 0)


def test_areas_add():
    assert sum_areas([Areas(1, 2, 3), Areas(10, 20, 30)]) == Areas(11, 22, 33)
    assert Areas(1, 2, 3).scale(2) == Areas(2, 4, 6)
    assert Matches(1, 2, 3) + Matches(1, 1, 1) == Matches(2, 3, 4)
