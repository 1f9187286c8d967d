from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer

from landscribe.core.grid import Grid
from landscribe.report.map.frames import Frame, extent_of, frames_of, place_of

UTM, LONLAT, MERCATOR = CRS.from_epsg(32611), CRS.from_epsg(4326), CRS.from_epsg(3857)
FEET = CRS.from_epsg(2263)
"""New York, in US survey feet."""


def utm(east: float, north: float, pixel: float = 0.5) -> Grid:
    return Grid(211, 307, Affine(pixel, 0, east, 0, -pixel, north), UTM)


def on_frame(frame: Frame, x: float, y: float) -> np.ndarray:
    return np.array(~frame.to_map @ (x, y))


def test_scenes_of_one_crs_share_a_frame_in_metres() -> None:
    frames, frame_of = frames_of({"a": utm(650_000, 4_000_000), "b": utm(651_000, 4_000_900, 0.31)})
    assert len(frames) == 1
    assert frame_of == {"a": 0, "b": 0}
    assert frames[0].unit == "m"
    assert frames[0].crs_name == "EPSG:32611 WGS 84 / UTM zone 11N"
    apart = on_frame(frames[0], 651_000, 4_000_900) - on_frame(frames[0], 650_000, 4_000_000)
    assert apart == pytest.approx([1000, 900], rel=1e-3)
    assert np.abs(on_frame(frames[0], 650_000, 4_000_000)).max() < 1000  # small numbers, near the middle


@pytest.mark.parametrize(
    ("crs", "x", "y", "pixel"),
    [
        (LONLAT, -115.2, 36.1, 3e-6),
        (MERCATOR, 3_628_361.0, 39_001.0, 0.3),
        (MERCATOR, 1e6, 8e6, 0.3),
        (FEET, 980_000, 200_000, 1.0),
    ],
)
def test_a_unit_is_a_metre_on_the_ground(crs: CRS, x: float, y: float, pixel: float) -> None:
    grid = Grid(211, 307, Affine(pixel, 0, x, 0, -pixel, y), crs)
    (frame,), _ = frames_of({"a": grid})
    to_lonlat = Transformer.from_crs(crs, LONLAT, always_xy=True)
    corners = [(x, y), (x + 307 * pixel, y), (x, y - 211 * pixel)]
    lonlat = [to_lonlat.transform(*corner) for corner in corners]
    for end in (1, 2):
        true_m = Geod(ellps="WGS84").inv(*lonlat[0], *lonlat[end])[2]
        ours_m = np.hypot(*(on_frame(frame, *corners[end]) - on_frame(frame, *corners[0])))
        assert ours_m == pytest.approx(true_m, rel=2e-3)


def test_scenes_in_degrees_far_from_each_other_get_frames_of_their_own() -> None:
    south = Grid(53, 41, Affine(1e-5, 0, 10, 0, -1e-5, 0.5), LONLAT)
    north = Grid(53, 41, Affine(1e-5, 0, 10, 0, -1e-5, 60), LONLAT)
    frames, frame_of = frames_of({"south": south, "north": north, "beside": south.crop(south.window)})
    assert frame_of == {"south": 0, "north": 1, "beside": 0}
    assert all(frame.unit == "m" for frame in frames)


def test_a_scene_without_crs_lies_in_its_own_pixels() -> None:
    grid = Grid(211, 307, Affine.identity())
    (first, second), frame_of = frames_of({"a": grid, "b": grid})
    assert frame_of == {"a": 0, "b": 1}
    assert (first.unit, first.crs_name) == ("px", None)
    assert extent_of(grid, first) == (0, -211, 307, 0)
    assert first.to_map @ (10, -20) == (10, 20)
    assert second.id == 1


def test_a_rotated_scene_stands_straight_in_metres() -> None:
    turned = Affine(0.5, 0, 650_000, 0, -0.5, 4_000_000) @ Affine.rotation(30)
    grid = Grid(211, 307, turned, UTM)
    (frame, other), frame_of = frames_of({"turned": grid, "straight": utm(650_000, 4_000_000)})
    assert frame_of == {"turned": 0, "straight": 1}
    assert frame.unit == "m"
    left, bottom, right, top = extent_of(grid, frame)
    assert (right - left, top - bottom) == pytest.approx((307 * 0.5, 211 * 0.5), rel=1e-3)
    assert frame.to_map @ (left, top) == pytest.approx((650_000, 4_000_000))
    assert other.id == 1


def test_a_sheared_scene_is_told_in_pixels() -> None:
    grid = Grid(211, 307, Affine(0.5, 0.3, 650_000, 0, -0.5, 4_000_000), UTM)
    (frame,), _ = frames_of({"a": grid})
    assert frame.unit == "px"
    assert frame.crs_name is not None
    assert extent_of(grid, frame) == pytest.approx((0, -211, 307, 0))


def test_places_lead_to_the_frame_and_back_to_the_map() -> None:
    grid = utm(650_000, 4_000_000)
    (frame,), _ = frames_of({"a": grid})
    spot = (123.0, 45.0)
    assert frame.to_map @ (place_of(grid, frame) @ spot) == pytest.approx(grid.transform @ spot)
    polygon = shapely.box(*extent_of(grid, frame))
    assert polygon.area == pytest.approx(211 * 307 * 0.25, rel=1e-3)


def test_a_scene_outside_of_its_crs_is_shown_all_the_same() -> None:
    grid = Grid(53, 41, Affine(1, 0, 5000, 0, -1, 5000), LONLAT)
    (frame,), _ = frames_of({"a": grid})
    assert frame.unit == "px"
