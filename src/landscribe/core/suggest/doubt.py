"""How sure networks are of a pixel, and of one mind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscribe.core.arrays import AnyArray, FloatArray

LEAST_DOUBT = 1e-3
"""Bits of a pixel. A class about which nothing is doubtful is not blown up until it weighs as much as the others."""


def entropy(p: FloatArray) -> FloatArray:
    """Return the entropy of yes or no in bits, 0..1: 1 where the probability is a half."""
    p = np.clip(np.asarray(p, np.float32), 1e-6, 1 - 1e-6)
    found: FloatArray = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return found


def at_threshold(p: FloatArray, threshold: float) -> FloatArray:
    """Move probabilities so that the threshold lies at a half, by the same factor on the odds of all of them."""
    threshold = min(max(threshold, 1e-3), 1 - 1e-3)
    yes, no = np.asarray(p, np.float32) * (1 - threshold), (1 - np.asarray(p, np.float32)) * threshold
    found: FloatArray = yes / (yes + no)
    return found


def doubt_table(threshold: float) -> FloatArray:
    """Return the entropy of each byte of probability, 0..255 for 0..1, seen from a threshold, float32 (256,)."""
    return entropy(at_threshold(np.arange(256, dtype=np.float32) / 255, threshold))


def disagreement(members: Sequence[AnyArray]) -> FloatArray:
    """Return how much several predictions of one class disagree, in bits, 0..1.

    The entropy of their mean less the mean of their entropies: 0 where all say the same, however unsure they are.

    Args:
        members: Two probabilities or more, 0..1, of one shape.

    Source:
        Houlsby et al. 2011, Bayesian Active Learning for Classification and Preference Learning (arXiv:1112.5745).
    """
    mean, own = np.zeros_like(members[0], np.float32), np.zeros_like(members[0], np.float32)
    for p in members:
        mean += np.asarray(p, np.float32) / len(members)
        own += entropy(p) / len(members)
    return np.maximum(entropy(mean) - own, np.float32(0))


def in_means(values_nk: FloatArray, least: float = LEAST_DOUBT) -> FloatArray:
    """Return values of windows as multiples of the mean window's, column by column, float64 (N, K).

    So each class weighs the same, whatever its share of the ground.

    Args:
        values_nk: Of N windows and K classes, 0 or more.
        least: A smaller mean is taken for this.
    """
    values_nk = np.asarray(values_nk, np.float64)
    if not len(values_nk):
        return values_nk
    return values_nk / np.maximum(values_nk.mean(axis=0), least)
