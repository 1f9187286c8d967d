"""Run docs/notebook.ipynb and keep what its cells show: python docs/make_notebook.py. Needs the extra `docs`."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "notebook.ipynb"


def main() -> None:
    """Run it in a folder of its own, without this machine's paths and times in what is kept."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(book, timeout=600, resources={"metadata": {"path": folder}}).execute()
        text = nbformat.writes(book, indent=1)
        for place in {folder, str(Path(folder).resolve())}:
            text = text.replace(Path(place).as_uri(), "").replace(place + "/", "")
    book = nbformat.reads(text, as_version=4)
    for cell in book.cells:
        cell.metadata.pop("execution", None)
    book.metadata["language_info"] = {"name": "python"}
    text = re.sub(r'href=\\"/', r'href=\\"', nbformat.writes(book, indent=1))
    NOTEBOOK.write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
