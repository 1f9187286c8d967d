"""Classes that exclude each other: each pixel goes to the most probable one."""

from __future__ import annotations

import numpy as np

from landscribe.core.arrays import ByteArray, FloatArray


def against_the_best_other(probability_khw: ByteArray) -> FloatArray:
    """Return the probability of each class as a share of itself and the best other class.

    It is above 0.5 exactly where the class is the most probable one, and crosses 0.5 between pixels where two classes
    tie, so that their contours at 0.5 run along the same line.

    Args:
        probability_khw: uint8 (K, H, W), 0..255 for 0..1.

    Returns:
        float32 (K, H, W), 0..1; 0 where all classes are 0, and the probability itself where there is one class.
    """
    p_khw = probability_khw.astype(np.float32) / 255
    if len(p_khw) == 1:
        return p_khw
    ordered = np.partition(p_khw, -2, axis=0)
    best_hw, second_hw = ordered[-1], ordered[-2]
    other_khw = np.where(p_khw == best_hw, second_hw, best_hw)
    # Where two classes tie for the best, each has the other beside it.
    other_khw = np.where((p_khw == best_hw) & (best_hw == second_hw), best_hw, other_khw)
    whole_khw = p_khw + other_khw
    return np.divide(p_khw, whole_khw, out=np.zeros_like(p_khw), where=whole_khw > 0)


def one_against_the_best_other(probability_khw: ByteArray, index: int) -> FloatArray:
    """Return one class of `against_the_best_other`, float32 (H, W), without making the others."""
    p_hw = probability_khw[index].astype(np.float32) / 255
    if len(probability_khw) == 1:
        return p_hw
    others_khw = probability_khw[np.arange(len(probability_khw)) != index]
    whole_hw = p_hw + others_khw.max(axis=0).astype(np.float32) / 255
    return np.divide(p_hw, whole_hw, out=np.zeros_like(p_hw), where=whole_hw > 0)
