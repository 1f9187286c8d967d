"""The ground where two things meet or nearly do."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely import MultiPolygon, box

from landscribe.core.separate.contact import contact_ground
from landscribe.errors import DataError


def array(*geometries: object) -> np.ndarray:
    out = np.empty(len(geometries), dtype=object)
    out[:] = geometries
    return out


def test_along_a_shared_wall_it_is_a_strip_twice_as_wide():
    (strip,) = contact_ground(array(box(0, 0, 11, 17), box(11, 0, 23, 17)), 2.0)
    assert strip.intersection(box(0, 2, 23, 15)).bounds == (9.0, 2.0, 13.0, 15.0)
    assert strip.bounds == pytest.approx((9.0, -2.0, 13.0, 19.0))


def test_a_gap_is_filled_up_to_twice_the_reach():
    (strip,) = contact_ground(array(box(0, 0, 11, 17), box(14, 0, 23, 17)), 2.0)
    assert strip.intersection(box(0, 2, 23, 15)).bounds == (12.0, 2.0, 13.0, 15.0)
    assert not len(contact_ground(array(box(0, 0, 11, 17), box(15.1, 0, 23, 17)), 2.0))


def test_three_things_meet_pair_by_pair():
    found = contact_ground(array(box(0, 0, 7, 7), box(7, 0, 14, 7), box(0, 7, 14, 14)), 1.0)
    assert len(found) == 3
    assert shapely.union_all(found).contains(shapely.Point(7, 7))


def test_a_thing_drawn_twice_meets_nothing_and_one_in_parts_not_itself():
    assert not len(contact_ground(array(box(0, 0, 11, 17), box(0, 0, 11, 16)), 2.0))
    assert not len(contact_ground(array(MultiPolygon([box(0, 0, 5, 5), box(6, 0, 11, 5)])), 2.0))
    assert not len(contact_ground(array(), 2.0))


def test_a_slight_overlap_is_a_wall():
    (strip,) = contact_ground(array(box(0, 0, 11, 17), box(10, 0, 23, 17)), 2.0)
    assert strip.intersection(box(0, 2, 23, 15)).bounds == (8.0, 2.0, 13.0, 15.0)


def test_lines_are_refused():
    with pytest.raises(DataError, match="not a polygon"):
        contact_ground(array(shapely.LineString([(0, 0), (1, 1)])), 2.0)
