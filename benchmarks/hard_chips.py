"""Hard chips against none on a synthetic world: python benchmarks/hard_chips.py FOLDER [--seeds 0 1] [--shares 0 0.3].

Trains one small network for each share and seed at equal budget and prints mean Jaccard on polygons of the scenes that
were held out. What is done already in FOLDER is not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

WORLD = ("--scenes", "8", "--height", "544", "--width", "512", "--seed", "1", "--unlabelled", "0")
RECIPE = """
[data]
source = "dstl"
root = "{root}"
[[models]]
name = "all"
network = {{ filters = 12 }}
chips = {{ batch = 12 }}
schedule = {{ epochs = 6, steps = 60, rate = 2e-3, average = 0.98 }}
[predict]
symmetries = 1
[validate]
split = "named"
scenes = ["6010_0_1", "6030_0_0"]
leak_check = false
"""


def main() -> None:
    """Make the world, train, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.3])
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    if chosen.folder is None:
        print("hard_chips: no folder given, nothing done", file=sys.stderr)
        return
    program = [sys.executable, "-c", "from landscribe.cli import main; main()"]
    world = chosen.folder / "world"
    if not (world / "sample_submission.csv").is_file():
        subprocess.run([*program, "world", str(world), *WORLD], check=True)
    recipe = chosen.folder / "recipe.toml"
    recipe.write_text(RECIPE.format(root=world.resolve().as_posix()))
    scores: dict[str, list[float]] = {str(share): [] for share in chosen.shares}
    for seed in chosen.seeds:
        for share in chosen.shares:
            run = chosen.folder / f"hard-{share}-{seed}"
            options = ["--set", f"seed={seed}", "--set", f"models.0.chips.hard={share}"]
            command = [*program, "run", str(recipe), "--run", str(run), *options]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            found = json.loads((run / "score.json").read_text())["mean"]["polygon"]["jaccard"]
            scores[str(share)].append(float(found))
            print(f"  seed {seed}, hard {share}: {found:.4f}", file=sys.stderr)
    means = {share: statistics.mean(found) for share, found in scores.items()}
    if chosen.json:
        first, *others = means
        ratios = {share: means[share] / means[first] for share in others}
        print(json.dumps({"seeds": chosen.seeds, "scores": scores, "means": means, "ratio": ratios}, indent=1))


if __name__ == "__main__":
    main()
