"""The notebook of the docs runs, and what is kept of it is whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from notebook_session import code_of

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.ipynb"
SESSION = Path(__file__).parent / "helpers" / "notebook_session.py"
MOST_KB = 900
"""It is in the repository, with its pictures."""


@pytest.mark.slow
def test_its_cells_run(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error::UserWarning", str(SESSION), str(NOTEBOOK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    cells = [line.split()[2] for line in done.stdout.splitlines() if line.startswith("cell ")]
    assert len(cells) == len(code_of(NOTEBOOK))
    assert cells.count("jpeg") == 4
    assert cells.count("html") >= 6
    for text in (
        "did you mean 'seed'?",
        "wrong number of bands, got 2",
        "type of pixels, got int64",
        "NaN or infinite",
    ):
        assert text in done.stdout
    assert (tmp_path / "runs" / "city" / "report.html").is_file()


def test_what_it_shows_is_kept() -> None:
    """`python docs/make_notebook.py` runs it in Jupyter and keeps what it shows."""
    cells = [c for c in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert shown.count("image/jpeg") == 4
    assert any("<progress" in "".join(output.get("data", {}).get("text/html", "")) for output in outputs)


def test_it_names_no_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < MOST_KB * 1000
    for place in ("/tmp/", "/home/", "/root/", "/work/", "file://"):
        assert place not in text
