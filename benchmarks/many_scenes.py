"""What a scene costs when there are many: python benchmarks/many_scenes.py [--scenes 100 1000 10000] [--on local:2].

Makes small scenes up (96 x 96 pixels, three houses each, one in fifty labelled, each a place of its own), trains a tiny
network that finds most houses, and runs the stages on all with it, each as a command of its own. Printed for each
stage: milliseconds of the clock and of processors for a scene, and the memory of the largest process; then how long
`run` takes to say that all is up to date. Pixels are few on purpose: what is measured is what Landscribe adds to them.
With `--on`, also what an item costs that is up to date, on workers and in this process, and how long workers take to
begin.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.io.project import as_run, open_project
from landscribe.io.project.batches import settled_items
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.scale import open_crew
from landscribe.scale.crew import _Hands
from landscribe.scale.ticket import ticket_of
from landscribe.scale.worker import do_item
from landscribe.stages.vectorize import vectorize_work
from side_by_side import machine

SIDE, EVERY = 96, 50
"""Pixels of a side; one scene in so many has labels."""
UTM = CRS.from_epsg(32633)
RECIPE = """
seed = 1
[data]
place = "{scene}"
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.geojson", class_field = "class_name" }
[[classes]]
name = "house"
[[models]]
name = "all"
network = { filters = 4, depth = 3 }
chips = { size = 48, context = 8, batch = 4 }
schedule = { epochs = 8, steps = 25, rate = 3e-3 }
[predict]
symmetries = 1
"""
STAGES = ("check", "prepare", "predict", "vectorize", "score", "report", "map")
SHARED = ("check", "prepare", "predict", "vectorize")
"""Stages that take `--on`."""


def grid_of(number: int) -> Grid:
    """Return where a scene lies: a hundred in a row, a kilometre apart, so that none is the context of another."""
    left, top = 300_000 + 1000 * (number % 100), 5_000_000 - 1000 * (number // 100 % 3000)
    return Grid(SIDE, SIDE, Affine(0.5, 0, left, 0, -0.5, top), UTM)


def make_scenes(folder: Path, count: int, first: int = 0) -> Path:
    """Write scenes of houses on noise, drawn by numbers from the first on, and the recipe; return it."""
    for name in ("img", "lab"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rng, grid = np.random.default_rng(first + number), grid_of(first + number)
        image_chw = rng.integers(20, 90, (3, SIDE, SIDE), np.uint8)
        houses = [(*rng.integers(4, SIDE - 24, 2), *rng.integers(8, 20, 2)) for _ in range(3)]
        for row, col, height, width in houses:
            image_chw[:, row : row + height, col : col + width] += 120
        with write_raster(folder / "img" / f"s{number:05}.tif", grid, count=3, dtype="uint8", rgb=True) as writer:
            writer.write(grid.window, image_chw)
        if number % EVERY == 0:
            rings = [[grid.transform @ corner for corner in _corners(*house)] for house in houses]
            features = [
                {
                    "type": "Feature",
                    "properties": {"class_name": "house"},
                    "geometry": {"type": "Polygon", "coordinates": [ring]},
                }
                for ring in rings
            ]
            crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
            layer = {"type": "FeatureCollection", "crs": crs, "features": features}
            (folder / "lab" / f"s{number:05}.geojson").write_text(json.dumps(layer))
    recipe = folder / "r.toml"
    recipe.write_text(RECIPE)
    return recipe


def _corners(row: int, col: int, height: int, width: int) -> list[tuple[float, float]]:
    left, top, right, bottom = float(col), float(row), float(col + width), float(row + height)
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def timed(folder: Path, *arguments: str) -> dict[str, float]:
    """Run a command; return its seconds, those of processors, and the memory of its largest process in MiB."""
    begin = time.perf_counter()
    said = folder / "said"
    with said.open("w") as out:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "landscribe", *arguments],
            os.environ | {"PWD": str(folder)},
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, out.fileno(), 2)],
        )
        _, status, used = os.wait4(pid, 0)
    if status:
        sys.exit(f"landscribe {' '.join(arguments)}: {said.read_text()[-2000:]}")
    return {
        "seconds": time.perf_counter() - begin,
        "processor_s": used.ru_utime + used.ru_stime,
        "mib": used.ru_maxrss / 1024,
    }


def measure(folder: Path, count: int, models: Path | None, on: str) -> dict[str, dict[str, float]]:
    """Run all stages on so many scenes; return what each took."""
    begin = time.perf_counter()
    recipe = str(make_scenes(folder, count))
    print(f"{count} scenes made in {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    run, found = str(folder / "run"), {}
    for stage in STAGES if models else ("check", "prepare", "train", *STAGES[2:]):
        given = [stage, recipe]
        given += [] if stage == "check" else ["--run", run]
        given += ["--models", str(models)] if models and stage in ("check", "prepare", "predict") else []
        given += ["--on", on] if on and stage in SHARED else []
        found[stage] = timed(folder, *given)
        row = found[stage]
        print(
            f"{count:>7} {stage:<10} {1e3 * row['seconds'] / count:8.1f} ms a scene "
            f"{1e3 * row['processor_s'] / count:8.1f} ms of processors {row['mib']:7.0f} MiB {row['seconds']:8.1f} s",
            flush=True,
        )
    whole = ("run", recipe, "--run", run, *(["--models", str(models)] if models else []))
    timed(folder, *whole)  # does what the stages by themselves leave to it, as the record of `check`
    found["up to date"] = timed(folder, *whole)
    row = found["up to date"]
    print(f"{count:>7} run again: {row['seconds']:.1f} s, {row['mib']:.0f} MiB", flush=True)
    return found


def overhead(folder: Path, on: str) -> dict[str, float]:
    """Return the milliseconds of an item that is up to date, here and on workers, and the seconds workers take."""
    project = open_project(load_recipe(folder / "r.toml"))
    run = open_run(folder / "run")
    found: dict[str, float] = {}
    project = as_run(project, run)
    batch = next(vectorize_work(project, run))
    begin = time.perf_counter()
    settled, others = settled_items(run, batch)
    found["here_ms"] = 1e3 * (time.perf_counter() - begin) / len(settled)
    if others:
        sys.exit(f"not up to date: {others[:5]}")
    begin = time.perf_counter()
    with open_crew(on, project) as crew:
        ticket = ticket_of(project, None, "vectorize", 0, run.root, beside=crew.beside)
        token = run.path(ticket.token)
        token.touch()
        hands = _Hands(crew, asdict(ticket), gpu=False)
        first, *names = batch.items
        for _, outcome in hands.outcomes(do_item, [first]):
            outcome()
        found["start_s"] = time.perf_counter() - begin
        begin = time.perf_counter()
        for _, outcome in hands.outcomes(do_item, names):
            outcome()
        found["workers_ms"] = 1e3 * (time.perf_counter() - begin) / len(names)
        token.unlink()
    print(
        f"an item that is up to date: {found['here_ms']:.2f} ms here, {found['workers_ms']:.1f} ms on {on}; "
        f"the first one after {found['start_s']:.1f} s",
        flush=True,
    )
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--on", default="", help="as of the command line: local:2 or an address")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="landscribe-many-"))
    found = {}
    teacher = folder / "teacher"
    if not (teacher / "run" / "models").is_dir():
        recipe = str(make_scenes(teacher, 200, first=1_000_000))
        for stage in ("prepare", "train"):
            timed(teacher, stage, recipe, "--run", str(teacher / "run"))
    for count in asked.scenes:
        found[str(count)] = measure(folder / str(count), count, teacher / "run" / "models", asked.on)
        if asked.on:
            found[str(count)]["an item"] = overhead(folder / str(count), asked.on)
    if asked.json:
        print(json.dumps({**machine(), "on": asked.on, "stages": found}, indent=1))
    if asked.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
