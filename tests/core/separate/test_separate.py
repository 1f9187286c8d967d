"""Polygons that hold several things come apart where these meet; nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box
from shapely.affinity import translate

from landscribe.core.burn import burn_share
from landscribe.core.grid import Window
from landscribe.core.separate import CUT, LEAST_PX, TOO_LARGE, separate
from landscribe.core.separate.border import border_ground
from landscribe.core.trace import Traced, trace
from landscribe.core.tracing import Tracing
from shapes import crowd

SHAPE_HW = (61, 83)
NECK, PLAIN = 0.4, Tracing()
ROW = (box(7.3, 11, 23.3, 29), box(23.3, 11, 41, 26), box(41, 11, 53, 31))
"""Houses that share walls."""
BRIDGE = (box(7, 11, 23, 29), box(23, 17, 27, 21), box(27, 11, 43, 27))
"""Two houses and what is between them, four pixels wide."""


def shares(*shapes: shapely.Geometry) -> np.ndarray:
    return burn_share(np.array(shapes, dtype=object), SHAPE_HW)


def apart(
    field_hw: np.ndarray, border_hw: np.ndarray | None = None, neck: float = NECK, tracing: Tracing = PLAIN
) -> tuple[Traced, Traced, dict[str, int]]:
    """Return what is traced, what it comes apart to, and the counts."""
    traced = trace(field_hw, tracing)
    border = None if border_hw is None else lambda w: border_hw[w.slices]
    found, counts = separate(traced, lambda w: field_hw[w.slices], field_hw.shape, tracing, neck, border)
    return traced, found, counts


def require_same_ground(before: Traced, after: Traced) -> None:
    """Every piece is valid, none overlaps another, and together they are what was there."""
    pieces = after.geometries
    assert shapely.is_valid(pieces).all()
    assert (shapely.get_type_id(pieces) == shapely.GeometryType.POLYGON).all()
    one, other = shapely.STRtree(pieces).query(pieces, predicate="intersects")
    meet = shapely.relate_pattern(pieces[one], pieces[other], "T********")
    assert not meet[one != other].any()
    assert shapely.area(pieces).sum() == pytest.approx(shapely.area(before.geometries).sum(), rel=1e-9)
    united, whole = shapely.union_all(pieces), shapely.union_all(before.geometries)
    assert shapely.area(shapely.symmetric_difference(united, whole)) < 1e-6
    assert after.area_px == pytest.approx(shapely.area(pieces))


@pytest.mark.parametrize("turned", [False, True])
def test_a_cut_across_a_straight_way_runs_between_two_pixels(turned: bool):
    shapes = (box(7, 11, 23, 29), box(23, 17, 29, 23), box(29, 11, 45, 29))
    if turned:
        shapes = tuple(shapely.transform(shape, lambda xy: xy[:, ::-1]) for shape in shapes)
    traced, found, _ = apart(shares(*shapes))
    require_same_ground(traced, found)
    ends = shapely.bounds(found.geometries)[:, [1, 3] if turned else [0, 2]]
    first, cut, again, last = sorted(ends.ravel().tolist())
    assert (first, last) == (7, 45)
    assert cut == again == round(cut)
    assert 24 <= cut <= 28


def test_a_narrow_way_between_two_things_is_cut():
    traced, found, counts = apart(shares(*BRIDGE))
    assert (len(traced), len(found), counts) == (1, 2, {CUT: 1})
    require_same_ground(traced, found)
    assert sorted(shapely.bounds(found.geometries)[:, 0])[0] == 7.0
    left, right = sorted(found.geometries, key=lambda g: g.centroid.x)
    assert 16 * 18 - 1 <= left.area <= 16 * 18 + 4 * 4 + 1
    cut_line = shapely.intersection(left.boundary, right.boundary)
    assert cut_line.length == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize(
    "shape",
    [
        box(7, 11, 43, 27),
        shapely.union_all([box(7, 11, 43, 23), box(7, 11, 19, 47)]),
        shapely.union_all([box(7, 11, 43, 23), box(19, 11, 31, 47)]),
        shapely.Point(31, 29).buffer(17),
        box(7, 11, 43, 47).difference(box(17, 21, 33, 37)),
    ],
    ids=["bar", "angle", "T", "disc", "courtyard"],
)
def test_one_thing_of_any_usual_shape_stays_one(shape):
    traced, found, counts = apart(shares(shape))
    assert found is traced
    assert counts == {}


def test_the_share_that_is_asked_for_decides():
    wide = shares(box(7, 11, 23, 29), box(23, 15, 27, 24), box(27, 11, 43, 27))  # a way nine wide of sixteen
    assert len(apart(wide, neck=0.4)[1]) == 1
    assert len(apart(wide, neck=0.7)[1]) == 2


def test_a_valley_of_the_probability_is_cut_though_it_stays_above_the_threshold():
    field_hw = 0.97 * shares(box(7, 11, 43, 27)).astype(np.float32) / 255
    assert len(apart(field_hw)[1]) == 1
    field_hw[:, 24:26] *= 0.6
    field_hw = np.where(field_hw > 0.1, np.maximum(field_hw, 0.0), 0).astype(np.float32)
    traced, found, counts = apart(field_hw)
    assert (len(traced), len(found), counts) == (1, 2, {CUT: 1})
    require_same_ground(traced, found)
    assert shapely.bounds(found.geometries)[0, 2] == pytest.approx(25, abs=1)


def test_shared_walls_are_cut_where_a_network_says_so_and_not_without():
    field_hw = shares(*ROW)
    assert len(apart(field_hw)[1]) == 1
    border_hw = burn_share(border_ground(np.array(ROW, dtype=object), 2.0), SHAPE_HW)
    traced, found, counts = apart(field_hw, border_hw)
    assert counts == {CUT: 1}
    require_same_ground(traced, found)
    for piece, house in zip(sorted(found.geometries, key=lambda g: g.centroid.x), ROW, strict=True):
        assert piece.intersection(house).area / piece.union(house).area > 0.95


def test_a_border_that_is_no_way_through_cuts_nothing():
    border_hw = np.zeros(SHAPE_HW, np.uint8)
    border_hw[11:17, 22:26] = 255  # ends in the middle of the house
    assert len(apart(shares(box(7, 11, 43, 31)), border_hw)[1]) == 1


def test_pieces_have_the_mean_and_the_smallest_value_of_their_own_pixels():
    field_hw = shares(*BRIDGE).astype(np.float32) / 255
    field_hw[11:29, 7:23] *= 0.9
    field_hw[13, 9] = 0.7
    _, found, _ = apart(field_hw)
    left, right = np.argsort([g.centroid.x for g in found.geometries])
    assert found.minimum[left] == pytest.approx(0.7)
    assert found.minimum[right] >= 0.9
    assert found.score[left] < 0.93 < found.score[right]


def test_a_hole_stays_in_the_piece_that_it_lies_in():
    holed = shapely.union_all(BRIDGE).difference(box(9, 13, 12, 15))
    traced, found, _ = apart(shares(holed))
    assert len(found) == 2
    require_same_ground(traced, found)
    assert sorted(len(piece.interiors) for piece in found.geometries) == [0, 1]


def test_what_is_alone_is_the_same_object_and_order_stays():
    lone = box(61, 7, 73, 19)
    traced, found, _ = apart(shares(lone, *BRIDGE, box(7, 45, 19, 55)))
    assert [len(traced), len(found)] == [3, 4]
    assert found.geometries[0] is traced.geometries[0]
    assert found.geometries[3] is traced.geometries[2]
    assert found.score[0] == traced.score[0]


def test_pieces_too_small_are_joined_with_their_neighbour():
    crumbs = shares(box(7, 11, 23, 29), box(23, 19, 24, 20), box(24, 18, 27, 21))
    traced, found, _ = apart(crumbs)
    assert found is traced
    larger = replace(Tracing(), min_area_px=400.0)
    assert len(apart(shares(*BRIDGE))[1]) == 2
    assert len(apart(shares(*BRIDGE), tracing=larger)[1]) == 1


def test_a_polygon_too_large_to_look_at_is_left_whole_and_counted():
    side = 4_100
    huge = shapely.union_all([box(0, 0, side, 9), box(0, 0, 9, side)])
    one = np.ones(1)
    traced = Traced(np.array([huge], dtype=object), one, one, shapely.area([huge]), {})

    def never(_window: Window) -> np.ndarray:
        raise AssertionError

    found, counts = separate(traced, never, (side, side), Tracing(), NECK)
    assert found is traced
    assert counts == {TOO_LARGE: 1}


def soft(seed: int) -> np.ndarray:
    """Blobs that touch, with soft borders and valleys."""
    rng = np.random.default_rng(seed)
    field_hw = burn_share(crowd(rng, SHAPE_HW, 23), SHAPE_HW)
    return cv2.GaussianBlur(field_hw, (0, 0), rng.uniform(0.5, 2.5))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["contour", "edge"]), st.floats(0.3, 1))
def test_any_field_comes_apart_into_the_ground_that_it_was(seed, mode, neck):
    tracing = Tracing(mode=mode, threshold=0.45)
    border_hw = np.random.default_rng(seed).integers(0, 200, SHAPE_HW, np.uint8)
    border_hw = cv2.GaussianBlur(border_hw, (0, 0), 1.5)
    traced, found, counts = apart(soft(seed), border_hw, neck, tracing)
    require_same_ground(traced, found)
    assert (len(found) > len(traced)) == (counts.get(CUT, 0) > 0)
    if len(found) > len(traced):
        known = set(map(id, traced.geometries))
        pieces = [g for g in found.geometries if id(g) not in known]
        assert min(piece.area for piece in pieces) >= LEAST_PX


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_it_does_not_matter_where_in_a_scene_a_polygon_lies_nor_what_is_beside_it(seed, down, right):
    field_hw = soft(seed)
    field_hw[[0, -1]] = field_hw[:, [0, -1]] = 0
    moved_hw = np.zeros((SHAPE_HW[0] + 41, SHAPE_HW[1] + 37), np.uint8)
    moved_hw[down : down + SHAPE_HW[0], right : right + SHAPE_HW[1]] = field_hw
    moved_hw[-7:-2, :] = 255
    traced, alone, counts = apart(field_hw, neck=0.7)
    # Tracing itself takes another vertex at another place where two are equally good, so what it found is moved.
    moved = replace(traced, geometries=np.array([translate(g, right, down) for g in traced.geometries], dtype=object))
    among, counted = separate(moved, lambda w: moved_hw[w.slices], moved_hw.shape, PLAIN, 0.7)
    assert counted == counts
    for here, there in zip(alone.geometries, among.geometries, strict=True):
        assert shapely.area(shapely.symmetric_difference(translate(here, right, down), there)) < 1e-6
