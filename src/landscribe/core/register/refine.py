"""Sub-pixel shifts: predict the coarser sensor's bands from the finer one's, and move until that fits best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray
from landscribe.core.register.kernels import block_mean, sample_cubic, spline_coefficients, step_sums
from landscribe.workers import stop_if_asked

SMOOTH_PX = 0.6
"""Standard deviation of the blur that both sensors get, in pixels of the coarser: cuts noise and aliasing."""
LOCAL_PX = 9
"""Side of the window whose mean is taken away: haze, light and slow differences between bands go with it."""
CLEAN = 0.99
"""A blurred pixel counts as valid where so much of its weight came from valid ones."""
FEELS_PX = 2
TAIL = 4.0
CLOSE_PX = 0.004
RIDGE = 1e-4
SMALLEST_TILE = 8


@dataclass(frozen=True)
class Picture:
    """Bands of one sensor over a piece of ground."""

    image_khw: AnyArray
    """Raw values (K, h, w)."""
    valid_hw: BoolArray


@dataclass(frozen=True)
class Patch:
    """The same ground as both sensors see it."""

    coarse: Picture
    fine: Picture
    to_fine: Affine
    """Coarse (col, row) to fine (col, row) of these arrays, where both georeferences are right."""
    origin: tuple[int, int] = (0, 0)
    """Row and column of the first coarse pixel in its raster."""


@dataclass(frozen=True)
class Level:
    """A patch made ready for one resolution."""

    seen_bhw: FloatArray
    """Band-passed bands of the coarser sensor, float32."""
    use_hw: BoolArray
    fine_khw: FloatArray
    """Spline coefficients of the smoothed bands of the finer sensor, float32."""
    fine_valid_hw: BoolArray
    to_fine: Affine
    """Pixel of `seen_bhw` to pixel of `fine_khw`."""
    tile: int
    origin: tuple[float, float] = (0.0, 0.0)
    """Row and column of the first pixel in the whole, in pixels of the level."""


@dataclass(frozen=True)
class Fit:
    """What a shift explains."""

    shift: tuple[float, float]
    """Rows and columns, in pixels of the level, by which the coarser sensor's content lies further down and right."""
    share_b: FloatArray
    """How much of each coarser band the finer ones explain, 0..1."""
    tiles_t5: FloatArray
    """Normal equations of each sub-window at that shift, as `step_sums` gives them."""

    @property
    def score(self) -> float:
        """Multiple correlation of the coarser bands with the finer ones, 0..1."""
        return float(np.sqrt(self.share_b.mean()))


def reduce_picture(picture: Picture, factor: int, skip: int = 1) -> tuple[FloatArray, FloatArray]:
    """Average every `skip`-th row over squares of side `factor`; return float32 (K, h, w) and the valid share."""
    bands, height, width = picture.image_khw.shape
    out_khw = np.empty((bands, height // factor, width // factor), np.float32)
    seen_hw = np.empty(out_khw.shape[1:], np.float32)
    block_mean(picture.image_khw, picture.valid_hw, factor, skip, out_khw, seen_hw)
    return out_khw, seen_hw


def make_level(patch: Patch, factor: int, tiles: int) -> Level:
    """Bring a patch to pixels of `factor` coarse pixels.

    Args:
        patch: What both sensors see.
        factor: Coarse pixels along the side of one of the level's.
        tiles: Sub-windows along the patch's shorter side, as far as it is large enough.
    """
    stop_if_asked()
    coarse_bhw, share_hw = reduce_picture(patch.coarse, factor)
    blurred_bhw, clean_hw = smooth(coarse_bhw, share_hw, SMOOTH_PX)
    seen_bhw, use_hw = take_mean(blurred_bhw, clean_hw)
    ratio = factor * math.sqrt(abs(patch.to_fine.determinant))
    step = max(1, int(ratio / 2))
    fine_khw, fine_share_hw = reduce_picture(patch.fine, step)
    own = ratio / step
    fine_khw, fine_valid_hw = smooth(fine_khw, fine_share_hw, math.sqrt((SMOOTH_PX * own) ** 2 + (own**2 - 1) / 12))
    fine_valid_hw = fill_gaps(fine_khw, fine_valid_hw)
    spline_coefficients(fine_khw)
    to_fine = Affine.scale(1 / step) @ patch.to_fine @ Affine.scale(factor)
    origin = patch.origin[0] / factor, patch.origin[1] / factor
    tile = max(SMALLEST_TILE, min(use_hw.shape) // tiles)
    return Level(seen_bhw, use_hw, fine_khw, fine_valid_hw, to_fine, tile, origin)


def smooth(image_khw: FloatArray, share_hw: FloatArray, sigma_px: float) -> tuple[FloatArray, BoolArray]:
    """Blur valid pixels, each by as much as it is valid; return the bands and where nothing invalid had a say."""
    weight_hw = cv2.GaussianBlur(share_hw, (0, 0), sigma_px, borderType=cv2.BORDER_CONSTANT)
    safe_hw = np.maximum(weight_hw, 1e-6)
    whole = bool(share_hw.min(initial=1.0) == 1.0)
    out_khw = np.empty_like(image_khw)
    for band_hw, out_hw in zip(image_khw, out_khw, strict=True):
        part_hw = band_hw if whole else band_hw * share_hw
        np.divide(cv2.GaussianBlur(part_hw, (0, 0), sigma_px, borderType=cv2.BORDER_CONSTANT), safe_hw, out=out_hw)
    return out_khw, weight_hw > CLEAN


def fill_gaps(image_khw: FloatArray, valid_hw: BoolArray) -> BoolArray:
    """Put a band's mean where it is not valid, in place; return what lies too far from that for a spline to feel it."""
    if valid_hw.all() or not valid_hw.any():
        return valid_hw
    for band_hw in image_khw:
        band_hw[~valid_hw] = band_hw[valid_hw].mean()
    kernel = np.ones((2 * FEELS_PX + 1, 2 * FEELS_PX + 1), np.uint8)
    return np.asarray(cv2.erode(valid_hw.astype(np.uint8), kernel, borderValue=1)) > 0


def take_mean(image_khw: FloatArray, valid_hw: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Take the local mean of valid pixels away; invalid ones become 0."""
    size = (LOCAL_PX, LOCAL_PX)
    share_hw = valid_hw.astype(np.float32)
    weight_hw = cv2.boxFilter(share_hw, -1, size, borderType=cv2.BORDER_CONSTANT)
    safe_hw = np.maximum(weight_hw, 1e-6)
    out_khw = np.empty_like(image_khw)
    for band_hw, out_hw in zip(image_khw, out_khw, strict=True):
        part_hw = band_hw * share_hw
        mean_hw = cv2.boxFilter(part_hw, -1, size, borderType=cv2.BORDER_CONSTANT) / safe_hw
        np.subtract(part_hw, mean_hw * share_hw, out=out_hw)
    return out_khw, valid_hw & (weight_hw > 0.5)


def fit_shift(levels: Sequence[Level], start: tuple[float, float], steps: int) -> Fit:
    """Find the shift near `start` at which the finer bands explain the coarser ones best.

    Args:
        levels: Patches at one resolution.
        start: Rows and columns in pixels of the level.
        steps: At most so many Gauss-Newton steps.

    Source:
        Least squares matching: Lucas & Kanade (1981); with the bands' mixing solved for at every step, the criterion is
        the correlation that ECC maximises, with several bands on both sides.
    """
    shift = np.array(start, dtype=np.float64)
    fit = measure(levels, (shift[0], shift[1]))
    for _ in range(steps):
        total = fit.tiles_t5.sum(axis=0)
        move = solve(total)
        if move is None:
            break
        # A linear step reaches no further than the picture's blur.
        move *= min(1.0, 1.0 / max(np.abs(move).max(), 1e-9))
        tried = measure(levels, (shift[0] + move[0], shift[1] + move[1]))
        if tried.score < fit.score - 1e-3:
            move *= 0.5
            tried = measure(levels, (shift[0] + move[0], shift[1] + move[1]))
        fit, shift = tried, shift + move
        if np.abs(move).max() < CLOSE_PX:
            break
    return fit


def solve(sums_5: FloatArray) -> FloatArray | None:
    """Return rows and columns that normal equations ask for; None where they say nothing about some direction."""
    xx, xy, yy, x, y = sums_5
    determinant = xx * yy - xy * xy
    if not determinant > 1e-6 * (xx + yy) ** 2:
        return None
    # The prediction moves down by s where its gradient is negated: r = -s . g.
    return -np.array([xx * y - xy * x, yy * x - xy * y]) / determinant


def measure(levels: Sequence[Level], shift: tuple[float, float]) -> Fit:
    """Explain the coarser bands by the finer ones at a shift."""
    parts = [_predictors(level, shift) for level in levels]
    bands, own = len(levels[0].seen_bhw), len(levels[0].fine_khw)
    ff, fc, cc, n = np.zeros((own, own)), np.zeros((own, bands)), np.zeros(bands), 0
    for level, (fine_khw, use_hw) in zip(levels, parts, strict=True):
        f, c = fine_khw[:, use_hw], level.seen_bhw[:, use_hw]
        ff, fc, cc, n = ff + f @ f.T, fc + f @ c.T, cc + (c * c).sum(axis=1), n + f.shape[1]
    mix_kb = np.linalg.lstsq(ff + RIDGE * max(np.trace(ff) / own, 1e-12) * np.eye(own), fc, rcond=None)[0]
    explained = np.einsum("kb,kb->b", mix_kb, fc)
    share = np.clip(explained / np.maximum(cc, 1e-12), 0, 1)
    variance = np.maximum(cc - explained, 1e-6 * np.maximum(cc, 1e-12)) / max(n, 1)
    precision_b = (1 / np.maximum(variance, 1e-12)).astype(np.float32)
    sums = []
    for level, (fine_khw, use_hw) in zip(levels, parts, strict=True):
        predicted = np.einsum("kb,khw->bhw", mix_kb.astype(np.float32), fine_khw, optimize=True)
        rows, cols = (math.ceil(size / level.tile) for size in use_hw.shape)
        out_t5 = np.zeros((rows * cols, 5))
        step_sums(predicted, level.seen_bhw, use_hw, precision_b, level.tile, TAIL, out_t5)
        sums.append(out_t5)
    return Fit(shift, share, np.concatenate(sums))


def _predictors(level: Level, shift: tuple[float, float]) -> tuple[FloatArray, BoolArray]:
    stop_if_asked()
    fine_khw = np.empty((len(level.fine_khw), *level.use_hw.shape), np.float32)
    seen_hw = np.empty(level.use_hw.shape, np.bool_)
    there = level.to_fine @ Affine.translation(-shift[1], -shift[0])
    sample_cubic(level.fine_khw, level.fine_valid_hw, np.array(tuple(there)[:6]), fine_khw, seen_hw)
    fine_khw, seen_hw = take_mean(fine_khw, seen_hw)
    return fine_khw, seen_hw & level.use_hw
