from __future__ import annotations

import cv2
import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.core.split.leaks import Leak, find_overlaps, find_twins, make_thumbnail, require_no_leak, thumbnail_of
from landscribe.errors import DataError

UTM = CRS.from_epsg(32611)


def grid(x: float, y: float, crs: CRS | None = UTM) -> Grid:
    return Grid(101, 103, Affine(2, 0, x, 0, -2, y), crs)


def ground(seed: int, side: int = 181) -> np.ndarray:
    """Fields, paths and houses: edges in all directions."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side), 0.4, np.float32)
    for _ in range(90):
        centre, size = rng.uniform(0, side, 2), rng.uniform(4, 34, 2)
        corners = cv2.boxPoints((tuple(centre), tuple(size), float(rng.uniform(0, 90)))).astype(np.int32)
        cv2.fillPoly(picture, [corners], float(rng.uniform(0, 1)))
    return picture


def season(picture: np.ndarray, seed: int) -> np.ndarray:
    """The same ground with other brightness, dark and bright exchanged in part, and haze."""
    rng = np.random.default_rng(seed)
    other = np.interp(picture, (0, 0.3, 0.6, 1), (0.7, 0.2, 0.9, 0.3))
    return (other + rng.normal(0, 0.05, picture.shape)).astype(np.float32)


def own(names: object) -> dict[str, str]:
    return {name: name for name in names}


def test_overlapping_footprints_of_different_places_are_found():
    grids = {"a": grid(500_000, 0), "b": grid(500_103, 0), "c": grid(500_206, 0), "d": grid(500_000, 0, None)}
    (first, second) = find_overlaps(grids, own(grids))
    assert {(first.first, first.second), (second.first, second.second)} == {("a", "b"), ("b", "c")}
    assert first.strength == pytest.approx(0.5, abs=1e-3)
    assert "50 %" in first.reason


def test_neighbours_and_scenes_of_one_place_are_no_leak():
    grids = {"a": grid(500_000, 0), "b": grid(500_206, 0), "c": grid(500_205, 0)}
    assert find_overlaps(grids, {"a": "p", "b": "q", "c": "q"}) == ()
    assert find_overlaps({"a": grid(0, 0, None), "b": grid(0, 0, None)}, own("ab")) == ()


def test_footprints_meet_in_any_crs():
    inside = Grid(11, 13, Affine(1e-4, 0, -117.0, 0, -1e-4, 0.0), CRS.from_epsg(4326))
    leaks = find_overlaps({"utm": grid(500_000, 0), "lonlat": inside}, own(("utm", "lonlat")))
    assert len(leaks) == 1


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_another_season_shifted_and_turned_is_found(turn):
    pictures = {f"s{i}": ground(i)[:97, :89] for i in range(5)}
    pictures["twin"] = np.rot90(season(ground(2)[23:127, 17:113], 9), turn)
    leaks = find_twins(pictures, own(pictures))
    assert [(leak.first, leak.second) for leak in leaks] == [("s2", "twin")]
    assert ("the same view" in leaks[0].reason) == (turn == 0)


def test_different_ground_is_not_alike():
    pictures = {f"s{i}": ground(i)[:97, :89] for i in range(12)}
    assert find_twins(pictures, own(pictures)) == ()


def test_twins_of_one_place_are_as_they_should_be():
    pictures = {"a": ground(1), "b": season(ground(1), 3)}
    assert find_twins(pictures, {"a": "p", "b": "p"}) == ()
    assert len(find_twins(pictures, own(pictures))) == 1


def test_nodata_is_no_likeness():
    pictures = {f"s{i}": ground(i)[:97, :89].copy() for i in range(6)}
    for picture in pictures.values():
        picture[:, :50] = np.nan
    assert find_twins(pictures, own(pictures)) == ()
    blank = {"a": np.full((61, 47), np.nan, np.float32), "b": np.zeros((61, 47), np.float32)}
    assert find_twins(blank, own(blank)) == ()


def test_a_leak_across_the_split_is_refused_with_both_names():
    leaks = (Leak("a", "b", "footprints share 50 % of the smaller one", 0.5),)
    places = {"a": "p", "b": "q"}
    with pytest.raises(DataError, match=r"'a' and 'b' show the same ground.*50 %.*give them one place"):
        require_no_leak(leaks, places, frozenset({"q"}))
    require_no_leak(leaks, places, frozenset({"p", "q"}))
    require_no_leak((), places, frozenset({"p"}))


def test_a_thumbnail_averages_what_is_valid():
    image_chw, valid_hw = np.ones((3, 211, 400), np.float32) * 7, np.ones((211, 400), bool)
    valid_hw[:, 300:] = False
    image_chw[:, ~valid_hw] = 9999
    small = make_thumbnail(image_chw, valid_hw)
    assert small.shape == (68, 128)
    assert small[:, :96] == pytest.approx(7)
    assert np.isnan(small[:, 97:]).all()
    assert make_thumbnail(image_chw[:, :31, :17], valid_hw[:31, :17]).shape == (31, 17)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_a_large_raster_is_made_small_a_strip_at_a_time(dtype, monkeypatch):
    monkeypatch.setattr("landscribe.core.split.leaks.STRIP_PIXELS", 523 * 71)
    random = np.random.default_rng(7)
    side, shape_hw = 16, (997, 523)
    coarse = random.integers(10, 200, (2, 21, 12)).repeat(50, 1).repeat(50, 2)[:, : shape_hw[0], : shape_hw[1]]
    image_chw = (coarse + random.integers(0, 30, coarse.shape)).astype(dtype)
    valid_hw = np.ones(shape_hw, bool)
    valid_hw[200:430, 100:390] = False
    read = []

    def strip(window):
        read.append(window.height * window.width)
        return image_chw[:, *window.slices], valid_hw[window.slices]

    small = thumbnail_of(strip, shape_hw, side)
    whole = make_thumbnail(image_chw.astype(np.float32), valid_hw, side)
    assert small.shape == whole.shape == (16, 8)
    assert np.isnan(small[5, 3])
    both = np.isfinite(small) & np.isfinite(whole)
    assert both.sum() > 95
    # Less than a block is left out at the far edges, so that sharp borders move by a little.
    apart = np.abs(small - whole)[both]
    assert np.median(apart) < 2
    assert apart.max() < 12
    assert max(read) < 523 * 80

    def ones(window):
        return np.ones((1, *window.shape_hw), dtype), np.ones(window.shape_hw, bool)

    thin = thumbnail_of(ones, (3, 9973))
    assert thin.shape == (1, 128)
    assert (thin == 1).all()
