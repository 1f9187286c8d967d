"""Compiled loop of the sub-pixel contour: marching squares over pixel centres, row by row.

Values sit at pixel centres. Around the scene lies a frame of two more samples: one on the border that repeats the edge
value, and one at the same place that is outside. A contour that leaves the scene thus runs straight to the border and
closes along it, exactly.

Every vertex lies between two neighbouring samples, one inside and one outside, and never on either. Segments lie in one
cell each and those of one cell do not meet, so rings never touch: any position between the two samples gives valid
polygons. This freedom is used to place vertices well (see `_crossing`) and later to smooth and thin them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landscribe.core.arrays import AnyArray, Floats, Int32s, Singles
from landscribe.core.polygons.components import join_labels
from landscribe.core.polygons.loops import ONE, copy_first, first_byte
from landscribe.core.polygons.simplify import CLEARANCE
from landscribe.core.trace._chains import Chains, Parts, room_for_chains, room_for_parts
from landscribe.core.trace._rows import FROM, TO, Row, add_pixels, fill_row, keep_row
from landscribe.late import compiled

SEPARATE, JOIN, MEAN = 0, 1, 2
"""Two inside samples that meet at a corner: two parts, one part, or as the mean of the four samples says."""


@compiled
def _crossing(
    before: float, inner: float, outer: float, beyond: float, level: float, sharp: bool
) -> tuple[float, bool]:
    """Place a vertex between an inside and an outside sample.

    Linear interpolation fits a field that changes over several pixels. A covered share changes within one: there an
    edge lies where the two shares add up to (inner + outer - 1/2), exactly, for every edge nearer than 45 degrees to
    the normal. A share grows by one over one pixel, so another threshold moves the line by as much as it differs from
    1/2. How sharp the field is there decides between the two.

    Args:
        before: The sample before `inner` on the line, NaN where there is none.
        inner: Value at or above `level`, 0..1.
        outer: Value below `level`, NaN where the pixel is invalid.
        beyond: The sample after `outer`, NaN where there is none.
        level: The threshold; above 1 the vertex lies beside `inner`.
        sharp: Whether shares may be told from smooth fields.

    Returns:
        Share of the way from `inner` to `outer`, and whether the field is as sharp as a share there.
    """
    if np.isnan(outer):
        return 0.5, False  # the border of an invalid pixel
    if level > 1.0:
        return CLEARANCE, False
    weight = 0.0
    part = (inner - level) / (inner - outer)
    if sharp:
        high = inner if np.isnan(before) else max(before, inner)
        low = outer if np.isnan(beyond) else min(beyond, outer)
        weight = min(max((high - low - 0.85) / 0.1, 0.0), 1.0)
        part += weight * (inner + outer - level - part)
    return min(max(part, CLEARANCE), 1.0 - CLEARANCE), weight > 0.0


@compiled
def _cell(
    after: Int32s,
    block: Singles,
    corners: int,
    joined: bool,
    total: float,
    left: int,
    top: int,
    right: int,
    bottom: int,
) -> None:
    """Link the vertices on the sides of one cell; `total` is the sum of its four samples."""
    if corners == 5:  # top left and bottom right
        after[left], after[right] = (bottom, top) if joined else (top, bottom)
    elif corners == 10:  # top right and bottom left
        after[top], after[bottom] = (left, right) if joined else (right, left)
    else:
        sides = (left, top, right, bottom)
        start = sides[FROM[corners]]
        after[start] = sides[TO[corners]]
        block[start] = total if block[start] >= 0.0 else -1.0 - total


class Field(NamedTuple):
    """The field in some rows, and where its samples lie."""

    values: AnyArray
    """uint8 or float32 (R, W); times `scale` it is in 0..1, NaN where invalid."""
    scale: float
    first: int
    """Row of the scene at row 0 of `values`."""
    at_y: Floats
    """Row coordinate of every sample row of the scene, float64 (H + 4,)."""
    at_x: Floats
    """Column coordinate of every sample column, float64 (W + 4,)."""


@compiled
def _sample(values: AnyArray, scale: float, first: int, height: int, width: int, i: int, j: int) -> float:
    """Value of a sample: the frame repeats the edge, and what is farther out is NaN."""
    if i <= 0 or j <= 0 or i >= height + 3 or j >= width + 3:
        return np.nan
    row, col = min(max(i - 2, 0), height - 1), min(max(j - 2, 0), width - 1)
    return np.float64(values[row - first, col]) * scale


@compiled
def contour_rows(
    chains: Chains,
    n: int,
    parts: Parts,
    n_parts: int,
    field: Field,
    begin: int,
    end: int,
    threshold: np.uint8 | np.float32,
    level: float,
    sharp: bool,
    saddle: int,
    above: Row,
    now: Row,
    ids: Int32s,
) -> tuple[Chains, int, Parts, int]:
    """Trace sample rows `begin` to `end`; sample row i is row i - 2 of the scene.

    Args:
        chains: Vertices so far.
        n: Their number.
        parts: Parts so far.
        n_parts: Labels in use.
        field: The field; rows from begin - 4 to end - 1 of the scene, where they exist, must be there.
        begin: First sample row to trace.
        end: Sample row to stop before.
        threshold: Smallest inside value in the type of `field.values`.
        level: The threshold in 0..1; above 1 contours run beside inside samples, and the frame of samples is outside.
        sharp: See `_crossing`.
        saddle: SEPARATE, JOIN or MEAN.
        above: The row before `begin`; holds the last row afterwards.
        now: Room for another row.
        ids: Vertex right of each sample of the row before `begin`, int32 (W + 4,); holds the last row's afterwards.

    Returns:
        Vertices, their number, parts, labels in use.
    """
    height, width = len(field.at_y), len(field.at_x)
    ids_now, ids_down = np.full(width, -1, np.int32), np.full(width, -1, np.int32)
    active = np.zeros(len(now.marks), np.uint8)
    words = active.view(np.uint64)
    outside = 2 if level > 1.0 else 1
    for i in range(begin, end):
        chains = room_for_chains(chains, n, 2 * width)
        parts = room_for_parts(parts, n_parts, width // 2 + 1)
        if i < outside or i >= height - outside:
            now.inside[:] = 0
        else:
            row = field.values[min(max(i - 2, 0), height - 5) - field.first]
            for c in range(width - 4):
                now.inside[c + 2] = row[c] >= threshold
            if outside == 1:
                now.inside[1], now.inside[width - 2] = now.inside[2], now.inside[width - 3]
        n_parts = fill_row(now, width, above, parts, n_parts)
        if 2 <= i < height - 2:
            add_pixels(now, parts, field.values[i - 2 - field.first], field.scale, 2, (i - 2) * (width - 4))
        for j in range(width):
            active[j] = above.marks[j] | now.marks[j] | (above.inside[j] ^ now.inside[j])
        n = _cells(chains, n, parts, field, i, level, sharp, saddle, words, above, now, ids, ids_now, ids_down)
        above, now = now, above
        copy_first(ids, ids_now, width)
    if (end - begin) % 2:
        keep_row(now, above)
    return chains, n, parts, n_parts


@compiled
def _cells(
    chains: Chains,
    n: int,
    parts: Parts,
    field: Field,
    i: int,
    level: float,
    sharp: bool,
    saddle: int,
    words: NDArray[np.uint64],
    above: Row,
    now: Row,
    ids: Int32s,
    ids_now: Int32s,
    ids_down: Int32s,
) -> int:
    """Make the vertices on and above one sample row and link them across its cells; returns their new number."""
    xy, after, twin, part, block = chains  # each access through a tuple would count a reference
    values, scale, first, at_y, at_x = field
    inside_above, inside_now, label_above, label_now = above.inside, now.inside, above.labels, now.labels
    height, width = len(at_y) - 4, len(at_x) - 4
    marks = now.marks
    for w in range(len(words)):
        word = words[w]
        while word != 0:
            j = 8 * w + first_byte(word)
            word &= word - ONE
            for down in range(2):  # a vertex left of the sample, a vertex above it
                if (down and inside_above[j] == inside_now[j]) or (not down and not marks[j]):
                    continue
                # From the inside sample (r, c) to the outside one (r + dr, c + dc).
                r, c, dr, dc = i, j, -down, down - 1
                label = label_now[j]
                if not inside_now[j]:
                    r, c, dr, dc = i + dr, j + dc, -dr, -dc
                    label = label_above[j] if down else label_now[j - 1]
                inner = _sample(values, scale, first, height, width, r, c)
                outer = _sample(values, scale, first, height, width, r + dr, c + dc)
                before = _sample(values, scale, first, height, width, r - dr, c - dc) if sharp else inner
                beyond = _sample(values, scale, first, height, width, r + 2 * dr, c + 2 * dc) if sharp else outer
                share, is_sharp = _crossing(before, inner, outer, beyond, level, sharp)
                xy[n, 0] = at_x[c] + share * (at_x[c + dc] - at_x[c])
                xy[n, 1] = at_y[r] + share * (at_y[r + dr] - at_y[r])
                after[n] = twin[n] = -1
                block[n] = 0.0 if is_sharp else -1.0
                part[n] = label
                if down:
                    ids_down[j] = n
                else:
                    ids_now[j - 1] = n
                n += 1
            corners = inside_above[j - 1] + 2 * inside_above[j] + 4 * inside_now[j] + 8 * inside_now[j - 1]
            total = np.nan
            if 3 <= i < height + 2 and 3 <= j < width + 2:
                y, x = i - 2 - first, j - 2
                total = np.float64(values[y - 1, x - 1]) + values[y - 1, x]
                total = (total + values[y, x - 1] + values[y, x]) * scale
            joined = saddle == JOIN or (saddle == MEAN and total >= 4.0 * level)
            if joined and corners == 5:
                join_labels(parts.root, label_above[j - 1], label_now[j])
            elif joined and corners == 10:
                join_labels(parts.root, label_above[j], label_now[j - 1])
            _cell(after, block, corners, joined, total, ids_down[j - 1], ids[j - 1], ids_down[j], ids_now[j - 1])
    return n
