"""A batch in pieces or among processes has the gradient of the whole batch.

Overlap terms divide sums over the whole batch, so the mean of the pieces' gradients would be another gradient. Here a
piece's loss is made of the sums of all: those of the others are known from a first pass and count as constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.train.chips import Chips
from landscribe.nn.train.compile import Forward, kept_buffers
from landscribe.nn.train.losses import LossSums, split_frame, sum_pixels
from landscribe.nn.train.ranks import Ranks, sum_over
from landscribe.nn.train.setup import Setup


def logits_of(setup: Setup, forward: Forward, step: int, number: int, piece: Chips) -> Tensor:
    """Return the logits of a piece, dropout and all; the same ones each time they are asked for.

    Args:
        setup: The run.
        forward: Its network, compiled or not.
        step: Counted from 0 over the whole run.
        number: Of the piece within this process's part of the batch.
        piece: The chips.
    """
    seeds = np.random.SeedSequence([setup.seed, step, setup.ranks.rank, number])
    torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]))
    engine = setup.engine
    with torch.autocast(engine.device.type, torch.bfloat16, enabled=engine.dtype == torch.bfloat16):
        return forward(piece.images, piece.valid, setup.keep)


def own_numbers(device: torch.device) -> AbstractContextManager[None]:
    """Leave torch's generators as they are for everybody else, whatever `logits_of` draws from them within."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def look_ahead(setup: Setup, forward: Forward, step: int, pieces: Sequence[Chips]) -> LossSums | None:
    """Return what the loss needs of a whole batch before its first piece is learned from; None where that is all.

    Note:
        Batch norm normalises each piece by its own statistics. With it, a batch in pieces is not the whole batch.
    """
    if len(pieces) == 1:
        return None
    with torch.no_grad(), kept_buffers(setup.net):
        sums = [
            sum_pixels(
                logits_of(setup, forward, step, number, piece), *split_frame(piece.target, piece.weight, setup.loss)
            )
            for number, piece in enumerate(pieces)
        ]
    return _total(sums, setup.ranks)


def within_batch(own: LossSums, whole: LossSums | None, ranks: Ranks) -> LossSums:
    """Return sums with the values of the whole batch and the gradients of a piece.

    Args:
        own: Of the piece.
        whole: From `look_ahead`.
        ranks: The processes among which the batch is divided.
    """
    if whole is None:
        if ranks.count == 1:
            return own
        whole = _total([own], ranks)
    return LossSums(*(a + (b - a.detach()) for a, b in zip(_values(own), _values(whole), strict=True)))


def gather_gradients(net: SegmentationNet, ranks: Ranks) -> None:
    """Sum gradients over all processes, and average the running statistics of batch norm, in place."""
    if ranks.count == 1:
        return
    sum_over(ranks, [p.grad for p in net.parameters() if p.grad is not None])
    with torch.no_grad():
        floats = [buffer for buffer in net.buffers() if buffer.is_floating_point()]
        sum_over(ranks, floats)
        for buffer in floats:
            buffer.div_(ranks.count)


def _values(sums: LossSums) -> list[Tensor]:
    return [getattr(sums, field.name) for field in fields(sums)]


def _total(pieces: Sequence[LossSums], ranks: Ranks) -> LossSums:
    total = [torch.stack(values).sum(0).detach() for values in zip(*map(_values, pieces), strict=True)]
    sum_over(ranks, total)
    return LossSums(*total)
