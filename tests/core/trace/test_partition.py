from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from landscribe.core.burn import burn_mask
from landscribe.core.trace import Traced
from landscribe.core.trace.outlines import SMALL, SMALL_HOLE
from landscribe.core.trace.partition import trace_partition
from landscribe.core.tracing import EXACT

seeds = st.integers(0, 2**32 - 1)


def random_classes(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    height, width, step = rng.integers(2, 41), rng.integers(2, 31), int(rng.integers(1, 5))
    coarse = rng.integers(0, 4, (height // step + 1, width // step + 1)).astype(np.uint8)
    return np.kron(coarse, np.ones((step, step), np.uint8))[:height, :width]


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_classes_tile_the_scene_with_matching_vertices(seed):
    classes = random_classes(seed)
    polygons = {
        value: traced.geometries for value, traced in enumerate(trace_partition(classes, range(4), [EXACT] * 4))
    }
    for value, geometries in polygons.items():
        assert np.array_equal(burn_mask(geometries, classes.shape), classes == value)
    everything = np.concatenate(list(polygons.values()))
    assert shapely.coverage_is_valid(everything)
    assert shapely.area(everything).sum() == classes.size


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(0.5, 3.0))
def test_shared_borders_stay_shared_when_simplified(seed, simplify_px):
    classes = random_classes(seed)
    traced = trace_partition(classes, range(4), [replace(EXACT, simplify_px=simplify_px)] * 4)
    everything = np.concatenate([one.geometries for one in traced])
    assert shapely.is_valid(everything).all()
    assert shapely.coverage_is_valid(everything)
    assert np.isclose(shapely.area(everything).sum(), classes.size)
    height, width = classes.shape
    assert shapely.coverage_union_all(everything).equals(box(0, 0, width, height))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_simplification_takes_no_corner_larger_than_it_says(seed):
    # A corner of two pixel sides is a triangle of half a square pixel at least.
    classes = random_classes(seed)
    whole, fine, coarse = (
        np.concatenate(
            [one.geometries for one in trace_partition(classes, range(4), [replace(EXACT, simplify_px=d)] * 4)]
        )
        for d in (0.0, 0.7, 3.0)
    )
    assert shapely.equals(whole, fine).all()
    assert (shapely.get_num_coordinates(coarse) <= shapely.get_num_coordinates(whole)).all()


def border(a: np.ndarray, b: np.ndarray) -> shapely.Geometry:
    """The lines that two sets of polygons share."""
    return shapely.intersection(*(shapely.union_all(shapely.boundary(geometries)) for geometries in (a, b)))


def of_tolerances(classes: np.ndarray, tolerances: list[float]) -> list[Traced]:
    return trace_partition(classes, range(4), [replace(EXACT, simplify_px=d) for d in tolerances])


@settings(max_examples=60, deadline=None)
@given(seeds, st.permutations([0.0, 1.2, 2.5, 2.5]))
def test_borders_stay_shared_when_each_class_has_a_tolerance_of_its_own(seed, tolerances):
    classes = np.kron(random_classes(seed), np.ones((3, 3), np.uint8))
    polygons = [one.geometries for one in of_tolerances(classes, tolerances)]
    everything = np.concatenate(polygons)
    assert shapely.is_valid(everything).all()
    assert shapely.coverage_is_valid(everything)
    assert np.isclose(shapely.area(everything).sum(), classes.size)
    exact = tolerances.index(0.0)
    assert shapely.equals(polygons[exact], of_tolerances(classes, [0.0] * 4)[exact].geometries).all()


@settings(max_examples=24, deadline=None)
@given(st.permutations([0.0, 1.2, 2.5, 2.5]))
def test_on_a_border_the_smaller_tolerance_of_its_two_classes_holds(tolerances):
    rows, cols = np.mgrid[:61, :47]
    classes = (cols > 5 + rows // 5).astype(np.uint8) + (cols > 17 + rows // 7) + (cols > 26 + rows // 4)
    found = [one.geometries for one in of_tolerances(classes, tolerances)]
    for left in range(3):
        finer = of_tolerances(classes, [min(tolerances[left : left + 2])] * 4)
        expected = border(finer[left].geometries, finer[left + 1].geometries)
        assert border(found[left], found[left + 1]).equals(expected)
    lengths = {d: shapely.get_num_coordinates(of_tolerances(classes, [d] * 4)[1].geometries).sum() for d in tolerances}
    assert lengths[0.0] > lengths[1.2] > lengths[2.5]


def test_a_border_with_what_is_not_wanted_has_the_tolerance_of_the_class():
    rows, cols = np.mgrid[:41, :37]
    classes = np.where(cols > rows // 3 + 8, 1, 0) + np.where(cols > rows // 2 + 20, 1, 0)  # three slanted bands
    coarse, fine = replace(EXACT, simplify_px=3.0), EXACT
    [left], [right] = (
        one.geometries for one in trace_partition(np.where(classes == 1, -1, classes), [0, 2], [coarse, fine])
    )
    [plain_left], [plain_right] = (one.geometries for one in trace_partition(classes, [0, 2], [fine] * 2))
    assert shapely.get_num_coordinates(left) < shapely.get_num_coordinates(plain_left)
    assert right.equals_exact(plain_right)


def test_small_holes_are_filled_where_no_other_polygon_lies():
    classes = np.full((23, 31), 1)
    classes[3:5, 3:6] = 2  # 6 px of another class
    classes[8:9, 8:10] = 2  # 2 px, too small to stay
    classes[12:14, 3:5] = -1  # 4 px of nothing
    classes[12:17, 12:17] = -1  # 25 px of nothing
    large = replace(EXACT, min_area_px=4.0, min_hole_px=7.0)
    ground, pond = trace_partition(classes, [1, 2], [large] * 2)
    assert (len(ground), len(pond)) == (1, 1)
    assert sorted(shapely.Polygon(ring).area for ring in ground.geometries[0].interiors) == [6, 25]
    assert ground.area_px[0] == 23 * 31 - 6 - 25
    assert ground.dropped == {"vanished in simplification": 0, SMALL: 0, SMALL_HOLE: 2}
    assert pond.dropped[SMALL] == 1
    assert shapely.area(shapely.intersection(ground.geometries[0], pond.geometries[0])) == 0
    stay, _ = trace_partition(classes, [1, 2], [replace(large, min_hole_px=None)] * 2)
    assert len(stay.geometries[0].interiors) == 4


def test_only_wanted_classes_come_back():
    classes = np.zeros((7, 5), dtype=np.int32)
    classes[2:4, 1:3] = 300
    there, absent = trace_partition(classes, [300, 7], [EXACT] * 2)
    assert there.geometries[0].equals(box(1, 2, 3, 4))
    assert (there.score[0], there.area_px[0]) == (1.0, 4.0)
    assert len(absent) == 0
    assert not any(there.dropped.values())


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_scores_are_means_over_the_pixels_and_small_ones_are_counted(seed):
    classes = random_classes(seed)
    probability = np.random.default_rng(seed).random(classes.shape).astype(np.float32)
    everything = trace_partition(classes, range(4), [EXACT] * 4, probability_hw=probability)
    for value, traced in enumerate(everything):
        assert traced.area_px.sum() == (classes == value).sum()
        for polygon, score, low in zip(traced.geometries, traced.score, traced.minimum, strict=True):
            inside = burn_mask(np.array([polygon]), classes.shape) > 0
            assert np.isclose(score, probability[inside].mean(), atol=1e-5)
            assert np.isclose(low, probability[inside].min(), atol=1e-5)
    large = trace_partition(classes, range(4), [replace(EXACT, min_area_px=3.0)] * 4, probability_hw=probability)
    for value, traced in enumerate(large):
        assert (traced.area_px >= 3.0).all()
        assert len(traced) + traced.dropped["polygon below minimum area"] == len(everything[value])
