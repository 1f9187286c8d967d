"""Optimiser, learning rate and the start of a run: the recipe's `schedule` table."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable

import torch

from landscribe.core.recipe import ScheduleTable
from landscribe.nn.bundle import SegmentationNet
from landscribe.nn.snapshot import Run

GRADIENT_NORM = 1.0
"""Longer gradients are shortened to this; a batch of odd labels then cannot throw the run off."""

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": functools.partial(torch.optim.Adam, fused=True),
    "adamw": functools.partial(torch.optim.AdamW, fused=True),
    "nadam": functools.partial(torch.optim.NAdam, decoupled_weight_decay=True),
}


def start_run(net: SegmentationNet, schedule: ScheduleTable) -> Run:
    """Return a network with its average and a new optimiser."""
    average = copy.deepcopy(net).eval().requires_grad_(False)
    # Decay is for convolutions: pulling biases and batch norm towards zero only shifts what they must make up for.
    groups = [
        {"params": [p for p in net.parameters() if (p.ndim > 1) == decayed], "weight_decay": weight}
        for decayed, weight in ((True, schedule.weight_decay), (False, 0.0))
    ]
    return Run(net, average, OPTIMIZERS[schedule.optimizer](groups, lr=schedule.rate))


def rate_at(schedule: ScheduleTable, step: int, total: int) -> float:
    """Return the learning rate of a step, counted from 0: a linear rise, then a half cosine down to zero."""
    rise = max(1, round(schedule.warmup * total))
    if step < rise:
        return schedule.rate * (step + 1) / rise
    if schedule.decay == "constant":
        return schedule.rate
    return schedule.rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))
