"""A picture predicted with finished models, from file to polygons: `landscribe run --models` beside the common way.

    python benchmarks/run_models.py [--side 3250] [--models buildings-demo] [--wider 2] [--repeats 3] [--json] [--save]

The common way, written plainly: the same network in eager float32, tiles of 256 px that overlap by 64 and are blended
by a weight that falls towards their edges, a mask by a threshold, `rasterio.features.shapes` and shapely, a GeoPackage.
Ours also checks the file, keeps a prepared copy, scores each polygon and writes a report. One class, one view. Each way
is a command of its own, in turn, so that its imports and its largest memory count; processor seconds are those of all
its processes, memory is what all of them have together at the time when that is most, pages that they share counted
once.

Ours runs three times: in float32, in the type that the processor is fastest in, and in bytes; `--ways` names some of
them. The model is made twice as wide first, which gives the same numbers with the 32 filters that a network has where
nobody says otherwise. `ONEDNN_MAX_CPU_ISA` makes a lesser processor of this one.
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
from dataclasses import dataclass, replace
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
LOOK_S = 0.1
"""Memory is looked at so often."""
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


def widen(models: Path, factor: int, home: Path) -> None:
    """Write a model with so many times the maps that gives the same numbers: each map several times, in equal shares.

    Args:
        models: A ready model, a bundle or a folder, of one plain U-Net.
        factor: Times.
        home: Folder of the new model.
    """
    import torch

    from landscribe.io.bundle.models import models_at
    from landscribe.io.bundle.ready import named_models
    from landscribe.io.models.model_files import read_model, write_model
    from landscribe.nn.network.bundle import build_network, from_files, to_files
    from landscribe.nn.network.stem import BandStatistics

    with models_at(named_models(models)) as folder:
        [narrow_home] = (path for path in (folder or models).iterdir() if (path / "model.json").is_file())
        narrow, spec, extra = from_files(read_model(narrow_home), narrow_home.name)
    network = spec.network.model_copy(update={"filters": factor * spec.network.filters})
    unknown = {s.name: BandStatistics(*(np.zeros(len(s.bands), np.float32),) * 4) for s in spec.sensors}
    wide = build_network(replace(spec, network=network), unknown)
    values, wanted = narrow.state_dict(), wide.state_dict()
    for name, like in wanted.items():
        value = values[name]
        if value.shape != like.shape and value.dim() == 1:
            values[name] = value.repeat(factor)
        elif value.shape != like.shape:
            value = value.repeat(like.shape[0] // len(value), 1, 1, 1)
            # A decoder reads what comes from below, two thirds of its maps, before what comes over.
            first = value.shape[1] * 2 // 3 if ".up." in name and ".body.0." in name else value.shape[1]
            parts = [part for part in (value[:, :first], value[:, first:]) if part.shape[1]]
            times = like.shape[1] // value.shape[1]
            values[name] = torch.cat([part.repeat(1, times, 1, 1) / times for part in parts], dim=1)
    wide.load_state_dict(values)
    write_model(home, to_files(wide.eval(), extra))


def memory_of(pid: int) -> int:
    """Return the bytes that a process and those that it started have, shared pages in equal parts."""
    found = 0
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = int(text.split("Pss:")[1].split()[0]) * 1024
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except (OSError, IndexError):  # it has ended meanwhile
        return found
    return found + sum(memory_of(child) for child in children)


def cost_of(command: Sequence[str], folder: Path) -> Cost:
    """Run a command and return what it and its processes took."""
    begin = time.perf_counter()
    with (folder / "log.txt").open("wb") as log:
        process, peak, ended = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log), 0, 0
        while not ended:
            time.sleep(LOOK_S)
            peak = max(peak, memory_of(process.pid))
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}\n{(folder / 'log.txt').read_text()}")
    return Cost(wall, used.ru_utime + used.ru_stime, peak / 2**30)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=3250)
    parser.add_argument("--models", default="buildings-demo", help="of RGB, with the class building")
    parser.add_argument("--wider", type=int, default=2, help="times the maps of the model; 1 takes it as it is")
    parser.add_argument("--ways", default="float32,default,int8", help="of ours, with commas")
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
        models = options.models
        if options.wider > 1:
            models = str(folder / "models")
            widen(Path(options.models), options.wider, folder / "models" / "buildings")
        costs = _in_turn(folder, options.side, models, options.repeats, options.ways.split(","))
    table = _report(options.side, costs)
    file = Path(__file__).parent / "results" / "run_models.json"
    finish([table], options.json, file if options.save else None)


def _in_turn(folder: Path, side: int, models: str, repeats: int, chosen: Sequence[str]) -> dict[str, list[Cost]]:
    write_scene(folder / "large", "city", side, 0, 9)
    (folder / "large.toml").write_text(RECIPE)
    image = folder / "large" / "img" / "city.tif"
    ours = [sys.executable, "-c", PROCESS, "run", "large.toml", "--run", "found", "--models", models, "--anyway"]
    ways = {way: own for way, own in WAYS.items() if way.removeprefix("landscribe, ") in chosen}
    commands = {PLAIN: [sys.executable, str(Path(__file__).resolve()), "--plain", models, str(image), str(folder)]}
    commands |= {way: [*ours, *(["--set", f"predict.precision={own}"] if own else [])] for way, own in ways.items()}
    costs: dict[str, list[Cost]] = {way: [] for way in commands}
    for _ in range(repeats):
        for way, command in commands.items():
            shutil.rmtree(folder / "found", ignore_errors=True)
            costs[way].append(cost_of(command, folder))
    return costs


def _report(side: int, costs: Mapping[str, Sequence[Cost]]) -> dict[str, object]:
    held = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    at_most = f", held to {held}" if held else ""
    title = f"{side} x {side} RGB, one class, one view: picture to polygons, median of {len(costs[PLAIN])}{at_most}"
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
