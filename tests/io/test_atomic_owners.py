"""What is being written is named after its owner, and only what nobody writes any more is removed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from landscribe.io.atomic import DAY_S, atomic_path, sweep_beside, sweep_partials, write_text

WRITE = """
import os, sys
from pathlib import Path
from landscribe.io.atomic import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary, flush=True)
    {then}
"""


def begin(path: Path, then: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITE.format(then=then), path], stdout=subprocess.PIPE,
                            stdin=subprocess.PIPE, text=True)  # fmt: skip


def partial_of(process: subprocess.Popen[str]) -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def test_what_a_living_process_writes_is_left_alone_and_what_a_dead_one_left_goes(tmp_path: Path) -> None:
    with begin(tmp_path / "a.txt", "sys.stdin.readline()") as living:
        partial = partial_of(living)
        with begin(tmp_path / "b.txt", "os.kill(os.getpid(), 9)") as dead:
            leftover = partial_of(dead)
        with atomic_path(tmp_path / "c.txt") as own:
            own.write_text("mine")
            assert sweep_partials(tmp_path) == 1
            assert own.exists()
        assert partial.exists()
        assert not leftover.exists()
        living.communicate("go on\n")
    assert (tmp_path / "a.txt").read_text() == "half"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "c.txt"]


def test_a_process_of_the_same_number_is_not_the_same(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.txt") as own:
        own.touch()
        other = own.with_name(re.sub(r"-(\d+)-(\d+)-", rf"-\g<1>-{10**9}-", own.name, count=1))
        other.touch()
        assert f"-{os.getpid()}-" in other.name
        assert sweep_partials(tmp_path) == 1
        assert not other.exists()


def test_another_machines_are_removed_after_a_day(tmp_path: Path) -> None:
    young, old = (tmp_path / f".partial-0123abcd-77-{n}-0123456789ab-a.tif" for n in (1, 2))
    for path in (young, old):
        path.touch()
    then = old.stat().st_mtime - DAY_S - 60
    os.utime(old, (then, then))
    assert sweep_partials(tmp_path) == 1
    assert young.exists()


def test_the_next_run_of_an_output_removes_what_a_killed_one_left_of_it(tmp_path: Path) -> None:
    for name in ("out [1].tif", "other.tif"):
        with begin(tmp_path / name, "os.kill(os.getpid(), 9)") as process:
            journal = Path(f"{partial_of(process)}-journal")
        journal.touch()
    assert sweep_beside(tmp_path / "out [1].tif") == 2
    assert len(list(tmp_path.iterdir())) == 2
    write_text(tmp_path / "out [1].tif", "whole")
    assert sweep_beside(tmp_path / "out [1].tif") == 0
