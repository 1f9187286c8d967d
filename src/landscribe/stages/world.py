"""`world`: write a synthetic DSTL data set."""

from __future__ import annotations

import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np

from landscribe.core.features import join_features, make_features
from landscribe.core.grid import dstl_grid
from landscribe.core.legend import DSTL_LEGEND
from landscribe.io.atomic import write_text
from landscribe.io.project import Progress, silent
from landscribe.io.raster.geotiff import Packing
from landscribe.io.source.dstl import write_scene, write_tables
from landscribe.process import settle_process
from landscribe.workers import obey, stop_if_asked
from landscribe.worlds.world import WorldSpec, make_scene, scene_ids


def write_world(
    root: Path,
    spec: WorldSpec,
    *,
    unlabelled: int = 0,
    packing: Packing = "zstd",
    workers: int = 1,
    progress: Progress = silent,
) -> list[str]:
    """Write a synthetic world in the DSTL layout.

    Args:
        root: Folder to write to.
        spec: Number and size of scenes, seed, shifts.
        unlabelled: How many scenes, the last ones, get no rows in the label table, as DSTL's test images.
        packing: How the rasters are compressed; `none` is what every reader of TIFFs can read.
        workers: Processes that make scenes side by side.
        progress: Told of each scene.

    Returns:
        The scene ids.
    """
    ids = scene_ids(spec)
    frames, parts, shifts = {}, [], ["scene,sensor,row_px,col_px"]
    labelled = ids[: len(ids) - unlabelled]
    jobs = [(root, spec, number, packing) for number in range(len(ids))]
    if workers > 1:
        # Spawned, since a forked child of a process with OpenMP threads can hang.
        context = get_context("spawn")
        stop = context.Event()
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(stop,)) as pool:
            try:
                results = _collect(pool.map(_write_one, jobs), len(ids), progress)
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    else:
        results = _collect(map(_write_one, jobs), len(ids), progress)
    for scene_id, frame, shape_hw, polygons, scene_shifts in results:
        frames[scene_id] = frame
        grid = dstl_grid(*shape_hw, *frame)
        for land_class in DSTL_LEGEND:
            pixels = np.array(list(polygons.get(land_class.id, ())), dtype=object)
            if scene_id in labelled:
                parts.append(make_features(scene_id, land_class, grid.pixels_to_ground(pixels)))
        shifts += [f"{scene_id},{sensor},{row:.4f},{col:.4f}" for sensor, (row, col) in scene_shifts.items()]
    write_tables(root, frames, join_features(parts), labelled)
    write_text(root / "true_shifts.csv", "\n".join(shifts) + "\n")
    return ids


def _begin(stop: Event) -> None:
    """Set up a process of our own; Ctrl-C reaches it too, and the one that started it says when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settle_process()
    obey(stop)


def _write_one(
    job: tuple[Path, WorldSpec, int, Packing],
) -> tuple[str, tuple[float, float], tuple[int, int], Any, Any]:
    root, spec, number, packing = job
    scene = make_scene(spec, number)
    stop_if_asked()
    write_scene(root, scene.scene_id, scene.images_chw, packing=packing)
    height, width = scene.images_chw["RGB"].shape[1:]
    return scene.scene_id, (scene.x_max, scene.y_min), (height, width), scene.polygons, scene.shifts_px


def _collect(results: Any, total: int, progress: Progress) -> list[Any]:
    collected = []
    for result in results:
        collected.append(result)
        progress(f"world {result[0]}", len(collected), total)
    return collected
