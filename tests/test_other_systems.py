"""What only one system has is asked for, and done without: tried here by taking it away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from landscribe.io.raster.rasters import open_raster

SESSION = Path(__file__).parent / "helpers" / "poor_system.py"


@pytest.mark.slow
def test_a_system_without_forks_locks_and_proc_goes_from_imagery_to_polygons(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SESSION), str(tmp_path)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "\ndone 0 0" in done.stdout, done.stdout[-3000:]
    for line in ("read in place: only Linux", "without a lock: this system has none", "unknown on this system"):
        assert line in done.stdout
    with open_raster(tmp_path / "out" / "new.tif") as raster:
        assert raster.read()[0].any()
    assert (tmp_path / "out" / "features.gpkg").is_file()
