"""Both DSTL methods and the default recipes on a synthetic world, each with the same time on the same machine.

    python benchmarks/methods_on_world.py --out methods-on-world                  # minutes: shows that they run whole
    python benchmarks/methods_on_world.py --out leaderboard --scenes 25 --side 1024 --seeds 3 --minutes 12
    python benchmarks/methods_on_world.py --out leaderboard --only default few    # only these; the others are kept
    python benchmarks/methods_on_world.py --chips 4320                            # as many chips for each, not minutes

The recipes are meant for days of a GPU. Here every network gets fewer filters and a higher rate, and so many steps that
the training of a recipe takes `--minutes`, whatever a step of it costs: that is measured first. The time is dealt
evenly to the networks of a recipe. A part that is done is not done again, so a run that was cut off goes on.

Prints Markdown: for each class the Jaccard on polygons, its mean over the seeds with the least and the most, and the
interval of the first seed. With --json one JSON object, which also has the objects found.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from landscribe.io.settings import load_recipe

PROGRAM = [sys.executable, "-c", "from landscribe.cli import main; main()"]
FILTERS, BATCH, EPOCHS = 16, 12, 4
TRIAL_STEPS = 6
"""Steps of each of the two epochs that show what a step costs; the second one counts."""
HELD_OUT = 4
"""Every so many of the labelled scenes is held out: of each two places one scene."""
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
FEW = DEFAULT + "chips = { gain = 0.2, band_gain = 0.15, band_offset = 1.0, scale = 0.25, oversample = 0.5 }\n"
"""For few labels: strong changes of colour and size, and half of the chips drawn by class."""
OWN = {"default": DEFAULT, "few": FEW}


def held_out(world: Path) -> str:
    """Return the scenes that are scored."""
    ids = list(dict.fromkeys(line.partition(",")[0] for line in (world / "train_wkt_v4.csv").open()))[1:]
    return json.dumps(ids[1::HELD_OUT])


def overrides(recipe: str, world: Path, steps: list[int], epochs: int) -> list[str]:
    """Return the settings that scale a recipe down; everything else stays.

    Args:
        recipe: File or name.
        world: The data.
        steps: Of an epoch, for each network.
        epochs: Their number.
    """
    found = load_recipe(recipe).recipe
    settings = [f'data.root="{world.resolve().as_posix()}"', "predict.tile=512"]
    settings += ['validate.split="named"', f"validate.scenes={held_out(world)}"]
    for k, count in zip(networks(recipe), steps, strict=True):
        schedule = found.models[k].schedule
        first = schedule.stages[0].rate if schedule.stages else schedule.rate
        settings += [f"models.{k}.network.filters={FILTERS}", f"models.{k}.chips.batch={BATCH}"]
        settings += [f"models.{k}.schedule.steps={count}", f"models.{k}.schedule.epochs={epochs}"]
        # Keras averages batch statistics over a hundred steps, which may be more than there are here.
        settings += [f"models.{k}.network.norm_momentum=0.1"]
        if schedule.stages:
            # The same stages in the same proportions of a shorter run, from one rate for all recipes.
            lengths = [max(1, round(epochs * stage.epochs / schedule.epochs)) for stage in schedule.stages]
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
    return [part for setting in settings for part in ("--set", setting)]


def networks(recipe: str) -> list[int]:
    """Return which models of a recipe are trained."""
    return [k for k, model in enumerate(load_recipe(recipe).recipe.models) if model.kind == "network"]


def steps_for(recipe: str, world: Path, folder: Path, minutes: float, chips: int | None) -> list[int]:
    """Return how many steps of an epoch each network of a recipe gets: so many chips, or what `minutes` allow."""
    names = [load_recipe(recipe).recipe.models[k].name for k in networks(recipe)]
    if chips is not None:
        return [max(1, chips // len(names) // BATCH // EPOCHS)] * len(names)
    trial = overrides(recipe, world, [TRIAL_STEPS] * len(names), 2)
    for stage in ("prepare", "train"):
        subprocess.run([*PROGRAM, stage, recipe, "--run", str(folder), *trial], check=True)
    share_s = 60 * minutes / len(names) / EPOCHS
    steps = []
    for name in names:
        with (folder / "models" / name / "history.csv").open() as file:
            last = list(csv.DictReader(file))[-1]
        steps.append(max(1, int(share_s * float(last["chips_per_s"]) / BATCH)))
    return steps


def run_one(name: str, seed: int, world: Path, out: Path, minutes: float, chips: int | None) -> dict[str, object]:
    """Run a recipe with a seed, or read what it gave."""
    result = out / f"{name}-{seed}.json"
    if result.is_file():
        return json.loads(result.read_text())
    recipe = name
    if name in OWN:
        recipe = str(out / f"{name}.toml")
        Path(recipe).write_text(OWN[name])
    plan = out / f"{name}-steps.json"
    if not plan.is_file():
        plan.write_text(json.dumps(steps_for(recipe, world, out / f"{name}-trial", minutes, chips)))
    steps = json.loads(plan.read_text())
    settings = [*overrides(recipe, world, steps, EPOCHS), "--set", f"seed={seed}"]
    begin, folder = time.perf_counter(), out / f"{name}-{seed}"
    subprocess.run([*PROGRAM, "run", recipe, "--run", str(folder), *settings], check=True)
    score = json.loads((folder / "score.json").read_text())
    trained = json.loads((folder / "run.json").read_text())["seconds"].get("train", 0)
    keys = ("jaccard", "low", "high")
    rows = {k: {key: row["polygon"].get(key) for key in keys} for k, row in score["classes"].items()}
    objects = {k: row["objects"] for k, row in score["classes"].items() if row.get("objects")}
    found = {
        "seconds": round(time.perf_counter() - begin),
        "train_seconds": round(trained),
        "steps": steps,
        "classes": rows | {"mean": {key: score["mean"]["polygon"].get(key) for key in keys}},
        "objects": objects,
    }
    result.write_text(json.dumps(found, indent=1))
    return found


def main() -> None:
    """Make the world, run the recipes, print their score tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("methods-on-world"))
    parser.add_argument("--only", nargs="*", default=["dstl-lopuhin", "dstl-ternaus", "default", "few"])
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--side", type=int, default=544, help="rows of a scene; columns are 32 fewer")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1.5, help="of training, for each recipe and seed")
    parser.add_argument("--chips", type=int, help="training chips of each recipe, in place of --minutes")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    world = chosen.out / "world"
    if not (world / "sample_submission.csv").is_file():
        size = ("--height", str(chosen.side), "--width", str(chosen.side - 32), "--seed", "1", "--unlabelled", "1")
        subprocess.run([*PROGRAM, "world", str(world), "--scenes", str(chosen.scenes), *size], check=True)
    results = {
        name: [run_one(name, seed, world, chosen.out, chosen.minutes, chosen.chips) for seed in range(chosen.seeds)]
        for name in chosen.only
    }
    if chosen.json:
        print(json.dumps(results, indent=1))
        return
    print("| class |", " | ".join(f"{name} | interval" for name in results), "|")
    print("| --- |", " | ".join("--- | ---" for _ in results), "|")
    for row in next(iter(results.values()))[0]["classes"]:
        cells = [cell for seeds in results.values() for cell in say([one["classes"][row] for one in seeds])]
        print(f"| {row} |", " | ".join(cells), "|")
    for key in ("train_seconds", "seconds", "steps"):
        print(f"| {key} |", " | ".join(f"{[one[key] for one in seeds]} |" for seeds in results.values()), "|")


def say(rows: list[dict[str, float | None]]) -> tuple[str, str]:
    """Write the Jaccard of a class over the seeds, and the interval of the first."""
    known = [row["jaccard"] for row in rows if row["jaccard"] is not None]
    if not known:
        return "-", "-"
    text = f"{statistics.mean(known):.3f}"
    if len(known) > 1:
        text += f" ({min(known):.3f} to {max(known):.3f})"
    low, high = rows[0]["low"], rows[0]["high"]
    return text, "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"


if __name__ == "__main__":
    main()
