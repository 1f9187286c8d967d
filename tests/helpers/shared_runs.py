"""A folder of small scenes and a recipe whose model is the labels, for runs that several processes share."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import shapely

import warm
from small_data import grid_at, write_image, write_polygons
from warm import Command

RECIPE = """
seed = 1
[data]
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.gpkg", class = "house" }
[[models]]
name = "all"
kind = "labels"
[validate]
share = 0.4
[predict]
scenes = "all"
"""
COMPARED = {".tif", ".parquet", ".csv"}
"""GeoPackages hold the time at which they were written."""


def write_scenes(folder: Path, count: int) -> Path:
    """Write scenes beside each other, each with two houses, and a recipe; return the recipe."""
    for number in range(count):
        grid = grid_at(number)
        write_image(folder / "img" / f"s{number:02}.tif", grid, seed=number)
        houses = [shapely.box(7 + number % 5, 5, 23, 19), shapely.box(41, 31, 59, 47)]
        write_polygons(folder / "lab" / f"s{number:02}.gpkg", houses, grid)
    recipe = folder / "many.toml"
    recipe.write_text(RECIPE)
    return recipe


def start(*arguments: str | Path, cwd: Path, **environment: str) -> Command:
    """Start the command line in a process of its own, with one thread for each library."""
    return warm.start(*arguments, cwd=cwd, **{"OMP_NUM_THREADS": "1", **environment})


def do(*arguments: str | Path, cwd: Path, **environment: str) -> tuple[int, str]:
    """Run the command line; return its exit code and what it said."""
    process = start(*arguments, cwd=cwd, **environment)
    out, err = process.communicate(timeout=120)
    assert process.returncode is not None
    return process.returncode, out + err


def made_in(run: Path) -> dict[str, str]:
    """Return what a run holds, to be compared with another one: bytes of files, and records without times."""
    files = [path for path in run.rglob("*") if path.is_file() and path.suffix in COMPARED]
    found = {path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    for record in (run / ".done").rglob("*.json"):
        values = json.loads(record.read_text())
        if values["stage"] in ("prepare", "predict", "vectorize", "measured"):
            kept = {name: values[name] for name in ("stage", "item", "key", "outputs", "inputs", "counts", "notes")}
            found[record.relative_to(run).as_posix()] = json.dumps(kept, sort_keys=True)
    score = run / "score.json"
    return found | ({"score": score.read_text()} if score.is_file() else {})


def leftovers(run: Path) -> list[Path]:
    """Return what is half-written, or claimed by somebody."""
    return [p for p in run.rglob("*") if p.is_file() and (p.name.startswith(".partial-") or ".leases" in p.parts)]
