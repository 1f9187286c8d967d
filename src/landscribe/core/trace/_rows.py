"""Rows: one row of a raster as runs of inside pixels, labelled and summed up.

Most of a row is the same as its neighbours. What is not is found eight pixels at a time, and everything else is done
per run, so a pixel far from any border costs a comparison and an addition.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landscribe.core.arrays import AnyArray, ByteArray, Int32s
from landscribe.core.polygons.components import join_labels
from landscribe.core.polygons.loops import ONE, copy_first, first_byte
from landscribe.core.trace._chains import Parts
from landscribe.late import compiled

FROM_COLUMN, TO_COLUMN, LABEL = 0, 1, 2


LEFT, TOP, RIGHT, BOTTOM = 0, 1, 2, 3

# From which side of a cell to which, for each set of inside corners (1 top left, 2 top right, 4 bottom right,
# 8 bottom left), with the inside on the left of the way; sets 5 and 10 have two ways and are treated apart.
FROM = np.array([-1, 0, 1, 0, 2, -1, 1, 0, 3, 3, -1, 3, 2, 2, 1, -1])
TO = np.array([-1, 1, 2, 2, 3, -1, 3, 3, 0, 1, -1, 2, 0, 1, 0, -1])


class Row(NamedTuple):
    """One row of samples; buffers are as long as the row, rounded up to eight, with zeros at the end."""

    inside: ByteArray
    """1 where the sample is inside; the last sample is outside."""
    marks: ByteArray
    """1 where a sample differs from the one before it."""
    labels: Int32s
    """Part of each sample, -1 outside."""
    runs: Int32s
    """First column, last column + 1 and part of each run of inside samples, int32 (R, 3)."""
    n_runs: NDArray[np.int64]
    """Number of runs, int64 (1,)."""


def empty_row(n: int) -> Row:
    """Return a row of `n` samples outside."""
    size = (n + 7) // 8 * 8
    return Row(
        np.zeros(size, np.uint8),
        np.zeros(size, np.uint8),
        np.full(size, -1, np.int32),
        np.empty((n // 2 + 1, 3), np.int32),
        np.zeros(1, np.int64),
    )


@compiled
def fill_row(now: Row, n: int, above: Row, parts: Parts, n_parts: int) -> int:
    """Find the runs of a row, whose `inside` is set, and label them by the runs above them.

    Args:
        now: Changed in place.
        n: Samples of the row.
        above: The row before it.
        parts: Parts, with room for one more label per two samples.
        n_parts: Labels in use.

    Returns:
        Labels in use now.
    """
    marks, inside, runs = now.marks, now.inside, now.runs
    marks[0] = inside[0]
    for j in range(1, n):
        marks[j] = inside[j] ^ inside[j - 1]
    words = marks.view(np.uint64)
    n_runs = 0
    within = 0  # columns of `runs` in turn: FROM_COLUMN, TO_COLUMN
    for w in range(len(words)):
        word = words[w]
        while word != 0:
            runs[n_runs, within] = 8 * w + first_byte(word)
            n_runs += within
            within = 1 - within
            word &= word - ONE
    now.n_runs[0] = n_runs
    labels, above_runs, n_above = now.labels, above.runs, above.n_runs[0]
    root, pixels, total, low, first = parts
    labels[:] = -1
    k = 0
    for i in range(n_runs):
        begin, end = runs[i, FROM_COLUMN], runs[i, TO_COLUMN]
        while k < n_above and above_runs[k, TO_COLUMN] <= begin:
            k += 1
        label = -1
        over = k
        while over < n_above and above_runs[over, FROM_COLUMN] < end:
            label = above_runs[over, LABEL] if label < 0 else join_labels(root, label, above_runs[over, LABEL])
            over += 1
        if label < 0:
            label = n_parts
            root[label], pixels[label], total[label], low[label] = label, 0, 0.0, np.inf
            first[label] = np.iinfo(np.int64).max
            n_parts += 1
        runs[i, LABEL] = label
        for j in range(begin, end):
            labels[j] = label
    return n_parts


@compiled
def add_pixels(now: Row, parts: Parts, values: AnyArray, scale: float, frame: int, first: int) -> None:
    """Add the pixels of a row to their parts.

    Args:
        now: Labelled row.
        parts: Changed in place.
        values: The field in the row, (W,), times `scale` in 0..1.
        scale: 1/255 for uint8, else 1.
        frame: Samples of the row before its first pixel.
        first: Flat index of the row's first pixel.
    """
    _, pixels, totals, lows, firsts = parts
    runs = now.runs
    width = len(values)
    for i in range(now.n_runs[0]):
        begin, end = max(runs[i, FROM_COLUMN] - frame, 0), min(runs[i, TO_COLUMN] - frame, width)
        if begin >= end:
            continue
        label = runs[i, LABEL]
        total = np.float64(0.0)  # in Python float32 would stay so
        low = values[begin]
        for c in range(begin, end):
            total += values[c]
            low = min(low, values[c])
        pixels[label] += end - begin
        totals[label] += total * scale
        lows[label] = min(lows[label], low * scale)
        firsts[label] = min(firsts[label], first + begin)


@compiled
def keep_row(kept: Row, row: Row) -> None:
    """Copy a row."""
    n = len(row.inside)
    copy_first(kept.inside, row.inside, n)
    copy_first(kept.marks, row.marks, n)
    copy_first(kept.labels, row.labels, n)
    kept.n_runs[0] = row.n_runs[0]
    for k in range(row.n_runs[0]):
        for field in (FROM_COLUMN, TO_COLUMN, LABEL):
            kept.runs[k, field] = row.runs[k, field]
