"""Windows side by side, what keeps one out, and which are chosen after which."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid, Window
from landscribe.core.suggest.choose import Spot, choose, on_earth
from landscribe.core.suggest.windows import LABELLED, NO_DATA, Size, said, shared, size_of, why_not, windows_on
from landscribe.errors import RecipeError


def spot(number: int, *, scene: str = "", place: str = "", window: Window | None = None, near: float = 0) -> Spot:
    name = scene or f"s{number}"
    where = (near, 0.0, 0.0) if near else (1e6 * number, 0.0, 0.0)
    return Spot(name, place or name, window or Window(0, 0, 10, 10), "", where, 10.0)


LOOKS = np.array([[0.0, 0.0], [5.0, 1.0], [5.0, 1.0], [0.1, 4.0], [-4.0, -3.0]])


def test_windows_cover_a_scene_but_for_narrow_rests():
    found = windows_on((67, 43), 20)
    assert {w.row for w in found} == {0, 20, 40, 47}  # 7 px are left over: more than a quarter
    assert {w.col for w in found} == {0, 20}  # 3 px are not
    assert [(w.row, w.col) for w in found[:3]] == [(0, 0), (0, 20), (20, 0)]
    assert windows_on((20, 20), 20) == [Window(0, 0, 20, 20)]
    assert windows_on((67, 19), 20) == []
    assert shared(Window(40, 0, 20, 20), Window(47, 0, 20, 20)) == pytest.approx(13 / 20)
    assert shared(Window(0, 0, 20, 20), Window(20, 0, 20, 20)) == 0


@pytest.mark.parametrize(
    ("text", "size"), [("256px", Size(256, "px")), (" 75.5 m", Size(75.5, "m")), ("40", Size(40, ""))]
)
def test_sizes_are_read(text: str, size: Size):
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "0", "-3", "3 km", "nan", "px", "1e3", "0m"])
def test_other_sizes_are_refused_in_one_line(text: str):
    with pytest.raises(RecipeError, match=r"size: not a length, got .*, need such as 256px, 75m or 75"):
        size_of(text)


def test_a_size_is_in_metres_where_there_are_metres():
    ground = Grid(61, 67, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    nowhere = Grid(61, 67, Affine.identity())
    assert Size(30, "").pixels(ground, "s") == pytest.approx(60, abs=1)
    assert Size(30, "").pixels(nowhere, "s") == Size(30, "px").pixels(ground, "s") == 30
    with pytest.raises(RecipeError, match="scene 's': no CRS, so no metres"):
        Size(30, "m").pixels(nowhere, "s")
    with pytest.raises(RecipeError, match="scene 's': a window of no pixel"):
        Size(0.1, "m").pixels(ground, "s")


def test_nodata_and_labelled_ground_are_left_out_with_the_reason():
    assert why_not(valid=49, labelled=0, pixels=100) == NO_DATA
    assert why_not(valid=0, labelled=0, pixels=100) == NO_DATA
    assert why_not(valid=100, labelled=51, pixels=100) == LABELLED
    assert why_not(valid=50, labelled=25, pixels=100) == ""
    assert said([(NO_DATA, 1200), (LABELLED, 0)]) == "1,200 without data"


def test_the_strange_window_comes_first_and_twins_do_not_both_come_before_others():
    worth = np.array([1.0, 3.0, 3.0, 0.4, 0.4])
    order = choose(worth, LOOKS, [spot(k) for k in range(5)], 5)
    assert order[0] == 1  # the first of the twins, by order
    assert order[-1] == 2  # its twin has nothing new
    assert sorted(order) == [0, 1, 2, 3, 4]


def test_where_nothing_is_new_the_worth_alone_decides():
    assert choose(np.array([1.0, 3.0, 2.0]), np.zeros((3, 2)), [spot(k) for k in range(3)], 3) == [1, 2, 0]


def test_ties_go_to_the_first():
    assert choose(np.ones(4), np.zeros((4, 2)), [spot(k) for k in range(4)], 3) == [0, 1, 2]
    assert choose(np.zeros(4), np.eye(4), [spot(k) for k in range(4)], 2) == [0, 1]


def test_fewer_than_asked_where_there_are_no_more_and_none_of_none():
    assert len(choose(np.ones(3), LOOKS[:3], [spot(k) for k in range(3)], 20)) == 3
    assert choose(np.zeros(0), np.zeros((0, 2)), [], 20) == []


def test_windows_that_share_ground_are_not_both_chosen():
    spots = [
        spot(0, scene="s", window=Window(0, 0, 20, 20)),
        spot(1, scene="s", window=Window(13, 0, 20, 20)),  # shares 7 of 20 rows
        spot(2, scene="s", window=Window(16, 0, 20, 20)),  # shares 4
        spot(3, scene="t", window=Window(0, 0, 20, 20)),
    ]
    assert sorted(choose(np.ones(4), np.eye(4), spots, 4)) == [0, 2, 3]


def test_twenty_windows_are_not_one_street():
    looks = np.random.default_rng(3).normal(size=(60, 4))
    places = ["street"] * 40 + [f"p{k}" for k in range(20)]
    spots = [spot(k, place=place) for k, place in enumerate(places)]
    worth = np.where(np.arange(60) < 40, 1.5, 1.0)
    chosen = choose(worth, looks, spots, 20)
    assert sum(k < 40 for k in chosen) <= 4
    assert chosen[0] < 40


def test_neighbours_are_chosen_after_what_lies_far():
    spots = [spot(0, place="p", near=1000), spot(1, place="p", near=1010), spot(2, place="p", near=9000)]
    looks = np.eye(3) * 50
    assert choose(np.ones(3), looks, spots, 3) == [0, 2, 1]
    apart_frames = [Spot(s.scene, s.place, s.window, f"f{k}", s.centre, s.side) for k, s in enumerate(spots)]
    assert choose(np.ones(3), looks, apart_frames, 3) == [0, 1, 2]


def test_distances_hold_across_zones():
    one, other = on_earth(11.9999, 48.0), on_earth(12.0001, 48.0)
    assert np.linalg.norm(np.subtract(one, other)) == pytest.approx(14.9, abs=0.1)
