"""A library leaves its host alone."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import rasterio
from rasterio._env import del_gdal_config
from rasterio.env import get_gdal_config, set_gdal_config

import landscribe
from landscribe.io.raster.gdal import gdal
from landscribe.process import GDAL_SETTINGS

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("GDAL_", "OGR_", "PROJ_", "THP_"))}
SESSION = Path(__file__).parent / "helpers" / "host_session.py"
KEY = "GDAL_PAM_ENABLED"


@pytest.mark.slow
def test_nothing_of_the_process_is_changed_by_any_public_function(tmp_path: Path) -> None:
    command = [sys.executable, str(SESSION), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    *changes, last = done.stdout.splitlines()
    assert not changes, "\n".join(changes)[:3000]
    functions = {name for name in landscribe.__all__ if inspect.isfunction(getattr(landscribe, name))}
    assert functions <= set(last.split())
    assert done.stderr == ""


def test_importing_every_module_changes_no_variable_and_no_filter() -> None:
    code = (
        "import os, warnings, pkgutil, rasterio, pyogrio, geopandas, torch, torch.utils.data, scipy.ndimage, cv2\n"
        "import torch._dynamo, pyarrow.parquet, numba, csv\n"
        "state = lambda: (dict(os.environ), list(warnings.filters), csv.field_size_limit())\n"
        "before = state()\n"
        "import landscribe\n"
        "for module in pkgutil.walk_packages(landscribe.__path__, 'landscribe.'):\n"
        "    if module.name.endswith('__main__'): continue\n"
        "    try: __import__(module.name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        if error.name != 'triton': raise\n"  # which comes with torch for GPUs alone
        "print(state() == before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.stdout.strip() == "True", done.stderr


def test_settings_of_the_hosts_own_env_come_back() -> None:
    with rasterio.Env(**{KEY: "YES", "CPL_DEBUG": "OFF"}):
        with gdal(GDAL_TIFF_INTERNAL_MASK=True):
            assert {name: get_gdal_config(name, normalize=False) for name in GDAL_SETTINGS} == GDAL_SETTINGS
        assert get_gdal_config(KEY, normalize=False) == "YES"
        assert get_gdal_config("GDAL_TIFF_INTERNAL_MASK") is None
    assert get_gdal_config(KEY) is None


def test_what_the_host_set_for_the_process_comes_back() -> None:
    set_gdal_config(KEY, "YES", normalize=False)
    try:
        with gdal():
            assert get_gdal_config(KEY, normalize=False) == "NO"
        assert get_gdal_config(KEY, normalize=False) == "YES"
    finally:
        del_gdal_config(KEY)


def test_a_thread_keeps_nothing_of_what_the_main_one_held_meanwhile() -> None:
    inside, outside = threading.Event(), threading.Event()
    found: list[object] = []

    def work() -> None:
        with gdal():
            pass
        inside.set()
        outside.wait(20)
        found.append(get_gdal_config(KEY))

    thread = threading.Thread(target=work)
    with gdal():
        thread.start()
        assert inside.wait(20)
    outside.set()
    thread.join()
    assert found == [None]
