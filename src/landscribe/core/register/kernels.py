"""Compiled loops of alignment: block means, cubic sampling, and the sums of a Gauss-Newton step."""

from __future__ import annotations

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray
from landscribe.late import compiled

POLE = np.sqrt(3.0) - 2.0
REACH = 16
"""Beyond so many pixels the spline's memory is below float32's."""


@compiled(error_model="numpy")
def block_mean(
    image_chw: AnyArray, valid_hw: BoolArray, factor: int, skip: int, out_khw: FloatArray, seen_hw: FloatArray
) -> None:
    """Average the valid pixels of every `skip`-th row over squares of side `factor`.

    `seen_hw` becomes their share, and 0 stands where it is 0.
    """
    bands, rows, cols = out_khw.shape
    looked = np.float32(factor * ((factor + skip - 1) // skip))
    sums = np.empty(cols, np.float32)
    count = np.empty(cols, np.int32)
    for i in range(rows):
        count[:] = 0
        for y in range(i * factor, (i + 1) * factor, skip):
            for j in range(cols):
                for x in range(j * factor, (j + 1) * factor):
                    count[j] += valid_hw[y, x]
        whole = True
        for j in range(cols):
            seen_hw[i, j] = np.float32(count[j]) / looked
            whole = whole and seen_hw[i, j] == 1
        for k in range(bands):
            sums[:] = 0
            for y in range(i * factor, (i + 1) * factor, skip):
                if whole:
                    for j in range(cols):
                        for x in range(j * factor, (j + 1) * factor):
                            sums[j] += np.float32(image_chw[k, y, x])
                else:
                    for j in range(cols):
                        for x in range(j * factor, (j + 1) * factor):
                            if valid_hw[y, x]:
                                sums[j] += np.float32(image_chw[k, y, x])
            for j in range(cols):
                out_khw[k, i, j] = sums[j] / np.float32(max(count[j], 1))


@compiled(error_model="numpy")
def _filter_line(line: FloatArray, before: FloatArray) -> None:
    """Turn samples into cubic B-spline coefficients, mirrored at both ends."""
    n = len(line)
    if n < 2:
        return
    start, power = line[0], POLE
    for i in range(1, min(n, REACH)):
        start += power * line[i]
        power *= POLE
    before[0] = start
    for i in range(1, n):
        before[i] = line[i] + POLE * before[i - 1]
    line[n - 1] = POLE / (POLE * POLE - 1) * (before[n - 1] + POLE * before[n - 2])
    for i in range(n - 2, -1, -1):
        line[i] = POLE * (line[i + 1] - before[i])
    for i in range(n):
        line[i] *= 6


@compiled(error_model="numpy")
def spline_coefficients(image_khw: FloatArray) -> None:
    """Turn pictures into the coefficients of the cubic splines through their pixels, in place.

    Source: Unser (1999), doi:10.1109/79.799930. Other cubic kernels move fine detail by up to 0.02 pixels.
    """
    bands, height, width = image_khw.shape
    line, before = np.empty(height, np.float64), np.empty(max(height, width), np.float64)
    row = np.empty(width, np.float64)
    for k in range(bands):
        for i in range(height):
            for j in range(width):
                row[j] = image_khw[k, i, j]
            _filter_line(row, before)
            for j in range(width):
                image_khw[k, i, j] = row[j]
        for j in range(width):
            for i in range(height):
                line[i] = image_khw[k, i, j]
            _filter_line(line, before)
            for i in range(height):
                image_khw[k, i, j] = line[i]


@compiled(error_model="numpy")
def _weights(t: float) -> tuple[float, float, float, float]:
    """Cubic B-spline weights of the pixels at -1, 0, 1, 2 for a point at t, 0..1."""
    s = 1.0 - t
    return s * s * s / 6, (3 * t * t * t - 6 * t * t + 4) / 6, (3 * s * s * s - 6 * s * s + 4) / 6, t * t * t / 6


@compiled(error_model="numpy")
def sample_cubic(
    spline_khw: FloatArray, valid_hw: BoolArray, m: FloatArray, out_khw: FloatArray, seen_hw: BoolArray
) -> None:
    """Sample splines at the centres of the target's pixels; where not all 16 neighbours are valid, 0 and not seen.

    `m` is a, b, c, d, e, f of the map from target (col, row) to the image's, counted from corners.
    """
    bands, height, width = spline_khw.shape
    for i in range(out_khw.shape[1]):
        for j in range(out_khw.shape[2]):
            u = m[0] * (j + 0.5) + m[1] * (i + 0.5) + m[2] - 0.5
            v = m[3] * (j + 0.5) + m[4] * (i + 0.5) + m[5] - 0.5
            left, top = int(np.floor(u)) - 1, int(np.floor(v)) - 1
            ok = left >= 0 and top >= 0 and left + 3 < width and top + 3 < height
            if ok:
                for y in range(4):
                    for x in range(4):
                        ok = ok and valid_hw[top + y, left + x]
            seen_hw[i, j] = ok
            if not ok:
                for k in range(bands):
                    out_khw[k, i, j] = 0
                continue
            p, q = _weights(u - left - 1), _weights(v - top - 1)
            for k in range(bands):
                total = 0.0
                for y in range(4):
                    row = top + y
                    total += q[y] * (
                        p[0] * spline_khw[k, row, left]
                        + p[1] * spline_khw[k, row, left + 1]
                        + p[2] * spline_khw[k, row, left + 2]
                        + p[3] * spline_khw[k, row, left + 3]
                    )
                out_khw[k, i, j] = total


@compiled(error_model="numpy")
def step_sums(
    predicted_bhw: FloatArray,
    seen_bhw: FloatArray,
    use_hw: BoolArray,
    precision_b: FloatArray,
    tile: int,
    tail: float,
    out_t5: FloatArray,
) -> None:
    """Add up, per square of side `tile`, the normal equations of a shift of the prediction.

    `out_t5` has xx, xy, yy of the Hessian and x, y of the gradient. Pixels far off (what drives, clouds, waves) are
    weighted down after Cauchy: by 1 / (1 + d / tail), d being the mean square of their standardised residuals.
    """
    bands, height, width = predicted_bhw.shape
    across = (width + tile - 1) // tile
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            if not (use_hw[i, j] and use_hw[i - 1, j] and use_hw[i + 1, j] and use_hw[i, j - 1] and use_hw[i, j + 1]):
                continue
            xx = xy = yy = x = y = d = 0.0
            for b in range(bands):
                r = seen_bhw[b, i, j] - predicted_bhw[b, i, j]
                gx = 0.5 * (predicted_bhw[b, i, j + 1] - predicted_bhw[b, i, j - 1])
                gy = 0.5 * (predicted_bhw[b, i + 1, j] - predicted_bhw[b, i - 1, j])
                w = precision_b[b]
                d += w * r * r
                xx += w * gx * gx
                xy += w * gx * gy
                yy += w * gy * gy
                x += w * gx * r
                y += w * gy * r
            weight = 1.0 / (1.0 + d / (bands * tail))
            t = (i // tile) * across + j // tile
            out_t5[t, 0] += weight * xx
            out_t5[t, 1] += weight * xy
            out_t5[t, 2] += weight * yy
            out_t5[t, 3] += weight * x
            out_t5[t, 4] += weight * y
