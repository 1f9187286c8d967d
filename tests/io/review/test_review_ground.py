"""What a review says of ground, in numbers, and how it is laid over older labels."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely import box

from landscribe.io.review.ground import ADDED, AGREED, REJECTED, REVISED, STANDING, TAKEN, Said, lay_over, said_of
from landscribe.io.review.review import Review, looked_areas, review_features

NAMES = ("house", "road")
NONE = np.empty(0, dtype=object)


def review(rows: list[tuple[str, str, shapely.Polygon]], looked: list[tuple[str, shapely.Polygon]] = []) -> Review:  # noqa: B006
    columns = {"class_name": [r[0] for r in rows], "verdict": [r[1] for r in rows], "scene": ["a"] * len(rows)}
    areas = looked_areas({"class_name": [name for name, _ in looked]}, [shape for _, shape in looked], None)
    return Review(review_features(columns, [r[2] for r in rows], None), areas)


def area(shapes: np.ndarray) -> float:
    return float(shapely.union_all(shapes).area)


def test_verdicts_alone_speak_of_their_own_ground_and_class() -> None:
    said = said_of(review([("house", "accept", box(0, 0, 3, 5)), ("house", "reject", box(11, 0, 18, 2)),
                           ("road", "", box(30, 30, 37, 41))]), "a", NAMES)  # fmt: skip
    assert (area(said.right["house"]), said.wrong["house"].area) == (15, 14)
    assert (len(said.right["road"]), said.wrong["road"].area) == (0, 0)
    assert said.counts == {REJECTED: 1}


def test_what_is_accepted_on_rejected_ground_is_right() -> None:
    said = said_of(review([("house", "reject", box(0, 0, 7, 7)), ("house", "accept", box(0, 0, 7, 3))]), "a", NAMES)
    assert (area(said.right["house"]), said.wrong["house"].area) == (21, 28)


def test_ground_that_was_looked_at_is_known_and_what_stands_there_is_right() -> None:
    rows = [("house", "", box(1, 1, 4, 4)), ("house", "", box(9, 9, 12, 12)), ("house", "reject", box(5, 5, 7, 7))]
    said = said_of(review(rows, [("", box(0, 0, 10, 10))]), "a", NAMES)
    assert area(said.right["house"]) == 9 + 1  # of the second one, the part inside
    assert said.wrong["house"].area == 100 - 10
    assert (len(said.right["road"]), said.wrong["road"].area) == (0, 100)
    assert said.counts == {REJECTED: 1, STANDING: 2}


def test_ground_looked_at_for_one_class_says_nothing_of_the_others() -> None:
    said = said_of(review([], [("road", box(0, 0, 11, 3))]), "a", NAMES)
    assert (said.wrong["road"].area, said.wrong["house"].area) == (33, 0)
    assert lay_over(dict.fromkeys(NAMES, NONE), [(said, False)]).known.area == 0
    both = said_of(review([("house", "accept", box(0, 0, 5, 3))], [("road", box(0, 0, 11, 3))]), "a", NAMES)
    assert lay_over(dict.fromkeys(NAMES, NONE), [(both, False)]).known.area == 15


def test_of_classes_that_exclude_each_other_one_says_all() -> None:
    said = said_of(
        review([("house", "accept", box(0, 0, 5, 3)), ("road", "accept", box(4, 0, 7, 3))]), "a", NAMES, exclusive=True
    )
    assert said.wrong["house"].area == 2 * 3  # the road without what both say
    assert lay_over(dict.fromkeys(NAMES, NONE), [(said, False)]).known.area == 21


def test_what_was_replaced_says_nothing_of_its_own() -> None:
    rows = [("house", "replaced", box(0, 0, 7, 7)), ("house", "accept", box(0, 0, 7, 3))]
    said = said_of(review(rows), "a", NAMES)
    assert (area(said.right["house"]), said.wrong["house"].area) == (21, 0)


def test_another_scene_is_not_meant() -> None:
    said = said_of(review([("house", "accept", box(0, 0, 5, 3))]), "b", NAMES)
    assert not len(said.right["house"])


def only(right: list[shapely.Polygon] = [], wrong: shapely.Geometry | None = None) -> Said:  # noqa: B006
    shapes = np.array([*right, None], dtype=object)[:-1]
    known = shapely.union_all([*right, wrong or shapely.Polygon()])
    return Said({"house": shapes}, {"house": wrong or shapely.Polygon()}, {"house": known})


@pytest.mark.parametrize(("over", "left"), [(False, 49.0), (True, 7.0 * 4)])
def test_older_labels_hold_unless_it_is_meant_otherwise(over: bool, left: float) -> None:
    laid = lay_over({"house": np.array([box(0, 0, 7, 7)], dtype=object)}, [(only(wrong=box(0, 0, 7, 3)), over)])
    assert area(laid.polygons["house"]) == left
    assert laid.counts == ({TAKEN: 1} if over else {})


@pytest.mark.parametrize(("over", "bounds"), [(False, (0, 0, 7, 7)), (True, (1, 0, 8, 7))])
def test_a_polygon_that_labels_have_is_theirs_or_takes_their_place(over: bool, bounds: tuple[float, ...]) -> None:
    laid = lay_over({"house": np.array([box(0, 0, 7, 7)], dtype=object)}, [(only([box(1, 0, 8, 7)]), over)])
    [polygon] = laid.polygons["house"]
    assert polygon.bounds == bounds
    assert laid.counts == ({TAKEN: 1, ADDED: 1} if over else {AGREED: 1})


def test_a_later_review_holds_over_an_earlier_one() -> None:
    first, second = only([box(0, 0, 7, 7), box(20, 0, 23, 5)]), only([box(1, 0, 8, 7)], box(20, 0, 23, 5))
    laid = lay_over({"house": NONE}, [(first, False), (second, False)])
    assert [polygon.bounds for polygon in laid.polygons["house"]] == [(1, 0, 8, 7)]
    assert laid.known.area == 8 * 7 + 15
    assert laid.counts == {ADDED: 3, REVISED: 2}
