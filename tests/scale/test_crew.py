"""Workers of Dask: the bytes of one process, workers that die, and items that kill them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

pytest.importorskip("distributed")

import crew_work
from landscribe.errors import DataError, LimitError
from landscribe.io.project import Project, open_project
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.pipeline import do_stage, run_pipeline
from landscribe.scale import THREADS, Crew, open_crew
from landscribe.scale.crew import _Hands
from landscribe.scale.ticket import ticket_of
from landscribe.workers import usable_processors
from shared_runs import leftovers, made_in, write_scenes

pytestmark = pytest.mark.slow
COUNT = 11
BEFORE = {name: os.environ.get(name) for name in THREADS}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crew")
    write_scenes(folder, COUNT)
    assert not any(result.failed for result in run_pipeline(opened(folder), open_run(folder / "alone")))
    return folder


def opened(folder: Path, *overrides: str) -> Project:
    return open_project(load_recipe(folder / "many.toml", overrides))


@pytest.fixture(scope="module")
def crew(home: Path) -> Iterator[Crew]:
    with open_crew("local:2", opened(home)) as crew:
        yield crew


def hands(crew: Crew) -> _Hands:
    return _Hands(crew, asdict(ticket_of(crew.project, None, "check", 0, None, beside=2)), gpu=False)


def test_workers_share_the_processors_and_this_process_keeps_its_own(crew: Crew) -> None:
    wanted = str(max(1, usable_processors() // 2))
    assert set(crew.client.run(crew_work.threads_said).values()) == {wanted}
    assert {name: os.environ.get(name) for name in THREADS} == BEFORE


def pids(crew: Crew) -> dict[str, int]:
    found: dict[str, int] = crew.client.run(os.getpid)
    return found


def test_workers_make_what_one_process_makes(home: Path, crew: Crew) -> None:
    run = open_run(home / "shared")
    results = {result.stage: result for result in run_pipeline(crew.project, run, way=crew)}
    assert results["predict"].made == results["prepare"].made == [f"s{n:02}" for n in range(COUNT)]
    assert made_in(run.root) == made_in(home / "alone")
    assert leftovers(run.root) == []
    assert not list(run.root.rglob(".partial-*"))
    again = {result.stage: result for result in run_pipeline(crew.project, run, way=crew)}
    assert not any(result.made for stage, result in again.items() if stage != "check")


def test_a_worker_without_room_leaves_its_items_to_the_other(crew: Crew) -> None:
    own = hands(crew)
    done = {item: outcome() for item, outcome in own.outcomes(crew_work.refuse_on_the_first, ["a", "b", "c", "d"])}
    assert done == {name: name for name in "abcd"}
    assert len(own.unfit) == 1
    assert "was left out: it the system refused: No space" in own.said[0]


def test_where_no_worker_has_room_all_stops_in_one_line(crew: Crew) -> None:
    with pytest.raises(
        LimitError, match=r"^local:2: no worker can do this, got tcp://\S+ the system refused: No space"
    ):
        list(hands(crew).outcomes(crew_work.refuse, ["a", "b", "c"]))


def test_a_gpu_that_no_worker_declares_is_an_error_and_no_wait(home: Path, crew: Crew, tmp_path: Path) -> None:
    run = Run(shutil.copytree(home / "alone", tmp_path / "run"))
    shutil.rmtree(run.path(".done", "predict"))
    with pytest.raises(LimitError, match=r"no worker declares a GPU, got tcp://.*--resources GPU=1"):
        do_stage("predict", crew.project, run, way=replace(crew, gpu=True))


def test_a_scene_that_is_no_good_is_told_as_here(home: Path, crew: Crew, tmp_path: Path) -> None:
    write_scenes(tmp_path, 3)
    (tmp_path / "img" / "s01.tif").write_bytes(b"no raster")
    project = opened(tmp_path)
    here = do_stage("prepare", project, open_run(tmp_path / "here"))
    there = do_stage("prepare", project, open_run(tmp_path / "there"), way=replace(crew, project=project))
    assert here.failed == there.failed
    assert list(here.failed) == ["s01"]
    looks = [
        do_stage("check", project, open_run(tmp_path / f"look{n}"), way=way).made
        for n, way in enumerate((replace(crew, project=project), replace(crew, project=project)))
    ]
    assert looks == [["all"], ["all"]]
    checked = [(tmp_path / name / "check.json") for name in ("look0", "look1")]
    assert checked[0].read_bytes() == checked[1].read_bytes()
    assert b"s01" in checked[0].read_bytes()


def test_a_worker_that_is_killed_loses_no_scene(home: Path, crew: Crew) -> None:
    run, before, killed = open_run(home / "killed"), pids(crew), list[int]()

    def kill_one(what: str, done: int, _total: int) -> None:
        if what.startswith("prepare s") and done == 4 and not killed:
            killed.append(next(iter(before.values())))
            os.kill(killed[0], signal.SIGKILL)

    result = do_stage("prepare", crew.project, run, kill_one, way=crew)
    assert killed
    assert sorted(result.made + result.current) == [f"s{n:02}" for n in range(COUNT)]
    assert result.failed == {}
    ours = {name: value for name, value in made_in(run.root).items() if "prepare" in name}
    theirs = {name: value for name, value in made_in(home / "alone").items() if "prepare" in name}
    assert ours == theirs
    assert not [path for path in leftovers(run.root) if ".partial-" in path.name]


def test_an_item_that_kills_its_worker_is_named_and_the_others_are_done(crew: Crew) -> None:
    names, came = ["a", "killer", "b", "c"], {}
    for item, outcome in hands(crew).outcomes(crew_work.die, names):
        try:
            came[item] = outcome()
        except DataError as error:
            came[item] = str(error)
    assert {name: came[name] for name in ("a", "b", "c")} == {"a": "a", "b": "b", "c": "c"}
    assert came["killer"].startswith("killer: every process that worked on it died")
