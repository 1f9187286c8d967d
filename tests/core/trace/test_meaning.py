"""What a raster is told to be by its values alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from landscribe.core.burn import burn_mask, burn_share
from landscribe.core.trace.meaning import FEW, Meaning, default_mode, join_numbers, meaning_of, numbers_of
from landscribe.errors import DataError
from shapes import crowd

SHAPE = (61, 47)
seeds = st.integers(0, 2**32 - 1)


def meaning(image: np.ndarray, valid_hw: np.ndarray | None = None, *, named: bool = False) -> Meaning:
    image_chw = image if image.ndim == 3 else image[None]
    valid_hw = np.ones(image_chw.shape[1:], bool) if valid_hw is None else valid_hw
    numbers = numbers_of(image_chw, valid_hw)
    return meaning_of(numbers, "some.tif", bands=len(image_chw), is_bytes=image.dtype == np.uint8, named=named)


def patches(seed: int, values: list[int], side: int = 6) -> np.ndarray:
    """Blocks of random values."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(values, (SHAPE[0] // side + 1, SHAPE[1] // side + 1))
    return np.kron(coarse, np.ones((side, side), np.int64))[: SHAPE[0], : SHAPE[1]]


def smooth(seed: int) -> np.ndarray:
    field = cv2.GaussianBlur(np.random.default_rng(seed).random(SHAPE), (0, 0), 3)
    return cv2.normalize(field, None, 0, 1, cv2.NORM_MINMAX)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([np.uint8, np.uint16, np.int32, np.float32, np.float64]), st.sampled_from([1, 255]))
def test_two_values_are_a_mask(seed, kind, top):
    mask = burn_mask(crowd(np.random.default_rng(seed), SHAPE, 5), SHAPE).astype(kind) * kind(top)
    assert meaning(mask) == "mask"
    assert meaning(np.full(SHAPE, top, kind)) == "mask"
    assert meaning(np.zeros(SHAPE, kind)) == "mask"
    assert meaning(mask, mask > 0) == "mask"  # 0 is nodata
    assert meaning(np.stack([mask, np.zeros_like(mask), mask])) == "mask"
    assert meaning(mask, named=True) == "mask"


@settings(max_examples=40, deadline=None)
@given(
    seeds,
    st.sampled_from([
        [0, 1, 2, 5], [1, 2, 3, 4, 5, 6, 15], [2, 3], [7], [0, 7], [0, 1, 2, 255], [*range(21), 255],
        [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100], [11, 41, 52, 71, 82, 90, 95], [0, 100], [128, 200, 255],
    ]),
    st.sampled_from([np.uint8, np.uint16, np.int16, np.int64, np.float32]),
    st.sampled_from([1, 6]),
)  # fmt: skip
def test_few_whole_numbers_are_a_class_map(seed, values, kind, side):
    if side == 1 and 255 in values and 0 in values:
        return  # single pixels between 0 and 255 look like the edges of shapes
    assert meaning(patches(seed, values, side).astype(kind)) == "classes"


def test_negative_classes_and_ids_beyond_bytes_are_classes():
    assert meaning(patches(3, [-1, 0, 300, 70_000]).astype(np.int32)) == "classes"


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_shares_and_probabilities_in_bytes_are_probabilities(seed):
    rng = np.random.default_rng(seed)
    boxes = [shapely.box(x, y, x + w, y + h) for x, y, w, h in rng.uniform((2, 2, 3, 3), (30, 40, 12, 12), (2, 4))]
    few = burn_share(np.array(boxes), SHAPE)  # upright boxes have few shares
    assert len(np.unique(few)) <= FEW
    assert meaning(few) == "probability"
    assert meaning(burn_share(crowd(rng, SHAPE, 6), SHAPE)) in ("probability", "mask")
    assert meaning((255 * smooth(seed)).astype(np.uint8)) == "probability"
    assert meaning(np.stack([few, few // 2])) == "probability"


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([np.float32, np.float64]), st.floats(0.05, 1))
def test_fractions_up_to_1_are_probabilities_and_up_to_100_percent(seed, kind, top):
    field = (top * smooth(seed)).astype(kind)
    assert meaning(field) == "probability"
    assert meaning(field * kind(1 + 5e-5)) == "probability"  # rounding
    assert meaning(np.stack([field, field])) == "probability"
    assert meaning(np.maximum(field * kind(100), kind(1.5))) == "percent"
    assert meaning(np.where(field > 0.5, kind(0.25), kind(0.75))) == "probability"


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_many_whole_numbers_up_to_100_are_percent(kind):
    assert meaning(np.round(100 * smooth(4)).astype(kind)) == "percent"


def test_a_colour_table_or_names_make_classes_of_many_values():
    many = patches(5, list(range(0, 250, 3)), 3).astype(np.uint8)
    assert len(np.unique(many)) > FEW
    assert meaning(many) == "probability"
    assert meaning(many, named=True) == "classes"


def test_invalid_pixels_do_not_count():
    field = smooth(2).astype(np.float32)
    field[:20] = -9999
    assert meaning(field, field >= 0) == "probability"
    classes = patches(2, [1, 2, 3]).astype(np.uint8)
    classes[::2, ::3] = 255
    assert numbers_of(classes[None], classes != 255).values == (1, 2, 3)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.where(smooth(1) > 0.8, -9999, smooth(1)), r"got -9999 to .*; -9999 looks like a nodata .* --nodata -9999"),
        (np.where(smooth(1) > 0.8, -3.4e38, smooth(1)), "looks like a nodata value"),
        (np.where(smooth(1) > 0.8, 65535, 100 * smooth(1)), "65535 looks like a nodata value"),
        (8 * smooth(1) - 4, "if they are logits"),
        (0.5 + 254 * smooth(1), "-scale 0 255 0 1"),
        ((10_000 * smooth(1)).astype(np.uint16), "--as classes makes a class of each value.*-scale 0 10000 0 1"),
        (np.stack([(10_000 * smooth(1)).astype(np.uint16)] * 2), "-scale 0 10000 0 1"),
    ],
    ids=["-9999", "least", "65535", "logits", "fractions to 255", "thousands", "thousands of bands"],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_with_what_to_do(image, said):
    with pytest.raises(DataError, match=rf"some.tif: neither probabilities nor classes.*{said}"):
        meaning(image)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 23), st.sampled_from(["classes", "shares", "floats"]))
def test_parts_put_together_are_the_whole(seed, rows, what):
    image = {
        "classes": patches(seed, [0, 3, 4, 255]).astype(np.uint8),
        "shares": burn_share(crowd(np.random.default_rng(seed), SHAPE, 4), SHAPE),
        "floats": smooth(seed) - 0.1,
    }[what]
    valid = np.random.default_rng(seed).random(SHAPE) < 0.8
    whole = numbers_of(image[None], valid)
    joined = join_numbers([
        numbers_of(image[None, r : r + rows], valid[r : r + rows]) for r in range(0, SHAPE[0], rows)
    ])  # fmt: skip
    for name in ("pixels", "invalid", "low", "high", "values", "whole", "ends"):
        assert getattr(joined, name) == getattr(whole, name)
    assert whole.patches or not joined.patches  # those across two parts are not seen


def test_a_patch_in_one_part_decides_for_the_whole():
    image = np.zeros((61, 47), np.uint8)
    image[::7, ::5] = 255
    image[40:46, 20:30] = 90
    valid = np.ones(image.shape, bool)
    joined = join_numbers([numbers_of(image[None, r : r + 9], valid[r : r + 9]) for r in range(0, 61, 9)])
    assert meaning_of(joined, "x", bands=1, is_bytes=True) == "classes"


def test_nothing_valid_is_nothing():
    numbers = numbers_of(np.zeros((1, *SHAPE), np.uint8), np.zeros(SHAPE, bool))
    assert (numbers.pixels, numbers.values, numbers.invalid) == (0, (), 61 * 47)
    assert meaning_of(numbers, "x", bands=1, is_bytes=True) == "mask"


def test_class_maps_follow_pixel_borders():
    assert default_mode("classes") == "edge"
