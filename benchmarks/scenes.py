"""Scenes one after the other against scenes side by side: python benchmarks/scenes.py [FOLDER] [--json] [--scenes 8].

Runs `prepare` (alignment included) and `vectorize` on a synthetic world with one worker and with all processors in
turn, each into a fresh folder, and compares what they wrote. Times are those of the clock on the wall: the point is how
many processors are busy, so the machine must have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from landscribe import workers as abreast
from landscribe.io.project import Project, open_project
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize
from landscribe.stages.world import write_world
from landscribe.workers import usable_processors
from landscribe.worlds import WorldSpec
from side_by_side import machine

RECIPE = """
[data]
source = "dstl"
root = "{root}"
[[models]]
kind = "labels"
[predict]
scenes = "all"
[validate]
split = "none"
"""
ALONE, TOGETHER = "one worker", "all processors"


def make_project(folder: Path, scenes: int, side: int) -> Project:
    """Write a world, unless it is there, and a recipe whose model is its labels."""
    world = folder / "world"
    if not (world / "sample_submission.csv").is_file():
        write_world(world, WorldSpec(scenes=scenes, height=side, width=side - 3, seed=4))
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(root=world.resolve().as_posix()))
    return open_project(load_recipe(recipe))


def time_stages(project: Project, root: Path, limit: int) -> dict[str, float]:
    """Run the stages into a fresh folder with at most `limit` processors."""
    shutil.rmtree(root, ignore_errors=True)
    run = open_run(root)
    seconds = {}
    before, abreast.usable_processors = abreast.usable_processors, lambda: limit
    try:
        for name, stage in (("prepare", prepare), ("train", train), ("predict", predict), ("vectorize", vectorize)):
            begin = time.perf_counter()
            stage(project, run)
            seconds[name] = time.perf_counter() - begin
    finally:
        abreast.usable_processors = before
    return {name: seconds[name] for name in ("prepare", "vectorize")}


def digests(root: Path) -> dict[str, str]:
    """Return what every stage recorded of its outputs."""
    run = Run(root)
    stages = ("prepare", "vectorize")
    return {k: v for stage in stages for record in run.records(stage).values() for k, v in record.outputs.items()}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="landscribe-scenes-"))
    folder.mkdir(parents=True, exist_ok=True)
    project = make_project(folder, chosen.scenes, chosen.side)
    ways = {ALONE: 1, TOGETHER: usable_processors()}
    seconds: dict[str, dict[str, list[float]]] = {way: {"prepare": [], "vectorize": []} for way in ways}
    time_stages(project, folder / "warm", 1)
    for _ in range(chosen.repeats):
        for way, limit in ways.items():
            for stage, value in time_stages(project, folder / way.replace(" ", "-"), limit).items():
                seconds[way][stage].append(value)
    same = len({json.dumps(digests(folder / way.replace(" ", "-")), sort_keys=True) for way in ways}) == 1
    medians = {way: {stage: statistics.median(v) for stage, v in found.items()} for way, found in seconds.items()}
    ratio = {stage: medians[ALONE][stage] / medians[TOGETHER][stage] for stage in ("prepare", "vectorize")}
    for stage, value in ratio.items():
        alone, together = medians[ALONE][stage], medians[TOGETHER][stage]
        print(f"  {stage:<10} {alone:7.2f} s alone {together:7.2f} s together {value:5.2f} x", file=sys.stderr)
    print(f"  the same bytes: {same}", file=sys.stderr)
    if chosen.json:
        print(json.dumps({**machine(), "medians": medians, "ratio": ratio, "same_bytes": same}, indent=1))
    if chosen.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
