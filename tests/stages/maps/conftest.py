"""Runs to look at, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from map_runs import make_run


@pytest.fixture(scope="session")
def made_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tests only read."""
    return make_run(tmp_path_factory.mktemp("map"))


@pytest.fixture
def own_run(made_run: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return shutil.copytree(made_run, tmp_path / "run", ignore=shutil.ignore_patterns("review"))
