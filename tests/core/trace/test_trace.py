from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rasterio.features import shapes as gdal_shapes
from scipy import ndimage
from shapely.geometry import box

from landscribe.core.burn import burn_mask, burn_share
from landscribe.core.polygons.repair import round_valid
from landscribe.core.trace import Traced, trace, trace_blocks
from landscribe.core.trace import _strips as strips
from landscribe.core.tracing import EXACT
from landscribe.errors import DataError
from shapes import crowd, inside, jaccard, random_field, rectangle

SHAPE = (61, 47)
seeds = st.integers(0, 2**32 - 1)
connectivities = st.sampled_from([4, 8, "mean"])


def same(a: Traced, b: Traced) -> bool:
    return (
        len(a) == len(b)
        and bool(shapely.equals_exact(a.geometries, b.geometries, 0).all())
        and np.allclose(a.score, b.score, rtol=1e-12)
        and np.array_equal(a.minimum, b.minimum)
        and np.array_equal(a.area_px, b.area_px)
        and a.dropped == b.dropped
    )


def canonical(geometries: object) -> list[bytes]:
    return sorted(shapely.to_wkb(shapely.normalize(np.array(geometries, dtype=object))))


# Contract 1: valid, without NaN, zero area or spikes, also after rounding.


@settings(max_examples=60, deadline=None)
@given(seeds, connectivities, st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.integers(0, 2), st.booleans())
@example(4206208, 8, 0.0, 2, False)  # GEOS fails to snap it
def test_contours_are_valid_and_stay_so_when_rounded(seed, connectivity, simplify_px, smooth, right_angles):
    field = random_field(seed)
    traced = trace(field, connectivity=connectivity, simplify_px=simplify_px, smooth=smooth, right_angles=right_angles)
    assert shapely.is_valid(traced.geometries).all()
    assert (traced.area_px > 0).all()
    assert np.isfinite(shapely.get_coordinates(traced.geometries)).all()
    # No two polygons of one field lie on each other.
    a, b = shapely.STRtree(traced.geometries).query(traced.geometries, predicate="intersects")
    assert not shapely.relate_pattern(traced.geometries[a[a != b]], traced.geometries[b[a != b]], "T********").any()
    for decimals in (3, 1, 0):
        rounded, lost = round_valid(traced.geometries, decimals)
        assert shapely.is_valid(rounded).all()
        assert lost == np.count_nonzero(shapely.is_empty(rounded))
        xy = shapely.get_coordinates(rounded)
        assert np.array_equal(xy, np.round(xy, decimals))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_no_spikes(seed):
    # A spike is a vertex at which the ring turns back on itself.
    for mode in ("contour", "edge"):
        for polygon in trace(random_field(seed), mode=mode).geometries:
            for ring in (polygon.exterior, *polygon.interiors):
                xy = np.array(ring.coords)[:-1]
                before, after = xy - np.roll(xy, 1, axis=0), np.roll(xy, -1, axis=0) - xy
                lengths = np.hypot(*before.T) * np.hypot(*after.T)
                assert (lengths > 0).all()
                assert ((before * after).sum(axis=1) / lengths > -1 + 1e-12).all()


# Contract 2: the pair.


@pytest.mark.parametrize("simplify_px", [0.0, 0.1])
@pytest.mark.parametrize(
    ("length", "width", "mean", "bias"),
    [(40, 1.5, 0.955, 0.02), (14, 6, 0.99, 0.005), (30, 9, 0.995, 0.005), (40, 30, 0.999, 0.005)],
    ids=["fence", "car", "truck", "house"],
)
def test_trace_of_burn_gives_the_polygon_back(length, width, mean, bias, simplify_px):
    rng = np.random.default_rng(7)
    true_area = area = 0.0
    overlap = []
    for _ in range(150):
        polygon = rectangle(rng, length, width, (67, 71))
        back = shapely.union_all(trace(burn_share(np.array([polygon]), (67, 71)), simplify_px=simplify_px).geometries)
        overlap.append(jaccard(polygon, back))
        true_area, area = true_area + polygon.area, area + back.area
    assert np.mean(overlap) >= mean
    assert abs(area / true_area - 1) <= bias


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 137])
def test_a_straight_edge_comes_back_exactly(angle):
    house = shapely.affinity.rotate(box(20.13, 20.61, 47.9, 43.2), angle)
    outline = trace(burn_share(np.array([house]), (67, 71))).geometries[0].exterior
    far = shapely.distance(shapely.points(outline.coords), house.exterior)
    assert far.max() < 0.3  # at most a bend that no corner was found for
    assert np.median(far) < 0.005


def test_a_circle_keeps_its_roundness():
    disc = shapely.Point(33.3, 31.8).buffer(11.7, quad_segs=64)
    back = trace(burn_share(np.array([disc]), (67, 71))).geometries[0]
    assert jaccard(disc, back) > 0.997
    assert abs(back.area / disc.area - 1) < 0.003


def test_sharp_leaves_a_smooth_field_alone():
    rows, cols = np.mgrid[:61, :47]
    field = (1 / (1 + np.exp((np.hypot(rows - 30, cols - 22) - 14) / 2))).astype(np.float32)
    plain, sharp = trace(field, sharp=False), trace(field)
    assert jaccard(plain.geometries[0], sharp.geometries[0]) > 1 - 1e-9
    assert shapely.get_num_coordinates(plain.geometries[0]) == shapely.get_num_coordinates(sharp.geometries[0])


# Contract 3: pixel edges.


@settings(max_examples=80, deadline=None)
@given(seeds, st.sampled_from([4, 8]), st.sampled_from([0.0, 0.4, 1.0]))
def test_burn_of_pixel_edges_is_the_mask(seed, connectivity, simplify_px):
    mask = inside(random_field(seed))
    traced = trace(mask, mode="edge", connectivity=connectivity, simplify_px=simplify_px)
    assert np.array_equal(burn_mask(traced.geometries, mask.shape), mask)
    if simplify_px == 0:
        assert np.array_equal(burn_share(traced.geometries, mask.shape), mask * 255)
    assert shapely.is_valid(traced.geometries).all()


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_pixel_edges_are_gdals_polygons(seed):
    mask = inside(random_field(seed))
    expected = [shapely.geometry.shape(g) for g, _ in gdal_shapes(mask.view(np.uint8), mask=mask)]
    assert canonical(trace(mask, mode="edge").geometries) == canonical(expected)


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(["contour", "edge"]), st.sampled_from([4, 8]))
def test_polygons_scores_and_minima_are_those_of_connected_components(seed, mode, connectivity):
    field = random_field(seed)
    labels, n = ndimage.label(inside(field), np.ones((3, 3)) if connectivity == 8 else None)
    unit = field / 255 if field.dtype == np.uint8 else field.astype(np.float64)
    traced = trace(field, mode=mode, connectivity=connectivity)
    assert len(traced) == n
    index = np.arange(1, n + 1)
    assert np.allclose(traced.score, ndimage.mean(unit, labels, index))
    assert np.allclose(traced.minimum, ndimage.minimum(unit, labels, index))
    if mode == "edge":
        assert np.allclose(traced.area_px, ndimage.sum_labels(labels > 0, labels, index))


def test_pixels_that_meet_at_a_corner():
    mask = np.zeros((5, 7), dtype=bool)
    mask[1, 1] = mask[2, 2] = True
    assert len(trace(mask, mode="edge")) == 2
    [joined] = trace(mask, mode="edge", connectivity=8).geometries
    assert joined.geom_type == "MultiPolygon"
    assert len(trace(mask)) == 2
    [joined] = trace(mask, connectivity=8).geometries
    assert joined.geom_type == "Polygon"


def test_a_ring_that_touches_itself_becomes_shell_and_hole():
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=bool)  # the loop and the outside meet at a corner
    [polygon] = trace(mask, mode="edge").geometries
    assert polygon.is_valid
    assert len(polygon.interiors) == 1


# Contract 4: no seams.


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([1, 2, 3, 7, 19, 100]), st.sampled_from(["contour", "edge"]), st.sampled_from([4, 8]))
def test_blocks_of_any_size_give_the_same_polygons(seed, block, mode, connectivity):
    field = random_field(seed)
    options = {"mode": mode, "connectivity": connectivity, "simplify_px": 0.3, "min_area_px": 2.0}
    few, rows = strips.FEW_VERTICES, strips.KERNEL_ROWS
    strips.FEW_VERTICES, strips.KERNEL_ROWS = 0, block  # hand polygons out as soon as they end
    try:
        parts = trace_blocks(lambda w: field[w.slices], field.shape, replace(EXACT, **options), block=block)
    finally:
        strips.FEW_VERTICES, strips.KERNEL_ROWS = few, rows
    assert same(parts, trace(field, **options))


def test_every_row_is_read_once_and_no_more_than_a_block_at_a_time():
    field = np.random.default_rng(3).random((61, 47)).astype(np.float32)
    seen = []

    def read(window):
        seen.append(window)
        return field[window.slices]

    trace_blocks(read, field.shape, EXACT, block=7)
    assert [w.row for w in seen] == list(range(0, 61, 7))
    assert all(w.width == 47 and w.height <= 7 for w in seen)


# Contract 6: counts.


@settings(max_examples=40, deadline=None)
@given(seeds, st.floats(0.5, 30), st.floats(0.5, 30), st.sampled_from(["contour", "edge"]))
def test_what_is_too_small_is_dropped_and_counted(seed, min_area, min_hole, mode):
    field = random_field(seed)
    everything = trace(field, mode=mode, sharp=False)
    kept = trace(field, mode=mode, sharp=False, min_area_px=min_area, min_hole_px=min_hole)
    filled = [
        shapely.Polygon(p.exterior, [r for r in p.interiors if shapely.Polygon(r).area >= min_hole])
        for p in everything.geometries
    ]
    large = [p for p in filled if p.area >= min_area]
    assert canonical(kept.geometries) == canonical(large)
    assert kept.dropped["polygon below minimum area"] == len(filled) - len(large)
    holes = sum(len(p.interiors) for p, f in zip(everything.geometries, filled, strict=True) if f.area >= min_area)
    assert kept.dropped["hole below minimum area"] == holes - sum(len(p.interiors) for p in large)
    if mode == "edge":  # joined by corners afterwards, counted as before
        joined = trace(field, mode=mode, min_area_px=min_area, min_hole_px=min_hole, connectivity=8)
        assert joined.dropped == kept.dropped


# The scene's border, invalid pixels, types.


@pytest.mark.parametrize("mode", ["contour", "edge"])
def test_what_reaches_the_border_ends_there_exactly(mode):
    field = np.zeros((11, 13), dtype=np.uint8)
    field[:4, :5] = 255
    [polygon] = trace(field, mode=mode, min_area_px=1).geometries
    assert polygon.bounds == (0.0, 0.0, 5.0, 4.0)
    assert polygon.contains(shapely.Point(1e-6, 1e-6))
    [everything] = trace(np.ones((11, 13), dtype=bool), mode=mode).geometries
    assert everything.equals(box(0, 0, 13, 11))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_no_contour_leaves_the_scene(seed):
    polygons = crowd(np.random.default_rng(seed), SHAPE, 6)
    traced = trace(burn_share(polygons, SHAPE))
    xmin, ymin, xmax, ymax = shapely.total_bounds(traced.geometries)
    if len(traced):
        assert min(xmin, ymin) >= 0
        assert xmax <= SHAPE[1]
        assert ymax <= SHAPE[0]


def test_invalid_pixels_are_outside_and_the_contour_keeps_to_their_border():
    field = np.ones((11, 13), dtype=np.float32)
    valid = np.ones((11, 13), dtype=bool)
    valid[:, 7:] = False
    [polygon] = trace(field, valid_hw=valid).geometries
    assert polygon.equals(box(0, 0, 7, 11))
    field[:, 7:] = np.nan
    [polygon] = trace(field).geometries
    assert polygon.equals(box(0, 0, 7, 11))


def test_types_mean_the_same():
    mask = np.zeros((11, 13), dtype=bool)
    mask[3:7, 2:9] = True
    traced = [
        trace(m, sharp=False) for m in (mask, mask.astype(np.float32), mask.astype(np.float64), mask * np.uint8(255))
    ]
    for other in traced[1:]:
        assert same(traced[0], other)
    assert traced[0].score[0] == 1.0
    assert len(trace(np.zeros((11, 13), dtype=bool))) == 0


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.9, 1.0])
def test_threshold_is_included(threshold):
    for field in (
        np.linspace(0, 1, 77, dtype=np.float32).reshape(7, 11),
        np.arange(0, 231, 3, dtype=np.uint8).reshape(7, 11),
    ):
        mask = field / 255 >= threshold if field.dtype == np.uint8 else field >= np.float64(threshold)
        traced = trace(field, threshold=threshold)
        assert np.array_equal(burn_mask(traced.geometries, field.shape), mask)


@pytest.mark.parametrize(
    ("field", "options", "message"),
    [
        (np.zeros((3, 4, 5), np.uint8), {}, "not a raster"),
        (np.zeros((0, 5), np.uint8), {}, "not a raster"),
        (np.zeros((4, 5), np.int32), {}, "got int32, need bool, uint8 or float"),
        (np.full((4, 5), 1.5, np.float32), {}, "out of range"),
        (np.full((4, 5), -0.5), {}, "out of range"),
        (np.zeros((4, 5), np.uint8), {"valid_hw": np.ones((5, 4), bool)}, "another shape"),
    ],
)
def test_mistakes_are_named(field, options, message):
    with pytest.raises(DataError, match=message):
        trace(field, **options)


# Right angles.


def noisy_house(rng: np.random.Generator) -> tuple[shapely.Polygon, np.ndarray]:
    """A house of one or two wings, and a probability that is rough around it."""
    house = rectangle(rng, rng.uniform(16, 40), rng.uniform(10, 24), (79, 83))
    share = burn_share(np.array([house]), (79, 83)) / np.float32(255)
    noise = cv2.GaussianBlur(rng.standard_normal(share.shape, dtype=np.float32), (0, 0), 1.5)
    return house, cv2.GaussianBlur(share + 0.4 * noise, (0, 0), 1.0).clip(0, 1)


def test_right_angles_fit_noisy_houses_better_with_fewer_vertices():
    rng = np.random.default_rng(11)
    gain, corners = [], []
    for _ in range(40):
        house, field = noisy_house(rng)
        plain, square = (
            max(trace(field, simplify_px=0.25, right_angles=r).geometries, key=lambda p: p.area) for r in (False, True)
        )
        gain.append(jaccard(house, square) - jaccard(house, plain))
        xy = np.array(square.exterior.coords)
        side = np.diff(xy, axis=0)
        if len(xy) <= 9:
            corners.append(np.abs((side * np.roll(side, 1, axis=0)).sum(axis=1)).max())
    assert np.mean(gain) > 0.003
    assert len(corners) >= 35
    assert max(corners) < 1e-6


def test_right_angles_leave_round_things_round():
    disc = shapely.Point(33.3, 31.8).buffer(11.7, quad_segs=64)
    share = burn_share(np.array([disc]), (67, 71))
    assert same(trace(share, right_angles=True), trace(share))


def test_right_angles_give_way_to_neighbours():
    rng = np.random.default_rng(2)
    for _ in range(10):
        houses = [rectangle(rng, 20, 14, (60, 60)) for _ in range(2)]
        gap = houses[0].buffer(1.2)
        share = burn_share(np.array([houses[0], houses[1].difference(gap)]), (60, 60))
        a, b = np.meshgrid(*[trace(share, right_angles=True).geometries] * 2)
        off = ~np.eye(len(a), dtype=bool)
        assert not shapely.relate_pattern(a[off], b[off], "T********").any()
