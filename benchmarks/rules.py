"""Rules on many polygons: python benchmarks/rules.py [--polygons 100000] [--repeats 3] [--json] [--save FILE]."""

from __future__ import annotations

import argparse
import resource
import sys
from functools import partial
from pathlib import Path

import numpy as np
import shapely
from affine import Affine

from landscribe.core.features import join_features, make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.recipe import RuleTable
from landscribe.core.rules import apply_rules
from side_by_side import finish, report, time_in_turn

LEGEND = Legend(tuple(LandClass(k + 1, name, "#000000") for k, name in enumerate(("tree", "building", "river"))))
ACTIONS = (
    {"erase": {"from": "*", "by": "river"}},
    {"erase": {"from": "tree", "by": "building"}},
    {"classes": ("tree", "building"), "clip": "river"},
    {"drop_small": 12.0},
    {"fill_holes": 12.0},
    {"keep_largest": 1000},
    {"buffer": 0.5},
    {"open": 0.5},
    {"close": 0.5},
    {"simplify": 0.5},
    {"merge_touching": True},
    {"classes": "tree", "vote": {"sources": ("tree", "building"), "at_least": 2}},
)


def scene(n: int, rng: np.random.Generator) -> tuple[object, Grid]:
    """Return `n` polygons: round trees, turned buildings, and three rivers of 20,000 vertices each."""
    side = int(np.sqrt(n) * 18)
    n_trees = n * 3 // 4
    trees = shapely.buffer(shapely.points(rng.uniform(0, side, (n_trees, 2))), rng.uniform(2, 7, n_trees), quad_segs=4)
    centres = rng.uniform(0, side, (n - n_trees - 3, 2))
    half = rng.uniform(3, 9, (len(centres), 2))
    angle = rng.uniform(0, np.pi, len(centres))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])[None] * half[:, None]
    turn = np.stack([np.stack([np.cos(angle), -np.sin(angle)], -1), np.stack([np.sin(angle), np.cos(angle)], -1)], -2)
    buildings = shapely.polygons(np.einsum("nij,nkj->nki", turn, corners) + centres[:, None])
    along = np.linspace(-20, side + 20, 10_000)
    rivers = []
    for _ in range(3):
        middle = rng.uniform(0.2, 0.8) * side + 0.1 * side * np.sin(along / side * 9 + rng.uniform(0, 6))
        bank = middle + np.cumsum(rng.normal(0, 0.05, len(along)))
        rivers.append(shapely.Polygon(np.r_[np.c_[along, bank], np.c_[along, bank + 0.03 * side][::-1]]))
    classes = zip(LEGEND, (trees, buildings, np.array(rivers)), strict=True)
    parts = [make_features("a", c, g, score=0.8, area=shapely.area(g)) for c, g in classes]
    return join_features(parts), Grid(side, side, Affine.identity())


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--polygons", type=int, nargs="*", default=[100_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--save", type=Path, help="file to write the JSON object to")
    arguments = parser.parse_args()
    tables = []
    for n in arguments.polygons:
        features, grid = scene(n, np.random.default_rng(0))
        rules = [RuleTable.model_validate(action) for action in ACTIONS]
        ways = {
            str(action): partial(apply_rules, features, [rule], LEGEND, {"a": grid})
            for action, rule in zip(ACTIONS, rules, strict=True)
        }
        seconds = time_in_turn(ways, arguments.repeats)
        peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"  peak memory of the process {peak_gib:.2f} GiB", file=sys.stderr)
        tables.append({**report(f"rules on {n} polygons", seconds, next(iter(ways))), "peak_gib": peak_gib})
    finish(tables, arguments.json, arguments.save)


if __name__ == "__main__":
    main()
