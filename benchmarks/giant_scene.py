"""One giant scene: predicted in one sweep and in windows that two processes share, and made polygons of.

    python benchmarks/giant_scene.py --side 12000 --window 2000

Pixels and polygons have to be the same. The network is as small as one can be, so what is seen is the price of sharing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.features import make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass
from landscribe.io.digests import file_digest
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.vector.vectors import write_features

RECIPE = """
[data]
root = "{folder}"
sensors.RGB = {{ path = "img/{{scene}}.tif", kind = "rgb8" }}
labels = {{ path = "lab/{{scene}}.gpkg", class = "house" }}
[[models]]
name = "net"
network = {{ filters = 4, depth = 3 }}
chips = {{ size = 64, context = 8, batch = 4 }}
schedule = {{ epochs = 6, steps = 20 }}
[predict]
symmetries = 1
tile = 1000
[scale]
window = {window}
"""


def write_scene(folder: Path, name: str, side: int, east: int, seed: int) -> None:
    """Write a picture with bright houses on noise, strip by strip, and its labels where it is small."""
    grid = Grid(side, side, Affine(0.5, 0, 400_000 + east, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, side - 40, (side * side // 6000, 2))
    sizes = rng.integers(9, 37, corners.shape)
    (folder / "img").mkdir(parents=True, exist_ok=True)
    with write_raster(folder / "img" / f"{name}.tif", grid, count=3, dtype="uint8") as writer:
        for window in grid.window.strips():
            strip = rng.integers(40, 90, (3, *window.shape_hw), dtype=np.uint8)
            for (row, col), (height, width) in zip(corners, sizes, strict=True):
                first, last = max(row - window.row, 0), min(row + height - window.row, window.height)
                if first < last:
                    strip[:, first:last, col : col + width] += 100
            writer.write(window, np.minimum(strip, 250))
    if side < 2000:
        boxes = shapely.box(corners[:, 1], corners[:, 0], (corners + sizes)[:, 1], (corners + sizes)[:, 0])
        ground = shapely.union_all(grid.pixels_to_ground(boxes))
        features = make_features(name, LandClass(1, "house", "#AA0000"), shapely.get_parts(ground), crs=grid.crs)
        (folder / "lab").mkdir(exist_ok=True)
        write_features(folder / "lab" / f"{name}.gpkg", features, legend=None)


def call(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command."""
    return subprocess.Popen([sys.executable, "-m", "landscribe", *arguments], cwd=folder, stderr=subprocess.DEVNULL)


def timed(folder: Path, *calls: tuple[str, ...]) -> float:
    """Return the seconds that commands take beside each other."""
    begin = time.perf_counter()
    started = [call(folder, *arguments) for arguments in calls]
    codes = [process.wait() for process in started]
    if any(codes):
        raise SystemExit(f"{calls}: exit codes {codes}")
    return time.perf_counter() - begin


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=12_000)
    parser.add_argument("--window", type=int, default=2_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(3):
            write_scene(folder / "small", f"s{number}", 311, 1000 * number, number)
        write_scene(folder / "large", "giant", options.side, 50_000, 9)
        for recipe, home, window in (
            ("small", "small", 8192), ("sweep", "large", 10**6), ("shared", "large", options.window)
        ):  # fmt: skip
            (folder / f"{recipe}.toml").write_text(RECIPE.format(folder=home, window=window))
        timed(folder, ("run", "small.toml", "--run", "small_run"))
        more = ("--models", "small_run/models")
        for recipe in ("sweep", "shared"):
            print(f"{recipe}: prepare {timed(folder, ('prepare', f'{recipe}.toml', '--run', recipe)):.1f} s")
        sweep = timed(folder, ("predict", "sweep.toml", "--run", "sweep", *more))
        parts = [("predict", "shared.toml", "--run", "shared", *more, "--part", f"{k}/2") for k in (1, 2)]
        shared = timed(folder, *parts) + timed(folder, ("predict", "shared.toml", "--run", "shared", *more))
        print(f"predict: one sweep {sweep:.1f} s, windows of {options.window} by two processes {shared:.1f} s")
        seconds = [timed(folder, ("vectorize", f"{recipe}.toml", "--run", recipe)) for recipe in ("sweep", "shared")]
        print(f"vectorize: {seconds[0]:.1f} s and {seconds[1]:.1f} s")
        for file in ("probability/giant.tif", "features/giant.parquet"):
            paths = [folder / recipe / file for recipe in ("sweep", "shared")]
            said = "the same bytes" if file_digest(paths[0]) == file_digest(paths[1]) else "other bytes"
            print(f"{file}: {said}{', ' + compared(*paths) if file.endswith('.tif') else ''}")


def compared(first: Path, second: Path) -> str:
    """Say whether two rasters have the same pixels."""
    with open_raster(first) as one, open_raster(second) as other:
        for window in one.info.grid.window.strips():
            if not all(np.array_equal(a, b) for a, b in zip(one.read(window), other.read(window), strict=True)):
                return "OTHER PIXELS"
    return "the same pixels"


if __name__ == "__main__":
    main()
