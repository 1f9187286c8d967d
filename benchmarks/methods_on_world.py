"""Both DSTL methods and the default recipes on a synthetic world, each with the same processor time for training.

    python benchmarks/methods_on_world.py --out methods-on-world --whole          # minutes: shows that they run whole
    OMP_NUM_THREADS=1 python benchmarks/methods_on_world.py --out leaderboard --scenes 25 --side 1056 --seeds 3 \
        --processor-minutes 1.5
    python benchmarks/methods_on_world.py --out leaderboard --only default few    # only these; the others are kept
    python benchmarks/methods_on_world.py --chips 4320                            # as many chips for each, not minutes

The recipes are meant for days of a GPU. Here all networks are scaled down alike: fewer filters, smaller batches, one
epoch whose rate falls by half a cosine, prediction in tiles and of one view. What a step of a recipe costs is measured
first, in seconds of all threads' processor time, and turned into steps, as many for each network of the recipe: a run
then takes the same steps however busy the machine is. A part that is done is not done again, so a benchmark that was
cut off goes on.

Prints the tables of `methods_table.py`, which prints them again from `results.json` in the folder. That file is
written after every run, all recipes with one seed before the next seed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from landscribe.io.settings import load_recipe
from landscribe.io.source.submissions import is_empty, read_texts
from methods_table import print_tables
from side_by_side import machine

PROGRAM = [sys.executable, "-c", "from landscribe.cli import main; main()"]
STAGES = ("prepare", "train", "predict", "vectorize", "score")
FILTERS, BATCH, RATE = 8, 12, 2e-3
TRIAL_STEPS, TRIAL_SCENES, TRIES = (4, 28), 4, 2
"""The difference of these two lengths of a training on so few scenes shows what a step costs; the quicker try counts,
since a busy machine makes even processor time longer."""
HELD_OUT = 5
"""Of each so many labelled scenes one is held out; its place's other scene trains, as in the competition."""
RIVER = 7
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
EVEN = DEFAULT + "schedule = { prior = 0.0 }\n"
"""The default with a half of everything as its first guess."""
OWN = {"default": DEFAULT, "few": FEW, "even": EVEN}
RECIPES = ("dstl-lopuhin", "dstl-ternaus", *OWN)


def held_out(world: Path) -> list[str]:
    """Return the scenes that are scored: of places far apart, in turn with a river and without."""
    texts = read_texts(world / "train_wkt_v4.csv")
    places: dict[str, list[str]] = {}
    for scene in dict.fromkeys(image for image, _ in texts):
        places.setdefault(scene.split("_")[0], []).append(scene)
    names, count = list(places), round(sum(map(len, places.values())) / HELD_OUT)
    chosen = []
    for k in range(count):
        scenes = places[names[int((k + 0.5) * len(names) / count)]]
        wet = [scene for scene in scenes if not is_empty(texts[scene, RIVER])]
        dry = [scene for scene in scenes if scene not in wet]
        chosen.append((wet + dry if k % 2 == 0 else dry + wet)[0])
    return chosen


def networks(recipe: str) -> list[int]:
    """Return which models of a recipe are trained."""
    return [k for k, model in enumerate(load_recipe(recipe).recipe.models) if model.kind == "network"]


def overrides(recipe: str, world: Path, steps: int) -> list[str]:
    """Return the settings that scale a recipe down; everything else stays.

    Args:
        recipe: File or name.
        world: The data.
        steps: Of each network.
    """
    found = load_recipe(recipe).recipe
    settings = [f'data.root="{world.resolve().as_posix()}"', "predict.tile=512", "predict.symmetries=1"]
    settings += ["predict.patch=", "predict.step=", 'validate.split="named"']
    settings += [f"validate.scenes={json.dumps(held_out(world))}"]
    for k in networks(recipe):
        settings += [f"models.{k}.network.filters={FILTERS}", f"models.{k}.chips.batch={BATCH}"]
        settings += [f"models.{k}.schedule.{key}" for key in ("stages=", f"rate={RATE}", "epochs=1", f"steps={steps}")]
        # Stages in proportion would leave most of a short run at a rate at which nothing moves.
        settings += [f"models.{k}.schedule.{key}" for key in ('decay="cosine"', "warmup=0.05")]
        # Keras averages batch statistics over a hundred steps, which may be more than there are here.
        settings += [f"models.{k}.network.norm_momentum=0.1"]
    for k, model in enumerate(found.models):
        gate = model.spectral.gate
        if model.kind == "index" and gate.unit == "px":
            limits = {"above": gate.above, "up_to": gate.up_to}
            shares = [f"{name} = {limit / 11.36e6:.4f}" for name, limit in limits.items() if limit is not None]
            settings.append(f'models.{k}.spectral.gate={{ {", ".join(shares)}, unit = "share" }}')
            settings.append(f"models.{k}.spectral.search={SEARCH}")
    return settings


def landscribe(stage: str, recipe: str, folder: Path, settings: list[str]) -> float:
    """Run a stage in a process of its own; returns the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    sets = [part for setting in settings for part in ("--set", setting)]
    subprocess.run([*PROGRAM, stage, recipe, "--run", str(folder), *sets], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def plan_of(name: str, recipe: str, world: Path, out: Path, minutes: float, chips: int | None) -> dict[str, Any]:
    """Return how many steps each network of a recipe gets, and what one costs; measured once and kept."""
    path, count = out / f"{name}-plan.json", len(networks(recipe))
    if path.is_file():
        return json.loads(path.read_text())
    if chips is not None:
        plan: dict[str, Any] = {"steps": max(1, chips // count // BATCH)}
    else:
        scored = set(held_out(world))
        scenes = [i for i in dict.fromkeys(i for i, _ in read_texts(world / "train_wkt_v4.csv")) if i not in scored]
        few = [f"data.scenes={json.dumps(scenes[:TRIAL_SCENES])}", 'validate.split="none"', "validate.scenes="]
        folder, spent = out / f"{name}-trial", []
        for steps in TRIAL_STEPS:
            settings = [*overrides(recipe, world, steps), *few]
            landscribe("prepare", recipe, folder, settings)
            spent.append(min(landscribe("train", recipe, folder, [*settings, f"seed={k}"]) for k in range(TRIES)))
        step_s = (spent[1] - spent[0]) / (TRIAL_STEPS[1] - TRIAL_STEPS[0])
        plan = {"steps": max(1, round(60 * minutes / step_s)), "step_s": round(step_s, 4)}
    plan["networks"] = count
    path.write_text(json.dumps(plan))
    return plan


def run_one(name: str, seed: int, world: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Run a recipe with a seed, or read what it gave."""
    out: Path = chosen.out
    result = out / f"{name}-{seed}.json"
    if result.is_file():
        return json.loads(result.read_text())
    recipe = name
    if name in OWN:
        recipe = str(out / f"{name}.toml")
        Path(recipe).write_text(OWN[name])
    plan = plan_of(name, recipe, world, out, chosen.processor_minutes, chosen.chips)
    settings = [*overrides(recipe, world, plan["steps"]), f"seed={seed}"]
    begin = time.perf_counter()
    # One folder for all seeds: what `prepare` made stays.
    spent = {stage: round(landscribe(stage, recipe, out / name, settings), 1) for stage in STAGES}
    if chosen.whole:
        landscribe("run", recipe, out / name, settings)
    score = json.loads((out / name / "score.json").read_text())
    areas = {
        scene: {k: [round(row["polygon"][key], 1) for key in ("tp", "fp", "fn")] for k, row in rows.items()}
        for scene, rows in score["scenes"].items()
    }
    objects = {k: row["objects"] for k, row in score["classes"].items() if row.get("objects")}
    pixels = {k: row["pixel"]["jaccard"] for k, row in score["classes"].items() if row.get("pixel")}
    seconds = {"wall_s": round(time.perf_counter() - begin), "processor_s": spent}
    found = {**plan, **seconds, "areas": areas, "pixel_jaccard": pixels, "objects": objects}
    part = result.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(result)
    return found


def main() -> None:
    """Make the world, run the recipes, print their score tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("methods-on-world"))
    parser.add_argument("--only", nargs="*", default=[name for name in RECIPES if name != "even"])
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--side", type=int, default=544, help="rows of a scene; columns are 32 fewer")
    parser.add_argument("--world-seed", type=int, default=1, help="another world: settings are not chosen on this one")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--processor-minutes", type=float, default=0.5, help="of steps, for each recipe and seed")
    parser.add_argument("--chips", type=int, help="training chips of each recipe, in place of minutes")
    parser.add_argument("--whole", action="store_true", help="also check, submission and report")
    chosen = parser.parse_args()
    world = chosen.out / "world"
    if not (world / "sample_submission.csv").is_file():
        size = ["--height", str(chosen.side), "--width", str(chosen.side - 32), "--unlabelled", "1"]
        size += ["--scenes", str(chosen.scenes), "--seed", str(chosen.world_seed)]
        subprocess.run([*PROGRAM, "world", str(world), *size], check=True)
    for seed in range(chosen.seeds):
        for name in chosen.only:
            run_one(name, seed, world, chosen)
            # Of all recipes, so that two processes may share the work by --only.
            files = {name: sorted(chosen.out.glob(f"{name}-[0-9].json")) for name in RECIPES}
            runs = {name: [json.loads(file.read_text()) for file in some] for name, some in files.items() if some}
            (chosen.out / "results.json").write_text(json.dumps({**machine(), "runs": runs}) + "\n")
    print_tables(runs)


if __name__ == "__main__":
    main()
