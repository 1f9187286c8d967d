"""The truths of a synthetic scene, measured in its pictures: shifts, and labels that lie where things are."""

import cv2
import numpy as np
import pytest
import shapely
import shapely.affinity

from landscribe.core.burn import burn_share_float
from landscribe.worlds import WorldSpec, make_scene

SPEC = WorldSpec(scenes=2, height=479, width=523, seed=11)


@pytest.fixture(scope="module")
def scene():
    return make_scene(SPEC, 1)


def on_rgb_grid(band_hw):
    return cv2.resize(band_hw.astype(np.float32), (SPEC.width, SPEC.height), interpolation=cv2.INTER_CUBIC)


def measured_shift(fixed_hw, moved_hw):
    """Rows and columns by which `moved_hw` shows the content further down and to the right."""
    fixed, moved = ((a - a.mean()) / a.std() for a in (fixed_hw.astype(np.float32), moved_hw.astype(np.float32)))
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 300, 1e-7)
    start = np.eye(2, 3, dtype=np.float32)
    _, warp = cv2.findTransformECC(fixed, moved, start, cv2.MOTION_TRANSLATION, stop, None, 5)
    return float(warp[1, 2]), float(warp[0, 2])


def test_m_lies_where_its_shift_says(scene):
    green = cv2.GaussianBlur(scene.images_chw["RGB"][1].astype(np.float32), (0, 0), 1.6)
    found = measured_shift(green, on_rgb_grid(scene.images_chw["M"][2]))
    assert np.hypot(*scene.shifts_px["M"]) > 1
    np.testing.assert_allclose(found, scene.shifts_px["M"], atol=0.3)


def test_p_lies_where_its_shift_says(scene):
    grey = scene.images_chw["RGB"].mean(axis=0)
    found = measured_shift(grey, on_rgb_grid(scene.images_chw["P"][0]))
    np.testing.assert_allclose(found, scene.shifts_px["P"], atol=0.2)


def test_a_lies_where_its_shift_says(scene):
    near_infrared = cv2.GaussianBlur(on_rgb_grid(scene.images_chw["M"][7]), (0, 0), 11)
    found = np.array(measured_shift(near_infrared, on_rgb_grid(scene.images_chw["A"][0])))
    wanted = np.array(scene.shifts_px["A"]) - np.array(scene.shifts_px["M"])
    assert np.hypot(*wanted) > 4
    np.testing.assert_allclose(found, wanted, atol=2.5)


def test_shifts_keep_their_limits():
    for index in range(4):
        shifts = make_scene(WorldSpec(height=131, width=137, max_shift_px=10.0, seed=index), index).shifts_px
        size = {sensor: np.hypot(*shift) for sensor, shift in shifts.items()}
        assert size["RGB"] == 0
        assert 0 < size["P"] <= 0.5 < size["M"] <= 3.0 <= size["A"] <= 10.0
    still = make_scene(WorldSpec(height=131, width=137, max_shift_px=0.0), 0).shifts_px
    assert set(still.values()) == {(0.0, 0.0)}


def contrast(scene, shapes, rows_px, cols_px):
    """Mean difference between the inside of each shape and its surroundings, with the shapes moved."""
    grey = scene.images_chw["RGB"].mean(axis=0)
    found = []
    for shape in shapes:
        moved = shapely.affinity.translate(shape, cols_px, rows_px)
        inside, around = (
            burn_share_float(np.array([part], dtype=object), grey.shape)
            for part in (moved.buffer(-0.5), moved.buffer(4).difference(moved.buffer(0.5)))
        )
        found.append(abs(np.average(grey, weights=inside) - np.average(grey, weights=around)))
    return np.mean(found)


def test_buildings_lie_where_their_labels_say(scene):
    shapes = [shape for shape in scene.polygons[1] if shape.area > 150]
    assert len(shapes) > 5
    here = contrast(scene, shapes, 0, 0)
    assert here > 30
    for rows_px, cols_px in ((3, 0), (-3, 0), (0, 3), (0, -3)):
        assert contrast(scene, shapes, rows_px, cols_px) < here


def ndvi(scene):
    # M's own shift must be undone before labels can be laid on it.
    rows_px, cols_px = scene.shifts_px["M"]
    back = np.array([[1, 0, cols_px], [0, 1, rows_px]], dtype=np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    red, near = (
        cv2.warpAffine(on_rgb_grid(scene.images_chw["M"][band]), back, (SPEC.width, SPEC.height), flags=flags)
        for band in (4, 6)
    )
    return (near - red) / np.maximum(near + red, 1)


def test_materials_have_their_spectra(scene):
    greenness = ndvi(scene)
    mean = {
        number: np.average(greenness, weights=np.maximum(burn_share_float(shapes, greenness.shape), 1e-9))
        for number, shapes in scene.polygons.items()
        if len(shapes)
    }
    assert mean[5] > mean[1] + 0.1, "trees are greener than roofs"
    assert mean[5] > mean[3] + 0.1, "and than roads"
    assert mean[8] < mean[5] - 0.1, "water is not green"


def test_shadows_fall_away_from_the_sun(scene):
    """The sun stands in the south: north of a roof is darker than south of it."""
    grey = scene.images_chw["RGB"].mean(axis=0)
    roofs = shapely.union_all([shape for shape in scene.polygons[1] if shape.area > 300])
    others = shapely.union_all(np.concatenate([scene.polygons[number] for number in (3, 5, 9, 10)]))
    sides = {}
    for name, rows_px in (("north", -6), ("south", 6)):
        beside = shapely.affinity.translate(roofs, 0, rows_px).difference(shapely.union_all([roofs.buffer(1), others]))
        sides[name] = np.average(grey, weights=burn_share_float(np.array([beside], dtype=object), grey.shape))
    assert sides["north"] < sides["south"] - 20
