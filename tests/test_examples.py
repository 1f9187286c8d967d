"""Every public name has an example, and examples do what they say."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import landscribe as ls
from example_session import NAMES, examples_in, examples_of

DOCS = Path(__file__).parent.parent / "docs"
SESSION = Path(__file__).parent / "helpers" / "example_session.py"
PAGES = (DOCS / "library.md", DOCS / "reference.md")
SHORT_STAGE = {"train"}
"""Its file is held short; its example stands on a page."""


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example(name: str) -> None:
    if name in SHORT_STAGE:
        examples = [one for page in PAGES for test in examples_in(page) for one in test.examples]
        assert any(f"ls.{name}(" in one.source for one in examples)
        return
    assert examples_of(name)


def test_every_public_name_stands_in_the_reference() -> None:
    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    missing = [name for name in NAMES if f"heading: {name}\n" not in page]
    assert not missing


def test_no_public_name_is_that_of_a_room() -> None:
    """Python puts a module in place of a name, once somebody imports it."""
    rooms = {module.name for module in pkgutil.iter_modules(ls.__path__)}
    assert not rooms & set(ls.__all__)


@pytest.mark.slow
def test_examples_do_what_they_say(tmp_path: Path) -> None:
    command = [sys.executable, str(SESSION), str(tmp_path), *map(str, PAGES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    *failed, last = done.stdout.splitlines()
    assert not failed, "\n".join(failed)
    assert int(last.removeprefix("done ")) > 2 * len(NAMES)
