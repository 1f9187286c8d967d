"""Ways to train from few labels, side by side on eight tasks of real imagery: one table with mean, spread, worst task.

    python benchmarks/few_labels.py --data ../shared/data --out few-labels --quick          # shows that all of it runs
    python benchmarks/few_labels.py --processor-minutes 8                                   # equal time for each arm
    python benchmarks/few_labels.py --steps 300 --seeds 3 --arms 0.1.0 plain encoder        # equal steps
    python benchmarks/few_labels.py --steps 300 --add "lite1" "models.*.network.encoder=efficientnet-lite1"
    python benchmarks/few_labels.py --only-table

Each task leaves whole tiles or places out, which alone are scored, on polygons. Arms differ in nothing but their
settings. They are given as many steps, or as much processor time for training: what a step costs is measured first,
alone on the machine, and turned into steps, so that a run takes the same steps however busy the machine is. On a GPU
it is wall time. Several networks of one arm share its time, and take the same number of steps each where steps are
equal; where they go on with labels of their own, that is half of the steps. Seeds are those of the networks; places
and split are the same for all of them.

Every task with every arm and one seed comes before the next seed. What is done is not done again, unless the settings
of an arm have changed, so a benchmark that was cut off goes on. `--jobs 8` does as many at once, for a GPU.

The table has a row for each arm: the mean over tasks of its mean over seeds; the spread, which is the standard
deviation over seeds of the mean over tasks; the task in which it is worst against the first arm; then each task. An
arm that lacks tasks which the first arm has is compared on those that it has, and its mean is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from few_labels_tasks import ARMS, PLAN, TASKS, recipe_of
from landscribe.core.plan.rules import TRAIN_SHARE
from landscribe.errors import LandscribeError
from landscribe.io.settings import load_recipe
from landscribe.io.toml_text import value_text
from side_by_side import machine

TRIAL_STEPS = (1, 3, 11)
"""The first training warms up; the difference of the other two shows what a step costs, whatever else training does."""
QUICK = {"steps": 4, "seeds": 1, "views": 1}
FAILED = "failed"
LEFT_OUT = ("check", "submit", "report", "map")
"""Stages that no score needs."""


@dataclass(frozen=True)
class Cell:
    """One run: an arm on a task with one seed."""

    task: str
    arm: str
    settings: tuple[str, ...]
    seed: int

    @property
    def name(self) -> str:
        """As a file."""
        arm = "".join(c if c.isalnum() or c == "." else "-" for c in self.arm)
        return f"{self.task}/{arm}/{self.seed}"

    def recipe(self, chosen: argparse.Namespace) -> Path:
        """Write the recipe that the arm begins with."""
        path: Path = chosen.out / "recipes" / f"{self.task}-{self.name.split('/')[1]}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = recipe_of(TASKS[self.task], self.arm, chosen.data.resolve().as_posix())
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
        return path

    def overrides(self, chosen: argparse.Namespace, steps: int) -> list[str]:
        """Return all settings of the run."""
        loaded = load_recipe(self.recipe(chosen), self.settings)
        views = [] if chosen.views is None else [f"predict.symmetries={chosen.views}"]
        further = steps // 2 if loaded.recipe.adapt.epochs else 0
        found = [*self.settings, *views, "models.*.schedule.epochs=1", f"models.*.schedule.steps={steps - further}"]
        found += [f"adapt.epochs={min(further, 1)}", f"adapt.steps={further}"] if further else []
        for k, model in enumerate(loaded.recipe.models):
            count = max(1, len(model.seeds))
            found.append(f"models.{k}.seeds={[count * self.seed + n for n in range(count)]}")
        return found

    def networks(self, chosen: argparse.Namespace) -> int:
        """Return how many networks are trained."""
        return sum(max(1, len(m.seeds)) for m in load_recipe(self.recipe(chosen), self.settings).recipe.models)


def work(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job, in a process of its own: measure a step, or train, predict and score."""
    from landscribe.apart import start
    from landscribe.io.project import open_project
    from landscribe.io.run.runs import open_run
    from landscribe.nn.device import choose_engine
    from landscribe.pipeline import do_stage, stages_of
    from landscribe.process import settle_process

    settle_process()
    start()
    clock = time.perf_counter if choose_engine().device.type == "cuda" else time.process_time
    run = open_run(Path(job["folder"]))
    if job["trial"]:
        spent = []
        for steps in TRIAL_STEPS:
            project = open_project(load_recipe(job["recipe"], [*job["overrides"], f"models.*.schedule.steps={steps}"]))
            do_stage("prepare", project, run)
            begin = clock()
            do_stage("train", project, run)
            spent.append(clock() - begin)
        return {"step_s": (spent[2] - spent[1]) / (TRIAL_STEPS[2] - TRIAL_STEPS[1])}
    from landscribe.io.run.scored import SCORE, run_score

    project = open_project(load_recipe(job["recipe"], job["overrides"]))
    seconds, began = {}, time.perf_counter()
    for stage in (name for name in stages_of(project) if name not in LEFT_OUT):
        begin = clock()
        failed = do_stage(stage, project, run).failed
        if failed:
            raise LandscribeError("; ".join(failed.values()))
        seconds[stage] = round(clock() - begin, 1)
    score = run_score(run)
    if score is None:
        raise LandscribeError("nothing was scored")
    shutil.copyfile(run.path(SCORE), job["score"])
    pixel = score.mean.pixel
    return {
        "jaccard": score.mean.polygon.jaccard,
        "pixel_jaccard": None if pixel is None else pixel.jaccard,
        "classes": {name: row.polygon.jaccard for name, row in score.classes.items()},
        "seconds": seconds,
        "wall_s": round(time.perf_counter() - began, 1),
    }


def in_process(job: Mapping[str, Any], jobs: int) -> dict[str, Any]:
    """Do a job in a process of its own, and return what it found.

    Raises:
        LandscribeError: With its last line, if it failed.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)} if jobs > 1 else {}
    command = [sys.executable, __file__, "--job", json.dumps(job)]
    done = subprocess.run(command, check=False, env={**environment, **os.environ}, capture_output=True, text=True)
    if done.returncode:
        raise LandscribeError((done.stderr.strip().splitlines() or ["no word"])[-1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def key_of(*parts: object) -> str:
    """Return a digest of plain values."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def step_seconds(cell: Cell, chosen: argparse.Namespace) -> float:
    """Return what a step of each of an arm's networks costs, measured once for each kind of imagery."""
    task = TASKS[cell.task]
    sensors = [line.split("kind")[1] for line in task.data.splitlines() if "kind" in line]
    model = recipe_of(task, cell.arm, "").split("[[models]]")[1].split("[validate]")[0]
    own = tuple(setting for setting in cell.settings if setting.startswith("models"))
    path = chosen.out / "steps" / f"{key_of(sensors, task.data.count('='), model, own)}.json"
    if not path.is_file():
        folder = chosen.out / "trial"
        job = {
            "trial": True, "recipe": str(cell.recipe(chosen)), "overrides": cell.overrides(chosen, 1),
            "folder": str(folder),
        }  # fmt: skip
        found = {**in_process(job, 1), "task": cell.task, "arm": cell.arm}
        shutil.rmtree(folder, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
        print(f"{cell.task}, {cell.arm}: {found['step_s']:.2f} s a step", file=sys.stderr, flush=True)
    return float(json.loads(path.read_text())["step_s"])


def steps_of(cell: Cell, chosen: argparse.Namespace) -> int:
    """Return the steps of each network of a cell."""
    if chosen.steps is not None:
        return int(chosen.steps)
    return max(1, round(60 * chosen.processor_minutes / step_seconds(cell, chosen)))


def home(chosen: argparse.Namespace) -> Path:
    """Return the folder of all runs of one budget."""
    budget = f"{chosen.steps}-steps" if chosen.steps is not None else f"{chosen.processor_minutes:g}-minutes"
    return Path(chosen.out, budget if chosen.views is None else f"{budget}-{chosen.views}-views")


def kept(cell: Cell, chosen: argparse.Namespace) -> dict[str, Any] | None:
    """Return what a cell gave, if it is done with these settings."""
    path = home(chosen) / "cells" / f"{cell.name}.json"
    found = json.loads(path.read_text()) if path.is_file() else None
    return found if found is not None and found["settings"] == list(cell.settings) else None


def do_cell(cell: Cell, steps: int, chosen: argparse.Namespace) -> str:
    """Run a cell unless that is done; returns a line to say of it."""
    recipe, overrides = cell.recipe(chosen), cell.overrides(chosen, steps)
    key, before = key_of(recipe.read_text(), overrides), kept(cell, chosen)
    if before is not None and before["key"] == key:
        return ""
    target = home(chosen) / "cells" / f"{cell.name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = home(chosen) / "runs" / cell.name
    job = {
        "trial": False, "recipe": str(recipe), "overrides": overrides, "folder": str(folder),
        "score": str(target.with_suffix(".score.json")),
    }  # fmt: skip
    try:
        found = in_process(job, chosen.jobs)
    except LandscribeError as error:
        return f"{cell.name}: {FAILED}: {error}"
    if not chosen.keep:
        shutil.rmtree(folder, ignore_errors=True)
    found = {"key": key, "steps": steps, "settings": list(cell.settings), "overrides": overrides, **found}
    part = target.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(target)
    again = "" if before is None else " again: what it was made from has changed"
    return f"{cell.name}: {found['jaccard'] or 0:.3f} after {steps} steps, {found['wall_s']:.0f} s{again}"


def settings_of(task: str, arm: str, settings: tuple[str, ...], chosen: argparse.Namespace) -> tuple[str, ...]:
    """Return the settings of an arm on a task: its own, for plans behind those that `landscribe plan` chooses there.

    What is held out stays, and the length is the benchmark's; several seeds share the time, where time is equal.
    """
    if not arm.startswith(PLAN):
        return settings
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    minutes = chosen.processor_minutes / threads / TRAIN_SHARE
    path = chosen.out / "plans" / f"{task}-{minutes:.1f}.json"
    if not path.is_file() and chosen.only_table:
        return (arm,)  # which nothing was done with
    if not path.is_file():
        recipe = Cell(task, PLAN, (), 0).recipe(chosen)
        program = [sys.executable, "-c", "from landscribe.cli import main; main()"]
        command = [*program, "plan", str(recipe), "--minutes", f"{minutes:g}", "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(done.stdout)
    chosen_there = {row["setting"]: row["value"] for row in json.loads(path.read_text())["choices"]}
    left = ("schedule.epochs", "schedule.steps", "validate.share", *(("seeds",) if chosen.steps is not None else ()))
    return (*(f"{k}={value_text(v)}" for k, v in chosen_there.items() if not k.endswith(left)), *settings)


def known_arms(chosen: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Return the arms that this version has settings for; the others are told."""
    arms = {name: tuple(ARMS[name]) for name in chosen.arms} | {name: tuple(more) for name, *more in chosen.add}
    known = {}
    for name, settings in arms.items():
        try:
            if name != PLAN:
                load_recipe(Cell(chosen.tasks[0], name, settings, 0).recipe(chosen), settings)
            known[name] = settings
        except LandscribeError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    return known


def row_of(scores: Mapping[str, Sequence[float]], first: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the cells of an arm: mean, spread, worst task, then each task of the first arm.

    Args:
        scores: Task -> Jaccard of each seed.
        first: The same of the first arm.
    """
    whole = all(scores.get(task) for task in first)
    means = {task: statistics.fmean(values) for task, values in scores.items() if values}
    count = min((len(values) for values in scores.values()), default=0)
    by_seed = [statistics.fmean(scores[task][k] for task in first) for k in range(count)] if whole else []
    gains = {task: means[task] - statistics.fmean(first[task]) for task in means if first.get(task)}
    worst = min(gains, key=lambda task: gains[task], default="")
    cells = [f"{statistics.fmean(means[task] for task in first):.3f}" if whole else "-"]
    cells.append(f"{statistics.stdev(by_seed):.3f}" if len(by_seed) > 1 else "-")
    cells.append(f"{worst} {gains[worst]:+.3f}" if worst and scores is not first else "-")
    for task in first:
        values = scores.get(task, ())
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        cells.append(f"{means[task]:.3f}{spread}" if values else "-")
    return cells


def print_table(arms: Mapping[str, tuple[str, ...]], chosen: argparse.Namespace) -> None:
    """Print what is done as Markdown, and write it as JSON beside the cells."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for arm, settings in arms.items():
        cells = {
            task: [
                kept(Cell(task, arm, settings_of(task, arm, settings, chosen), k), chosen) for k in range(chosen.seeds)
            ]
            for task in chosen.tasks
        }
        found[arm] = {task: [cell for cell in some if cell is not None] for task, some in cells.items()}
    found = {arm: tasks for arm, tasks in found.items() if any(tasks.values())}
    if not found:
        print("nothing is done yet")
        return
    tables = {a: {t: [c["jaccard"] or 0.0 for c in some] for t, some in tasks.items()} for a, tasks in found.items()}
    first = next(iter(tables.values()))
    budget = f"{chosen.steps} steps" if chosen.steps is not None else f"{chosen.processor_minutes:g} processor minutes"
    print(f"Jaccard of polygons, {budget} for each run, up to {chosen.seeds} seeds; ± is the standard deviation.\n")
    print("| arm | mean | spread | worst task |", " | ".join(first), "|")
    print("| --- |", " | ".join("---" for _ in range(3 + len(first))), "|")
    for arm, scores in tables.items():
        print(f"| {arm} |", " | ".join(row_of(scores, first)), "|")
    content = {**machine(), "budget": budget, "arms": {arm: list(arms[arm]) for arm in found}, "cells": found}
    (home(chosen) / "results.json").write_text(json.dumps(content, indent=1) + "\n")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("LANDSCRIBE_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=data, help=f"folder of all imagery; default: {data}")
    parser.add_argument("--out", type=Path, default=Path("few-labels"), help="folder of what is done")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=list(ARMS), metavar="ARM", help=", ".join(ARMS))
    parser.add_argument(
        "--add", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"), help="one more arm; repeatable"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processor-minutes", type=float, default=8.0, help="of training, all threads together")
    parser.add_argument("--steps", type=int, help="equal steps in place of equal time")
    parser.add_argument("--views", type=int, choices=(1, 4, 8), help="in place of the eight of the recipes")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--keep", action="store_true", help="keep run folders, to look at polygons")
    parser.add_argument("--quick", action="store_true", help="a few steps, one seed, one view: shows that it runs")
    parser.add_argument("--only-table", action="store_true", help="print what is done")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        for name, value in QUICK.items():
            setattr(chosen, name, value)
    return chosen


def main() -> int:
    """Do what is not done yet, print the table, and return 1 if a run failed."""
    chosen = parse()
    if chosen.job is not None:
        print(json.dumps(work(json.loads(chosen.job))))
        return 0
    arms = known_arms(chosen)
    failed = False
    if not chosen.only_table:
        pairs = [(t, a, settings_of(t, a, s, chosen)) for t in chosen.tasks for a, s in arms.items()]
        cells = [Cell(*pair, k) for k in range(chosen.seeds) for pair in pairs]
        steps = {cell: steps_of(cell, chosen) for cell in cells}
        with ThreadPoolExecutor(chosen.jobs) as pool:
            for line in pool.map(lambda cell: do_cell(cell, steps[cell], chosen), cells):
                if line:
                    print(line, file=sys.stderr, flush=True)
                    failed = failed or f": {FAILED}: " in line
    print_table(arms, chosen)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
