"""A small synthetic world in the DSTL layout, and a finished run of a tiny recipe on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from landscribe.io.project import Project, open_project
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec

RECIPE = """
seed = 1
[data]
source = "dstl"
root = "world"
[prepare]
grow_px = { structure = 0.5 }
[[models]]
name = "all"
inputs = { sensors = ["RGB", "M"], indices = ["ndvi"] }
network = { filters = 4, depth = 3 }
chips = { size = 64, context = 8, batch = 4 }
schedule = { epochs = 2, steps = 3 }
[predict]
tile = 128
symmetries = 1
scenes = "all"
[vectorize]
threshold = { default = 0.3 }
[validate]
split = "named"
scenes = ["6010_0_1"]
"""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a world of four scenes, the last of them without labels, and a recipe."""
    folder = tmp_path_factory.mktemp("methods")
    write_world(folder / "world", WorldSpec(scenes=4, height=149, width=163, seed=4), unlabelled=1)
    (folder / "r.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="session")
def variant(home: Path) -> Callable[..., Project]:
    """Open the tiny recipe with other settings."""
    return lambda *overrides: open_project(load_recipe(home / "r.toml", overrides))


@pytest.fixture(scope="session")
def project(variant: Callable[..., Project]) -> Project:
    """The tiny recipe with its data."""
    return variant()


@pytest.fixture(scope="session")
def run(project: Project, home: Path) -> Run:
    """A finished run of it."""
    from landscribe.pipeline import run_pipeline

    folder = open_run(home / "run")
    list(run_pipeline(project, folder))
    return folder
