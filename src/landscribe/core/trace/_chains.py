"""Chains of boundary vertices and the connected parts they belong to, while a raster is read row by row.

Both tracers visit rows from top to bottom and make each boundary vertex once, in scan order. A vertex knows its
successor (the inside lies left of the way, as seen on the screen) and the part of the raster it bounds. Parts are
labelled on the way by union-find, so the rings of one polygon share a label and no search for holes is needed. Once
a part has no pixel in the current row its rings are closed, and it can be handed out and forgotten: memory depends on
what is open, not on the scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from landscribe.core.arrays import Floats, Int32s, Ints, Singles
from landscribe.core.polygons.components import find_root
from landscribe.core.polygons.loops import copy_first, doubled
from landscribe.late import compiled


class Chains(NamedTuple):
    """Boundary vertices, with room to grow."""

    xy: Floats
    """Position in pixels, float64 (N, 2)."""
    after: Int32s
    """Index of the next vertex of the ring."""
    twin: Int32s
    """Index of the other vertex at the same place (where two pixels meet at a corner), else -1."""
    part: Int32s
    """Label of the part that the vertex bounds."""
    block: Singles
    """In contours the sum s of the field over the four pixels around the way to the next vertex, as -1 - s where the
    field is smooth at the vertex, NaN where a pixel is missing; in pixel-edge rings 1 where two pixels of the inside
    meet at the corner, else 0."""


class Parts(NamedTuple):
    """Connected parts, by label, with room to grow. Labels of one part are added up when the part has ended."""

    root: Int32s
    """Union-find: a smaller label of the same part, or the label itself."""
    pixels: Ints
    total: Floats
    """Sum of the field over the pixels."""
    low: Floats
    """Smallest value of the field among the pixels."""
    first: Ints
    """Flat index of the first pixel in scan order."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Rings of parts of the raster that have ended."""

    xy: Floats
    """Vertices of closed rings, float64 (N, 2)."""
    block: Singles
    """See `Chains.block`, float32 (N,)."""
    ring_start: Ints
    """First vertex of each ring and N."""
    part: Ints
    """Part that each ring belongs to: a row of `stats`."""
    stats: Floats
    """Pixels, sum and minimum of the field of each part, float64 (P, 3)."""
    first: Ints
    """Flat index of each part's first pixel in scan order, int64 (P,)."""


def no_chains() -> Chains:
    """Return chains without vertices."""
    none = np.empty(0, np.int32)
    return Chains(np.empty((0, 2)), none, none, none, np.empty(0, np.float32))


def no_parts() -> Parts:
    """Return parts without any."""
    return Parts(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, np.int64))


@compiled
def room_for_chains(chains: Chains, used: int, more: int) -> Chains:
    """Return chains that hold `more` vertices beyond the `used` ones."""
    if used + more <= len(chains.after):
        return chains
    size = max(2 * len(chains.after), used + more)
    xy = np.empty((size, 2), np.float64)
    after, twin, part = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    old_xy = chains.xy
    for v in range(used):
        xy[v, 0], xy[v, 1] = old_xy[v, 0], old_xy[v, 1]
    copy_first(after, chains.after, used)
    copy_first(twin, chains.twin, used)
    copy_first(part, chains.part, used)
    block = np.empty(size, np.float32)
    copy_first(block, chains.block, used)
    return Chains(xy, after, twin, part, block)


@compiled
def room_for_parts(parts: Parts, used: int, more: int) -> Parts:
    """Return parts that hold `more` labels beyond the `used` ones."""
    if used + more <= len(parts.root):
        return parts
    size = max(2 * len(parts.root), used + more)
    root = np.empty(size, np.int32)
    pixels, first = np.empty(size, np.int64), np.empty(size, np.int64)
    total, low = np.empty(size, np.float64), np.empty(size, np.float64)
    copy_first(root, parts.root, used)
    copy_first(pixels, parts.pixels, used)
    copy_first(total, parts.total, used)
    copy_first(low, parts.low, used)
    copy_first(first, parts.first, used)
    return Parts(root, pixels, total, low, first)


@compiled
def take_closed(
    chains: Chains, n: int, parts: Parts, n_parts: int, open_labels: Int32s
) -> tuple[Floats, Singles, Ints, Ints, Floats, Ints, Int32s, Int32s]:
    """Follow the rings of every part that has ended, and close the ranks of the vertices that remain.

    Args:
        chains: Vertices; those that remain are moved to the front, in place.
        n: Vertices in use.
        parts: Parts; those that remain are moved to the front, in place.
        n_parts: Labels in use.
        open_labels: Labels in the current row, -1 outside.

    Returns:
        Closed rings (xy float64 (N, 2), block float32 (N,), start int64 (R + 1,)), the part of each ring (a row of the
        next), pixels, sum and minimum of each closed part, float64 (P, 3), its first pixel int64 (P,), and for each old
        vertex and each old label the new number or -1.
    """
    root, pixels, total, low, first = parts
    _, _, _, part, _ = chains
    is_open = np.zeros(n_parts, np.bool_)
    for j in range(len(open_labels)):
        if open_labels[j] >= 0:
            is_open[find_root(root, open_labels[j])] = True
    label_map = np.full(n_parts, -1, np.int32)
    closed = np.full(n_parts, -1, np.int32)
    n_closed = n_open = 0
    for label in range(n_parts):
        top = find_root(root, label)
        if top != label:
            pixels[top] += pixels[label]
            total[top] += total[label]
            low[top] = min(low[top], low[label])
            first[top] = min(first[top], first[label])
            label_map[label], closed[label] = label_map[top], closed[top]  # a root comes before its labels
        elif is_open[label]:
            label_map[label] = n_open
            n_open += 1
        else:
            closed[label] = n_closed
            n_closed += 1
    stats = np.empty((n_closed, 3), np.float64)
    firsts = np.empty(n_closed, np.int64)
    for label in range(n_parts):
        if root[label] != label:
            continue
        if is_open[label]:
            to = label_map[label]
            pixels[to], total[to], low[to], first[to] = pixels[label], total[label], low[label], first[label]
        else:
            k = closed[label]
            stats[k, 0], stats[k, 1], stats[k, 2] = pixels[label], total[label], low[label]
            firsts[k] = first[label]
    for label in range(n_open):
        root[label] = label
    for v in range(n):
        part[v] = label_map[part[v]] if label_map[part[v]] >= 0 else -1 - closed[part[v]]
    xy, block, starts, ring_part = _follow(chains, n)
    return xy, block, starts, ring_part, stats, firsts, _close_ranks(chains, n), label_map


@compiled
def _follow(chains: Chains, n: int) -> tuple[Floats, Singles, Ints, Ints]:
    """Follow the rings of closed parts, which have negative labels.

    A ring that comes back to a corner it has passed (two of its pixels meet there) is cut into two at that corner, so
    no ring touches itself.
    """
    chain_xy, after, twins, part, chain_block = chains
    at = np.full(n, -1, np.int32)  # where on the way a vertex lies; -2 when it has been handed out
    way = np.empty(64, np.int32)
    xy, block = np.empty((n + n // 4 + 8, 2), np.float64), np.empty(n + n // 4 + 8, np.float32)
    starts, ring_part = np.zeros(n // 4 + 2, np.int64), np.empty(n // 4 + 1, np.int64)
    n_xy = n_rings = 0
    for begin in range(n):
        if part[begin] >= 0 or at[begin] == -2:
            continue
        depth = 0
        v = begin
        while depth == 0 or v != begin:
            if depth == len(way):
                way = doubled(way)
            way[depth], at[v] = v, depth
            depth += 1
            v = after[v]
            while v != begin and twins[v] >= 0 and at[twins[v]] >= 0:
                low = at[twins[v]]
                n_xy = _hand_out(chain_xy, chain_block, at, way, low, depth, xy, block, n_xy)
                ring_part[n_rings] = -1 - part[begin]
                n_rings += 1
                starts[n_rings] = n_xy
                at[twins[v]], at[v] = low, -2  # the corner stays on the way, once
                depth = low + 1
                v = after[v]
        n_xy = _hand_out(chain_xy, chain_block, at, way, 0, depth, xy, block, n_xy)
        ring_part[n_rings] = -1 - part[begin]
        n_rings += 1
        starts[n_rings] = n_xy
    return xy[:n_xy], block[:n_xy], starts[: n_rings + 1], ring_part[:n_rings]


@compiled
def _hand_out(
    chain_xy: Floats,
    chain_block: Singles,
    at: Int32s,
    way: Int32s,
    low: int,
    depth: int,
    xy: Floats,
    block: Singles,
    n_xy: int,
) -> int:
    """Copy the vertices of the way from `low` on, and the first of them once more; returns the new end of `xy`."""
    for i in range(low, depth):
        v = way[i]
        xy[n_xy, 0], xy[n_xy, 1] = chain_xy[v, 0], chain_xy[v, 1]
        block[n_xy] = chain_block[v]
        at[v] = -2
        n_xy += 1
    v = way[low]
    xy[n_xy, 0], xy[n_xy, 1] = chain_xy[v, 0], chain_xy[v, 1]
    block[n_xy] = chain_block[v]
    return n_xy + 1


@compiled
def _close_ranks(chains: Chains, n: int) -> Int32s:
    """Move the vertices of open parts to the front; returns the new number of each vertex, -1 for closed parts."""
    xy, after, twin, part, block = chains
    numbers = np.full(n, -1, np.int32)
    kept = 0
    for v in range(n):
        if part[v] >= 0:
            numbers[v] = kept
            kept += 1
    for v in range(n):
        to = numbers[v]
        if to >= 0:
            xy[to, 0], xy[to, 1] = xy[v, 0], xy[v, 1]
            after[to] = numbers[after[v]] if after[v] >= 0 else -1
            twin[to] = numbers[twin[v]] if twin[v] >= 0 else -1
            part[to], block[to] = part[v], block[v]
    return numbers
