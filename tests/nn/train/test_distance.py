import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landscribe.core.recipe import LossTable
from landscribe.nn.train.losses import (
    combine_terms,
    distance_target,
    frame_of,
    segmentation_loss,
    split_frame,
    sum_pixels,
)


def from_opencv(mask_hw, limit_px):
    inner, outer = (
        np.minimum(cv2.distanceTransform(m, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), limit_px)
        for m in (mask_hw.astype(np.uint8), 1 - mask_hw.astype(np.uint8))
    )
    return (1 + (inner - outer) / limit_px) / 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1, 9), st.integers(3, 29), st.integers(3, 31), st.floats(0.02, 0.98))
def test_distances_are_those_of_opencv(seed, limit_px, height, width, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    found = distance_target(torch.from_numpy(mask)[None, None].float(), torch.ones(1, 1, height, width), limit_px)
    # OpenCV calls it far away where there is no pixel of the other side.
    assert np.abs(found[0, 0].numpy() - from_opencv(mask, limit_px)).max() < 1e-4


def test_nothing_is_known_of_a_border_with_the_unknown():
    share = torch.ones(1, 1, 1, 11)
    weight = torch.ones(1, 1, 1, 11)
    weight[..., 6:] = 0
    assert (distance_target(share, weight, 5.0)[..., :6] == 1).all()
    assert distance_target(1 - share, weight, 5.0).max() == 0.5


def test_the_frame_makes_distances_independent_of_the_chip():
    table = LossTable(distance=1.0, distance_px=3.5)
    frame = frame_of(table)
    torch.manual_seed(0)
    share = (torch.rand(1, 2, 40, 37) > 0.8).float()
    weight = torch.ones(1, 1, 40, 37)
    whole = distance_target(share, weight, 3.5)
    cut = (..., slice(10 - frame, 25 + frame), slice(7 - frame, 30 + frame))
    target, known, near = split_frame(share[cut], weight[cut], table)
    assert torch.equal(near, whole[..., 10:25, 7:30])
    assert torch.equal(target, share[..., 10:25, 7:30])
    assert known.shape == (1, 1, 15, 23)
    assert frame_of(LossTable()) == 0


def test_sums_of_parts_add_up_with_distances():
    torch.manual_seed(1)
    table = LossTable(bce=0, dice=0, distance=1, distance_dice=2, distance_jaccard=3, distance_px=1)
    logits, target = torch.randn(4, 3, 7, 5), torch.rand(4, 3, 9, 7)
    weight = (torch.rand(4, 1, 9, 7) > 0.3).float()
    whole, _ = segmentation_loss(logits, target, weight, table, torch.ones(3))
    halves = [sum_pixels(logits[s], *split_frame(target[s], weight[s], table)) for s in (slice(0, 1), slice(1, 4))]
    assert combine_terms(halves[0] + halves[1], table, torch.ones(3))[0].item() == pytest.approx(whole.item(), abs=1e-6)
