"""Tables of `methods_on_world.py`: `python benchmarks/methods_table.py benchmarks/results/methods_on_world.json`.

Jaccard on polygons, areas summed over the scored scenes, for each seed; then what recipes differ by. The interval of a
difference draws scenes with replacement, the same for both recipes, and seeds with replacement, for each recipe its
own. A difference is larger than the noise where its interval leaves out 0. Names after the file choose recipes.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from landscribe.core.arrays import FloatArray

DRAWS = 4000


def areas_of(runs: list[dict[str, Any]]) -> FloatArray:
    """Return TP, FP, FN, float64 (seeds, scenes, classes, 3)."""
    return np.array([[list(rows.values()) for rows in run["areas"].values()] for run in runs])


def jaccard(areas_k3: FloatArray) -> FloatArray:
    """Return the Jaccard of each class on the last axis but one, and their mean after them; 0 where nothing is."""
    whole = areas_k3.sum(-1)
    classes = np.divide(areas_k3[..., 0], whole, out=np.zeros_like(whole), where=whole > 0)
    return np.concatenate([classes, classes.mean(-1, keepdims=True)], axis=-1)


def draw(areas_nsk3: FloatArray, scenes_ds: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the Jaccard of drawn scenes and seeds, mean over the seeds, (draws, classes + 1).

    Args:
        areas_nsk3: Of each seed, scene and class.
        scenes_ds: How often each draw has a scene.
        rng: Of the seeds.
    """
    seeds = len(areas_nsk3)
    by_seed_ndk = np.stack([jaccard(np.einsum("ds,skc->dkc", scenes_ds, one)) for one in areas_nsk3])
    weights_dn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), len(scenes_ds)) / seeds
    return np.einsum("dn,ndk->dk", weights_dn, by_seed_ndk)


def print_tables(runs: dict[str, list[dict[str, Any]]]) -> None:
    """Print scores, costs and differences as Markdown."""
    runs = {name: some for name, some in runs.items() if some}
    rows = [*next(iter(next(iter(runs.values()))[0]["areas"].values())), "mean"]
    areas = {name: areas_of(some) for name, some in runs.items()}
    scores = {name: jaccard(table.sum(axis=1)) for name, table in areas.items()}
    print("| class |", " | ".join(runs), "|")
    print("| --- |", " | ".join("---" for _ in runs), "|")
    for k, row in enumerate(rows):
        cells = [f"{s[:, k].mean():.3f} ({s[:, k].min():.3f} to {s[:, k].max():.3f})" for s in scores.values()]
        print(f"| {row} |", " | ".join(cells), "|")
    for title, value in COSTS.items():
        print(f"| {title} |", " | ".join(value(some) for some in runs.values()), "|")
    print_differences(areas, rows)


def print_differences(areas: dict[str, FloatArray], rows: list[str]) -> None:
    """Print what every two recipes differ by; what is larger than the noise is bold."""
    rng = np.random.default_rng(0)
    scenes = next(iter(areas.values())).shape[1]
    scenes_ds = rng.multinomial(scenes, np.full(scenes, 1 / scenes), DRAWS).astype(float)
    drawn = {name: draw(table, scenes_ds, rng) for name, table in areas.items()}
    now = {name: jaccard(table.sum(axis=1)).mean(axis=0) for name, table in areas.items()}
    pairs = list(itertools.combinations(areas, 2))
    print("\n| class |", " | ".join(f"{b} - {a}" for a, b in pairs), "|")
    print("| --- |", " | ".join("---" for _ in pairs), "|")
    for k, row in enumerate(rows):
        cells = []
        for a, b in pairs:
            low, high = np.percentile(drawn[b][:, k] - drawn[a][:, k], (2.5, 97.5))
            text = f"{now[b][k] - now[a][k]:+.3f}"
            cells.append(f"{f'**{text}**' if low > 0 or high < 0 else text} ({low:+.3f} to {high:+.3f})")
        print(f"| {row} |", " | ".join(cells), "|")


def _seconds(some: list[dict[str, Any]], *stages: str) -> str:
    return ", ".join(f"{sum(run['processor_s'][stage] for stage in stages):.0f}" for run in some)


COSTS = {
    "steps of each network": lambda some: f"{some[0]['steps']} x {some[0]['networks']}",
    "a step of all networks, s": lambda some: f"{some[0].get('step_s', '-')}",
    "processor s of `train`": lambda some: _seconds(some, "train"),
    "processor s of the other stages": lambda some: _seconds(some, "prepare", "predict", "vectorize", "score"),
}
"""Rows below the scores."""


if __name__ == "__main__":
    found = json.loads(Path(sys.argv[1]).read_text())["runs"]
    print_tables({name: found[name] for name in sys.argv[2:] or found})
