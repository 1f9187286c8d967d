"""Both DSTL methods and the default recipe on a synthetic world, each with the same small budget.

    python benchmarks/methods_on_world.py --out methods-on-world

The recipes are meant for days of a GPU. Here every network gets fewer filters and steps and a higher rate, so that two
cores need minutes: the tables say that the recipes run whole, not which method is better. Prints Markdown, or one JSON
object with --json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from landscribe.io.settings import load_recipe

WORLD = ("--scenes", "8", "--height", "544", "--width", "512", "--seed", "1", "--unlabelled", "1")
HELD_OUT = '["6010_0_1", "6030_0_0"]'
FILTERS, BATCH, EPOCHS = 16, 12, 4
CHIPS = 4320
"""Training chips of a recipe, dealt evenly to its networks; half of those of the demo."""
RATE = 2e-3
SEARCH = (
    '{ indices = ["water", "ndwi"], low = -0.3, high = 0.3, step = 0.01, by = "all", '
    'truth = ["waterway", "standing-water"] }'
)
"""The method's threshold is for DSTL's water; that of the world is found on its training scenes."""
DEFAULT = """seed = 0
[data]
source = "dstl"
root = "world"
[[models]]
name = "all"
"""


def overrides(recipe: str, world: Path) -> list[str]:
    """Return the settings that scale a recipe down; everything else stays."""
    found = load_recipe(recipe).recipe
    networks = [k for k, model in enumerate(found.models) if model.kind == "network"]
    steps = max(1, CHIPS // len(networks) // BATCH // EPOCHS)
    settings = [f'data.root="{world.resolve().as_posix()}"', "predict.tile=512"]
    settings += ['validate.split="named"', f"validate.scenes={HELD_OUT}"]
    for k in networks:
        schedule = found.models[k].schedule
        first = schedule.stages[0].rate if schedule.stages else schedule.rate
        settings += [f"models.{k}.network.filters={FILTERS}", f"models.{k}.chips.batch={BATCH}"]
        settings += [f"models.{k}.schedule.steps={steps}", f"models.{k}.schedule.epochs={EPOCHS}"]
        # Keras averages batch statistics over a hundred steps, more than there are here.
        settings += [f"models.{k}.network.norm_momentum=0.1"]
        if schedule.stages:
            # The same stages in the same proportions of a shorter run, from one rate for all recipes.
            lengths = [max(1, round(EPOCHS * stage.epochs / schedule.epochs)) for stage in schedule.stages]
            stages = [
                f"{{ epochs = {length}, rate = {RATE * stage.rate / first} }}"
                for length, stage in zip(lengths, schedule.stages, strict=True)
            ]
            settings.append(f"models.{k}.schedule.stages=[{', '.join(stages)}]")
        else:
            settings.append(f"models.{k}.schedule.rate={RATE}")
    for k, model in enumerate(found.models):
        gate = model.spectral.gate
        if model.kind == "index" and gate.unit == "px":
            limits = {"above": gate.above, "up_to": gate.up_to}
            shares = [f"{name} = {limit / 11.36e6:.4f}" for name, limit in limits.items() if limit is not None]
            settings.append(f'models.{k}.spectral.gate={{ {", ".join(shares)}, unit = "share" }}')
            settings.append(f"models.{k}.spectral.search={SEARCH}")
    return settings


def main() -> None:
    """Make the world, run the recipes, print their score tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("methods-on-world"))
    parser.add_argument("--only", nargs="*", default=["dstl-lopuhin", "dstl-ternaus", "default"])
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    program = [sys.executable, "-c", "from landscribe.cli import main; main()"]
    world = chosen.out / "world"
    if not (world / "sample_submission.csv").is_file():
        subprocess.run([*program, "world", str(world), *WORLD], check=True)
    (chosen.out / "default.toml").write_text(DEFAULT)
    result = {}
    for name in chosen.only:
        recipe = str(chosen.out / "default.toml") if name == "default" else name
        settings = [part for setting in overrides(recipe, world) for part in ("--set", setting)]
        begin = time.perf_counter()
        subprocess.run([*program, "run", recipe, "--run", str(chosen.out / name), *settings], check=True)
        score = json.loads((chosen.out / name / "score.json").read_text())
        rows = {**score["classes"], "mean": score["mean"]}
        result[name] = {
            "seconds": round(time.perf_counter() - begin),
            "jaccard": {k: [row["polygon"]["jaccard"], row.get("pixel", {}).get("jaccard")] for k, row in rows.items()},
        }
    if chosen.json:
        print(json.dumps(result, indent=1))
        return
    print("| class |", " | ".join(f"{name}, polygons | pixels" for name in result), "|")
    print("| --- |", " | ".join("--- | ---" for _ in result), "|")
    for row in next(iter(result.values()))["jaccard"]:
        cells = [say(v) for name in result for v in result[name]["jaccard"][row]]
        print(f"| {row} |", " | ".join(cells), "|")
    print("| seconds |", " | ".join(f"{result[name]['seconds']} |" for name in result), "|")


def say(value: float | None) -> str:
    """Write a number, or a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
