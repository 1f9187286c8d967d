"""Windows that `suggest` names against windows drawn by chance: python benchmarks/suggest.py OUT.json [--sets vegas].

A few windows are labelled at first, drawn by chance, the same for both ways. Networks trained on them look at all other
training ground, and `suggest` ranks its windows. Then 5, 10 and 20 windows are labelled more, the first of that ranking
or the first of a shuffled list, small networks are trained anew on all of them, and the held-out scenes are scored.
Truth is known to training inside of labelled windows only. The file is written after each score, and a call with the
same file goes on from there. Real imagery is read from LANDSCRIBE_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from landscribe.core.features import make_features
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import LandClass
from landscribe.core.suggest.windows import Size, windows_on
from landscribe.io.project import Project, open_project
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run, open_run
from landscribe.io.run.scored import SCORE, read_score
from landscribe.io.settings import load_recipe
from landscribe.io.vector.vectors import write_features
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.review.suggest import Wish, suggest
from landscribe.stages.score import score
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize
from side_by_side import machine

COUNTS = (5, 10, 20)
Spot = tuple[str, Window]

MODEL = """
[[models]]
name = "net"
seeds = [{seeds}]
network = {{ filters = {filters}, depth = 4 }}
{loss}
chips = {{ size = 96, context = 16, batch = 8, gain = 0.2, band_gain = 0.1, scale = 0.25, balance = "area" }}
schedule = {{ epochs = 1, steps = {steps}, rate = 3e-3, average = 0.95 }}
[predict]
scenes = "all"
symmetries = 1
"""
VEGAS = """
[data]
root = "{root}/vegas"
sensors.RGB = {{ path = "RGB-PanSharpen/RGB-PanSharpen_AOI_2_Vegas_{{scene}}.tif", kind = "worldview3-rgb" }}
labels = {{ path = "geojson/buildings_AOI_2_Vegas_{{scene}}.geojson", class = "building"{area} }}
{only}
[[classes]]
name = "building"
[validate]
split = "named"
scenes = ["img802", "img2144"]
[vectorize]
min_area = {{ default = 30.0 }}
"""
DUBAI = """
[data]
root = "{root}/dubai"
sensors.RGB = {{ path = "tile{{tile}}/images/image_part_{{part}}.jpg", kind = "rgb8" }}
scene = "tile{{tile}}_{{part}}"
place = "tile{{tile}}"
{only}
[data.labels]
path = "tile{{tile}}/masks/image_part_{{part}}.png"
colours = {{ building = "#3C1098", land = "#8429F6", road = "#6EC1E4", vegetation = "#FEDD3A", water = "#E2A929" }}
unlabelled = "#9B9B9B"
{area}
[validate]
split = "named"
places = ["tile4"]
leak_check = false
[vectorize]
exclusive = true
min_area = {{ default = 64.0 }}
"""


@dataclass(frozen=True)
class Task:
    """A data set, and how small everything is."""

    name: str
    recipe: str
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    side: int
    """Of a window in pixels."""
    first: int
    """Windows that are labelled at first."""
    steps: int
    """Of each training."""
    asked: int
    """Networks that are asked where they disagree."""
    averaged: int
    """Networks that are averaged for a score."""
    loss: str = ""
    in_line: bool = False
    """Whether the table of labels stands on one line."""


def _parts(tile: int, parts: Iterable[int]) -> tuple[str, ...]:
    return tuple(f"tile{tile}_{part:03d}" for part in parts)


TASKS = {
    "vegas": Task(
        "vegas", VEGAS, ("img225", "img246", "img1265", "img1385"), ("img802", "img2144"), 128, 4, 150, 3, 2,
        "loss = { bce = 0.2, dice = 0.8 }", in_line=True,
    ),
    "dubai": Task(
        "dubai", DUBAI, tuple(i for tile in (1, 2, 3, 6) for i in _parts(tile, (1, 3, 5, 7, 9))),
        _parts(4, (1, 5, 9)), 160, 6, 300, 2, 1,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """What all cells share."""

    task: Task
    folder: Path
    data: Path
    filters: int
    grids: Mapping[str, Grid]

    def project(self, name: str, spots: Sequence[Spot] | None, seeds: Sequence[int], *, all_scenes: bool) -> Project:
        """Write a recipe in which training ground is labelled inside of some windows; None labels all of it."""
        task, folder = self.task, self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        areas = folder / "areas"
        areas.mkdir(parents=True)
        by_scene: dict[str, list[Window]] = {i: [self.grids[i].window] for i in task.held_out if i in self.grids}
        for scene, window in spots or ():
            by_scene.setdefault(scene, []).append(window)
        for scene, windows in by_scene.items():
            grid = self.grids[scene]
            shapes = [shapely.box(w.col, w.row, w.col_stop, w.row_stop) for w in windows]
            ground = grid.pixels_to_ground(np.array(shapes, dtype=object))
            rows = make_features(scene, LandClass(1, "looked", "#000000"), ground, crs=grid.crs)
            write_features(areas / f"{scene}.gpkg", rows, legend=None)
        ids = [*task.train, *task.held_out] if all_scenes else list(by_scene)
        where = "" if spots is None else f'area = "{areas.as_posix()}/{{scene}}.gpkg"'
        where = f", {where}" if where and task.in_line else where
        recipe = task.recipe.format(root=self.data.as_posix(), area=where, only=f"scenes = {json.dumps(ids)}")
        recipe += MODEL.format(seeds=", ".join(map(str, seeds)), filters=self.filters, steps=task.steps, loss=task.loss)
        (folder / "r.toml").write_text(recipe, encoding="utf-8")
        return open_project(load_recipe(folder / "r.toml"))


def pool_of(bench: Bench) -> tuple[Bench, dict[Spot, np.ndarray]]:
    """Return the windows of the training ground with the area of each class in them, by the whole truth."""
    project = bench.project("all", None, [0], all_scenes=True)
    run = open_run(bench.folder / "all" / "run")
    prepare(project, run)
    grids = {i: open_prepared(run, i).grid for i in (*bench.task.train, *bench.task.held_out)}
    found: dict[Spot, np.ndarray] = {}
    for scene_id in bench.task.train:
        scene = open_prepared(run, scene_id)
        for window in windows_on(scene.grid.shape_hw, bench.task.side):
            coverage_khw, labelled_hw = scene.read_coverage(window)
            if labelled_hw.mean() > 0.5:
                found[scene_id, window] = (coverage_khw * labelled_hw).sum(axis=(1, 2), dtype=np.int64) / 255
    return replace(bench, grids=grids), found


def first_windows(pool: Mapping[Spot, np.ndarray], count: int, random: np.random.Generator) -> list[Spot]:
    """Draw windows by chance until each class stands in one of them."""
    spots = list(pool)
    while True:
        drawn = [spots[k] for k in random.choice(len(spots), count, replace=False)]
        if (sum(pool[spot] for spot in drawn) > 200).all():
            return drawn


def suggested(bench: Bench, base: Sequence[Spot], seed: int, count: int) -> tuple[list[Spot], list[str]]:
    """Return what `suggest` names after a training on the base."""
    project = bench.project("base", base, [100 * seed + k for k in range(bench.task.asked)], all_scenes=True)
    run = open_run(bench.folder / "base" / "run")
    for stage in (prepare, train, predict):
        stage(project, run)
    wish = Wish(count, Size(bench.task.side, "px"))
    found = suggest(project, run, wish)[1]
    return [(row.scene, row.window) for row in found.windows], [row.why for row in found.windows]


def score_of(bench: Bench, spots: Sequence[Spot], seed: int) -> dict[str, Any]:
    """Train on windows and return the scores of the held-out scenes."""
    project = bench.project("cell", spots, [100 * seed + 50 + k for k in range(bench.task.averaged)], all_scenes=False)
    run = open_run(bench.folder / "cell" / "run")
    for stage in (prepare, train):
        stage(project, run)
    keep_held_out(project, run)
    vectorize(project, run)
    score(project, run)
    found = read_score(run.path(SCORE))
    return {
        "polygon": found.mean.polygon.jaccard,
        "pixel": found.mean.pixel.jaccard,
        "classes": {name: row.polygon.jaccard for name, row in found.classes.items()},
    }


def keep_held_out(project: Project, run: Run) -> None:
    """Predict the held-out scenes alone."""
    recipe = project.recipe.model_copy(
        update={"predict": project.recipe.predict.model_copy(update={"scenes": "held-out"})}
    )
    predict(replace(project, recipe=recipe), run)


def table(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows of means over seeds."""
    rows = [
        "| data | windows more | by `suggest` | by chance | difference, seed by seed |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(cell["set"] for cell in cells):
        for count in (0, *COUNTS):
            own = {(c["way"], c["seed"]): c["polygon"] for c in cells if c["set"] == name and c["count"] == count}
            ways = {way: [v for (w, _), v in own.items() if w == way] for way in ("base", "suggest", "chance")}
            if ways["base"]:
                rows.append(f"| {name} | 0 | {statistics.mean(ways['base']):.3f} | the same | |")
            elif ways["suggest"] and ways["chance"]:
                seeds = sorted({s for w, s in own if ("suggest", s) in own and ("chance", s) in own})
                gaps = ", ".join(f"{own['suggest', s] - own['chance', s]:+.3f}" for s in seeds)
                means = [statistics.mean(ways[way]) for way in ("suggest", "chance")]
                rows.append(f"| {name} | {count} | {means[0]:.3f} | {means[1]:.3f} | {gaps} |")
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--filters", type=int, default=8)
    chosen = parser.parse_args()
    data = Path(os.environ["LANDSCRIBE_DATA"]).resolve()
    kept = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.is_file() else {"cells": []}
    cells: list[dict[str, Any]] = kept["cells"]
    settings: dict[str, Any] = {"filters": chosen.filters, "depth": 4, "batch": 8, "chip": 96}
    told = ("side", "first", "steps", "asked", "averaged")
    settings |= {name: {key: getattr(TASKS[name], key) for key in told} for name in chosen.sets}
    folder = Path(tempfile.mkdtemp(prefix="landscribe-suggest-"))
    benches = {}
    for name in chosen.sets:
        bench = Bench(TASKS[name], folder / name, data, chosen.filters, {})
        benches[name] = pool_of(bench)

    def keep(row: dict[str, Any]) -> None:
        cells.append(row)
        text = json.dumps({**machine(), "settings": settings, "cells": cells}, indent=1)
        chosen.out.write_text(text + "\n", encoding="utf-8")
        print(f"{row['set']} seed {row['seed']} {row['way']} {row['count']}: {row['polygon']:.3f}", file=sys.stderr)

    for seed in range(chosen.seeds):
        for name, (bench, pool) in benches.items():
            done = {(c["way"], c["count"]) for c in cells if c["set"] == name and c["seed"] == seed}
            if len(done) == 1 + 2 * len(COUNTS):
                continue
            random = np.random.default_rng(seed)
            base = first_windows(pool, bench.task.first, random)
            rest = [spot for spot in pool if spot not in base]
            order = [rest[k] for k in random.permutation(len(rest))]
            begin = time.perf_counter()
            named, why = suggested(bench, base, seed, max(COUNTS))
            print(f"{name} seed {seed}: asked in {time.perf_counter() - begin:.0f} s, {why[:3]}", file=sys.stderr)
            jobs = [("base", 0, base)]
            jobs += [(w, n, [*base, *o[:n]]) for n in COUNTS for w, o in (("suggest", named), ("chance", order))]
            for way, count, spots in jobs:
                if (way, count) in done:
                    continue
                begin = time.perf_counter()
                found = score_of(bench, spots, seed)
                seconds = round(time.perf_counter() - begin, 1)
                keep({"set": name, "seed": seed, "way": way, "count": count, **found, "seconds": seconds})
    shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(table(cells)))


if __name__ == "__main__":
    main()
