"""Outlines through pixel centres: the way back from masks that OpenCV paints."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from shapely.geometry import box

from landscribe.core.burn import burn_mask
from landscribe.core.polygons.repair import repair
from landscribe.core.trace import trace, trace_blocks
from landscribe.core.trace.outlines import FLAT, SMALL
from landscribe.core.tracing import EXACT

SHAPE = (61, 47)
seeds = st.integers(0, 2**32 - 1)


def random_mask(seed: int, blur: float = 1.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.random(SHAPE), (0, 0), blur)
    return field > np.quantile(field, rng.uniform(0.2, 0.9))


def find_contours(mask: np.ndarray) -> shapely.Geometry:
    """What OpenCV's outlines are as polygons: outer ones are shells, their children holes."""
    rings, links = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    ring = [shapely.Polygon(r[:, 0]) if len(r) > 2 else shapely.Polygon() for r in rings]
    parts = []
    for k, (_, _, _, parent) in enumerate(links[0] if len(rings) else ()):
        if parent < 0:
            holes = [ring[j] for j in range(len(ring)) if links[0][j][3] == k]
            shell, *holes = repair(np.array([ring[k], *holes], dtype=object))[0]
            parts.append(shapely.difference(shell, shapely.union_all(holes)))
    return shapely.union_all(parts)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([0.5, 1.5, 3.0]))
def test_outlines_are_those_of_find_contours(seed, blur):
    mask = random_mask(seed, blur)
    traced = trace(mask, mode="opencv", connectivity=8)
    assert shapely.is_valid(traced.geometries).all()
    assert (traced.area_px > 0).all()
    xy = shapely.get_coordinates(traced.geometries)
    assert np.array_equal(xy, np.round(xy))
    ours, theirs = shapely.union_all(traced.geometries), find_contours(mask)
    assert shapely.symmetric_difference(ours, theirs).area < 1e-6


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(3, 11))
def test_it_takes_back_what_the_mask_of_the_same_name_does(seed, side):
    rng = np.random.default_rng(seed)
    polygons = []
    for row, col in np.ndindex((61 - 1) // side, (47 - 1) // side):
        height, width = rng.integers(1, side - 1, 2)
        polygons.append(box(col * side, row * side, col * side + width, row * side + height))
    mask = burn_mask(np.array(polygons, dtype=object), SHAPE, mode="opencv")
    back = trace(mask > 0, mode="opencv", connectivity=8).geometries
    assert len(back) == len(polygons)
    assert shapely.equals(back, polygons).all()
    # The other modes do not: they are half a pixel off.
    assert not shapely.equals(trace(mask > 0, mode="edge").geometries, polygons).any()


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([1.0, 1.5, 3.0]))
def test_painting_the_outlines_gives_the_mask_again(seed, blur):
    # Nothing narrower than two pixels, no holes.
    mask = np.pad(random_mask(seed, blur)[1:-1, 1:-1], 1).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    mask = ndimage.binary_fill_holes(mask)
    outlines = trace(mask, mode="opencv", connectivity=8).geometries
    assert np.array_equal(burn_mask(outlines, SHAPE, mode="opencv"), mask)


def test_a_block_loses_half_a_pixel_on_every_side_and_a_hole_gains_it():
    mask = np.zeros(SHAPE, bool)
    mask[10:21, 5:30] = True
    mask[13:16, 9:14] = False
    [polygon] = trace(mask, mode="opencv").geometries
    # Inner corners are cut, as by OpenCV.
    hole = [(8, 13), (9, 12), (13, 12), (14, 13), (14, 15), (13, 16), (9, 16), (8, 15)]
    assert polygon.equals(box(5, 10, 29, 20).difference(shapely.Polygon(hole)))
    # So a hole that was painted comes back larger by a pixel on every side.
    painted = burn_mask(np.array([box(5, 5, 30, 30).difference(box(10, 10, 15, 15))]), SHAPE, mode="opencv")
    [back] = trace(painted > 0, mode="opencv").geometries
    assert back.exterior.bounds == (5, 5, 30, 30)
    assert back.interiors[0].bounds == (9, 9, 16, 16)
    for height, width in (SHAPE, (58, 44)):
        whole = np.ones((height, width), bool)
        assert trace(whole, mode="opencv").geometries[0].equals(box(0, 0, width - 1, height - 1))


def test_what_is_one_pixel_wide_vanishes_and_is_counted():
    mask = np.zeros(SHAPE, bool)
    mask[5, 5:40] = mask[10, 10] = True
    mask[20:23, 10:13] = mask[30:33, 10:13] = True
    mask[21, 13:20] = mask[20:23, 20:24] = True  # a bridge of one pixel
    traced = trace(mask, mode="opencv")
    assert [g.geom_type for g in traced.geometries] == ["MultiPolygon", "Polygon"]
    assert traced.area_px.tolist() == [4 + 6 + 4 * 0.5, 4]
    assert traced.dropped[FLAT] == 2
    assert trace(mask, mode="opencv", min_area_px=4.5).dropped[SMALL] == 3
    assert trace(mask, mode="opencv", min_area_px=4.0).area_px.tolist() == [12, 4]


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 61), st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([4, 8]))
def test_blocks_of_any_size_give_the_same_polygons(seed, block, simplify_px, connectivity):
    field = np.random.default_rng(seed).random(SHAPE).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), 1.5)
    options = {
        "mode": "opencv", "threshold": float(np.median(field)), "simplify_px": simplify_px,
        "connectivity": connectivity, "min_area_px": 3.0,
    }  # fmt: skip
    whole = trace(field, **options)
    parts = trace_blocks(lambda w: field[w.slices], SHAPE, replace(EXACT, **options), block=block)
    assert shapely.equals_exact(whole.geometries, parts.geometries, 0).all()
    assert np.array_equal(whole.score, parts.score)
    assert whole.dropped == parts.dropped
    assert shapely.is_valid(whole.geometries).all()
    # The score is that of the probability, not of the mask.
    assert (whole.score < 1).all()
