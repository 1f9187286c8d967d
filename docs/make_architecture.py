"""Draw docs/images/rooms.svg, the rooms of the code and who uses whom: python docs/make_architecture.py.

A room is a folder. Rooms stand above those they import from, so that every line goes down. A line that others say
already (A uses B, B uses C, so A may use C) is left out.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from html import escape
from pathlib import Path

import grimp

PICTURE = Path(__file__).parent / "images" / "rooms.svg"
PACKAGE = "landscribe"
COLUMNS = {"io": 0, "core": 1, "nn": 2, "worlds": 3}
"""Where a room stands from left to right, by the folder it lies in; all others stand in the middle."""
BY_NAME = ("pipeline", "stages")
"""An import that no file spells out: the pipeline imports a stage when it runs."""
LEFT_OUT = {"__main__"}
BOX_W, BOX_H, GAP_X, GAP_Y, MARGIN = 138, 32, 18, 40, 16
INK, LINE, PAPER = "#24303a", "#7a8a96", "#ffffff"
FILLS = {"io": "#dcebf7", "nn": "#fbe6d4", "core": "#e2f1dd", "worlds": "#efe4f5", "": "#f4f1e6"}


def rooms() -> tuple[set[str], set[tuple[str, str]]]:
    """Return the rooms, and which of them import from which."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    folders = {m for m in graph.modules if any(n.startswith(m + ".") for n in graph.modules)}

    def room_of(module: str) -> str:
        folder = module if module in folders else module.rpartition(".")[0]
        return module.partition(".")[2] if folder == PACKAGE else folder.partition(".")[2]

    modules = graph.modules - {PACKAGE}
    uses = {BY_NAME} | {
        (room_of(module), room_of(target))
        for module in modules
        for target in graph.find_modules_directly_imported_by(module) - {PACKAGE}
    }
    kept = {pair for pair in uses if pair[0] != pair[1] and not LEFT_OUT & set(pair)}
    return {room_of(module) for module in modules} - LEFT_OUT, kept


def levels(found: set[str], uses: set[tuple[str, str]]) -> dict[str, int]:
    """Return the floor of each room: one above the highest that it imports from.

    Raises:
        ValueError: If rooms import each other in a circle.
    """
    below: dict[str, set[str]] = defaultdict(set)
    for room, target in uses:
        below[room].add(target)
    seen: list[str] = []

    @functools.cache
    def level(room: str) -> int:
        if room in seen:
            raise ValueError(f"a circle of rooms: {' > '.join([*seen, room])}")
        seen.append(room)
        found = 1 + max((level(target) for target in below[room]), default=-1)
        seen.pop()
        return found

    return {room: level(room) for room in sorted(found)}


def needed(uses: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs of rooms that no way through other rooms joins."""
    below: dict[str, set[str]] = defaultdict(set)
    for room, target in uses:
        below[room].add(target)

    @functools.cache
    def reached(room: str) -> frozenset[str]:
        return frozenset(below[room]).union(*(reached(target) for target in below[room]))

    return sorted((a, b) for a, b in uses if not any(b in reached(c) for c in below[a] - {b}))


def draw() -> str:
    """Return the picture as SVG."""
    found, uses = rooms()
    floor = levels(found, uses)
    top = max(floor.values())
    rows = [sorted((r for r in found if floor[r] == k), key=_order) for k in range(top + 1)]
    width = max(len(row) for row in rows) * (BOX_W + GAP_X) - GAP_X + 2 * MARGIN
    height = (top + 1) * (BOX_H + GAP_Y) - GAP_Y + 2 * MARGIN
    at: dict[str, tuple[float, float]] = {}
    for k, row in enumerate(rows):
        left = (width - len(row) * (BOX_W + GAP_X) + GAP_X) / 2
        for i, room in enumerate(row):
            at[room] = (left + i * (BOX_W + GAP_X), MARGIN + (top - k) * (BOX_H + GAP_Y))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
    ]
    parts += [_line(at[a], at[b]) for a, b in needed(uses)]
    parts += [_box(room, *at[room]) for room in sorted(at)]
    return "\n".join([*parts, "</svg>", ""])


def _order(room: str) -> tuple[int, str]:
    return COLUMNS.get(room.partition(".")[0], 1), room


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0 = start[0] + BOX_W / 2, start[1] + BOX_H
    x1, y1 = end[0] + BOX_W / 2, end[1]
    bend = (y1 - y0) / 2
    path = f"M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} {x1:.0f} {y1:.0f}"
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-opacity="0.7" stroke-width="1.2"/>'


def _box(room: str, x: float, y: float) -> str:
    fill = FILLS.get(room.partition(".")[0], FILLS[""])
    middle = x + BOX_W / 2
    name = escape(room.replace(".", "/"))
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX_W}" height="{BOX_H}" rx="5" fill="{fill}" stroke="{INK}"/>'
        f'<text x="{middle:.0f}" y="{y + 20:.0f}" text-anchor="middle" font-size="13" fill="{INK}">{name}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
