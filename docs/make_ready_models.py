"""Make a ready model from its recipe: python docs/make_ready_models.py buildings-demo --data ../shared/data.

Trains, scores what is held out, and writes a bundle of weights, recipe and a page that names data and licence. Pictures
of the data are not in it. Bundles of under 5 MB lie in `src/landscribe/ready/` and come with the package, where the
licence of the data lets them; others are written with `--to`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from landscribe.io.bundle.about import MODELS, README, RECIPE
from landscribe.io.bundle.archive import write_bundle
from landscribe.io.bundle.ready import FOLDER, MOST_BYTES, READY, readme_of
from landscribe.io.models.model_files import MODEL_FILES
from landscribe.io.project import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.run.scored import run_score
from landscribe.io.settings import load_recipe
from landscribe.pipeline import do_stage
from landscribe.process import settle_process

RECIPES = Path(__file__).parents[1] / "recipes" / "ready"
STAGES = ("prepare", "train", "predict", "vectorize", "score")


def make(name: str, data: Path, run_folder: Path, target: Path) -> str:
    """Train a ready model and write its bundle; returns what was scored.

    Raises:
        SystemExit: If the bundle is too large for its place, or nothing was scored.
    """
    recipe = RECIPES / f"{name}.toml"
    loaded = load_recipe(recipe)
    # The recipe goes into the model's file, so it has to stay what it is wherever the data lie.
    project = open_project(replace(loaded, found=(data / loaded.root.name).resolve()))
    run = open_run(run_folder)
    for stage in STAGES:
        failed = do_stage(stage, project, run).failed
        if failed:
            sys.exit("; ".join(failed.values()))
    score = run_score(run)
    if score is None or score.mean.polygon.jaccard is None:
        sys.exit("nothing was scored")
    where = f"{', '.join(sorted(set(score.places.values())))} ({len(score.scenes)} pictures)"
    scored = f"Jaccard {score.mean.polygon.jaccard:.2f} of polygons on {where}, which it has not seen"
    members: dict[str, bytes | Path] = {
        f"{MODELS}/{model}/{file}": run.path(MODELS, model, file)
        for model in (member for table in project.recipe.models for member in table.members(project.recipe.seed))
        for file in MODEL_FILES
    }
    members |= {README: readme_of(name, scored).encode(), RECIPE: recipe.read_bytes()}
    size = sum(len(own) if isinstance(own, bytes) else own.stat().st_size for own in members.values())
    if size > MOST_BYTES and target.parent == FOLDER:
        sys.exit(f"{size / 1e6:.1f} MB is too large for the package; write it with --to")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bundle(target, members)
    return f"{target}: {target.stat().st_size / 1e6:.1f} MB; {scored}"


def main() -> None:
    """Read the command line and make one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=READY)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of all imagery")
    parser.add_argument("--run", type=Path, help="run folder; default: runs/NAME")
    parser.add_argument("--to", type=Path, help="bundle; default: where the package has it")
    chosen = parser.parse_args()
    settle_process()
    run = chosen.run or Path("runs") / chosen.name
    sys.stdout.write(make(chosen.name, chosen.data, run, chosen.to or FOLDER / f"{chosen.name}.zip") + "\n")


if __name__ == "__main__":
    main()
