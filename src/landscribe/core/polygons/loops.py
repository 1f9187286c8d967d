"""Plain loops for what NumPy has one call for: numba compiles these in a tenth of the time of its own versions."""

from __future__ import annotations

import numpy as np

from landscribe.core.arrays import AnyArray
from landscribe.late import compiled


@compiled
def copy_first(target: AnyArray, source: AnyArray, n: int) -> None:
    """Copy the first `n` items of a vector."""
    for i in range(n):
        target[i] = source[i]


BYTES = np.uint64(0x0101010101010101)
"""A one in each byte of a word."""
ONE, TOP_BYTE = np.uint64(1), np.uint64(56)


@compiled
def first_byte(word: np.uint64) -> int:
    """Return which byte of a word, seen in memory order, is the first that is not 0; all bytes are 0 or 1.

    `word & (word - 1)` is the word without that byte, so flags are visited without a branch for each that is not set.
    """
    lowest = word & (~word + ONE)
    return int((((lowest - ONE) & BYTES) * BYTES) >> TOP_BYTE)


@compiled
def doubled(vector: AnyArray) -> AnyArray:
    """Return a vector of twice the length that begins with the given one."""
    out = np.empty(2 * len(vector), vector.dtype)
    copy_first(out, vector, len(vector))
    return out


@compiled
def doubled_rows(table: AnyArray) -> AnyArray:
    """Return a table of twice as many rows that begins with the given ones."""
    out = np.empty((2 * len(table), table.shape[1]), table.dtype)
    for i in range(len(table)):
        for j in range(table.shape[1]):
            out[i, j] = table[i, j]
    return out


@compiled
def sort_part(values: AnyArray, begin: int, end: int) -> None:
    """Sort `values[begin:end]` in place: by insertion, and in gaps first where there are many (Shell's sort)."""
    gap = 1
    while 9 * gap < end - begin:
        gap = 3 * gap + 1
    while gap:
        for i in range(begin + gap, end):
            moved = values[i]
            j = i
            while j >= begin + gap and values[j - gap] > moved:
                values[j] = values[j - gap]
                j -= gap
            values[j] = moved
        gap //= 3
