"""Runs the code cells of a notebook one after the other: python notebook_session.py NOTEBOOK, in the folder to work in.

No kernel: it would need ports, twenty packages and seconds, and tell less of what went wrong. As a kernel does, the
value of a cell's last line is shown, by `_repr_html_` or `_repr_jpeg_` where it has them. Prints a line for each cell.
"""

from __future__ import annotations

import ast
import json
import sys
import time
from pathlib import Path
from typing import Any

SHORTER = '"epochs": 5, "steps": 50', '"epochs": 2, "steps": 12'
"""That cells run takes no network that finds much; what is kept of the notebook is of the whole length."""


def code_of(notebook: Path) -> list[str]:
    """Return the code cells."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def show(value: Any) -> str:
    """Return how a value is shown: `html`, `jpeg`, `text`; nothing for None."""
    for kind in ("html", "jpeg"):
        shown = getattr(value, f"_repr_{kind}_", None)
        if shown is not None and shown():
            return kind
    return "" if value is None else "text" if repr(value) else ""


def main(notebook: Path) -> None:
    """Run all cells."""
    known: dict[str, Any] = {"__name__": "__main__"}
    sources = [source.replace(*SHORTER) for source in code_of(notebook)]
    assert sources != code_of(notebook)
    for number, source in enumerate(sources, start=1):
        began = time.perf_counter()
        tree = ast.parse(source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {number}", "exec"), known)
        value = None if last is None else eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), known)
        sys.stdout.write(f"cell {number}: {show(value)} {time.perf_counter() - began:.1f} s\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
