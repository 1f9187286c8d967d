"""Every layout in the table of the docs becomes a recipe that `check` accepts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from landscribe.io.project import open_project
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe
from layouts import LAYOUTS

DOCS = Path(__file__).parent.parent.parent / "docs" / "own-data.md"


def documented() -> dict[str, list[str]]:
    """Rows of the table of layouts: what lies there -> pieces of the recipe in backticks."""
    text = DOCS.read_text(encoding="utf-8")
    table = text[text.index("| what lies in the folder |") :].split("\n\n")[0].splitlines()[2:]
    rows = [row.strip("| ").split(" | ") for row in table]
    return {cells[0]: re.findall(r"`([^`]+)`", cells[1]) for cells in rows}


def test_the_table_of_layouts_is_tested_row_by_row():
    assert list(documented()) == list(LAYOUTS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_becomes_a_recipe_that_checks_out(tmp_path: Path, layout: str):
    (tmp_path / "data").mkdir()
    LAYOUTS[layout](tmp_path / "data")
    recipe = tmp_path / "own.toml"
    said = write_recipe(tmp_path / "data", recipe)
    text = recipe.read_text(encoding="utf-8")
    for piece in documented()[layout]:
        assert piece in text, f"{piece}\n{text[:1500]}\n{said}"
    result = check(open_project(load_recipe(recipe)))
    assert result.errors == 0, (result.findings, text[:1500])
    assert result.scenes == (1 if layout.startswith("one ") else 4 if "train" in layout else 3)
    assert result.labelled == (0 if layout == "imagery alone" else result.scenes)
    assert said[0].startswith("sensor ")
    data = tomllib.loads(text)["data"]
    assert all("mask" not in sensor["path"] for sensor in data["sensors"].values())
