"""Touching buildings on real imagery: whole, cut by shape and probability, and cut where a network says they meet.

    python benchmarks/touching.py --data ../shared/data --out touching --steps 300 --seeds 3

Each task of `few_labels_tasks.py` that is asked for is trained twice with each seed: as the recipe of 0.1.0 says, and
with `borders`, in as many steps. What both predict becomes polygons for each value of `neck`, and is scored. What is
done is not done again. The table has a row for each arm: means over seeds, with their standard deviation.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from few_labels_tasks import OLD, TASKS, recipe_of
from landscribe.apart import start
from landscribe.io.project import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.run.scored import run_score
from landscribe.io.settings import load_recipe
from landscribe.pipeline import do_stage
from landscribe.process import settle_process

BORDERS = 'models.*.borders=["building"]'
SEPARATE = 'vectorize.separate=["building"]'
FIGURES = ("f1", "precision", "recall", "merged", "fragmented", "jaccard")


def cells(chosen: argparse.Namespace, task: str, seed: int, borders: bool) -> list[dict[str, Any]]:
    """Train one network, and return its figures whole and for each neck."""
    name = f"{task}/{'borders' if borders else 'plain'}-{seed}"
    file = chosen.out / "cells" / f"{name}.json"
    folder = chosen.out / "runs" / name
    recipe = chosen.out / f"{task}.toml"
    recipe.parent.mkdir(parents=True, exist_ok=True)
    recipe.write_text(recipe_of(TASKS[task], OLD, chosen.data.resolve().as_posix()))
    known = json.loads(file.read_text()) if file.is_file() else []
    settings = [
        f"seed={seed}", "models.*.schedule.epochs=1", f"models.*.schedule.steps={chosen.steps}",
        f"predict.symmetries={chosen.views}", *chosen.set, *([BORDERS] if borders else []),
    ]  # fmt: skip
    rows = [row for row in known if row["settings"] == settings]
    for neck in (None, *chosen.necks):
        if any(row["neck"] == neck for row in rows):
            continue
        cut = [] if neck is None else [SEPARATE, f"vectorize.neck={neck}"]
        project, run = open_project(load_recipe(recipe, [*settings, *cut])), open_run(folder)
        for stage in ("prepare", "train", "predict", "vectorize", "score"):
            if do_stage(stage, project, run).failed:
                raise SystemExit(f"{name}: {stage} failed")
        score = run_score(run)
        if score is None:
            raise SystemExit(f"{name}: nothing was scored")
        row = score.classes["building"]
        figures = {key: getattr(row.objects, key) for key in FIGURES[:-1]} | {"jaccard": row.polygon.jaccard}
        rows.append({"settings": settings, "neck": neck, "figures": figures})
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(rows, indent=1))
        print(name, neck, figures, file=sys.stderr, flush=True)
    return rows


def table(found: dict[tuple[str, bool, float | None], dict[int, dict[str, float]]], tasks: Sequence[str]) -> list[str]:
    """Return the lines of the table."""
    lines = ["| task | learned | neck | object F1 | precision | recall | merged | fragmented | area Jaccard |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (task, borders, neck), seeds in found.items():
        if task not in tasks:
            continue
        cells = [f"{task}", "borders" if borders else "classes alone", "whole" if neck is None else f"{neck:g}"]
        for key in FIGURES:
            values = [row[key] or 0.0 for row in seeds.values()]
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 and key in ("f1", "jaccard") else ""
            mean = statistics.mean(values)
            cells.append(f"{mean:.1f}" if key in ("merged", "fragmented") else f"{mean:.3f}{spread}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Do what is not done, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("touching"))
    parser.add_argument("--tasks", nargs="+", default=["vegas-a", "vegas-b", "kampala"], choices=list(TASKS))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--views", type=int, default=8, choices=(1, 4, 8))
    parser.add_argument("--necks", type=float, nargs="+", default=[0.2, 0.3, 0.4, 0.5])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="more settings of every run")
    chosen = parser.parse_args()
    settle_process()
    start()
    found: dict[tuple[str, bool, float | None], dict[int, dict[str, float]]] = {}
    for seed in range(chosen.seeds):
        for task in chosen.tasks:
            for borders in (False, True):
                for row in cells(chosen, task, seed, borders):
                    found.setdefault((task, borders, row["neck"]), {})[seed] = row["figures"]
    print("\n".join(table(dict(sorted(found.items(), key=str)), chosen.tasks)))


if __name__ == "__main__":
    main()
