"""Bars of progress: in Jupyter, on a terminal, or a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from landscribe.core.markup import Html, el, join
from landscribe.workers import stop_if_asked

if TYPE_CHECKING:
    from rich.console import Console

Told: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""
PLAIN_EVERY_S = 15.0
"""Without a terminal a line of progress is written this often."""
DRAWN_EVERY_S = 0.1
"""In Jupyter bars are drawn this often at most."""


@contextlib.contextmanager
def progress_bars() -> Iterator[Told]:
    """Yield a callback that shows progress, for every function that takes `progress`.

    In Jupyter bars stand below the cell, on a terminal they go away when all is done; elsewhere a line is written to
    stderr every 15 seconds.

    Examples:
        >>> import landscribe as ls
        >>> with ls.progress_bars() as progress:
        ...     progress("predict a", 1, 2)
    """
    if in_jupyter():
        opened: AbstractContextManager[Told] = _bars_below_the_cell()
    elif sys.stderr.isatty() and not os.environ.get("CI"):
        before = random.getstate()
        console = import_module("rich.console").Console(stderr=True, highlight=False, soft_wrap=True)
        opened = bars_on(console)
        random.setstate(before)  # rich draws from the generator of all when it is first loaded
    else:
        opened = now_and_then(lambda line: print(line, file=sys.stderr))  # noqa: T201  # somebody asked for it
    with opened as tell:
        yield tell


def open_progress(progress: Told | bool) -> AbstractContextManager[Told]:
    """Open what somebody gave for `progress`: a callback of theirs, True for bars, False for nothing."""
    if isinstance(progress, bool):
        return progress_bars() if progress else contextlib.nullcontext(_tell_nobody)
    return contextlib.nullcontext(progress)


def _tell_nobody(_what: str, _done: int, _total: int) -> None:
    pass


def bars_on(console: Console) -> AbstractContextManager[Told]:
    """Open a callback that shows progress on a console: a bar on a terminal, a plain line now and then elsewhere."""
    if console.is_terminal and not os.environ.get("CI"):
        return _bars_on_terminal(console)
    return now_and_then(lambda line: console.print(line, markup=False))


@contextlib.contextmanager
def _bars_on_terminal(console: Console) -> Iterator[Told]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def draw(what: str, done: int, total: int) -> None:
            stop_if_asked()
            stage = _stage_of(what)
            if stage not in tasks:
                tasks[stage] = bar.add_task(what, total=total)
            bar.update(tasks[stage], description=what, completed=done, total=total)

        yield draw


@contextlib.contextmanager
def now_and_then(write: Callable[[str], Any]) -> Iterator[Told]:
    """Yield a callback that writes a line at first and then every `PLAIN_EVERY_S` seconds."""
    last = -PLAIN_EVERY_S

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        stop_if_asked()
        now = time.monotonic()
        if now - last >= PLAIN_EVERY_S:
            last = now
            write(f"{what}: {done} of {total}")

    yield tell


def in_jupyter() -> bool:
    """Tell whether this is a cell of a notebook, or of a console of Jupyter."""
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")


@contextlib.contextmanager
def _bars_below_the_cell() -> Iterator[Told]:
    # rich's own bars need ipywidgets, of which a page that was saved keeps nothing; IPython is there by itself.
    shown = import_module("IPython.display")
    handle = shown.display(shown.HTML(""), display_id=True)
    bars: dict[str, tuple[str, int, int, float]] = {}
    last = 0.0

    def draw(what: str, done: int, total: int) -> None:
        nonlocal last
        stop_if_asked()
        now, stage = time.monotonic(), _stage_of(what)
        began = bars[stage][3] if stage in bars else now
        bars[stage] = (what, done, total, began)
        if now - last >= DRAWN_EVERY_S or done == total:
            last = now
            handle.update(shown.HTML(bars_html(bars, now)))

    yield draw
    if bars:  # what tells at its beginnings only has come to its end as well
        ended = {stage: (what, total, total, began) for stage, (what, _, total, began) in bars.items()}
        handle.update(shown.HTML(bars_html(ended, time.monotonic())))


def bars_html(bars: dict[str, tuple[str, int, int, float]], now: float) -> Html:
    """Return one bar for each stage: what is being done, how much of it is done, of how much, and since when."""
    rows = []
    for what, done, total, began in bars.values():
        bar = el("progress", value=done, max=max(total, 1))
        rows.append(el("div", bar, f" {what}: {done} of {total}, {now - began:.0f} s"))
    return join(rows)


def _stage_of(what: str) -> str:
    # The first word is the stage: one bar each, renamed as it goes.
    return what.split(" ", 1)[0]
