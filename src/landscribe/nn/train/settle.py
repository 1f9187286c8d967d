"""Statistics of batch norm, taken again when weights change no more.

Running statistics are those of chips whose colours were changed, and so small that half of what deep layers see is
padding. Here they are the mean and the whole variance over chips as scenes are, of up to twice the side, drawn by class
as often as in training: on ground with fewer houses than were learned from, all that looks like one stands out, and
networks find too many. Networks that began without weights lose by it (docs/few-labels.md). They follow from weights,
scenes and seed alone, in every process the same.

Source:
    Wu & Johnson (2021), arXiv:2105.07576, section 3.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from landscribe.core.grid import Window
from landscribe.core.recipe import ChipTable
from landscribe.nn.network.bundle import SegmentationNet, from_files
from landscribe.nn.network.norms import KeptNorm
from landscribe.nn.train.chips import cut_chips, draw_plan
from landscribe.nn.train.setup import Setup
from landscribe.nn.train.snapshot import mean_of
from landscribe.workers import stop_if_asked

LARGER = 2
"""How many times the side of a training chip, where scenes have room for it."""
FEWER = 2
"""By what batches are smaller: several places stay in each, for a batch of one normalises away what it differs by."""


def settled(net: SegmentationNet, setup: Setup) -> SegmentationNet:
    """Return a network whose batch norm has statistics of its own weights; the network itself where none are wanted.

    Args:
        net: It stays as it is.
        setup: The run that it comes from.
    """
    if not setup.settle:
        return net
    result = copy.deepcopy(net).to(setup.engine.device).eval().requires_grad_(False)
    norms = [m for m in result.modules() if isinstance(m, nn.BatchNorm2d) and not isinstance(m, KeptNorm)]
    kept = [(norm.momentum, norm.get_buffer("num_batches_tracked").clone()) for norm in norms]
    sums: list[Tensor] = []
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # each batch leaves its own statistics
        sums.append(torch.zeros(3, norm.num_features, dtype=torch.float64))
    for _ in _passes(result, setup):
        for i, norm in enumerate(norms):
            mean, variance = (_of(norm, field) for field in ("running_mean", "running_var"))
            sums[i] += torch.stack([mean, mean.square(), variance]) / setup.settle
    for norm, (mean, square, variance), (momentum, tracked) in zip(norms, sums, kept, strict=True):
        norm.eval()
        norm.momentum = momentum
        norm.get_buffer("num_batches_tracked").copy_(tracked)
        norm.get_buffer("running_mean").copy_(mean)
        norm.get_buffer("running_var").copy_(variance + square - mean.square())
    return result


def mean_settled(snapshots: Iterable[Mapping[str, bytes]], setup: Setup) -> SegmentationNet:
    """Return the mean of the networks of some files, settled."""
    return settled(mean_of([from_files(files)[0] for files in snapshots]), setup)


def plain_chips(chips: ChipTable, divisor: int, room: int) -> ChipTable:
    """Return chips as scenes are.

    Args:
        chips: Of training.
        divisor: Of the network.
        room: Side of a scene in pixels.
    """
    side = max(chips.size, min(LARGER * chips.size, room) // divisor * divisor)
    batch = chips.batch if side == chips.size else math.ceil(chips.batch / FEWER)
    return ChipTable(
        size=side, context=chips.context, batch=batch,
        balance=chips.balance, rotate_deg=0.0, flips=False, sharp=1.0, scale=0.0, gain=0.0, band_gain=0.0,
        oversample=chips.oversample,
    )  # fmt: skip


def _passes(net: SegmentationNet, setup: Setup) -> Iterator[None]:
    """Let the network look at one batch after the other."""
    bank, engine = setup.bank, setup.engine
    table = plain_chips(setup.chips, net.divisor, int(np.median(bank.labels.size_r2.min(axis=1))))
    keep = Window(0, 0, table.size, table.size).pad(-table.context)
    for number in range(setup.settle):
        stop_if_asked()
        some = setup.soft if setup.soft is not None and number % 2 else bank
        plan = draw_plan(some, table, setup.seed, setup.total_steps + number)
        chips = cut_chips(some, table, plan).to(engine.device)
        lower = engine.dtype == torch.bfloat16
        with torch.no_grad(), torch.autocast(engine.device.type, torch.bfloat16, enabled=lower):
            net(chips.images, chips.valid, keep)
        yield


def _of(norm: nn.BatchNorm2d, field: str) -> Tensor:
    return norm.get_buffer(field).cpu().double()
