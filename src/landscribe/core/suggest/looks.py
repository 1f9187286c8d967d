"""How the pixels of a window look, and how unlike the ground that networks were trained on that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray
from landscribe.core.split.looks import Look, pool_looks

PERCENT = (10, 50, 90)
TRAITS = 6
"""Numbers that describe a band: mean, deviation, three percentiles, and roughness."""
ROWS_AT_ONCE = 512


def describe(image_chw: AnyArray, valid_hw: BoolArray) -> FloatArray:
    """Return what a window looks like, float64 (6 C,), band by band; NaN where nothing is valid.

    Of each band: mean, standard deviation, 10th, 50th and 90th percentile, and roughness: the mean step between
    neighbouring valid pixels, along rows and columns.

    Args:
        image_chw: Raw numbers (C, h, w).
        valid_hw: Which pixels count (h, w).
    """
    found = np.full((len(image_chw), TRAITS), np.nan)
    if not valid_hw.any():
        return found.ravel()
    across_hw, down_hw = valid_hw[:, 1:] & valid_hw[:, :-1], valid_hw[1:] & valid_hw[:-1]
    pairs = int(across_hw.sum()) + int(down_hw.sum())
    for row, band_hw in zip(found, image_chw, strict=True):
        band_hw = band_hw.astype(np.float64)  # noqa: PLW2901  # one band at a time as floats
        values = band_hw[valid_hw]
        steps = np.abs(np.diff(band_hw, axis=1))[across_hw].sum() + np.abs(np.diff(band_hw, axis=0))[down_hw].sum()
        row[:] = [values.mean(), values.std(), *np.percentile(values, PERCENT), steps / pairs if pairs else 0.0]
    return found.ravel()


def in_units(traits_nf: FloatArray, middle_f: FloatArray, unit_b: FloatArray) -> FloatArray:
    """Return descriptions as steps from a middle, in the units that each band varies by, float64 (N, F).

    What a window lacks is taken to be like the middle, and bands that do not vary say nothing: both become 0.

    Args:
        traits_nf: As `describe` returns them, one row for each window.
        middle_f: What is usual, (F,).
        unit_b: By how much each band varies, (B,).
    """
    unit_f = np.repeat(unit_b, TRAITS)
    steps_nf = np.divide(traits_nf - middle_f, unit_f, out=np.zeros_like(traits_nf), where=unit_f > 0)
    return np.nan_to_num(steps_nf, nan=0.0, posinf=0.0, neginf=0.0)


def usual(traits_nf: FloatArray) -> FloatArray:
    """Return the mean description of windows, each trait over those that have it, float64 (F,); 0 where none has."""
    has_nf = np.isfinite(traits_nf)
    total_f = np.where(has_nf, traits_nf, 0.0).sum(axis=0)
    found: FloatArray = total_f / np.maximum(has_nf.sum(axis=0), 1)
    return found


def spread_of(traits_nf: FloatArray, pixels_n: Sequence[int]) -> FloatArray:
    """Return by how much each band varies over all pixels of some windows, float64 (B,); 0 where none has it.

    Args:
        traits_nf: As `describe` returns them, one row for each window.
        pixels_n: Valid pixels of each.
    """
    unit_b = np.zeros(traits_nf.shape[1] // TRAITS)
    for b in range(len(unit_b)):
        mean_n, std_n = traits_nf[:, b * TRAITS], traits_nf[:, b * TRAITS + 1]
        looks = [
            Look(n, np.array([mean]), np.array([std]))
            for n, mean, std in zip(pixels_n, mean_n, std_n, strict=True)
            if n and np.isfinite(mean)
        ]
        pooled = pool_looks(looks)
        unit_b[b] = 0.0 if pooled is None else pooled.std[0]
    return unit_b


def apart(one_nf: FloatArray, other_mf: FloatArray) -> FloatArray:
    """Return how far windows look apart, float64 (N, M): root mean square over what describes them, in its units."""
    square_nm = np.zeros((len(one_nf), len(other_mf)))
    for one_n, other_m in zip(one_nf.T, other_mf.T, strict=True):
        square_nm += np.subtract.outer(one_n, other_m) ** 2
    return np.sqrt(square_nm / max(one_nf.shape[1], 1))


def unlikeness(windows_nf: FloatArray, training_mf: FloatArray) -> FloatArray:
    """Return how far each window looks from the training window that is most like it, float64 (N,)."""
    parts = [
        apart(windows_nf[first : first + ROWS_AT_ONCE], training_mf).min(axis=1)
        for first in range(0, len(windows_nf), ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)
