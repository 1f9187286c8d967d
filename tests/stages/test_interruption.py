"""Ctrl-C and SIGTERM in the middle of a stage that works on several scenes at once."""

from __future__ import annotations

import hashlib
import shutil
import signal
import time
from pathlib import Path

import pytest

from warm import landscribe, start

RECIPE = """
seed = 1
[data]
source = "dstl"
root = "world"
[[models]]
kind = "labels"
[predict]
scenes = "all"
tile = 64
"""
TWO = """
import sys
from landscribe import workers
for module in list(sys.modules.values()):
    if getattr(module, "usable_processors", None) is workers.usable_processors and module is not workers:
        module.usable_processors = lambda: 2
workers.usable_processors = lambda: 2
"""
"""Whatever this machine has."""
pytestmark = pytest.mark.slow


def digests(run: Path) -> dict[str, str]:
    return {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.suffix in {".tif", ".parquet"}
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupted")
    world = ("world", "world", "--scenes", "3", "--height", "401", "--width", "419")
    assert landscribe(*world, cwd=folder).returncode == 0
    (folder / "r.toml").write_text(RECIPE)
    for stage in ("prepare", "train", "predict", "vectorize"):
        done = landscribe(stage, "r.toml", "--run", "run", cwd=folder, before=TWO)
        assert done.returncode == 0, done.stderr
    return folder


def unfinished(run: Path) -> list[Path]:
    return [path for path in run.rglob(".partial-*") if path.is_file()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["prepare", "predict", "vectorize"])
def test_a_stage_that_is_stopped_leaves_nothing_half_and_goes_on(
    home: Path, tmp_path: Path, stage: str, number: int
) -> None:
    run = tmp_path / "run"
    shutil.copytree(home / "run", run)
    before = digests(run)
    for name in (stage, "align"):
        shutil.rmtree(run / ".done" / name, ignore_errors=True)  # so that it is made again
    process = start(stage, "r.toml", "--run", run, cwd=home, before=TWO)
    begin = time.monotonic()
    while process.poll() is None and not unfinished(run) and time.monotonic() - begin < 120:
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1].startswith("interrupted; what was finished is kept")
    assert "Traceback" not in said
    assert not unfinished(run)
    again = landscribe(stage, "r.toml", "--run", run, cwd=home, before=TWO)
    assert again.returncode == 0, again.stderr
    assert {name: found for name, found in digests(run).items() if name in before} == before
