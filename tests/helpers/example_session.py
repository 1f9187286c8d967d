"""Runs the examples of every public name, and those of pages: python example_session.py FOLDER PAGE...

In FOLDER a small world is made and run first; `project` and `run` are what the examples know. Prints a line for each
example that failed, and `done` with how many were tried.
"""

from __future__ import annotations

import doctest
import os
import sys
from pathlib import Path
from typing import Any

import landscribe as ls
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec

TABLES = {
    "seed": 1,
    "data": {"source": "dstl", "root": "world"},
    "models": [
        {
            "name": "all",
            "inputs": {"sensors": ["RGB"]},
            "network": {"filters": 4, "depth": 3},
            "chips": {"size": 64, "context": 8, "batch": 4},
            "schedule": {"epochs": 1, "steps": 2},
        }
    ],
    "predict": {"tile": 128, "symmetries": 1},
    "vectorize": {"threshold": {"default": 0.3}},
    "tune": {"folds": 2},
}
OPTIONS = doctest.ELLIPSIS
NAMES = [name for name in ls.__all__ if name not in ("__version__", "DSTL_LEGEND")]


def examples_of(name: str) -> list[doctest.DocTest]:
    """Return the examples in the docstring of a public name; of a class those of its methods too."""
    found = doctest.DocTestFinder(recurse=True).find(getattr(ls, name), name, globs={})
    return [test for test in found if test.examples]


def examples_in(page: Path) -> list[doctest.DocTest]:
    """Return the examples of a page."""
    text = page.read_text(encoding="utf-8").replace("```", "")
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    return [test] if test.examples else []


def main(folder: Path, pages: list[Path]) -> None:
    """Run everything."""
    os.chdir(folder)
    write_world(folder / "world", WorldSpec(scenes=4, height=128, width=131), unlabelled=1)
    run, project = ls.run(TABLES, "runs/city"), ls.open_project(TABLES)
    tests = [test for name in NAMES for test in examples_of(name)] + [
        test for page in pages for test in examples_in(page)
    ]
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    for test in tests:
        known: dict[str, Any] = {"project": project, "run": run, "ls": ls, "Path": Path}
        test.globs = known
        said: list[str] = []
        if runner.run(test, out=said.append).failed:
            sys.stdout.write(f"{test.name}: {' '.join(''.join(said).split())}\n")
    sys.stdout.write(f"done {sum(len(test.examples) for test in tests)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(page).resolve() for page in sys.argv[2:]])
