"""What the command line sets for its process, and that a library does not."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROBES = ("io/raster/test_raster_safety.py", "io/vector/test_vector_safety.py", "io/test_safety.py")


def run_python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=300)


@pytest.mark.parametrize("ours", [True, False])
def test_drivers_that_point_elsewhere_do_not_exist_in_a_process_of_our_own(ours: bool):
    done = run_python(
        """
        import sys
        from landscribe.process import settle_process
        if sys.argv[1] == "True":
            settle_process()
        import landscribe.io.raster.rasters, landscribe.io.vector.vectors, rasterio, pyogrio
        with rasterio.Env() as env: names = set(env.drivers()) | set(pyogrio.list_drivers())
        outside = {'VRT', 'WMS', 'WMTS', 'WCS', 'STACIT', 'STACTA', 'HTTP', 'GTI', 'OGR_VRT'}
        print(sorted(names & outside), 'GTiff' in names)
        """,
        ours,
    )
    left, has_tiff = done.stdout.strip().rsplit(" ", 1)
    assert (left == "[]") is ours
    assert has_tiff == "True"
    assert done.stderr == ""


def test_what_the_user_set_does_not_weaken_it():
    code = """
        import os
        from landscribe.process import settle_process
        settle_process()
        print(*(os.environ[n] for n in ('GDAL_SKIP', 'GDAL_DISABLE_READDIR_ON_OPEN', 'PROJ_DEBUG', 'PROJ_NETWORK')))
    """
    user = {"GDAL_SKIP": "ENVI VRT", "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE", "PROJ_DEBUG": "3", "PROJ_NETWORK": "ON"}
    skipped, listing, level, network = run_python(code, **user).stdout.split()
    assert skipped.split(",")[0] == "ENVI"
    assert skipped.split(",").count("VRT") == 1
    assert "WMS" in skipped.split(",")
    assert (listing, level, network) == ("EMPTY_DIR", "3", "OFF")


def test_the_command_line_settles_its_process_before_gdal_comes():
    done = run_python(
        """
        import os, sys
        from landscribe.cli import app
        from landscribe.process import is_ours
        app.app = lambda **_: print(is_ours(), os.environ["OGR_SKIP"], {"rasterio", "pyogrio"} & set(sys.modules))
        app.main()
        """
    )
    assert done.stdout.strip() == "True OGR_VRT set()"


REMARK = """
    import sqlite3, sys, threading
    from pathlib import Path
    from landscribe.process import settle_process
    if sys.argv[2] == "True":
        settle_process()
    from landscribe.io.vector.vectors import read_features
    connection = sqlite3.connect(sys.argv[1])
    connection.execute("UPDATE gpkg_spatial_ref_sys SET definition = 'nonsense', organization = 'X' WHERE srs_id > 9e4")
    connection.commit()
    connection.close()
    def read():
        for _ in range(2):
            frame, counts = read_features(Path(sys.argv[1]), legend=None, crs=None, scene="s", class_name="a")
            print(len(frame), [reason for reason in counts if reason.startswith("GDAL: Unable to parse srs_id")] != [])
    # Outside of our processes, GDAL itself writes what it remarks in other threads than that which imports pyogrio.
    thread = threading.Thread(target=read)
    thread.start() if sys.argv[2] == "True" else thread.run()
    if sys.argv[2] == "True":
        thread.join()
"""


@pytest.mark.parametrize("ours", [True, False])
def test_what_gdal_remarks_is_counted_here_and_a_warning_elsewhere(tmp_path: Path, ours: bool):
    import geopandas as gpd
    from shapely.geometry import box

    odd = "+proj=utm +zone=36 +ellps=bessel"
    gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs=odd).to_file(tmp_path / "a.gpkg", engine="pyogrio")
    done = run_python(REMARK, tmp_path / "a.gpkg", ours)
    assert done.stdout.split() == ["1", str(ours)] * 2, done.stderr
    assert ("RuntimeWarning: Unable to parse srs_id" in done.stderr) is not ours


def test_only_a_process_of_our_own_keeps_its_memory():
    code = """
        import ctypes, sys
        from landscribe.process import settle_process
        if sys.argv[1] == "True":
            settle_process()
        from landscribe.nn.device import choose_engine
        choose_engine("cpu")
        import torch
        class Sizes(ctypes.Structure):
            _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]
        system = ctypes.CDLL(None)
        if not hasattr(system, "mallinfo2"):
            sys.exit(9)
        system.mallinfo2.restype = Sizes
        before = system.mallinfo2().hblkhd
        large = torch.ones(1 << 24)
        print(system.mallinfo2().hblkhd - before >= 1 << 26)
    """
    found = [run_python(code, ours) for ours in (True, False)]
    if found[0].returncode == 9:
        pytest.skip("the C library does not tell of its memory")
    # What is given back at once is mapped apart from the heap.
    assert [done.stdout.strip() for done in found] == ["False", "True"], found[1].stderr


@pytest.mark.parametrize("ours", [True, False])
def test_only_a_process_of_our_own_ends_without_a_search_for_circles(ours: bool):
    code = """
        import atexit, gc, sys
        atexit.register(lambda: print(gc.get_freeze_count() > 0))
        from landscribe.process import settle_process
        if sys.argv[1] == "True":
            settle_process()
        atexit.register(lambda: print(gc.get_freeze_count() > 0))
    """
    assert run_python(code, ours).stdout.split() == ["False", str(ours)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for what the process has")
@pytest.mark.parametrize("way", ["trim_memory", "release_memory"])
def test_what_networks_left_free_goes_back(way: str):
    done = run_python(
        """
        import sys
        from pathlib import Path
        from landscribe import process
        from landscribe.nn.device import keep_memory
        def used(): return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) >> 10
        process.settle_process()
        keep_memory()
        pieces = [bytearray(b"x" * (1 << 20)) for _ in range(300)]
        del pieces
        kept = used()
        getattr(process, sys.argv[1])()
        print(kept - used())
        """,
        way,
    )
    assert done.stderr == ""
    assert int(done.stdout) > 250


def test_the_probes_hold_in_a_process_of_our_own_too():
    code = """
        import sys
        from landscribe.process import settle_process
        settle_process()
        import pytest
        sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
    """
    done = run_python(code, *(Path(__file__).parent / name for name in PROBES))
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_most_memory_of_a_process_is_its_own() -> None:
    """A process that one of 300 MB starts has not had these."""
    code = (
        "import subprocess, sys\nkept = b'x' * 300_000_000\n"
        "print(subprocess.run([sys.executable, '-c', 'from landscribe.process import most_memory_bytes as most;"
        "print(most())'], capture_output=True, text=True, check=True).stdout)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 5e6 < int(done.stdout) < 2e8
