"""A call of the C library goes wrong inside of GDAL, SQLite or Arrow: a documented end, and the same bytes next."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from small_scenes import RECIPE, write_image, write_labels

pytestmark = pytest.mark.slow

SHIM = Path(__file__).parents[1] / "helpers" / "system_faults.c"
_counts: dict[str, int] = {}
"""How often a run does a call."""
FAULTS = {
    "half is written": ("write", 0, (0,)),
    "no space": ("write", errno.ENOSPC, (4, 5)),
    "bad disk": ("sync", errno.EIO, (3, 4, 5)),
    "interrupted": ("open", errno.EINTR, (0, 4)),
    "no more open files": ("open", errno.EMFILE, (0, 4, 5)),
    "the clock goes back": ("clock", 0, (0,)),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc, for the library that fails")
    folder = tmp_path_factory.mktemp("system")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(folder / "faults.so"), str(SHIM), "-ldl"], check=True)
    for number in (1, 4):
        grid = write_image(folder / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        write_labels(folder / "old" / "lab" / f"o{number}.gpkg", grid)
    recipe = RECIPE.replace('name = "net"', 'name = "truth"\nkind = "labels"')
    (folder / "r.toml").write_text("\n".join(line for line in recipe.splitlines() if "filters" not in line))
    assert run(folder, "whole").returncode == 0
    return folder


def run(home: Path, name: str, **fault: object) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ)
    if fault:
        (home / "count").write_bytes(bytes(8))
        fault |= {"FAULT_ROOT": home / name, "FAULT_COUNT": home / "count", "LD_PRELOAD": home / "faults.so"}
        env |= {key: str(value) for key, value in fault.items()}
    command = [sys.executable, "-m", "landscribe", "run", "r.toml", "--run", name]
    return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False, timeout=300)


def digests(folder: Path) -> dict[str, str]:
    names = [p for p in folder.rglob("*") if p.suffix in {".tif", ".parquet"} or p.name == "score.json"]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(names)}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_whatever_call_fails_the_next_run_finishes_with_the_same_bytes(home: Path, fault: str) -> None:
    call, kind, ends = FAULTS[fault]
    shutil.rmtree(home / "faulty", ignore_errors=True)
    if call not in _counts:
        run(home, "faulty", FAULT_CALL=call, FAULT_KIND=kind, FAULT_AT=0)
        _counts[call] = int.from_bytes((home / "count").read_bytes(), sys.byteorder)
        shutil.rmtree(home / "faulty")
    assert _counts[call] > 3, "nothing of the kind was called"
    first = run(home, "faulty", FAULT_CALL=call, FAULT_KIND=kind, FAULT_AT=2 * _counts[call] // 3)
    assert int.from_bytes((home / "count").read_bytes(), sys.byteorder) >= 2 * _counts[call] // 3
    assert first.returncode in ends, first.stderr
    assert "Traceback" not in first.stderr
    assert run(home, "faulty").returncode == 0
    assert digests(home / "faulty") == digests(home / "whole")
    assert not list((home / "faulty").rglob(".partial-*"))
