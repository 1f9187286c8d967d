"""Reading 200 good scenes in workers of their own against the same in threads, each stage in a new process.

python benchmarks/apart.py [SCENES]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

SIDE = 384
ROUNDS = 3
STAGES = ("check", "prepare", "stats")
RECIPE = """
[data]
root = "."
place = "{scene}"
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.geojson", class_field = "k" }
[[classes]]
name = "house"
[[models]]
name = "all"
"""


def write_scenes(folder: Path, count: int) -> None:
    """Write small pictures with houses on them, and a recipe."""
    random = np.random.default_rng(5)
    (folder / "img").mkdir()
    (folder / "lab").mkdir()
    for number in range(count):
        left, top = 500_000 + 1000 * number, 5_000_000
        image = random.integers(20, 220, (3, SIDE // 8, SIDE // 8), np.uint8).repeat(8, 1).repeat(8, 2)
        image += random.integers(0, 30, image.shape, np.uint8)
        options = {"count": 3, "dtype": "uint8", "height": SIDE, "width": SIDE, "crs": "EPSG:32633"}
        with rasterio.open(
            folder / "img" / f"s{number}.tif", "w", driver="GTiff", compress="deflate",
            transform=Affine(0.5, 0, left, 0, -0.5, top), **options,
        ) as file:  # fmt: skip
            file.write(image)
        rows = [_house(left + 7 + 11 * k, top - 9 - 13 * j) for k in range(9) for j in range(7)]
        crs = {"type": "name", "properties": {"name": "EPSG:32633"}}
        text = json.dumps({"type": "FeatureCollection", "crs": crs, "features": rows})
        (folder / "lab" / f"s{number}.geojson").write_text(text)
    (folder / "r.toml").write_text(RECIPE)


def _house(x: float, y: float) -> dict[str, object]:
    ring = [[x, y], [x + 7, y], [x + 7, y - 5], [x, y - 5], [x, y]]
    return {"type": "Feature", "properties": {"k": "house"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def one(folder: Path, way: str, name: str) -> None:
    """Do a stage in this process and print the seconds."""
    from landscribe.process import settle_process

    settle_process()
    from landscribe import apart
    from landscribe.io.project import open_project
    from landscribe.io.run.runs import open_run
    from landscribe.io.settings import load_recipe
    from landscribe.stages import check, prepare, stats

    if way == "threads":
        for stage in (check, prepare, stats):
            stage.start = lambda: False  # type: ignore[attr-defined]
        for stage in (check, stats):
            stage.at_once = apart.usable_processors  # type: ignore[attr-defined]
    project, run = open_project(load_recipe(folder / "r.toml")), open_run(folder / way)
    stages = {
        "check": lambda: check.check(project),
        "prepare": lambda: prepare.prepare(project, run),
        "stats": lambda: stats.stats(project),
    }
    begin = time.perf_counter()
    stages[name]()
    print(time.perf_counter() - begin)


def main() -> None:
    """Time both ways in turn and print the medians."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scenes(folder, count)
        for stage in STAGES:
            found: dict[str, list[float]] = {"threads": [], "workers": []}
            for _ in range(ROUNDS):
                for way, seconds in found.items():
                    subprocess.run(["rm", "-rf", str(folder / way)], check=True)
                    command = [sys.executable, __file__, "--one", name, way, stage]
                    seconds.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            threads, workers = (statistics.median(seconds) for seconds in found.values())
            print(
                f"{stage:8} {count} scenes: threads {threads:6.2f} s, workers {workers:6.2f} s, {workers / threads:.2f}"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(Path(sys.argv[2]), *sys.argv[3:5])
    else:
        main()
