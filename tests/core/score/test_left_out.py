from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box

from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.areas import Areas
from landscribe.core.score.left_out import LeftOut, add_left_out, alarms, count_outside, left_out_lines, scenes_left_out
from landscribe.core.score.measure import Measured
from landscribe.core.score.score import Score
from landscribe.core.score.scores import summarise

LEGEND = Legend((LandClass(1, "house", "#B22222"), LandClass(2, "field", "#D9C84A")))


def scored(house: tuple[float, float, float], field: tuple[float, float, float] = (0, 0, 0)) -> Score:
    return summarise(
        {"a": {"house": Measured(Areas(*house)), "field": Measured(Areas(*field))}}, LEGEND, {"a": "a"}, "m2"
    )


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_what_lies_outside_is_counted_as_by_hand(seed):
    rng = np.random.default_rng(seed)
    region = shapely.union_all([box(*c, *(c + s)) for c, s in zip(*rng.integers(1, 17, (2, 5, 2)), strict=True)])
    low, size = rng.integers(0, 30, (23, 2)), rng.integers(1, 7, (23, 2))
    boxes = shapely.box(*low.T, *(low + size).T)
    cells = np.array([[region.contains(box(x, y, x + 1, y + 1)) for x in range(37)] for y in range(37)])
    by_hand = sum(not cells[y : y + h, x : x + w].any() for (x, y), (w, h) in zip(low, size, strict=True))
    assert count_outside(boxes, region) == by_hand


def test_no_ground_leaves_out_every_polygon():
    boxes = shapely.box(np.arange(3), 0, np.arange(3) + 1, 1)
    assert count_outside(boxes, shapely.MultiPolygon()) == 3
    assert count_outside(boxes[:0], box(0, 0, 1, 1)) == 0


def test_the_same_reason_in_several_scenes_is_one_row():
    rows = [
        LeftOut("ground", "dark", 2.5, 10.0),
        LeftOut("polygons", "dark", 0, 7),
        LeftOut("ground", "dark", 0.5, 20.0),
        LeftOut("ground", "far", 1.0, 2.0),
        LeftOut("polygons", "dark", 0, 2),
    ]
    assert add_left_out(rows) == (LeftOut("ground", "dark", 3.0, 30.0), LeftOut("ground", "far", 1.0, 2.0))
    assert add_left_out([]) == ()


def test_each_reason_is_one_line():
    names = [f"s{i}" for i in range(9)]
    rows = (
        scenes_left_out("trained on", names, 11),
        scenes_left_out("without labels", ["x"], 11),
        LeftOut("polygons", "predicted on such ground", 2, 1300),
        LeftOut("ground", "without data", 1234.4, 98765.0),
    )
    score = replace(scored((1, 0, 0)), left_out=rows)
    score = replace(score, conventions=replace(score.conventions, left_out={"truth": {"not a polygon": 3}}))
    assert left_out_lines(score) == [
        "not scored: 9 of 11 scenes, trained on: s0, s1, s2, s3, s4, s5 and 3 more",
        "not scored: 1 of 11 scenes, without labels: x",
        "not scored: 2 of 1300 polygons, predicted on such ground",
        "not scored: 1.2 % of the ground of scored scenes (1,234 m²), without data",
        "truth: 3 not a polygon",
        "no score: 1 of 2 classes, neither true nor predicted: field",
    ]
    assert left_out_lines(scored((1, 0, 0), (0, 1, 0))) == []


@pytest.mark.parametrize(
    ("house", "field", "said"),
    [
        ((0, 0, 3), (0, 0, 0), "nothing is predicted in any scored scene"),
        ((0, 3, 0), (0, 0, 0), "nothing is true in any scored scene"),
        ((0, 0, 0), (0, 0, 0), "nothing is predicted and nothing is true in any scored scene"),
        ((0, 3, 0), (0, 0, 1), "nothing predicted touches anything true of its class"),
        ((1, 3, 0), (0, 0, 1), None),
        ((1, 0, 0), (0, 0, 0), None),
    ],
)
def test_where_there_is_nothing_it_is_said_loudly(house, field, said):
    found = alarms(scored(house, field))
    assert [text.partition(":")[0] for text in found] == ([] if said is None else [said])
