"""Compiled loop of the pixel-edge tracer: rings along pixel borders, with a vertex only where the border turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landscribe.core.arrays import AnyArray, BoolArray, Int32s
from landscribe.core.polygons.loops import ONE, first_byte
from landscribe.core.trace._chains import Chains, Parts, room_for_chains, room_for_parts
from landscribe.core.trace._rows import BOTTOM, FROM, LEFT, RIGHT, TO, TOP, Row, add_pixels, fill_row, keep_row
from landscribe.late import compiled


@compiled
def edge_rows(
    chains: Chains,
    n: int,
    parts: Parts,
    n_parts: int,
    values: AnyArray,
    nodes: BoolArray,
    scale: float,
    threshold: np.uint8 | np.float32,
    begin: int,
    end: int,
    above: Row,
    now: Row,
    down: Int32s,
) -> tuple[Chains, int, Parts, int]:
    """Trace the borders above pixel rows `begin` to `end`; below the scene comes one row of nothing.

    Args:
        chains: Vertices so far.
        n: Their number.
        parts: Parts so far.
        n_parts: Labels in use.
        values: The field from row `begin`, uint8 or float32 (R, W), NaN where invalid; rows that are not there are
            outside.
        nodes: Corners that get a vertex wherever a border passes, bool (R or R + 1, W + 1) from row `begin`; (0, 0) for
            none.
        scale: What brings it to 0..1.
        threshold: Smallest inside value in its type.
        begin: First pixel row.
        end: Pixel row to stop before.
        above: The row before `begin`; holds the last row afterwards.
        now: Room for another row.
        down: Open vertex of each corner column, int32 (W + 1,); changed in place.

    Returns:
        Vertices, their number, parts, labels in use.
    """
    width = values.shape[1]
    active = np.zeros(len(now.marks), np.uint8)
    words = active.view(np.uint64)
    for y in range(begin, end):
        chains = room_for_chains(chains, n, 2 * width + 2)
        parts = room_for_parts(parts, n_parts, width // 2 + 1)
        if y - begin < len(values):
            row = values[y - begin]
            for c in range(width):
                now.inside[c] = row[c] >= threshold
            n_parts = fill_row(now, width + 1, above, parts, n_parts)
            add_pixels(now, parts, row, scale, 0, y * width)
        else:
            now.inside[:] = 0
            n_parts = fill_row(now, width + 1, above, parts, n_parts)
        for x in range(width + 1):  # the border turns where just one row changes, or both in opposite ways
            both = above.marks[x] & now.marks[x] & (above.inside[x] ^ now.inside[x])
            active[x] = (above.marks[x] ^ now.marks[x]) | both
        if len(nodes):
            for x in range(width + 1):
                active[x] |= nodes[y - begin, x]
        n = _turns(chains, n, y, words, above, now, down)
        above, now = now, above
    if (end - begin) % 2:
        keep_row(now, above)
    return chains, n, parts, n_parts


@compiled
def _turns(chains: Chains, n: int, y: int, words: NDArray[np.uint64], above: Row, now: Row, down: Int32s) -> int:
    """Make and link the vertices of one row of corners; returns their new number.

    Each border of the row is seen from its left end first: `left` is the vertex there. `down` is the vertex at the
    upper end of the border in each column.
    """
    xy, after, twin, part, block = chains  # each access through the tuple would count a reference
    inside_above, inside_now, label_above, label_now = above.inside, now.inside, above.labels, now.labels
    left = -1
    for w in range(len(words)):
        word = words[w]
        while word != 0:
            x = 8 * w + first_byte(word)
            word &= word - ONE
            # Column -1 is the last one, which is outside, as is what lies left of the scene.
            corners = inside_above[x - 1] + 2 * inside_above[x] + 4 * inside_now[x] + 8 * inside_now[x - 1]
            if corners in (0, 15):  # a node that no border of this part passes
                continue
            xy[n, 0], xy[n, 1] = x, y
            twin[n], block[n] = -1, 0.0
            if corners in (5, 10):
                xy[n + 1, 0], xy[n + 1, 1] = x, y
                twin[n], twin[n + 1] = n + 1, n
                block[n] = block[n + 1] = 1.0
                old = left
                if corners == 5:  # top left and bottom right
                    part[n], part[n + 1] = label_above[x - 1], label_now[x]
                    left = _link(after, down, n, x, LEFT, TOP, left)
                    left = _link(after, down, n + 1, x, RIGHT, BOTTOM, left)
                else:  # top right and bottom left
                    part[n], part[n + 1] = label_above[x], label_now[x - 1]
                    left = _link(after, down, n, x, TOP, RIGHT, left)
                    _link(after, down, n + 1, x, BOTTOM, LEFT, old)
                n += 2
            else:
                part[n] = max(label_now[x], label_now[x - 1], label_above[x], label_above[x - 1])
                left = _link(after, down, n, x, FROM[corners], TO[corners], left)
                n += 1
    return n


@compiled
def _link(after: Int32s, down: Int32s, n: int, x: int, came: int, goes: int, left: int) -> int:
    """Link vertex `n` to those left and above, leave it for those right and below; returns the new `left`.

    Choices, not branches: a border turns as good as at random, and a branch guessed wrong costs more than all this.
    """
    above = down[x]
    after[left if came == LEFT else above if came == TOP else n] = n
    after[n] = left if goes == LEFT else above if goes == TOP else -1
    down[x] = n if BOTTOM in (came, goes) else above
    return n if RIGHT in (came, goes) else left
