"""The ground along the outlines of things."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely import MultiPolygon, box

from landscribe.core.separate.border import border_ground
from landscribe.errors import DataError


def array(*geometries: object) -> np.ndarray:
    out = np.empty(len(geometries), dtype=object)
    out[:] = geometries
    return out


def test_it_runs_on_both_sides_of_an_outline():
    (ring,) = border_ground(array(box(5, 7, 28, 24)), 2.0)
    assert ring.bounds == pytest.approx((3, 5, 30, 26))
    assert [shapely.Polygon(hole).bounds for hole in ring.interiors] == [(7.0, 9.0, 26.0, 22.0)]


def test_a_shared_wall_lies_in_the_middle_of_a_strip():
    ground = shapely.union_all(border_ground(array(box(0, 0, 11, 17), box(11, 0, 23, 17)), 2.0))
    assert ground.intersection(box(4, 5, 19, 12)).bounds == (9.0, 5.0, 13.0, 12.0)


def test_a_hole_has_a_border_too():
    yard = box(0, 0, 31, 29).difference(box(13, 11, 20, 18))
    ground = shapely.union_all(border_ground(array(yard), 2.0))
    assert ground.contains(shapely.Point(12, 15))
    assert ground.contains(shapely.Point(14, 15))
    assert not ground.contains(shapely.Point(16.5, 14.5))


def test_what_is_small_is_all_border():
    ground = shapely.union_all(border_ground(array(box(0, 0, 3, 3)), 2.0))
    assert ground.contains(box(0, 0, 3, 3))


def test_parts_have_outlines_of_their_own_and_nothing_has_none():
    two = shapely.union_all(border_ground(array(MultiPolygon([box(0, 0, 11, 11), box(31, 0, 42, 11)])), 1.0))
    assert shapely.get_num_geometries(two) == 2
    assert not len(border_ground(array(), 2.0))


def test_lines_are_refused():
    with pytest.raises(DataError, match="not a polygon"):
        border_ground(array(shapely.LineString([(0, 0), (1, 1)])), 2.0)
