"""What the command line does when somebody wants to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

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
