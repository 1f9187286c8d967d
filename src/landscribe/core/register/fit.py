"""Alignment by prediction: which shift lets the finer sensor's bands explain the coarser one's best?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray, IntArray
from landscribe.core.grid import Grid, Window
from landscribe.core.register.bend import fit_affine
from landscribe.core.register.move import DISAGREE, FEATURELESS, NO_OVERLAP, TOO_SMALL, Move, Source
from landscribe.core.register.refine import (
    Fit,
    Level,
    Patch,
    Picture,
    fit_shift,
    make_level,
    measure,
    reduce_picture,
    solve,
)
from landscribe.core.register.search import CLEAR, search_shift

OVERVIEW_PX = 256
"""Longer side of the picture in which a first guess is sought."""
WHOLE_PX = 640
"""A coarser sensor of at most this side is compared whole, a larger one on patches."""
PATCH_PX, PATCHES = 192, 3
"""Side of a patch in pixels of the coarser sensor, and patches along each side of the scene."""
SPAN_PX = 16
"""Ground around a patch that a shift or a filter may reach."""
BANDS = 4
"""Bands of the coarser sensor that are compared: those that the finer one explains best."""
STRIP_PX = 1024
TILES = 4
"""Sub-windows along the shorter side of a scene that is compared whole."""
MAX_ERROR = 0.5
"""Largest standard error of a shift, in pixels of the coarser sensor."""
EXPLAINED = 0.5
"""A shift that explains so much of the coarser sensor's detail is no accident, however small the overview is."""
FLIPS = {"up to down": (-1, 1), "left to right": (1, -1), "in both directions": (-1, -1)}
FLIP_REACH_PX = 8.0
CLEARLY = 0.25
"""By so much of the detail must a flipped picture explain more."""
SURE = 2.0
"""A shift of fewer standard errors than this cannot be told from none."""


@dataclass(frozen=True)
class Pair:
    """Two sensors to compare."""

    coarse: Source
    fine: Source
    to_fine: Affine
    """Coarse (col, row) to fine (col, row), where both georeferences are right."""


def make_pair(moved: Source, aligned: Sequence[Source]) -> Pair:
    """Choose what a sensor is compared with: of those not coarser than itself the coarsest, else the reference.

    The coarsest shares the most with it: SWIR lies nearer to the near infrared of a multispectral sensor than to RGB.
    """
    reference = aligned[0]

    def size(source: Source) -> float:
        return math.sqrt(abs(source.grid.pixel_map(reference.grid).determinant))

    own = 1.001 * size(moved)
    finer = [source for source in aligned if size(source) <= own]
    guide = max(finer, key=size) if finer else reference
    coarse, fine = (moved, guide) if finer else (guide, moved)
    return Pair(coarse, fine, coarse.grid.pixel_map(fine.grid))


def estimate_fit(moved: Source, aligned: Sequence[Source], max_shift_px: float, *, affine: bool = False) -> Move:
    """Estimate a translation by prediction.

    Each band of the coarser of two sensors is predicted as a mixture of the finer one's bands, blurred to its pixels;
    the shift is where the prediction explains most. A first guess comes from correlating overviews at every shift, then
    Gauss-Newton steps refine it at growing resolution, on the whole of a small scene or on nine patches of a large one.
    What moved, clouds and nodata have little or no say.

    Args:
        moved: The sensor to align.
        aligned: The reference first, then sensors whose grids are corrected already.
        max_shift_px: Longest shift to look for, in pixels of the reference.
        affine: Let the shift vary linearly over the scene where that explains more.

    Returns:
        The estimate; its decision says why there is none. Score and spread stand also in a failed one.
    """
    pair = make_pair(moved, aligned)
    to_reference = pair.coarse.grid.pixel_map(aligned[0].grid)
    pixel = math.sqrt(abs(to_reference.determinant))
    overview, factor = make_overview(pair)
    guess = search_shift(overview, max_shift_px / pixel / factor)
    if guess is None:
        return Move(decision=NO_OVERLAP)
    first = fit_shift([overview], guess.shift, 6)
    bands = np.sort(np.argsort(first.share_b)[-BANDS:])
    levels, fit = refine(pair, overview, factor, first, bands)
    before = measure(levels, (0.0, 0.0))
    error, spread = quality(fit)
    rows, cols = fit.shift if pair.coarse is not moved else (-fit.shift[0], -fit.shift[1])
    move = Move(
        float(to_reference.d * cols + to_reference.e * rows),
        float(to_reference.a * cols + to_reference.b * rows),
        score=fit.score,
        spread=None if spread is None else float(spread * pixel),
        before=before.score,
    )
    if guess.height < CLEAR and fit.score**2 < EXPLAINED:
        return replace(move, decision=FEATURELESS)
    if not error < MAX_ERROR:
        return replace(move, decision=DISAGREE)
    bent = fit_affine(levels, fit, pair.coarse.grid.shape_hw) if affine else None
    if bent is not None and _reach(bent[0], pair.coarse.grid) * pixel <= max_shift_px:
        there = bent[0] if pair.coarse is moved else ~bent[0]
        return _as_move(to_reference @ there @ ~to_reference, aligned[0].grid, replace(move, score=bent[1].score))
    if math.hypot(*fit.shift) < SURE * error:
        return replace(move, decision=TOO_SMALL)
    return move


def _reach(there: Affine, grid: Grid) -> float:
    """Return how far the corner that moves most moves, in pixels."""
    corners = [(col, row) for col in (0.0, float(grid.width)) for row in (0.0, float(grid.height))]
    return max(math.dist(there @ corner, corner) for corner in corners)


def _as_move(there: Affine, reference: Grid, move: Move) -> Move:
    """Write a map of reference pixels as the shift of the middle and what is linear about it."""
    col, row = reference.width / 2, reference.height / 2
    to_col, to_row = there @ (col, row)
    return replace(move, row_px=to_row - row, col_px=to_col - col, linear=(there.a, there.b, there.d, there.e))


def similarity(moved: Source, aligned: Sequence[Source]) -> float | None:
    """Return how alike a sensor and its guide are as their grids lie, 0..1; None without common ground."""
    pair = make_pair(moved, aligned)
    overview, factor = make_overview(pair)
    if not overview.use_hw.any():
        return None
    levels = [make_level(patch, 1, TILES) for patch in patches(pair, overview, factor, (0.0, 0.0))]
    return measure(levels, (0.0, 0.0)).score


def looks_flipped(moved: Source, aligned: Sequence[Source]) -> str | None:
    """Tell whether a sensor's pixels go with the reference's only when turned upside down or mirrored.

    Returns:
        ``up to down``, ``left to right``, ``in both directions``, or None where they are as they should be or nothing
        can be told.
    """
    straight = _explained(moved, aligned)
    if straight > CLEARLY:
        return None
    shares = {how: _explained(_flipped(moved, *step), aligned) for how, step in FLIPS.items()}
    best = max(shares, key=lambda how: shares[how])
    return best if shares[best] > straight + CLEARLY else None


def _explained(moved: Source, aligned: Sequence[Source]) -> float:
    overview, _ = make_overview(make_pair(moved, aligned))
    guess = search_shift(overview, FLIP_REACH_PX)
    return 0.0 if guess is None else fit_shift([overview], guess.shift, 2).score ** 2


def _flipped(source: Source, rows: int, cols: int) -> Source:
    height, width = source.grid.shape_hw

    def read(window: Window) -> tuple[AnyArray, BoolArray]:
        row = window.row if rows > 0 else height - window.row_stop
        col = window.col if cols > 0 else width - window.col_stop
        image_chw, valid_hw = source.read(Window(row, col, window.height, window.width))
        return image_chw[:, ::rows, ::cols], valid_hw[::rows, ::cols]

    return replace(source, read=read)


def refine(pair: Pair, overview: Level, factor: int, first: Fit, bands: IntArray) -> tuple[list[Level], Fit]:
    """Follow a fit of the overview down to the coarser sensor's own pixels."""
    at = first.shift[0] * factor, first.shift[1] * factor
    parts = [
        replace(patch, coarse=replace(patch.coarse, image_khw=patch.coarse.image_khw[bands]))
        for patch in patches(pair, overview, factor, at)
    ]
    step = factor
    while True:
        step = max(1, step // 4)
        levels = [make_level(part, step, TILES if len(parts) == 1 else 1) for part in parts]
        fit = fit_shift(levels, (at[0] / step, at[1] / step), 6 if step > 1 else 12)
        at = fit.shift[0] * step, fit.shift[1] * step
        if step == 1:
            return levels, fit


def quality(fit: Fit) -> tuple[float, float | None]:
    """Return the standard error of a shift and how far its sub-windows want to go elsewhere, in pixels of the level.

    The error is the one for clustered observations, a sub-window being a cluster. The spread weighs each sub-window by
    what it has to say; it is None where there is one only.
    """
    total = fit.tiles_t5.sum(axis=0)
    hessian = np.array([[total[0], total[1]], [total[1], total[2]]])
    strength = fit.tiles_t5[:, 0] + fit.tiles_t5[:, 2]
    moves = [(solve(sums), weight) for sums, weight in zip(fit.tiles_t5, strength, strict=True)]
    known = [(math.hypot(*move), weight) for move, weight in moves if move is not None]
    if len(known) < 2 or not np.linalg.det(hessian) > 1e-6 * np.trace(hessian) ** 2:
        return math.inf, None
    pull = fit.tiles_t5[:, 3:]
    inverse = np.linalg.inv(hessian)
    n = len(known)
    covariance = inverse @ (pull.T @ pull) @ inverse * n / (n - 1)
    spread = sum(far * weight for far, weight in known) / sum(weight for _, weight in known)
    return math.sqrt(max(float(np.trace(covariance)), 0.0)), spread


def make_overview(pair: Pair) -> tuple[Level, int]:
    """Look at both sensors whole, at the pixel size of at most `OVERVIEW_PX` along the coarser one's longer side.

    Returns:
        The level, and how many coarse pixels the side of one of its pixels has.
    """
    factor = max(1, math.ceil(max(pair.coarse.grid.shape_hw) / OVERVIEW_PX))
    ratio = factor * math.sqrt(abs(pair.to_fine.determinant))
    step = max(1, int(ratio / 2))
    coarse, fine = _read_reduced(pair.coarse, factor), _read_reduced(pair.fine, step)
    to_fine = Affine.scale(1 / step) @ pair.to_fine @ Affine.scale(factor)
    return make_level(Patch(coarse, fine, to_fine), 1, TILES), factor


def _read_reduced(source: Source, factor: int) -> Picture:
    height, width = source.grid.shape_hw
    images, shares = [], []
    rows = max(1, STRIP_PX // factor) * factor
    for row in range(0, max(height // factor, 1) * factor, rows):
        strip = Picture(*source.read(Window(row, 0, min(rows, height - row), width)))
        if strip.valid_hw.shape[0] >= factor:
            image_khw, share_hw = reduce_picture(strip, factor, max(1, factor // 4))
            images.append(image_khw)
            shares.append(share_hw)
    return Picture(np.concatenate(images, axis=1), np.concatenate(shares) > 0.5)


def patches(pair: Pair, overview: Level, factor: int, at: tuple[float, float]) -> Iterator[Patch]:
    """Read the ground to compare: all of a small scene, else the liveliest patch of each ninth.

    Args:
        pair: The sensors.
        overview: Where there is something to see.
        factor: Coarse pixels along the side of an overview pixel.
        at: Shift in coarse pixels that is known already.
    """
    for window in _windows(pair.coarse.grid.shape_hw, overview, factor):
        corners = [
            pair.to_fine @ (col - at[1], row - at[0])
            for row in (window.row - SPAN_PX, window.row_stop + SPAN_PX)
            for col in (window.col - SPAN_PX, window.col_stop + SPAN_PX)
        ]
        (left, right), (top, bottom) = ((min(axis), max(axis)) for axis in zip(*corners, strict=True))
        there = Window(
            math.floor(top), math.floor(left), math.ceil(bottom) - math.floor(top), math.ceil(right) - math.floor(left)
        ).intersection(pair.fine.grid.window)
        if there is None:
            continue
        to_fine = Affine.translation(-there.col, -there.row) @ pair.to_fine @ Affine.translation(window.col, window.row)
        yield Patch(
            Picture(*pair.coarse.read(window)), Picture(*pair.fine.read(there)), to_fine, (window.row, window.col)
        )


def _windows(shape_hw: tuple[int, int], overview: Level, factor: int) -> list[Window]:
    height, width = shape_hw
    if max(shape_hw) <= WHOLE_PX:
        return [Window(0, 0, height, width)]
    lively = (overview.seen_bhw**2).mean(axis=0) * overview.use_hw
    side = max(1, PATCH_PX // factor)
    sums = _window_sums(lively, side)
    found = []
    for rows in np.array_split(np.arange(sums.shape[0]), PATCHES):
        for cols in np.array_split(np.arange(sums.shape[1]), PATCHES):
            cell = sums[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
            i, j = np.unravel_index(int(cell.argmax()), cell.shape)
            if cell[i, j] > 0:
                row, col = int(rows[0] + i) * factor, int(cols[0] + j) * factor
                found.append(Window(row, col, min(PATCH_PX, height - row), min(PATCH_PX, width - col)))
    return found


def _window_sums(field: FloatArray, side: int) -> FloatArray:
    total = np.pad(field.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
