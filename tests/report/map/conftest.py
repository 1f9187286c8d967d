from __future__ import annotations

from pathlib import Path

import pytest

from landscribe.io.project import Project
from landscribe.io.run.runs import Run
from odd_map import make_run


@pytest.fixture(scope="session")
def odd_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run]:
    """A run of scenes in all the places where scenes may lie; do not change it."""
    return make_run(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="session")
def page_path(odd_run: tuple[Project, Run]) -> Path:
    """Its map."""
    from landscribe.stages.maps.map import map as write_map

    project, run = odd_run
    write_map(project, run)
    return run.path("map.html")
