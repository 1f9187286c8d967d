"""A picture predicted with finished models, from file to polygons: `landscribe run --models` beside the common way.

    python benchmarks/run_models.py [--side 3250] [--models buildings-demo] [--repeats 3] [--json] [--save]

The common way, written plainly: the same network in eager float32, tiles of 256 px that overlap by 64 and are blended
by a weight that falls towards their edges, a mask by a threshold, `rasterio.features.shapes` and shapely, a GeoPackage.
Ours also checks the file, keeps a prepared copy, scores each polygon and writes a report. One class, one view. Each way
is a command of its own, in turn, so that its imports and its largest memory count; processor seconds are those of all
its processes, memory is that of its largest one.

Ours runs three times: in float32, in the type that the processor is fastest in, and in bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from giant_scene import write_scene
from side_by_side import finish

RECIPE = """
[data]
root = "large"
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
[[classes]]
name = "building"
[predict]
symmetries = 1
"""
TILE, OVERLAP, AT_ONCE = 256, 64, 4
PLAIN = "the common way, float32"
WAYS = {"landscribe, float32": "float32", "landscribe, default": "", "landscribe, int8": "int8"}
PROCESS = "from landscribe.cli import main; main()"


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    wall_s: float
    processor_s: float
    peak_gib: float


def predict_plainly(models: Path, image: Path, out: Path) -> None:
    """Predict a picture and write its polygons, as programs do that nobody has tuned."""
    import geopandas as gpd
    import rasterio
    import torch
    from rasterio.features import shapes
    from shapely.geometry import shape

    from landscribe.io.bundle.models import models_at
    from landscribe.io.bundle.ready import named_models
    from landscribe.io.models.model_files import read_model
    from landscribe.nn.network.bundle import from_files

    with models_at(named_models(models)) as folder:
        [home] = (path for path in (folder or models).iterdir() if (path / "model.json").is_file())
        net = from_files(read_model(home), home.name)[0].eval()
    net.unet.joins = False
    ramp = np.minimum(np.arange(TILE) + 1, TILE - np.arange(TILE)) / OVERLAP
    edge = np.clip(ramp, 0, 1).astype(np.float32)
    weight_hw = 3 * np.outer(edge, edge) ** 2 - 2 * np.outer(edge, edge) ** 3 + 1e-6
    with rasterio.open(image) as raster:
        height, width = raster.shape
        sums_hw, weights_hw = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
        step = TILE - OVERLAP
        starts = [
            (row, col)
            for row in sorted({min(r, height - TILE) for r in range(0, height, step)})
            for col in sorted({min(c, width - TILE) for c in range(0, width, step)})
        ]
        for first in range(0, len(starts), AT_ONCE):
            some = starts[first : first + AT_ONCE]
            tiles = [raster.read(window=rasterio.windows.Window(col, row, TILE, TILE)) for row, col in some]
            values = torch.from_numpy(np.stack(tiles).astype(np.float32))
            with torch.no_grad():
                p = torch.sigmoid(net({"RGB": values}, {"RGB": torch.ones_like(values[:, :1], dtype=torch.bool)}))
            for (row, col), p_hw in zip(some, p[:, 0].contiguous().numpy(), strict=True):
                here = slice(row, row + TILE), slice(col, col + TILE)
                sums_hw[here] += p_hw * weight_hw
                weights_hw[here] += weight_hw
        mask_hw = (sums_hw / weights_hw >= 0.5).astype(np.uint8)
        profile = raster.profile | {"count": 1, "dtype": "uint8", "compress": "deflate", "photometric": None}
        profile = {key: value for key, value in profile.items() if value is not None}
        with rasterio.open(out / "mask.tif", "w", **profile) as target:
            target.write(mask_hw, 1)
        found = [shape(outline) for outline, _ in shapes(mask_hw, mask_hw > 0, transform=raster.transform)]
        gpd.GeoDataFrame(geometry=found, crs=raster.crs).to_file(out / "houses.gpkg")
    print(len(found), "polygons", file=sys.stderr)


def cost_of(command: Sequence[str], folder: Path) -> Cost:
    """Run a command and return what it and its processes took."""
    begin = time.perf_counter()
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}\n{(folder / 'log.txt').read_text()}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=3250)
    parser.add_argument("--models", default="buildings-demo", help="of RGB, with the class building")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--plain", nargs=3, type=Path, help="models, picture and folder: do the common way alone")
    options = parser.parse_args()
    if options.plain:
        predict_plainly(*options.plain)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = _in_turn(folder, options.side, options.models, options.repeats)
    table = _report(options.side, costs)
    file = Path(__file__).parent / "results" / "run_models.json"
    finish([table], options.json, file if options.save else None)


def _in_turn(folder: Path, side: int, models: str, repeats: int) -> dict[str, list[Cost]]:
    write_scene(folder / "large", "city", side, 0, 9)
    (folder / "large.toml").write_text(RECIPE)
    image = folder / "large" / "img" / "city.tif"
    ours = [sys.executable, "-c", PROCESS, "run", "large.toml", "--run", "found", "--models", models, "--anyway"]
    commands = {PLAIN: [sys.executable, str(Path(__file__).resolve()), "--plain", models, str(image), str(folder)]}
    commands |= {way: [*ours, *(["--set", f"predict.precision={own}"] if own else [])] for way, own in WAYS.items()}
    costs: dict[str, list[Cost]] = {way: [] for way in commands}
    for _ in range(repeats):
        for way, command in commands.items():
            shutil.rmtree(folder / "found", ignore_errors=True)
            costs[way].append(cost_of(command, folder))
    return costs


def _report(side: int, costs: Mapping[str, Sequence[Cost]]) -> dict[str, object]:
    title = f"{side} x {side} RGB, one class, one view: picture to polygons, median of {len(costs[PLAIN])}"
    print(f"\n{title}", file=sys.stderr)
    rows: dict[str, dict[str, float]] = {}
    for way, own in costs.items():
        row = {
            key: statistics.median(getattr(cost, key) for cost in own) for key in ("wall_s", "processor_s", "peak_gib")
        }
        rows[way] = row
        times = {key: rows[PLAIN][key] / row[key] for key in ("wall_s", "processor_s")}
        rows[way] |= {f"times_{key.removesuffix('_s')}": value for key, value in times.items()}
        text = f"{row['wall_s']:7.1f} s  {row['processor_s']:7.1f} s of processor  {row['peak_gib']:5.2f} GiB"
        print(f"  {way:<28}{text}  {times['wall_s']:5.2f} x  {times['processor_s']:5.2f} x", file=sys.stderr)
    return {"title": title, "rows": rows, "base": PLAIN}


if __name__ == "__main__":
    main()
