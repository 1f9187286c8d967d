"""The environment that every decoder runs in, and the limits before it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from landscribe.errors import DataError, LimitError
from landscribe.io.safety import check_size, heard, require_local_file
from landscribe.workers import free_memory_bytes


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, timeout=60
    )


def test_drivers_that_point_elsewhere_do_not_exist():
    code = (
        "import landscribe.io.raster.rasters, landscribe.io.vector.vectors, rasterio, pyogrio\n"
        "with rasterio.Env() as env: names = set(env.drivers()) | set(pyogrio.list_drivers())\n"
        "outside = {'VRT', 'WMS', 'WMTS', 'WCS', 'STACIT', 'STACTA', 'HTTP', 'GTI', 'OGR_VRT'}\n"
        "print(sorted(names & outside), 'GTiff' in names)"
    )
    done = run_python(code)
    assert done.stdout.strip() == "[] True"
    assert done.stderr == ""


def test_what_the_user_set_does_not_weaken_it():
    code = "import os, landscribe.io; print(os.environ['GDAL_SKIP'], os.environ['GDAL_DISABLE_READDIR_ON_OPEN'])"
    done = run_python(code, GDAL_SKIP="ENVI VRT", GDAL_DISABLE_READDIR_ON_OPEN="FALSE")
    skipped, listing = done.stdout.split()
    assert skipped.split(",")[0] == "ENVI"
    assert skipped.split(",").count("VRT") == 1
    assert "WMS" in skipped.split(",")
    assert listing == "EMPTY_DIR"


def test_importing_the_package_of_doors_is_cheap():
    code = "import sys, landscribe.io; print(sorted({'rasterio', 'pyogrio', 'geopandas', 'numpy'} & set(sys.modules)))"
    assert run_python(code).stdout.strip() == "[]"


def test_too_large_names_the_numbers():
    with pytest.raises(LimitError, match=r"a.tif: too large to read at once, got 7 MiB, need at most 3 MiB"):
        check_size("a.tif", 7 << 20, limit_bytes=3 << 20)
    check_size("a.tif", 3 << 20, limit_bytes=3 << 20)


def test_what_no_memory_holds_is_refused_without_a_limit():
    with pytest.raises(LimitError, match="too large"):
        check_size("a.tif", 1 << 60)


def test_a_bomb_is_known_by_its_ratio(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("landscribe.io.safety.free_memory_bytes", lambda: 1 << 45)
    need = 3_600_000_000
    with pytest.raises(LimitError, match=r"unpacks to 29752 times its size.*got 3433 MiB in a file of 121000 bytes"):
        check_size("a.tif", need, file_bytes=121_000)
    check_size("a.tif", need, file_bytes=need // 20)  # an image
    check_size("a.tif", 1 << 30, file_bytes=100)  # zeros of a size that does no harm
    check_size("a.tif", need, file_bytes=121_000, limit_bytes=1 << 40)  # somebody means it


def test_free_memory_is_a_size():
    assert 0 < free_memory_bytes() < 1 << 50


def test_only_files_pass(tmp_path: Path):
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_text("abc")
    os.mkfifo(tmp_path / "pipe")
    assert require_local_file(tmp_path / "full") == 3
    for name, what in {
        "none": "no such file",
        "empty": "the file is empty",
        "pipe": "not a file",
        ".": "not a file",
    }.items():
        with pytest.raises(DataError, match=what):
            require_local_file(tmp_path / name)


def test_a_remote_path_is_no_file():
    for name in ("/vsicurl/http://127.0.0.1:9/a.tif", "http://127.0.0.1:9/a.tif", "/vsizip/a.zip/b.tif"):
        with pytest.raises(DataError, match="no such file"):
            require_local_file(Path(name))


def test_warnings_are_heard_and_not_shown():
    import warnings

    with heard() as remarks:
        warnings.warn("odd", UserWarning, stacklevel=1)
    assert [str(r.message) for r in remarks] == ["odd"]
    with pytest.raises(UserWarning, match="odd"):  # the suite's filter is back
        warnings.warn("odd", UserWarning, stacklevel=1)


def test_what_results_say_is_not_warned_of_whatever_other_threads_do_to_filters():
    """shapely and pandas set and restore the filters of the whole process in every thread."""
    code = """if True:
        import sys, threading, warnings
        from pathlib import Path
        import numpy as np, shapely
        from landscribe.core.grid import Grid
        from landscribe.io.raster.geotiff import write_raster
        from landscribe.io.raster.rasters import open_raster
        from affine import Affine
        path, ends = Path(sys.argv[1]), []
        with write_raster(path, Grid(16, 16, Affine.identity()), count=1, dtype="uint8") as writer:
            writer.write(Grid(16, 16, Affine.identity()).window, np.ones((1, 16, 16), np.uint8))

        def disturb():
            while not ends:
                with warnings.catch_warnings():
                    shapely.is_valid(shapely.box(0, 0, 1, 1))

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            for _ in range(300):
                with open_raster(path) as raster:
                    assert not raster.info.georeferenced
        finally:
            ends.append(True)
            thread.join()
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "error", "-c", code, str(Path(folder) / "plain.tif")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
