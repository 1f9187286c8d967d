"""Optimiser, learning rate and average of weights: the recipe's `schedule` table."""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from landscribe.core.recipe import ScheduleTable
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.train.hard import HardChips
from landscribe.nn.train.snapshot import Learner

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": functools.partial(torch.optim.Adam, fused=True),
    "adamw": functools.partial(torch.optim.AdamW, fused=True),
    "nadam": functools.partial(torch.optim.NAdam, decoupled_weight_decay=True),
}
SHARE = "share"
"""Key of a group of weights: its rate as a factor on that of the schedule."""


def start_learner(net: SegmentationNet, schedule: ScheduleTable, hard: HardChips | None = None) -> Learner:
    """Return a network with its average and a new optimiser."""
    average = copy.deepcopy(net).eval().requires_grad_(False)
    known = set() if net.unet.known is None else {id(p) for p in net.unet.known.levels.parameters()}
    # Decay is for convolutions: pulling biases and batch norm towards zero only shifts what they must make up for.
    groups = [
        {
            "params": [p for p in net.parameters() if (p.ndim > 1) == decayed and (id(p) in known) == is_known],
            "weight_decay": weight,
            SHARE: net.spec.network.encoder_share if is_known else 1.0,
        }
        for is_known in ((False, True) if known else (False,))
        for decayed, weight in ((True, schedule.weight_decay), (False, 0.0))
    ]
    return Learner(net, average, OPTIMIZERS[schedule.optimizer](groups, lr=schedule.rate), hard)


def set_rate(learner: Learner, schedule: ScheduleTable, step: int, epoch_steps: int) -> float:
    """Set, and return, the learning rate of a step; with it the optimiser forgets what it is to forget."""
    if begins_anew(schedule, step, epoch_steps):
        learner.optimizer.state.clear()
    rate = rate_at(schedule, step, epoch_steps)
    for group in learner.optimizer.param_groups:
        group["lr"] = rate * group[SHARE]
    return rate


@torch.no_grad()
def move_average(learner: Learner, schedule: ScheduleTable, step: int) -> None:
    """Move the average towards the weights after a step, faster in the first steps.

    Source:
        Polyak & Juditsky (1992), doi:10.1137/0330046, as an exponential average. Batch norm statistics are averaged in
        the same way: that needs no further pass over data and is part of the state.
    """
    decay = min(schedule.average, (1 + step) / (10 + step))
    torch._foreach_lerp_(*learner.averaged, 1 - decay)
    if learner.copied[0]:
        torch._foreach_copy_(*learner.copied)


@dataclass(frozen=True)
class Stage:
    """A part of a run with a rate of its own."""

    first_epoch: int
    stop_epoch: int
    rate: float
    restart: bool


def stages_of(schedule: ScheduleTable) -> tuple[Stage, ...]:
    """Return the stages of a run, cut off or drawn out to `schedule.epochs`; a run without stages is one."""
    if not schedule.stages:
        return (Stage(0, schedule.epochs, schedule.rate, False),)
    stops = [*itertools.accumulate(table.epochs for table in schedule.stages)]
    stops[-1] = max(stops[-1], schedule.epochs)
    return tuple(
        Stage(first, min(stop, schedule.epochs), table.rate, table.restart)
        for table, first, stop in zip(schedule.stages, [0, *stops], stops, strict=False)
        if first < schedule.epochs
    )


def rate_at(schedule: ScheduleTable, step: int, epoch_steps: int) -> float:
    """Return the learning rate of a step: in each stage a linear rise, then the fall that `schedule.decay` names.

    Args:
        schedule: The table.
        step: Counted from 0 over the whole run.
        epoch_steps: Steps of an epoch.

    Source:
        Steps of five at epochs 25 and 50, two stages, and a power per epoch: `reference_methods.md` 2.7 and 3.5. Half a
        cosine, and its restarts: Loshchilov & Hutter (2017), arXiv:1608.03983.
    """
    stage = _stage_at(schedule, step // epoch_steps)
    here, total = step - stage.first_epoch * epoch_steps, (stage.stop_epoch - stage.first_epoch) * epoch_steps
    rise = max(1, round(schedule.warmup * total))
    if here < rise:
        return stage.rate * (here + 1) / rise
    if schedule.decay == "constant":
        return stage.rate
    if schedule.decay == "power":
        return float(stage.rate * schedule.decay_factor ** (here // epoch_steps))
    return stage.rate * 0.5 * (1 + math.cos(math.pi * (here - rise) / max(1, total - rise)))


def begins_anew(schedule: ScheduleTable, step: int, epoch_steps: int) -> bool:
    """Return whether a step is the first one of a new optimiser (the very first step of a run is not)."""
    epoch, within = divmod(step, epoch_steps)
    if within or not epoch:
        return False
    stage = _stage_at(schedule, epoch)
    if epoch == stage.first_epoch:
        return stage.restart
    return bool(schedule.restart_every) and (epoch - stage.first_epoch) % schedule.restart_every == 0


def _stage_at(schedule: ScheduleTable, epoch: int) -> Stage:
    return next(stage for stage in stages_of(schedule) if epoch < stage.stop_epoch)
