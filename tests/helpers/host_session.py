"""A program that uses GDAL and torch for itself and calls Landscribe in between: python host_session.py FOLDER.

Prints a line for each call after which something of the process was not as before, and `done` with the names of what
was called.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import gc
import hashlib
import io
import locale
import logging
import os
import pickle
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import geopandas as gpd
import numba
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import rasterio
import rasterio.env
import torch
from rasterio.shutil import copy
from shapely.geometry import box

RECIPE = """
seed = 1
[data]
source = "dstl"
root = "world"
[[models]]
name = "all"
inputs = { sensors = ["RGB"] }
network = { filters = 4, depth = 3 }
chips = { size = 64, context = 8, batch = 4 }
schedule = { epochs = 1, steps = 2 }
[predict]
tile = 128
symmetries = 1
[vectorize]
threshold = { default = 0.3 }
[tune]
folds = 2
"""
OPTIONS = (
    "GDAL_DISABLE_READDIR_ON_OPEN", "GDAL_PAM_ENABLED", "GDAL_GEOREF_SOURCES", "GDAL_ERROR_ON_LIBJPEG_WARNING",
    "GDAL_SKIP", "OGR_SKIP", "GDAL_TIFF_INTERNAL_MASK", "ZSTD_LEVEL_OVERVIEW", "GDAL_NUM_THREADS", "GDAL_CACHEMAX",
    "PROJ_NETWORK", "PROJ_DEBUG", "CPL_DEBUG", "CPL_LOG", "OGR_SQLITE_PRAGMA", "RASTERIO_ENV",
)  # fmt: skip
UTM = pyproj.CRS.from_epsg(32636)
LOGGERS = ("", "rasterio", "rasterio._env", "pyogrio", "numba", "landscribe")


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(line + "\n")


def digest(value: Any) -> str:
    """Return a short name of a value."""
    return hashlib.sha256(pickle.dumps(value)).hexdigest()[:12]


def elsewhere(function: Callable[[], Any]) -> Any:
    """Return what a function finds in another thread."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def gdal_options() -> dict[str, Any]:
    """Return what both builds of GDAL are set to."""
    return {f"{name} of {who.__name__}": who(name) for name in OPTIONS for who in READERS}


READERS = (rasterio.env.get_gdal_config, pyogrio.get_gdal_config_option)


def keeps_memory() -> bool | None:
    """Tell whether the C library keeps large pieces of memory; None where it does not say."""
    names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", *"abcde")
    fields = [(name, ctypes.c_size_t) for name in names]
    sizes = type("Sizes", (ctypes.Structure,), {"_fields_": fields})
    system = ctypes.CDLL(None)
    if not hasattr(system, "mallinfo2"):
        return None
    system.mallinfo2.restype, system.malloc.restype = sizes, ctypes.c_void_p
    system.malloc.argtypes, system.free.argtypes = (ctypes.c_size_t,), (ctypes.c_void_p,)
    before = system.mallinfo2().hblkhd
    place = system.malloc(1 << 28)
    kept = system.mallinfo2().hblkhd - before < 1 << 28
    system.free(place)
    return bool(kept)


def state() -> dict[str, Any]:
    """Return what a library has no business to change."""
    with rasterio.Env() as env:
        drivers = sorted(env.drivers())
    mask = os.umask(0)
    os.umask(mask)
    return {
        **{f"${name}": value for name, value in os.environ.items()},
        "warnings.filters": list(warnings.filters),
        "warnings.showwarning": warnings.showwarning,
        "rasterio's drivers": drivers,
        "pyogrio's drivers": sorted(pyogrio.list_drivers()),
        **gdal_options(),
        **{f"{name}, in a thread": value for name, value in elsewhere(gdal_options).items()},
        "an open Env": rasterio.env.hasenv(),
        "PROJ's network": pyproj.network.is_network_enabled(),
        "PROJ's data": pyproj.datadir.get_data_dir(),
        "torch's threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch's generator": digest(torch.get_rng_state().numpy()),
        "torch's types": (torch.get_default_dtype(), torch.get_float32_matmul_precision()),
        "torch's modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
        "torch's algorithms": (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.mkldnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.allow_tf32,
        ),
        "torch's processes": torch.distributed.is_initialized(),
        "numpy's generator": digest(np.random.get_state()),  # noqa: NPY002
        "numpy's errors": np.geterr(),
        "Python's generator": digest(random.getstate()),
        "threads of others": (cv2.getNumThreads(), numba.get_num_threads()),
        "options of tables": (pd.describe_option(_print_desc=False), repr(gpd.options)),
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)},
        "garbage": (gc.isenabled(), gc.get_threshold()),
        "limits": (sys.getrecursionlimit(), csv.field_size_limit(), mask),
        "place": (str(Path.cwd()), locale.setlocale(locale.LC_ALL), list(sys.path)),
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook, sys.stdout, sys.stderr),
        "loggers": [
            (log.level, log.propagate, len(log.handlers), log.filters) for log in map(logging.getLogger, LOGGERS)
        ],
        "memory is kept": keeps_memory(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }


def work_of_the_host(folder: Path) -> None:
    """Open what Landscribe would not: a VRT and a raster with overviews beside it, and a VRT of polygons."""
    with rasterio.open(folder / "x.vrt") as dataset:
        assert dataset.read(1).sum() == 61 * 47
    with rasterio.open(folder / "x.tif") as dataset:
        assert dataset.overviews(1) == [2]
    assert len(pyogrio.read_dataframe(folder / "x.ovf")) == 1


def train_of_the_host() -> None:
    """Take one step; torch itself sets filters of warnings and a variable when its optimizers come."""
    weight = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()


def make_files(folder: Path) -> None:
    """Write what the host works with."""
    profile = {"driver": "GTiff", "count": 1, "height": 61, "width": 47, "dtype": "uint8", "crs": "EPSG:32636"}
    with rasterio.open(folder / "x.tif", "w", **profile, transform=rasterio.Affine.scale(2)) as dataset:
        dataset.write(np.ones((1, 61, 47), np.uint8))
    with rasterio.open(
        folder / "rgb.tif", "w", **profile | {"count": 3}, transform=rasterio.Affine.scale(2)
    ) as dataset:
        dataset.write(np.random.default_rng(0).integers(1, 250, (3, 61, 47), dtype=np.uint8))
    copy(folder / "x.tif", folder / "x.vrt", driver="VRT")
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(folder / "x.tif", "r+") as dataset:
        dataset.build_overviews([2])
    gpd.GeoDataFrame({"kind": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=32636).to_file(folder / "x.gpkg", layer="x")
    source = f"<SrcDataSource>{folder / 'x.gpkg'}</SrcDataSource>"
    text = f'<OGRVRTDataSource><OGRVRTLayer name="x">{source}</OGRVRTLayer></OGRVRTDataSource>'
    (folder / "x.ovf").write_text(text)


ADAPT = ["adapt.epochs=1", "adapt.steps=2", "adapt.least=0.0"]


def calls(folder: Path) -> dict[str, Callable[[], Any]]:
    """Return a call of every public function, in an order in which each finds what it needs."""
    import landscribe as ls
    from landscribe.stages.world import write_world
    from landscribe.worlds.world import WorldSpec

    kept: dict[str, Any] = {}
    square = np.array([box(3, 3, 29, 31)], dtype=object)
    grid = ls.Grid(61, 47, rasterio.Affine.identity())
    sent = folder / "run" / "submission.csv.gz"

    def keep(name: str, value: Any) -> Any:
        kept[name] = value
        return value

    def write_raster() -> None:
        with ls.write_raster(folder / "o.tif", grid, count=1, dtype="uint8") as writer:
            writer.write(grid.window, np.ones((1, 61, 47), np.uint8))

    def open_raster() -> None:
        with ls.open_raster(folder / "o.tif") as raster:
            work_of_the_host(folder)  # also while one of ours is open
            assert raster.read()[1].all()

    def read_features() -> None:
        for path, crs in (("x.gpkg", UTM), ("o.gpkg", None), ("o.fgb", None)):
            ls.read_features(folder / path, legend=None, crs=crs, scene="s", class_name="a")

    def show_progress() -> None:
        with contextlib.redirect_stderr(io.StringIO()), ls.progress_bars() as progress:
            progress("predict a", 1, 2)

    def run_with_bars() -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            ls.run(folder / "r.toml", folder / "run", progress=True)

    def predict_everything() -> None:
        keep("raster", kept["model"].predict(next((folder / "world" / "three_band").glob("*.tif"))))._repr_html_()
        with rasterio.open(folder / "rgb.tif") as dataset:
            kept["model"].predict(dataset, anyway=True)
            values = dataset.read()
        kept["model"].predict(values, transform=rasterio.Affine.scale(0.31), crs=32636, anyway=True)
        kept["raster"].write(folder / "written.tif")

    def refused() -> None:
        for wrong in (lambda: kept["model"].predict(np.ones((3, 5, 7))), lambda: ls.run("none.toml", folder / "none")):
            try:
                wrong()
            except ls.LandscribeError:
                continue
            raise AssertionError

    def on(stage: str) -> Callable[[], Any]:
        return lambda: getattr(ls, stage)(kept["project"], kept["run"])

    return {
        "world": lambda: write_world(folder / "world", WorldSpec(scenes=4, height=128, width=131), unlabelled=1),
        "load_recipe": lambda: keep("recipe", ls.load_recipe(folder / "r.toml")),
        "open_project": lambda: keep("project", ls.open_project(kept["recipe"])),
        "open_run": lambda: keep("run", ls.open_run(folder / "run")),
        "check": lambda: ls.check(kept["project"]),
        "stats": lambda: ls.stats(kept["project"]),
        **{name: on(name) for name in ("prepare", "train", "predict", "vectorize", "score_run", "submit")},
        **{name: on(name) for name in ("write_report", "write_map", "tune", "pictures", "masks")},
        "merge": lambda: ls.merge(folder / "merged.csv", [ls.Source(sent), ls.Source(sent)]),
        "vote": lambda: ls.vote(folder / "voted.csv", [sent, sent, sent]),
        "clean": lambda: ls.clean(kept["project"], sent, folder / "cleaned.csv"),
        "burn_share": lambda: ls.burn_share(square, (61, 47)),
        "burn_mask": lambda: keep("mask", ls.burn_mask(square, (61, 47))),
        "trace_pixels": lambda: ls.trace_pixels(kept["mask"]),
        "init": lambda: ls.init(folder / "world", folder / "i.toml"),
        "run": lambda: keep("again", ls.run(folder / "r.toml", folder / "run"))._repr_html_(),
        "run with bars": run_with_bars,
        "progress_bars": show_progress,
        "load_model": lambda: keep("model", ls.load_model(folder / "run" / "models")),
        "Model.predict": predict_everything,
        "Model.polygons": lambda: keep("found", kept["model"].polygons(kept["raster"])),
        "trace": lambda: ls.trace(kept["raster"], threshold=0.3),
        "trace of a mask": lambda: ls.trace(kept["mask"].astype(bool), grid=grid),
        "burn": lambda: ls.burn(kept["found"], kept["raster"]),
        "score": lambda: ls.score(kept["found"], kept["found"])._repr_html_(),
        "compare": lambda: ls.compare(kept["again"], kept["again"]),
        "adapt": lambda: ls.adapt(ls.open_project(ls.load_recipe(folder / "r.toml", ADAPT)), kept["run"]),
        "refused": refused,
        "write_raster": write_raster,
        "open_raster": open_raster,
        "write_features": lambda: [
            ls.write_features(folder / name, without_crs(folder), legend=None) for name in ("o.fgb", "o.gpkg")
        ],
        "read_features": read_features,
    }  # fmt: skip


def without_crs(folder: Path) -> Any:
    """Return features without a CRS, which pyogrio warns of."""
    import landscribe as ls

    frame, _ = ls.read_features(folder / "x.gpkg", legend=None, crs=UTM, scene="s", class_name="a")
    return frame.set_crs(None, allow_override=True)


def main(folder: Path) -> None:
    """Call everything."""
    warnings.simplefilter("error")  # whoever changes filters or warns is seen
    make_files(folder)
    (folder / "r.toml").write_text(RECIPE)
    work_of_the_host(folder)
    train_of_the_host()
    numba.get_num_threads()  # to ask starts numba's own threads, which sets how many OpenMP has, and so torch
    before = state()

    def compare(after: str) -> None:
        work_of_the_host(folder)
        now = state()
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                say(f"{after}: {name} was {before.get(name)}, is {now.get(name)}")

    table = calls(folder)
    compare("import")
    for name, call in table.items():
        call()
        compare(name)
    say(f"done {' '.join(table)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
