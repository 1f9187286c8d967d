from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from landscribe.core.burn import burn_mask
from landscribe.core.trace.partition import trace_partition

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
    polygons = {value: traced.geometries for value, traced in enumerate(trace_partition(classes, range(4)))}
    for value, geometries in polygons.items():
        assert np.array_equal(burn_mask(geometries, classes.shape), classes == value)
    everything = np.concatenate(list(polygons.values()))
    assert shapely.coverage_is_valid(everything)
    assert shapely.area(everything).sum() == classes.size


@settings(max_examples=60, deadline=None)
@given(seeds, st.floats(0.5, 3.0))
def test_shared_borders_stay_shared_when_simplified(seed, simplify_px):
    classes = random_classes(seed)
    traced = trace_partition(classes, range(4), simplify_px=simplify_px)
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
        np.concatenate([one.geometries for one in trace_partition(classes, range(4), simplify_px=d)])
        for d in (0.0, 0.7, 3.0)
    )
    assert shapely.equals(whole, fine).all()
    assert (shapely.get_num_coordinates(coarse) <= shapely.get_num_coordinates(whole)).all()


def test_only_wanted_classes_come_back():
    classes = np.zeros((7, 5), dtype=np.int32)
    classes[2:4, 1:3] = 300
    there, absent = trace_partition(classes, [300, 7])
    assert there.geometries[0].equals(box(1, 2, 3, 4))
    assert (there.score[0], there.area_px[0]) == (1.0, 4.0)
    assert len(absent) == 0
    assert not any(there.dropped.values())


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_scores_are_means_over_the_pixels_and_small_ones_are_counted(seed):
    classes = random_classes(seed)
    probability = np.random.default_rng(seed).random(classes.shape).astype(np.float32)
    everything = trace_partition(classes, range(4), probability_hw=probability)
    for value, traced in enumerate(everything):
        assert traced.area_px.sum() == (classes == value).sum()
        for polygon, score, low in zip(traced.geometries, traced.score, traced.minimum, strict=True):
            inside = burn_mask(np.array([polygon]), classes.shape) > 0
            assert np.isclose(score, probability[inside].mean(), atol=1e-5)
            assert np.isclose(low, probability[inside].min(), atol=1e-5)
    large = trace_partition(classes, range(4), probability_hw=probability, min_area_px=[3.0] * 4)
    for value, traced in enumerate(large):
        assert (traced.area_px >= 3.0).all()
        assert len(traced) + traced.dropped["polygon below minimum area"] == len(everything[value])
