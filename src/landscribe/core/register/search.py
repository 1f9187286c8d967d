"""A first guess of the shift, to the pixel of an overview: correlation of several bands with several at every shift."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from affine import Affine

from landscribe.core.arrays import FloatArray
from landscribe.core.register.kernels import sample_cubic
from landscribe.core.register.refine import Level, take_mean
from landscribe.workers import stop_if_asked

CLEAR = 6.0
"""So many spreads must the best shift stand above what the others reach."""
LEAST_OVERLAP = 0.3
AROUND_PX = 6
"""Shifts so far beyond the reach show what similarity comes by chance."""


@dataclass(frozen=True)
class Guess:
    """The best whole shift of an overview."""

    shift: tuple[float, float]
    """Rows and columns in pixels of the overview."""
    height: float
    """How far its similarity stands above that of other shifts, in spreads of those."""


def search_shift(level: Level, reach_px: float) -> Guess | None:
    """Correlate the coarser bands with all of the finer ones at every whole shift up to `reach_px`.

    Bands are compared through the covariance of the finer ones, so that a mixture of bands counts as well as a single
    one, and one that is dark where another is bright as well as its like.

    Args:
        level: The overview; both sensors at its pixel size.
        reach_px: Largest shift along an axis, in pixels of the overview.

    Returns:
        The best shift, or None where the sensors have too little ground in common.

    Source:
        Correlation under a mask by FFT: Padfield (2012), doi:10.1109/TIP.2011.2181402, on band-passed pictures.
    """
    reach = math.ceil(reach_px)
    pad = reach + AROUND_PX
    height, width = level.use_hw.shape
    # The finer sensor is looked at beyond the coarser one's edge, where a shift brings its ground from.
    wide = np.empty((len(level.fine_khw), height + 2 * pad, width + 2 * pad), np.float32)
    seen_hw = np.empty(wide.shape[1:], np.bool_)
    there = level.to_fine @ Affine.translation(-pad, -pad)
    sample_cubic(level.fine_khw, level.fine_valid_hw, np.array(tuple(there)[:6]), wide, seen_hw)
    wide, seen_hw = take_mean(wide, seen_hw)
    wide *= seen_hw
    if not seen_hw.any() or not level.use_hw.any():
        return None
    white = _whiten(wide, float(seen_hw.sum()))
    size = [_fast(height + 2 * pad), _fast(width + 2 * pad)]

    def transform(picture_hw: FloatArray) -> FloatArray:
        return np.fft.rfft2(picture_hw, size)  # type: ignore[return-value]

    def correlate(one: FloatArray, other: FloatArray) -> FloatArray:
        """Sum of coarse(x) fine(x - s) for all s from -pad to pad."""
        return np.fft.irfft2(np.conj(one) * other, size)[2 * pad :: -1, 2 * pad :: -1]

    use = level.use_hw.astype(np.float32)
    fine = [transform(band) for band in white]
    count = correlate(transform(use), transform(seen_hw.astype(np.float32)))
    enough = count > LEAST_OVERLAP * use.sum()
    if not enough.any():
        return None
    similarity = np.zeros_like(count)
    for band_hw in level.seen_bhw:
        stop_if_asked()
        masked_hw = band_hw * use
        spread = math.sqrt(float((masked_hw**2).sum()) / max(float(use.sum()), 1.0))
        if spread > 0:
            own = transform(masked_hw / spread)
            similarity += sum((correlate(own, other) / np.maximum(count, 1)) ** 2 for other in fine)
    similarity = np.sqrt(np.where(enough, similarity / len(level.seen_bhw), 0))
    near = similarity[AROUND_PX:-AROUND_PX, AROUND_PX:-AROUND_PX]
    row, col = (int(n) for n in np.unravel_index(int(near.argmax()), near.shape))
    height_above = _height(similarity, enough, row + AROUND_PX, col + AROUND_PX)
    return Guess((float(row - reach), float(col - reach)), height_above)


def _whiten(image_khw: FloatArray, pixels: float) -> FloatArray:
    flat = image_khw.reshape(len(image_khw), -1)
    values, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64) / pixels)
    kept = values > 1e-4 * max(float(values[-1]), 1e-12)
    turn = (vectors[:, kept] / np.sqrt(values[kept])).T.astype(np.float32)
    return (turn @ flat).reshape(-1, *image_khw.shape[1:])


def _height(similarity: FloatArray, enough: FloatArray, row: int, col: int) -> float:
    rows, cols = np.indices(similarity.shape)
    elsewhere = similarity[enough & (np.maximum(abs(rows - row), abs(cols - col)) > 2)]
    if elsewhere.size < 8:
        return math.inf
    middle = float(np.median(elsewhere))
    spread = 1.4826 * float(np.median(np.abs(elsewhere - middle)))
    return (float(similarity[row, col]) - middle) / max(spread, 1e-9)


def _fast(size: int) -> int:
    """Return the next size with no prime factor above 5: transforms of others take several times as long."""
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 1
