"""Scenes known again by their pixels or by their ground, whatever they are called."""

from __future__ import annotations

import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.core.split.leaks import lonlat_outline
from landscribe.core.split.seen import Sighting, find_seen


def at(scene: str, east_m: float, *pixels: str, epsg: int = 32633, north_m: float = 0.0) -> Sighting:
    """A scene of 62 x 82 m at some place of a zone."""
    grid = Grid(31, 41, Affine(2, 0, 400_000 + east_m, 0, -2, 5_000_000 + north_m), CRS.from_epsg(epsg))
    return Sighting(scene, pixels, tuple(lonlat_outline(grid).exterior.coords)[:-1])


def test_the_same_pixels_are_the_same_scene_under_any_name() -> None:
    known = [Sighting("old", ("p1", "p2")), Sighting("other", ("p3",))]
    found = find_seen([Sighting("new", ("p9", "p2")), Sighting("old", ("p4",)), Sighting("bare")], known)
    assert found == {"new": ("old", "the same pixels")}


@pytest.mark.parametrize(("moved_m", "part"), [(0, 100), (41, 50), (79, 4), (81.6, None), (82, None), (500, None)])
def test_shared_ground_is_told_from_neighbours(moved_m: float, part: int | None) -> None:
    found = find_seen([at("new", moved_m, "a")], [at("far", 9_000, "b"), at("known", 0, "c")])
    if part is None:
        assert not found
    else:
        known, why = found["new"]
        assert known == "known"
        assert f"the same ground, {part} % of the smaller footprint" in why


def test_the_largest_part_says_which_scene_it_is() -> None:
    known = [at("a", -60), at("b", 20), at("c", 70)]
    assert find_seen([at("new", 0)], known)["new"][0] == "b"


def test_a_small_scene_inside_of_a_large_one_is_wholly_seen() -> None:
    large = Sighting("large", (), ((14.0, 45.0), (14.1, 45.0), (14.1, 45.1), (14.0, 45.1)))
    small = Sighting("small", (), ((14.05, 45.05), (14.051, 45.05), (14.051, 45.051), (14.05, 45.051)))
    assert "100 %" in find_seen([small], [large])["small"][1]
    assert "100 %" in find_seen([large], [small])["large"][1]


def test_nothing_is_seen_where_nothing_is_known() -> None:
    assert find_seen([at("a", 0, "p")], []) == {}
    assert find_seen([], [at("a", 0, "p")]) == {}
    assert find_seen([Sighting("a", ())], [at("b", 0), Sighting("c", ())]) == {}
