"""What alignment, branches, SWIR and sensor dropout do for a network.

    python benchmarks/ablation_sensors.py FOLDER [--only NAME ...]

Trains one small network per row at equal budget on a synthetic world whose sensors are shifted, and on the 8-band tiles
of Rio where `LANDSCRIBE_DATA` has them, scores it on scenes it has not seen, and prints a table. What is done already
in FOLDER is not done again, so rows can be made one at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from landscribe.io.project import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.score import score
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize
from landscribe.stages.world import write_world
from landscribe.worlds import WorldSpec

SPEC = WorldSpec(scenes=18, height=480, width=512, seed=77, max_shift_px=20.0)
HELD_OUT = ["6030_0_0", "6030_0_1", "6050_0_0", "6050_0_1", "6070_0_0", "6070_0_1"]
CLASSES = ["building", "waterway", "standing-water", "large-vehicle", "small-vehicle"]
WORLD = """
seed = {seed}
[data]
source = "dstl"
root = "{root}"
{optional}
[prepare]
align = "{align}"
[[models]]
name = "all"
classes = {classes}
inputs = {{ sensors = {sensors}, low = "{low}"{inputs} }}
network = {{ filters = 12 }}
chips = {{ size = 128, batch = 12, oversample = 0.5{chips} }}
schedule = {{ epochs = 1, steps = {steps}, rate = 2e-3, average = 0.98 }}
[predict]
symmetries = 1
[vectorize]
min_area = {{ default = 10.0, unit = "px" }}
[validate]
split = "named"
scenes = {held_out}
leak_check = false
"""
RIO = """
seed = {seed}
[data]
root = "{root}"
sensors.RGB = {{ path = "3band/3band_013022223130_Public_{{scene}}.tif", kind = "worldview2-rgb8", nodata = 0 }}
sensors.M = {{ path = "8band/8band_013022223130_Public_{{scene}}.tif", kind = "worldview2-m", nodata = 0 }}
labels = {{ path = "geojson/013022223130_Public_{{scene}}_Geo.geojson", class = "building" }}
[prepare]
align = "{align}"
[[models]]
name = "all"
inputs = {{ sensors = {sensors}, low = "{low}"{inputs} }}
network = {{ filters = 12 }}
loss = {{ bce = 0.2, dice = 0.8 }}
chips = {{ batch = 12, band_offset = 0.5, scale = 0.25{chips} }}
schedule = {{ epochs = 1, steps = {steps}, rate = 2e-3, average = 0.98 }}
[predict]
symmetries = 4
[validate]
split = "named"
scenes = ["img8"]
"""
DROPOUT = ", sensor_dropout = { M = 0.3 }"
ROWS: dict[str, tuple[Any, ...]] = {
    "RGB": ("world", "none", ["RGB"], "upsample"),
    "RGB+M, not aligned": ("world", "none", ["RGB", "M"], "upsample"),
    "RGB+M, ecc": ("world", "ecc", ["RGB", "M"], "upsample"),
    "RGB+M, fit": ("world", "fit", ["RGB", "M"], "upsample"),
    "RGB+M, fit, branch": ("world", "fit", ["RGB", "M"], "branch"),
    "RGB+M+A, fit": ("world", "fit", ["RGB", "M", "A"], "upsample"),
    "RGB+M+A, fit, branch": ("world", "fit", ["RGB", "M", "A"], "branch"),
    "RGB+M, held-out scenes lack M": ("lacking", "fit", ["RGB", "M"], "upsample"),
    "the same, M dropped from chips": ("lacking", "fit", ["RGB", "M"], "upsample", "", DROPOUT),
    "the same, and a mask": ("lacking", "fit", ["RGB", "M"], "upsample", ", mask = true", DROPOUT),
    "Rio: RGB": ("rio", "none", ["RGB"], "upsample"),
    "Rio: RGB+M, not aligned": ("rio", "none", ["RGB", "M"], "upsample"),
    "Rio: RGB+M, fit": ("rio", "fit", ["RGB", "M"], "upsample"),
    "Rio: RGB+M, fit, branch": ("rio", "fit", ["RGB", "M"], "branch"),
}


def make_row(folder: Path, name: str, seed: int, steps: int) -> dict[str, float]:
    """Train and score one row; returns Jaccard by class on polygons."""
    kind, align, sensors, low, inputs, chips = (*ROWS[name], "", "")[:6]
    root = folder / "world"
    if kind == "rio":
        root = Path(os.environ["LANDSCRIBE_DATA"]) / "rio"
    elif not (root / "true_shifts.csv").exists():
        write_world(root, SPEC)
        for file in (root / "sixteen_band").glob("*_P.tif"):
            file.unlink()  # P says nothing that RGB does not, and costs as much as RGB
        shutil.copytree(root, folder / "lacking", copy_function=os.link)
        for scene_id in HELD_OUT:
            (folder / "lacking" / "sixteen_band" / f"{scene_id}_M.tif").unlink()
    if kind == "lacking":
        root = folder / "lacking"
    slug = "".join(c if c.isalnum() else "-" for c in f"{name} {seed}")
    recipe = folder / f"{slug}.toml"
    template = RIO if kind == "rio" else WORLD
    recipe.write_text(
        template.format(
            seed=seed,
            root=root,
            optional='optional = ["M"]' if kind == "lacking" else "",
            align=align,
            classes=json.dumps(CLASSES),
            sensors=json.dumps(sensors),
            low=low,
            inputs=inputs,
            chips=chips,
            held_out=json.dumps(HELD_OUT),
            steps=steps,
        )
    )
    project, run = open_project(load_recipe(recipe)), open_run(folder / slug)
    for stage in (prepare, train, predict, vectorize, score):
        stage(project, run)
    found = json.loads((run.root / "score.json").read_text())
    return {
        name: row["polygon"]["jaccard"]
        for name, row in found["classes"].items()
        if row["polygon"]["jaccard"] is not None
    }


def main() -> None:
    """Make the rows and print what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    table: dict[str, dict[str, list[float]]] = {}
    for name in arguments.only:
        for seed in arguments.seeds:
            for class_name, value in make_row(folder, name, seed, arguments.steps).items():
                table.setdefault(name, {}).setdefault(class_name, []).append(round(value, 4))
        print(name, table[name], file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
