"""In Jupyter: bars below the cell that end full, and values that show themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CELL = """
import landscribe as ls
with ls.progress_bars() as progress:
    for done in range(3):
        progress(f"predict a{done}", done, 3)
    progress("score all", 0, 7)
ls.Recipe(data={"sensors": {"RGB": {"path": "{scene}.tif", "kind": "rgb8"}}}, seed=3)
"""
BROKEN = """
with ls.progress_bars() as progress:
    progress("train all", 2, 5)
    raise ls.DataError("scene 'a': no bands")
"""


def outputs_of(folder: Path, *sources: str) -> list[list[Any]]:
    nbclient = pytest.importorskip("nbclient", reason="Jupyter is in the extra docs")
    pytest.importorskip("ipykernel", reason="Jupyter is in the extra docs")
    import nbformat

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = nbclient.NotebookClient(
        book, timeout=300, allow_errors=True, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [list(cell.outputs) for cell in book.cells]


def test_bars_stand_below_the_cell_and_end_full(tmp_path: Path) -> None:
    first, second = outputs_of(tmp_path, CELL, BROKEN)
    bars, recipe = (one["data"]["text/html"] for one in first if "data" in one)
    assert '<progress value="3" max="3"></progress> predict a2: 3 of 3' in bars
    assert '<progress value="7" max="7"></progress> score all: 7 of 7' in bars
    assert "<strong>Recipe</strong>" in recipe
    shown = [one["data"]["text/html"] for one in second if "data" in one]
    assert 'value="2" max="5"' in shown[0]  # what was broken off does not end full
    [error] = [one for one in second if one["output_type"] == "error"]
    assert (error["ename"], error["evalue"]) == ("DataError", "scene 'a': no bands")
