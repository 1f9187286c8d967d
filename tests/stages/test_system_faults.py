"""A call of the C library goes wrong inside of GDAL, SQLite or Arrow: a documented end, and the same bytes next."""

from __future__ import annotations

import errno
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failing_calls import BEGIN, build_shim, counts_in, under_faults
from small_scenes import RECIPE, write_image, write_labels
from warm import Forks, landscribe

pytestmark = pytest.mark.slow

_counts: dict[str, int] = {}
"""How often a run does a call."""
_forks: list[Forks] = []
"""Where commands are forked that have the library in them."""
FAULTS = {
    "half is written": ("write", 0, (0,)),
    "no space": ("write", errno.ENOSPC, (4, 5)),
    "bad disk": ("sync", errno.EIO, (3, 4, 5)),
    "interrupted": ("open", errno.EINTR, (0, 4)),
    "no more open files": ("open", errno.EMFILE, (0, 4, 5)),
    "the clock goes back": ("clock", 0, (0,)),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("system")
    _forks.append(Forks(LD_PRELOAD=str(build_shim(folder))))
    for number in (1, 4):
        grid = write_image(folder / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        write_labels(folder / "old" / "lab" / f"o{number}.gpkg", grid)
    recipe = RECIPE.replace('name = "net"', 'name = "truth"\nkind = "labels"')
    (folder / "r.toml").write_text("\n".join(line for line in recipe.splitlines() if "filters" not in line))
    assert run(folder, "whole").returncode == 0
    yield folder
    _forks.pop().close()


def run(home: Path, name: str, *fault: Any) -> subprocess.CompletedProcess[str]:
    own = under_faults(home / "faults.so", home / name, home / "count", *fault) if fault else {}
    words = ("run", "r.toml", "--run", name)
    return landscribe(*words, cwd=home, forks=_forks[0], before=BEGIN if fault else "", **own)


def digests(folder: Path) -> dict[str, str]:
    names = [p for p in folder.rglob("*") if p.suffix in {".tif", ".parquet"} or p.name == "score.json"]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(names)}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_whatever_call_fails_the_next_run_finishes_with_the_same_bytes(home: Path, fault: str) -> None:
    call, kind, ends = FAULTS[fault]
    shutil.rmtree(home / "faulty", ignore_errors=True)
    if call not in _counts:
        run(home, "faulty", call, kind, 0)
        _counts.update(counts_in(home / "count"))
        shutil.rmtree(home / "faulty")
    assert _counts[call] > 3, "nothing of the kind was called"
    first = run(home, "faulty", call, kind, 2 * _counts[call] // 3)
    assert counts_in(home / "count")[call] >= 2 * _counts[call] // 3
    assert first.returncode in ends, first.stderr
    assert "Traceback" not in first.stderr
    assert run(home, "faulty").returncode == 0
    assert digests(home / "faulty") == digests(home / "whole")
    assert not list((home / "faulty").rglob(".partial-*"))
