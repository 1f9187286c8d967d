"""Training chips against other ways: python benchmarks/chips.py [--json] [--batch 128] [--size 144].

Every way cuts a batch of chips of 16 bands with ten masks at random places. The plain ways turn by OpenCV four bands at
a time, or do not turn at all. The last ways change colours, all at once and one at a time; blur and noise are in half
of the chips. What is drawn before anything is cut is timed apart: places one chip at a time and as arrays, and whole
plans, of which many are drawn for one figure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import torch

from landscribe.core.recipe import ChipTable
from landscribe.nn.sample.places import draw_places
from landscribe.nn.sample.tones import colours_of
from landscribe.nn.scene import SceneArrays
from landscribe.nn.train.bank import ChipBank
from landscribe.nn.train.chips import ChipPlan, Chips, cut_chips, draw_plan, load_bank
from networks import BANDS, CLASSES, clock_of, copy_rate, engine_of, finish, make_net, make_scene, parse
from plain_plan import PlainPlaces
from side_by_side import report, time_in_turn

TURNED, STRAIGHT, OURS = "cv2.warpAffine and flips", "NumPy slices and flips, not turned", "landscribe"
CHIP_BY_CHIP, ARRAYS, PLAN = "places, one chip at a time", "places, as arrays", "whole plan"
CHANGED = {
    "strength = 1": {"strength": 1.0},
    "strength = 1, match = 0.5, cutmix = 0.5": {"strength": 1.0, "match": 0.5, "cutmix": 0.5},
    "gamma = 0.3": {"gamma": 0.3},
    "blur = 1": {"blur": 1.0},
    "noise = 0.15": {"noise": 0.15},
    "match = 0.5": {"match": 0.5},
    "cutmix = 0.5": {"cutmix": 0.5},
}
"""Changes of colour that are switched on, beside `landscribe` without them."""


def cut_turned(scene: SceneArrays, size: int, batch: int, rng: np.random.Generator) -> torch.Tensor:
    """Turn and flip with OpenCV, chip by chip."""
    height, width = scene.shape_hw
    stack = [*scene.images_chw.values(), scene.coverage_khw]
    chips = []
    for _ in range(batch):
        row, col = rng.integers(size, height - size), rng.integers(size, width - size)
        turn = cv2.getRotationMatrix2D((size, size), rng.uniform(-180, 180), 1.0)
        turn[:, 2] -= size / 2
        parts = []
        for layer in stack:
            window = layer[:, row - size : row + size, col - size : col + size].astype(np.float32)
            for first in range(0, len(window), 4):
                some = np.ascontiguousarray(window[first : first + 4].transpose(1, 2, 0))
                parts.append(cv2.warpAffine(some, turn, (size, size)).reshape(size, size, -1))
        chip = np.concatenate(parts, axis=2)
        chips.append(chip[:, ::-1] if rng.random() < 0.5 else chip)
    return torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2)


def cut_straight(scene: SceneArrays, size: int, batch: int, rng: np.random.Generator) -> torch.Tensor:
    """Slice and flip, chip by chip."""
    height, width = scene.shape_hw
    chips = []
    for _ in range(batch):
        row, col = rng.integers(0, height - size), rng.integers(0, width - size)
        cut = (slice(None), slice(row, row + size), slice(col, col + size))
        chip = np.concatenate([scene.images_chw["M"][cut].astype(np.float32), scene.coverage_khw[cut]])
        chips.append(chip[:, :, ::-1] if rng.random() < 0.5 else chip)
    return torch.from_numpy(np.stack(chips))


def time_plans(bank: ChipBank, tables: dict[str, ChipTable], repeats: int) -> dict[str, float]:
    """Return processor seconds for what is drawn of a batch, the mean of many."""
    plain, rng, steps = PlainPlaces(bank.places), np.random.default_rng(0), iter(range(10**9))
    worst = (np.empty(0, np.int64), np.empty((0, 2)))
    table = tables[PLAN]

    def many(once: Callable[[], object], count: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(count):
                once()

        return run

    def draw(chips: ChipTable) -> ChipPlan:
        return draw_plan(bank, chips, 0, next(steps))

    ways = {
        CHIP_BY_CHIP: (lambda: plain.draw(table, rng), 20),
        ARRAYS: (lambda: draw_places(bank.places, bank.present, table, worst, rng), 1000),
        **{name: (partial(draw, t), 200 if name == PLAN else 20) for name, t in tables.items()},
    }
    seconds = time_in_turn({name: many(*way) for name, way in ways.items()}, repeats)
    return {name: seconds[name] / count for name, (_, count) in ways.items()}


def main() -> None:
    """Run the benchmark."""
    arguments = parse(__doc__, batch=128, size=144, side=1024)
    cv2.setNumThreads(arguments.threads)
    engine, rng = engine_of(arguments), np.random.default_rng(0)
    scene = make_scene(arguments.side, arguments.side - 3)
    bank = load_bank([scene], make_net(scene).sensor_steps, engine.device)
    bank = replace(bank, colours=colours_of([scene], bank.sensors))
    table = ChipTable(size=arguments.size, context=0, batch=arguments.batch)
    steps = iter(range(10**6))

    def cut(chips: ChipTable) -> Chips:
        return cut_chips(bank, chips, draw_plan(bank, chips, 0, next(steps)))

    changed = {name: table.model_copy(update=more) for name, more in CHANGED.items()}
    seconds = time_in_turn(
        {
            TURNED: lambda: cut_turned(scene, arguments.size, arguments.batch, rng),
            STRAIGHT: lambda: cut_straight(scene, arguments.size, arguments.batch, rng),
            OURS: lambda: cut(table),
            **{name: partial(cut, chips) for name, chips in changed.items()},
        },
        arguments.repeats,
        clock_of(engine),
    )
    rates = {name: arguments.batch / s for name, s in seconds.items()}
    notes = {name: f"{rate:.0f} chips/s a thread" for name, rate in rates.items()}
    # At least: bands as they are stored, masks and validity in, float32 out.
    least = arguments.batch * arguments.size**2 * (2 * BANDS + CLASSES + 2 + 4 * (BANDS + CLASSES + 1))
    share = least / seconds[OURS] / copy_rate(engine)
    notes[OURS] += f", {share:.0%} of a copy's bytes"
    for name in CHANGED:
        notes[name] += f", {seconds[name] / seconds[OURS]:.2f} times {OURS}"
    report(f"{arguments.batch} chips of {arguments.size} px, {BANDS} bands, ten masks", seconds, TURNED, notes)
    plans = time_plans(bank, {PLAN: table, **{f"{PLAN}, {n}": t for n, t in changed.items()}}, arguments.repeats)
    report(
        f"what is drawn of {arguments.batch} chips, on the processor", plans, CHIP_BY_CHIP,
        {name: f"{1e3 * s:.3f} ms a batch" for name, s in plans.items()},
    )  # fmt: skip
    medians = {f"{name} ms": 1e3 * s for name, s in plans.items()}
    medians |= {f"{name} s": s for name, s in seconds.items()} | {f"{name} chips/s": r for name, r in rates.items()}
    finish("chips", arguments, engine, medians, seconds[TURNED] / seconds[OURS], share_of_copy=share)


if __name__ == "__main__":
    main()
