"""What `export`, `verify` and the script of docs/export.md take: python benchmarks/export.py [--json].

A run is made of noise with the default network and one step of training. Each command then runs in a process of its
own, one after the other, whose processor seconds and largest memory the system tells; reading Python's modules is in
them. ONNX Runtime's part of `verify` is done in a worker, which the system does not count here.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.features import make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.vector.vectors import write_features
from side_by_side import finish

SIDE = 701
RECIPE = """
[data]
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.gpkg", class_field = "class_name" }
[[models]]
schedule = { epochs = 1, steps = 1 }
chips = { batch = 1 }
[predict]
symmetries = VIEWS
"""


def write_scene(folder: Path, number: int) -> None:
    """Write a picture of noise and a square of a class."""
    grid = Grid(SIDE, SIDE, Affine(0.5, 0, 500_000 + 1000 * number, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    (folder / "img").mkdir(parents=True, exist_ok=True)
    (folder / "lab").mkdir(exist_ok=True)
    with write_raster(folder / "img" / f"s{number}.tif", grid, count=3, dtype="uint8") as writer:
        pixels = np.random.default_rng(number).integers(1, 255, (3, SIDE, SIDE), dtype=np.uint8)
        writer.write(grid.window, pixels)
    square = grid.pixels_to_ground(np.array([shapely.box(101, 53, 307, 401)], dtype=object))
    features = make_features(f"s{number}", LandClass(1, "house", "#AA0000"), square, crs=grid.crs)
    write_features(folder / "lab" / f"s{number}.gpkg", features, legend=None)


def measure(name: str, words: list[str]) -> dict[str, Any]:
    """Run a command; return its processor seconds, seconds on the wall and largest memory."""
    begun = time.perf_counter()
    child = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = child.stderr.read() if child.stderr is not None else ""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{name}: {said}")
    seconds, gib = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1 << 20)
    wall = time.perf_counter() - begun
    print(f"  {name:<40} {seconds:6.1f} s of processor, {wall:6.1f} s, {gib:.2f} GiB", file=sys.stderr)
    return {"name": name, "processor_s": seconds, "wall_s": wall, "largest_gib": gib}


def script() -> str:
    """Return the script of the page."""
    page = Path(__file__).parent.parent / "docs" / "export.md"
    found = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return found.group(1) if found else ""


def run(views: int) -> dict[str, Any]:
    """Make a run and measure what is done with it."""
    title = f"default network, 3 bands, {views} views, a scene of {SIDE} px"
    print(title, file=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number in (1, 2):
            write_scene(folder, number)
        recipe = folder / "r.toml"
        recipe.write_text(RECIPE.replace("VIEWS", str(views)))
        (folder / "script.py").write_text(script())
        ours = ["-m", "landscribe"]
        # `export` asks for the recipe of the run, which `run` writes when a stage ends.
        subprocess.run([sys.executable, *ours, "run", recipe, "--run", folder / "run"], check=True, capture_output=True)
        bundle = str(folder / "b.zip")
        rows = [
            measure("export", [*ours, "export", str(folder / "run"), "--to", bundle]),
            measure("verify, without its worker", [*ours, "verify", bundle]),
            measure("script, ONNX Runtime alone", [str(folder / "script.py"), bundle, str(folder / "img" / "s1.tif"),
                                                   str(folder / "found")]),
        ]  # fmt: skip
        return {"title": title, "rows": rows, "bundle_mb": Path(bundle).stat().st_size / 1e6}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--views", type=int, nargs="+", default=[8])
    arguments = parser.parse_args()
    finish([run(views) for views in arguments.views], arguments.json)


if __name__ == "__main__":
    main()
