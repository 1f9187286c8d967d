"""Scenes that overlap or meet: each point belongs to one of them, and what a border cut is one polygon again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry import Polygon, box

from landscribe.core.features import empty_features, make_features
from landscribe.core.legend import LandClass
from landscribe.core.mosaic import JOINED, TWICE, Sheet, as_one_map, one_map, overlapping

UTM = CRS.from_epsg(32633)
HOUSE, ROAD = LandClass(1, "house", "#AA0000"), LandClass(2, "road", "#333333")
LEFT, RIGHT = box(0, 0, 140, 100), box(80, 0, 220, 100)


def sheet(footprint: Polygon, valid: Polygon | None = None) -> Sheet:
    return Sheet(footprint, 0.5, valid)


def seen(scene: str, footprint: Polygon, *shapes: Polygon, land_class: LandClass = HOUSE) -> gpd.GeoDataFrame:
    """What a perfect model finds in a scene."""
    inside = [shape.intersection(footprint) for shape in shapes]
    found = np.array([shape for shape in inside if shape.area > 0], dtype=object)
    if not len(found):
        return empty_features(UTM)
    return make_features(scene, land_class, found, score=0.75, area=shapely.area(found), crs=UTM)


def random_houses(seed: int, count: int = 23) -> list[Polygon]:
    """Houses that touch nobody."""
    rng = np.random.default_rng(seed)
    houses: list[Polygon] = []
    while len(houses) < count:
        x, y, w, h = rng.uniform([0, 0, 4, 4], [205, 85, 15, 15])
        house = shapely.affinity.rotate(box(x, y, x + w, y + h), rng.uniform(0, 90)).intersection(box(0, 0, 220, 100))
        if all(house.distance(other) > 1 for other in houses):
            houses.append(house)
    return houses


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([80.0, 111.3, 140.0]), st.floats(-9, 9))
def test_each_house_is_there_once_and_whole(seed: int, start: float, turn: float) -> None:
    houses = random_houses(seed)
    frames = [LEFT, shapely.affinity.rotate(box(start, -40, 260, 140), turn if start < 140 else 0, origin=(start, 50))]
    parts = [seen(name, frame, *houses) for name, frame in zip("ab", frames, strict=True)]
    found, counts = as_one_map(parts, [sheet(frame) for frame in frames])
    whole = [house.intersection(shapely.union_all(frames)) for house in houses]
    whole = [house for house in whole if house.area > 0.01]
    shapes = found.geometry.to_numpy()
    assert shapely.is_valid(shapes).all()
    tree = shapely.STRtree(shapes)
    for house in whole:
        over = [
            shapes[k] for k in tree.query(house, predicate="intersects") if shapes[k].intersection(house).area > 0.05
        ]
        assert len(over) == 1
        assert over[0].symmetric_difference(house).area < 0.1
    assert found["area"].sum() == pytest.approx(sum(house.area for house in whole), abs=0.5)
    assert found["score"].to_numpy() == pytest.approx(0.75)
    assert sum(len(part) for part in parts) >= len(found)
    assert set(counts) <= {TWICE, JOINED}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(3456)  # where parts of a seam meet, rounding leaves a gap
def test_a_point_belongs_to_the_scene_in_which_it_lies_deepest(seed: int) -> None:
    """Depth here is the distance from the outline, as shapely measures it."""
    rng = np.random.default_rng(seed)
    frames = [
        shapely.affinity.rotate(box(x, y, x + w, y + h), turn)
        for x, y, w, h, turn in rng.uniform([0, 0, 60, 60, 0], [50, 50, 120, 120, 90], (3, 5))
    ]
    points = [shapely.Point(xy) for xy in rng.uniform(0, 150, (60, 2))]
    depths = np.array([[p.distance(f.exterior) * f.contains(p) for f in frames] for p in points])
    order = np.sort(depths, axis=1)
    clear = (order[:, -1] > 0.5) & (order[:, -1] - order[:, -2] > 0.5)
    dots = [p.buffer(0.01) for p, is_clear in zip(points, clear, strict=True) if is_clear]
    parts = [seen(name, frame, *dots) for name, frame in zip("abc", frames, strict=True)]
    found, _ = as_one_map(parts, [sheet(frame) for frame in frames])
    assert len(found) == len(dots)
    owner = {
        (round(g.centroid.x, 3), round(g.centroid.y, 3)): s for g, s in zip(found.geometry, found["scene"], strict=True)
    }
    for point, own in zip(points, depths, strict=True):
        key = (round(point.x, 3), round(point.y, 3))
        assert key not in owner or owner[key] == "abc"[int(own.argmax())]
    assert len(owner) == len(dots)


def test_one_view_of_a_house_counts_where_scenes_see_it_differently() -> None:
    left = seen("a", LEFT, box(100, 40, 108, 50))
    right = seen("b", RIGHT, box(101.5, 41, 109.5, 51))  # the same house, from another angle
    found, counts = as_one_map([left, right], [sheet(LEFT), sheet(RIGHT)])
    assert +counts == {TWICE: 1}
    assert found["scene"].tolist() == ["a"]  # deeper in the left one: 110 is the middle


def test_neighbours_are_not_merged_and_classes_stay_apart() -> None:
    frames = [box(0, 0, 110, 100), box(110, 0, 220, 100)]
    left = seen("a", frames[0], box(90, 10, 109, 30), box(100, 40, 110, 60))
    right = seen("b", frames[1], box(111, 10, 130, 30), box(110, 59, 130, 90), land_class=HOUSE)
    road = seen("b", frames[1], box(110, 40, 130, 58), land_class=ROAD)
    for parts, expected in (([left, right], 4), ([left, road], 3)):
        found, counts = as_one_map(parts, [sheet(frame) for frame in frames])
        assert len(found) == expected
        assert not counts[JOINED]


def test_pieces_of_tiles_that_meet_are_one_polygon_of_the_larger_ones_scene() -> None:
    frames = [box(0, 0, 110, 100), box(110, 0, 220, 100)]
    left = seen("a", frames[0], box(90, 10, 110, 30))
    right = seen("b", frames[1], box(110, 11, 115, 31))  # not to the pixel, since each was predicted alone
    right["score"] = 0.25
    found, counts = as_one_map([left, right], [sheet(frame) for frame in frames])
    assert counts[JOINED] == 2
    (row,) = found.itertuples()
    assert (row.scene, row.area) == ("a", 500.0)
    assert row.score == pytest.approx((400 * 0.75 + 100 * 0.25) / 500)
    assert row.geometry.geom_type == "Polygon"


def test_ground_without_data_is_the_others() -> None:
    hole = box(80, 0, 105, 100)
    house = box(96, 40, 104, 50)  # deeper in the left one, which has no data there
    parts = [empty_features(UTM), seen("b", RIGHT, house)]
    found, _ = as_one_map(parts, [sheet(LEFT, LEFT.difference(hole)), sheet(RIGHT)])
    assert found["area"].tolist() == [80.0]
    found, counts = as_one_map(parts, [sheet(LEFT), sheet(RIGHT)])
    assert len(found) == 0
    assert counts[TWICE] == 1


def test_the_same_ground_twice_is_the_firsts() -> None:
    house = box(20, 20, 30, 30)
    found, counts = as_one_map([seen("a", LEFT, house), seen("b", LEFT, house)], [sheet(LEFT), sheet(LEFT)])
    assert found["scene"].tolist() == ["a"]
    assert +counts == {TWICE: 1}


def test_scenes_apart_are_left_alone() -> None:
    far = box(500, 0, 600, 100)
    parts = [seen("a", LEFT, box(20, 20, 30, 30)), seen("b", far, box(520, 20, 530, 30))]
    found, counts = as_one_map(parts, [sheet(LEFT), sheet(far)])
    assert len(found) == 2
    assert not +counts
    assert overlapping([sheet(LEFT), sheet(far), sheet(RIGHT)]) == {0, 2}
    assert overlapping([sheet(box(0, 0, 110, 100)), sheet(box(110, 0, 220, 100))]) == set()


@pytest.mark.parametrize("second", [RIGHT, box(500, 0, 600, 100)])
def test_scenes_without_a_polygon_still_lie_somewhere(second: Polygon) -> None:
    found, counts = as_one_map([empty_features(UTM), empty_features(UTM)], [sheet(LEFT), sheet(second)])
    assert len(found) == 0
    assert found.crs == UTM
    assert not any(counts.values())


def test_the_smaller_rank_owns_however_deep_the_other_lies() -> None:
    house = box(82, 40, 90, 50)  # far deeper in the left one
    parts = [seen("a", LEFT, house), seen("b", RIGHT, house)]
    for ranks, owner in (((0, 0), "a"), ((1, 0), "b"), ((0, 1), "a")):
        sheets = [replace(sheet(frame), rank=rank) for frame, rank in zip((LEFT, RIGHT), ranks, strict=True)]
        found, _ = as_one_map(parts, sheets)
        assert found["scene"].tolist() == [owner]
        assert found["area"].tolist() == [80.0]


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)))
def test_scenes_come_in_any_order_and_only_those_that_wait_are_held(order: list[int]) -> None:
    """A road through all tiles of a row, and a house within each."""
    frames = [box(50 * (k % 6), 50 * (k // 6), 50 * (k % 6) + 50, 50 * (k // 6) + 50) for k in order]
    shapes = [box(7, 20, 293, 24), box(31, 45, 36, 61)] + [box(50 * k + 9, 70, 50 * k + 17, 79) for k in range(6)]
    parts = [seen(str(k), frame, *shapes) for k, frame in zip(order, frames, strict=True)]
    found, counts = as_one_map(parts, [sheet(frame) for frame in frames])
    assert sorted(shapely.area(found.geometry)) == pytest.approx(sorted(shape.area for shape in shapes))
    assert counts[JOINED] == 8
    for shape in shapes:
        assert sum(g.symmetric_difference(shape).area < 1e-6 for g in found.geometry) == 1


def test_what_no_scene_to_come_touches_is_handed_out() -> None:
    frames = [box(50 * k, 0, 50 * k + 50, 50) for k in range(23)]
    houses = [box(50 * k + 40, 10, 50 * k + 57, 23) for k in range(22)]
    asked: list[int] = []

    def read(k: int) -> gpd.GeoDataFrame:
        asked.append(k)
        return seen(f"{k:02}", frames[k], *houses)

    found = one_map(read, [sheet(frame) for frame in frames], Counter())
    lots = [(asked[-1], lot["scene"].tolist()) for lot in found]
    assert asked == list(range(23))
    # A piece in the next scene might have gone on into the one after it.
    assert lots == [(k + 2, [f"{k:02}"]) for k in range(20)] + [(22, ["20", "21"])]
