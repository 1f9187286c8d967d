"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real imagery; the test is skipped where it is absent."""
    path = Path(os.environ.get("LANDSCRIBE_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real imagery is absent: no folder {path.name!r}; set LANDSCRIBE_DATA")
    return path
