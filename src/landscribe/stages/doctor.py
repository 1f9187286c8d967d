"""`doctor`: versions, processor, memory, disk, and a ten-second self-test."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine

from landscribe import __version__
from landscribe.apart import can_work_apart
from landscribe.core.burn import burn_share
from landscribe.core.grid import Grid
from landscribe.core.trace import trace
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.owner import KNOWS_LOCKS
from landscribe.workers import usable_processors

if TYPE_CHECKING:  # torch takes seconds to import
    import torch

PACKAGES = ("torch", "numpy", "numba", "rasterio", "pyogrio", "shapely", "geopandas", "opencv-python-headless")


def doctor() -> list[tuple[str, str, bool]]:
    """Look at this machine.

    Returns:
        Rows of topic, finding, and whether it is fine.
    """
    rows = [
        ("landscribe", __version__, True),
        (
            "python",
            f"{platform.python_version()} on {platform.system()} {platform.machine()}",
            sys.version_info >= (3, 11),
        ),
    ]
    rows += [(name, metadata.version(name), True) for name in PACKAGES]
    rows += [_libraries(), _processor(), _memory(), _disk(), *_system()]
    rows += _engine()
    rows += [_burn_and_trace(), _write_and_read()]
    return rows


def _system() -> list[tuple[str, str, bool]]:
    apart = "in processes of their own" if can_work_apart() else "in place: only Linux limits a process of its own here"
    lock = "one process at a time" if KNOWS_LOCKS else "without a lock: this system has none, use one process"
    return [("files from outside", f"read {apart}", True), ("run folders", f"written by {lock}", True)]


def _libraries() -> tuple[str, str, bool]:
    import pyogrio
    import rasterio

    gdal = ".".join(str(part) for part in pyogrio.__gdal_version__)
    return "gdal", f"{rasterio.__gdal_version__} (rasterio), {gdal} (pyogrio), GEOS {shapely.geos_version_string}", True


def _processor() -> tuple[str, str, bool]:
    usable = usable_processors()
    return "processor", f"{usable} cores", True


def _memory() -> tuple[str, str, bool]:
    try:
        pages = {key: os.sysconf(key) for key in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES", "SC_PAGE_SIZE")}
    except (ValueError, OSError, AttributeError):
        return "memory", "unknown on this system", True
    total, free = (pages[key] * pages["SC_PAGE_SIZE"] / 2**30 for key in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    return "memory", f"{free:.1f} GiB free of {total:.1f}", total > 4


def _disk() -> tuple[str, str, bool]:
    usage = shutil.disk_usage(Path.cwd())
    return "disk", f"{usage.free / 2**30:.1f} GiB free here", usage.free > 2**30


def _engine() -> list[tuple[str, str, bool]]:
    import torch

    from landscribe.nn import private_ops
    from landscribe.nn.device import choose_engine, prefers_bytes

    engine = choose_engine()
    rows = [("network", f"{engine.device}, {str(engine.dtype).removeprefix('torch.')}: {engine.reason}", True)]
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        rows.append(("gpu", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB", True))
    rows += _gpu_ways(engine.device) if engine.samples else []
    fused = (
        "as one, tried"
        if private_ops.can_fuse(engine.dtype)
        else "apart: this torch does not join them, prediction is slower"
    )
    rows.append(("convolution and ReLU", fused, True))
    in_bytes = "tried" if private_ops.can_multiply_bytes() else "not with this torch and processor"
    in_bytes += "; taken for large scenes where the recipe says nothing" if prefers_bytes(engine) else ""
    rows.append(('precision "int8"', in_bytes, True))
    layer = torch.nn.Conv2d(32, 32, 3, padding=1).to(engine.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.rand(4, 32, 128, 128, device=engine.device).to(memory_format=torch.channels_last)
    with (
        torch.inference_mode(),
        torch.autocast(engine.device.type, engine.dtype, enabled=engine.dtype != torch.float32),
    ):
        layer(image)
        begin = time.perf_counter()
        for _ in range(5):
            layer(image)
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = (time.perf_counter() - begin) / 5
    flop = 2 * 4 * 32 * 32 * 9 * 128 * 128
    rows.append(("convolution", f"{flop / seconds / 1e9:.0f} GFLOP/s", True))
    return rows


def _gpu_ways(device: torch.device) -> list[tuple[str, str, bool]]:
    from landscribe.nn.loss.sums import find_kernels
    from landscribe.nn.sample.fused import find_sampler
    from landscribe.nn.train.compile import graph_fault

    fault = graph_fault(device)
    started = f"kernel by kernel: no graph, {fault}" if fault else "as one graph, tried"
    sums = find_kernels(device)[1]
    return [("chips", find_sampler(device).reason, True), ("step of training", started, True), ("loss", sums, True)]


def _burn_and_trace() -> tuple[str, str, bool]:
    car = shapely.affinity.rotate(shapely.box(20.3, 20.7, 34.3, 26.7), 30)
    begin = time.perf_counter()
    seconds: list[float] = []
    for _ in range(2):
        traced = trace(burn_share(np.array([car], dtype=object), (64, 64)), threshold=0.5)
        seconds.append(time.perf_counter() - begin - sum(seconds))
    got = shapely.union_all(traced.geometries)
    jaccard = got.intersection(car).area / got.union(car).area
    # The first call of all compiles; later programs find what it compiled on disk.
    text = f"Jaccard {jaccard:.3f} on a car; {seconds[0]:.1f} s to load or compile, then {1e3 * seconds[1]:.1f} ms"
    return "burn and trace", text, jaccard > 0.95


def _write_and_read() -> tuple[str, str, bool]:
    image_chw = np.random.default_rng(0).integers(0, 2000, (3, 71, 59), dtype=np.uint16)
    grid = Grid(71, 59, Affine.translation(5, 7))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.tif"
        with write_raster(path, grid, count=3, dtype="uint16") as writer:
            writer.write(grid.window, image_chw)
        with open_raster(path) as raster:
            same = bool(np.array_equal(raster.read()[0], image_chw))
    return "write and read", "GeoTIFF unchanged" if same else "GeoTIFF differs", same
