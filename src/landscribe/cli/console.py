"""Talking to a person: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

from landscribe.library.progress import bars_on
from landscribe.workers import stopping

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def reporting() -> contextlib.AbstractContextManager[Callable[[str, int, int], None]]:
    """Open a progress callback: a bar on a terminal, a plain line now and then elsewhere."""
    return bars_on(err)


def say(text: str) -> None:
    """Write one line to stderr."""
    err.print(text, markup=False)


def tell(text: str) -> None:
    """Write one line of result to stdout."""
    out.print(text, markup=False)


def tell_json(value: Any) -> None:
    """Write a result that a program reads."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def tell_text(text: str) -> None:
    """Write a result that a program reads and that is text already, as it is."""
    sys.stdout.write(text + "\n")


def tell_counts(counts: Mapping[str, int], path: Path) -> None:
    """Say what was made and left out, and tell the file that was written."""
    for reason, count in counts.items():
        say(f"{reason}: {count}")
    tell(str(path))


def tell_table(columns: list[str], rows: list[list[str]], *, right: int = 1, spare: Sequence[str] = ()) -> None:
    """Write a table; columns from number `right` on are numbers and stand on the right.

    Where it is wider than the screen it goes on below, with the first column again: no digit is ever cut.

    Args:
        columns: Heads.
        rows: A text for each column.
        right: Number of the first column of numbers.
        spare: Columns that a screen without room for them goes without, the first one first; which ones is said.
    """
    cells = [columns, *rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
    without = _too_many(columns, widths, spare) if out.is_terminal else ()
    if without:
        kept = [k for k, name in enumerate(columns) if name not in without]
        tell_table([columns[k] for k in kept], [[row[k] for k in kept] for row in rows], right=right)
        tell(f"not in {out.width} columns: {', '.join(without)}")
        return
    for some in _blocks(widths, out.width):
        table = Table(box=None, pad_edge=False)
        for number in some:
            table.add_column(_plain(columns[number]), justify="right" if number >= right else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(_plain(row[number]) for number in some))
        out.print(table, width=max(out.width, sum(widths[k] + 2 for k in some)))


def _too_many(columns: list[str], widths: list[int], spare: Sequence[str]) -> tuple[str, ...]:
    """Return the fewest of the spare columns without which the others stand side by side, or none if that fails."""
    for count in range(len(spare) + 1):
        kept = [width for name, width in zip(columns, widths, strict=True) if name not in spare[:count]]
        if sum(kept) + 2 * (len(kept) - 1) <= out.width:
            return tuple(spare[:count])
    return ()


def _blocks(widths: list[int], room: int) -> list[list[int]]:
    """Share columns out among tables that fit; each begins with column 0. Two blanks stand between columns."""
    blocks, used = [[0]], widths[0]
    for number in range(1, len(widths)):
        if used + 2 + widths[number] > room and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(number)
        used += 2 + widths[number]
    return blocks


def stop_when_asked(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal that ends the program: the work under way is left by an exception, in every thread.

    Python loses a KeyboardInterrupt that falls into a destructor; whoever reports progress then raises it again.
    """
    stopping.set()
    raise KeyboardInterrupt


def _plain(text: str) -> str:
    # Square brackets are markup to rich; ids and class names come from outside.
    return text.replace("[", r"\[")
