"""Commands that end in the midst of it, and a scheduler of somebody else's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from distributed import Client

from shared_runs import do, leftovers, made_in, start, write_scenes

pytestmark = pytest.mark.slow
COUNT = 29


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ends")
    write_scenes(folder, COUNT)
    assert do("prepare", "many.toml", "--run", "alone", cwd=folder)[0] == 0
    return folder


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler with two workers, and a third that has several threads."""
    file = home / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": home}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def dask(name: str, *options: str) -> subprocess.Popen[bytes]:
        module = f"distributed.cli.dask_{name}"
        code = f"from {module} import main; main()"
        scheduler_file = ("--scheduler-file", str(file))
        return subprocess.Popen([sys.executable, "-c", code, *scheduler_file, *options], env=environment, **quiet)  # type: ignore[call-overload,no-any-return]

    scheduler = dask("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
    until(file.is_file)
    # Without a nanny each, which would be as many processes more with as many imports.
    common = ("--no-nanny", "--memory-limit", "0", "--no-dashboard", "--preload", "landscribe.scale.preload")
    workers = [dask("worker", "--nthreads", threads, *common) for threads in "113"]
    found = json.loads(file.read_text())["address"]
    with Client(found, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(3, timeout=60)
    yield found, scheduler
    for process in (*workers, scheduler):
        process.terminate()
    for process in (*workers, scheduler):
        process.wait(timeout=20)


def until(true: Callable[[], bool], seconds: float = 150) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def records(run: Path) -> int:
    return len(list((run / ".done" / "prepare").glob("*.json")))


def test_a_killed_command_is_gone_on_with(home: Path) -> None:
    process = start("prepare", "many.toml", "--run", "killed", "--on", "local:2", cwd=home)
    until(lambda: records(home / "killed") >= 3)
    process.kill()
    process.communicate()
    done = records(home / "killed")
    assert done < COUNT
    code, text = do("prepare", "many.toml", "--run", "killed", "--on", "local:2", cwd=home)
    assert code == 0
    assert int(text.partition("prepare: ")[2].split(" made")[0]) <= COUNT - done
    # Workers of a command that was killed end by themselves, and take what they have half written with them.
    until(lambda: not [path for path in leftovers(home / "killed") if ".partial-" in path.name], 20)
    assert made_in(home / "killed") == made_in(home / "alone")
    assert {path.name for path in (home / "killed").iterdir()} == {path.name for path in (home / "alone").iterdir()}


def test_a_scheduler_of_ones_own_and_what_comes_of_its_end(
    home: Path, address: tuple[str, subprocess.Popen[bytes]]
) -> None:
    where, scheduler = address
    code, text = do("check", "many.toml", "--on", where, cwd=home)
    assert code == 0
    assert f"{COUNT} scenes, {COUNT} labelled" in text
    # A worker with several threads is left out by name.
    code, text = do("prepare", "many.toml", "--run", "wide", "--on", where, cwd=home)
    assert code == 0
    assert "was left out: it has 3 threads, start it with --nthreads 1" in text
    assert made_in(home / "wide") == made_in(home / "alone")
    process = start("prepare", "many.toml", "--run", "lost", "--on", where, cwd=home)
    until(lambda: records(home / "lost") >= 3)
    scheduler.send_signal(signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 5
    assert f"error: {where}: the scheduler is gone; start it" in said
    assert "Traceback" not in said
    code, text = do("prepare", "many.toml", "--run", "lost", cwd=home)
    assert code == 0
    assert "up to date" in text
    assert made_in(home / "lost") == made_in(home / "alone")
