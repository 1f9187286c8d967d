"""Two processes in one run folder: the second says who is at work, and those that read go on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from landscribe.errors import LimitError
from landscribe.io.run.owner import alone_in
from landscribe.io.run.runs import open_run

WORK = """
import sys
from pathlib import Path
from landscribe.io.run.owner import alone_in
from landscribe.io.run.runs import open_run
with alone_in(open_run(Path(sys.argv[1]))):
    print("in", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", WORK, tmp_path / "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process
        process.kill()


def test_the_second_says_who_is_at_work(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    run = open_run(tmp_path / "run")
    with pytest.raises(LimitError, match=rf"run: another process is at work.*got process {other.pid} on \S+ since"):
        alone_in(run).__enter__()
    assert run.records("prepare") == {}


@pytest.mark.parametrize("how", ["ends", "is killed"])
def test_the_folder_is_free_once_the_first_is_gone(tmp_path: Path, other: subprocess.Popen[str], how: str) -> None:
    if how == "ends":
        other.communicate("go\n")
    else:
        other.kill()
        other.wait()
    run = open_run(tmp_path / "run")
    with alone_in(run), alone_in(open_run(tmp_path / "run")):
        assert f"process {os.getpid()} " in run.path(".owner").read_text()
