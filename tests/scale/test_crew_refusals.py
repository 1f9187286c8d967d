"""What a worker refuses before it begins, and addresses that lead nowhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from landscribe import scale
from landscribe.errors import LimitError, RecipeError
from landscribe.io.project import Project, open_project
from landscribe.io.settings import load_recipe
from landscribe.scale import open_crew
from landscribe.scale.ticket import ticket_of
from landscribe.scale.worker import look
from shared_runs import write_scenes


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("refusals")
    return open_project(load_recipe(write_scenes(folder, 3)))


@pytest.fixture
def ticket(project: Project, tmp_path: Path) -> dict[str, Any]:
    found = asdict(ticket_of(project, None, "prepare", 0, tmp_path, beside=1))
    (tmp_path / found["token"]).touch()
    return found


def test_a_worker_that_sees_the_same_is_fit(ticket: dict[str, Any]) -> None:
    assert look(ticket) is None


def test_what_differs_is_named(ticket: dict[str, Any], tmp_path: Path) -> None:
    assert look({**ticket, "version": "0.0.0", "new": 1}).startswith("has Landscribe ")  # type: ignore[union-attr]
    for values, why in (
        ({"token": "another"}, f"does not see the run folder {tmp_path}"),
        ({"run": "/nowhere"}, "does not see the run folder /nowhere"),
        ({"root": "/nowhere"}, "does not see the data in /nowhere"),
        ({"digest": "0" * 64}, "reads the recipe as another one"),
        ({"scenes": "0" * 64}, "sees other scenes in "),
        ({"models": "/nowhere"}, "/nowhere"),
    ):
        said = look({**ticket, "serial": "f" * 32, **values})
        assert said is not None
        assert why in said, said


def test_nobody_listens(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "CONNECT_S", 1)
    with (
        pytest.raises(LimitError, match=r"^tcp://127.0.0.1:9: nobody answers in 1 s; start `dask scheduler`"),
        open_crew("tcp://127.0.0.1:9", project),
    ):
        pass


@pytest.mark.parametrize(
    "on",
    ["", "local", "local:", "local:0", "local:x", "http://h:1", "tcp://h", "tcp://h:1/x", "h:1", "tcp://h:99999999"],
)
def test_what_is_no_address_is_refused(project: Project, on: str) -> None:
    with pytest.raises(RecipeError, match=r"^--on: no "), open_crew(on, project):
        pass
