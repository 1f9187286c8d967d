"""The first trace on a machine: Python answers, numba compiles beside, and is taken from then on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from landscribe.core.grid import Grid
from landscribe.core.trace import LOOPS
from landscribe.io.raster.geotiff import write_raster
from landscribe.late import cache_folder, compiled, is_compiled
from landscribe.stages.files import compiling

CODE = (
    "import sys\nfrom landscribe.cli import main\nfrom landscribe.stages.files import compiling\n"
    "{before}\ntry:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
)


@compiled
def thrice(value: int) -> int:
    """A loop."""
    return 3 * value


def write_mask(path: Path, side: int) -> None:
    grid = Grid(side, side + 1, Affine.identity(), None)
    mask = np.zeros((side, side + 1), np.uint8)
    mask[7:23, 5:19] = mask[31:43, 11:17] = 1
    with write_raster(path, grid, count=1, dtype="uint8") as writer:
        writer.write(grid.window, mask[None])


def traced(folder: Path, name: str, before: str = "") -> str:
    command = [sys.executable, "-c", CODE.format(before=before), "trace", f"{name}.tif", f"{name}.geojson"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_small_rasters_need_no_numba_and_larger_ones_start_it_beside(tmp_path: Path) -> None:
    write_mask(tmp_path / "small.tif", 61)
    write_mask(tmp_path / "large.tif", 307)
    told = "compiling.compile_beside = lambda: open('started', 'w').close()"
    assert "first use" not in traced(tmp_path, "small", told)
    assert not (tmp_path / "started").exists()
    assert not (tmp_path / "cache").exists()
    assert "first use on this machine" in traced(tmp_path, "large", told)
    assert (tmp_path / "started").exists()
    assert not list((tmp_path / "cache").rglob("*.nbi"))


def test_what_is_compiled_beside_comes_into_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    process = compiling.compile_beside()
    try:
        until = time.monotonic() + 100
        while not list(tmp_path.rglob("*.nbi")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.1)
        assert [path.name for path in tmp_path.rglob(compiling.LOCK)] == [compiling.LOCK]
        other = compiling.compile_beside()  # one is enough
        assert other.wait(60) == 0
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_loop_is_compiled_once_it_was_called() -> None:
    for index in cache_folder(thrice).glob("*thrice*"):
        index.unlink()
    assert not is_compiled(thrice)
    assert thrice(2) == 6
    assert is_compiled(thrice)


def test_in_a_process_of_somebody_elses_nothing_is_started() -> None:
    with compiling.quickly(compiling.FEW_PIXELS + 1, "edge") as compiles:
        assert not compiles
    assert set(LOOPS) == {"contour", "edge", "opencv"}
