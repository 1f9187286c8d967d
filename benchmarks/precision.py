"""bf16 against float32 on a recipe: python benchmarks/precision.py RECIPE FOLDER [--seeds 0 1 2] [--set key=value].

Trains and scores the recipe for each seed in both precisions and prints mean Jaccard on polygons of each. A model that
averages networks of several seeds is trained as one network. Each run takes as long as the recipe does, and one that
is finished is not repeated; without a recipe nothing is done.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from landscribe.io.settings import load_recipe

RUN = """
import sys
from landscribe.nn import device
choose, precision = device.choose_engine, sys.argv.pop(1)
device.choose_engine = lambda name=None, wanted=None: choose(name, wanted or precision)
from landscribe.cli import main
main()
"""


def score_of(recipe: str, folder: Path, precision: str, seed: int, overrides: list[str]) -> float:
    """Run the recipe in a process of its own and return the mean Jaccard on polygons."""
    run = folder / f"{precision}-{seed}"
    options = [o for text in (f"seed={seed}", *overrides) for o in ("--set", text)]
    command = [sys.executable, "-c", RUN, precision, "run", recipe, "--run", str(run), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return float(json.loads((run / "score.json").read_text())["mean"]["polygon"]["jaccard"])


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.recipe is None or arguments.folder is None:
        print("precision: no recipe and folder given, nothing done", file=sys.stderr)
        return
    scores: dict[str, list[float]] = {"bf16": [], "float32": []}
    # Networks of seeds of their own would be the same ones for every seed of the recipe.
    models = load_recipe(arguments.recipe).recipe.models
    overrides = [f"models.{k}.seeds=[]" for k, model in enumerate(models) if model.seeds] + arguments.overrides
    for seed in arguments.seeds:
        for precision, found in scores.items():
            found.append(score_of(arguments.recipe, arguments.folder, precision, seed, overrides))
            print(f"  seed {seed} {precision:<8} {found[-1]:.4f}", file=sys.stderr)
    medians = {precision: statistics.median(found) for precision, found in scores.items()}
    if arguments.json:
        result = {
            "seeds": arguments.seeds,
            "scores": scores,
            "medians": medians,
            "ratio": medians["bf16"] / medians["float32"],
        }
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
