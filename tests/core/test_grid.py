"""Grid and Window: laws of mapping, and areas against an ellipsoid."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from landscribe.core.grid import Grid, Window, dstl_grid
from landscribe.errors import DataError

UTM = CRS.from_epsg(32611)
GRID = Grid(61, 47, Affine.translation(600_000, 4_000_000) @ Affine.scale(0.5, -0.5), UTM)
windows = st.builds(Window, *(st.integers(-20, 60) for _ in range(2)), *(st.integers(1, 50) for _ in range(2)))


@given(windows, windows)
def test_intersection_is_what_both_cover(a: Window, b: Window) -> None:
    def cells(w: Window) -> set[tuple[int, int]]:
        return {(r, c) for r in range(w.row, w.row_stop) for c in range(w.col, w.col_stop)}

    both = a.intersection(b)
    assert (cells(both) if both else set()) == cells(a) & cells(b)


@given(windows)
def test_padding_there_and_back(window: Window) -> None:
    assert window.pad(7).pad(-7) == window


@given(windows)
def test_a_crop_shows_the_same_ground(window: Window) -> None:
    crop = GRID.crop(window)
    assert crop.transform @ (3.5, 2.25) == pytest.approx(GRID.transform @ (window.col + 3.5, window.row + 2.25))
    assert crop.shape_hw == (window.height, window.width)


def test_shapes_are_rows_then_columns() -> None:
    assert GRID.shape_hw == (61, 47)
    assert GRID.window == Window(0, 0, 61, 47)
    assert np.zeros(GRID.shape_hw)[Window(2, 3, 5, 7).slices].shape == Window(2, 3, 5, 7).shape_hw == (5, 7)
    assert GRID.footprint.bounds == pytest.approx((600_000, 4_000_000 - 61 * 0.5, 600_000 + 47 * 0.5, 4_000_000))


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_a_shift_moves_content_down_and_right(rows: float, cols: float) -> None:
    moved = GRID.shift(rows, cols)
    assert moved.transform @ (5, 6) == pytest.approx(GRID.transform @ (5 + cols, 6 + rows))


def test_ground_and_pixels_are_inverse_and_y_points_up() -> None:
    square = np.array([shapely.box(3, 5, 11, 17), shapely.MultiPolygon([shapely.box(0, 0, 1, 2)])], dtype=object)
    ground = GRID.pixels_to_ground(square)
    assert ground[0].bounds == pytest.approx((600_001.5, 3_999_991.5, 600_005.5, 3_999_997.5))
    back = GRID.ground_to_pixels(ground)
    assert all(shapely.equals_exact(a, b, tolerance=1e-6) for a, b in zip(square, back, strict=True))


def test_third_dimension_is_dropped() -> None:
    solid = np.array([shapely.from_wkt("POLYGON Z ((0 0 5, 4 0 5, 4 3 5, 0 0 5))")], dtype=object)
    assert not shapely.has_z(GRID.pixels_to_ground(solid)).any()


def test_resize_keeps_the_footprint() -> None:
    assert GRID.resize(17, 13).footprint.bounds == pytest.approx(GRID.footprint.bounds)


def test_pixel_map_between_resolutions() -> None:
    coarse = GRID.resize(17, 13)
    assert GRID.pixel_map(coarse) @ (47, 61) == pytest.approx((13, 17))


def test_pixel_map_between_crs_hits_the_corners() -> None:
    other = Grid(100, 100, Affine.translation(-116, 36.2) @ Affine.scale(1e-5, -1e-5), CRS.from_epsg(4326))
    to_other = GRID.pixel_map(other)
    from pyproj import Transformer

    lonlat = Transformer.from_crs(UTM, 4326, always_xy=True).transform(*(GRID.transform @ (47, 61)))
    assert to_other @ (47, 61) == pytest.approx(~other.transform @ lonlat, abs=1e-3)


def test_pixel_map_wants_a_crs_on_both_sides() -> None:
    with pytest.raises(DataError, match="the other has none"):
        GRID.pixel_map(Grid(5, 7, Affine.identity()))


def test_pixel_area_of_a_utm_grid_and_of_degrees() -> None:
    # UTM's scale is 0.9996 at the central meridian and 1.0 some 180 km off it.
    assert pytest.approx(0.25, rel=2e-3) == GRID.pixel_area
    degrees = Grid(5, 7, Affine.translation(0, 60) @ Affine.scale(1e-5, -1e-5), CRS.from_epsg(4326))
    height, width = degrees.pixel_size_m or (0, 0)
    assert (height, width) == pytest.approx((1.114, 0.558), abs=2e-3)
    assert Grid(5, 7, Affine.identity()).pixel_area == 1.0
    assert Grid(5, 7, Affine.identity()).unit == "px"


@pytest.mark.parametrize("turn_deg", [0.0, 17.0, 90.0, 133.0, 200.0])
@pytest.mark.parametrize("shear_deg", [0.0, 11.0, -23.0])
def test_areas_go_by_the_determinant_and_lengths_by_the_plane(turn_deg: float, shear_deg: float) -> None:
    turned = Affine.translation(500_000, 5_000_000) @ Affine.rotation(turn_deg) @ Affine.shear(shear_deg, 0)
    grid = Grid(61, 47, turned @ Affine.scale(0.5, -0.3), UTM)
    assert grid.pixel_area == pytest.approx(abs(grid.transform.determinant) / 0.9996**2, rel=1e-5)
    plane = Grid(61, 47, grid.plane)
    shape = shapely.Polygon([(500_003, 5_000_002), (500_009, 5_000_004), (500_004, 5_000_011)])
    moved = plane.pixels_to_ground(grid.ground_to_pixels(np.array([shape], dtype=object)))[0]
    assert moved.area == pytest.approx(shape.area / 0.9996**2, rel=1e-5)
    assert moved.length == pytest.approx(shape.length / 0.9996, rel=1e-5)


def test_the_plane_of_degrees_keeps_angles() -> None:
    degrees = Grid(
        61, 47, Affine.translation(6, 60) @ Affine.rotation(30) @ Affine.scale(1e-5, -1e-5), CRS.from_epsg(4326)
    )
    # A degree of longitude is half as long there: what is square in degrees leans on the ground.
    right, down = (np.array(degrees.plane @ p) for p in ((1, 0), (0, 1)))
    east, north = 111_412.0 * np.cos(np.radians(60)) * 1e-5, 111_412.0 * 1e-5
    wanted = [np.array([np.cos(a) * east, np.sin(a) * north]) for a in np.radians((30, -60))]
    assert right @ down == pytest.approx(wanted[0] @ wanted[1], rel=2e-2)
    assert np.linalg.det([right, down]) == pytest.approx(abs(np.linalg.det(wanted)), rel=1e-2)


def test_a_place_outside_of_the_crs_is_named() -> None:
    grid = Grid(5, 7, Affine.translation(1e9, 0) @ Affine.scale(1, -1), CRS.from_epsg(32636))
    with pytest.raises(DataError, match="outside of where its CRS is defined"):
        grid.pixel_area  # noqa: B018
    with pytest.raises(DataError, match=r"got 10\.5, 197\.5 in WGS 84"):
        Grid(5, 7, Affine.translation(7, 200) @ Affine.scale(1, -1), CRS.from_epsg(4326)).plane  # noqa: B018


def test_dstl_frame_is_the_formula() -> None:
    grid = dstl_grid(3349, 3391, 0.009169, -0.00904)
    point = np.array([shapely.Point(0.004, -0.003)], dtype=object)
    pixel = grid.ground_to_pixels(point)[0]
    assert pixel.x == pytest.approx(0.004 * (3391 * 3391 / 3392) / 0.009169)
    assert pixel.y == pytest.approx(-0.003 * (3349 * 3349 / 3350) / -0.00904)


def test_dstl_frame_refuses_wrong_signs() -> None:
    with pytest.raises(DataError, match="Xmax > 0 > Ymin"):
        dstl_grid(5, 7, 0.009, 0.009)


@pytest.mark.parametrize("transform", [Affine.scale(0), Affine(1, 2, 0, 2, 4, 0), Affine(float("nan"), 0, 0, 0, 1, 0)])
def test_a_map_that_cannot_be_inverted_is_refused(transform: Affine) -> None:
    with pytest.raises(DataError, match="not invertible"):
        Grid(5, 7, transform)


@given(row=st.integers(-5, 40), height=st.integers(1, 61), rows=st.integers(1, 70))
def test_strips_cover_a_window_once_from_top_to_bottom(row, height, rows):
    window = Window(row, 3, height, 47)
    strips = window.strips(rows)
    assert [r for strip in strips for r in range(strip.row, strip.row_stop)] == list(range(row, row + height))
    assert all((strip.col, strip.width) == (3, 47) and strip.height <= rows for strip in strips)
