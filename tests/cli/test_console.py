"""What the command line does when somebody wants to stop."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator

import pytest
from rich.console import Console

from landscribe import workers
from landscribe.cli import console


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.signal(number, console.stop_when_asked) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    workers.stopping.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_swallowed_comes_back(handlers: None, number: int) -> None:
    with console.reporting() as progress:
        progress("work", 1, 3)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            progress("work", 2, 3)


HEADS = ["objects", "F1", "invented", "merged", "fragmented"]
ROWS = [["house", "0.712", "31", "7", "11"]]


def shown(width: int, monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> list[str]:
    stream = io.StringIO()
    out = Console(file=stream, width=width, force_terminal=terminal, color_system=None, soft_wrap=True)
    monkeypatch.setattr(console, "out", out)
    console.tell_table(HEADS, ROWS, spare=("fragmented", "merged"))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_small_screen_goes_without_the_columns_that_it_can_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = shown(44, monkeypatch, terminal=True)
    assert [line.split() for line in wide] == [HEADS, ROWS[0]]
    narrow = shown(43, monkeypatch, terminal=True)
    assert [line.split() for line in narrow[:2]] == [HEADS[:4], ROWS[0][:4]]
    assert narrow[2:] == ["not in 43 columns: fragmented"]
    narrower = shown(24, monkeypatch, terminal=True)
    assert [line.split() for line in narrower[:2]] == [HEADS[:3], ROWS[0][:3]]
    assert narrower[2:] == ["not in 24 columns: fragmented, merged"]


def test_what_is_too_wide_without_them_or_goes_into_a_file_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for width, terminal in ((21, True), (24, False)):
        lines = shown(width, monkeypatch, terminal=terminal)
        assert {word for line in lines for word in line.split()} == {*HEADS, *ROWS[0]}
