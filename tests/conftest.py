"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    # Workers share the processors, with all that they start: threads that wait for each other's processor cost more
    # than all else. Read when torch is first imported; whoever sets it has as many as that.
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real imagery; the test is skipped where it is absent."""
    path = Path(os.environ.get("LANDSCRIBE_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real imagery is absent: no folder {path.name!r}; set LANDSCRIBE_DATA")
    return path
