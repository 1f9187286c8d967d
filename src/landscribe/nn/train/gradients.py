"""Gradients of a batch, whole or in parts, in one process or several: the same ones.

Overlap terms divide sums over the whole batch, so the mean of the parts' gradients would be another gradient. Here a
part's loss is made of the sums of all: those of the others are known from a first pass and count as constants.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import fields

import torch
from torch import Tensor

from landscribe.core.recipe import LossTable
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.train.chips import Chips
from landscribe.nn.train.losses import LossSums, combine_terms
from landscribe.nn.train.ranks import Ranks, sum_over


def add_gradients(
    net: SegmentationNet,
    pieces: list[Chips],
    sums_of: Callable[[int, Chips], LossSums],
    loss: LossTable,
    weights_k: Tensor,
    ranks: Ranks,
) -> tuple[Tensor, Tensor]:
    """Add the gradient of the loss of a batch to the parameters of a network.

    Args:
        net: The network, in training mode, without gradients.
        pieces: This process's chips; one piece takes one pass, several take two, and memory for one of them.
        sums_of: Number of a piece and its chips to what the loss needs of it; the same each time it is asked.
        loss: Terms.
        weights_k: Class weights, float (K,).
        ranks: The processes among which the batch is divided.

    Returns:
        The loss of the whole batch, scalar, and its parts by class, (K,), both without history.

    Note:
        Batch norm normalises each piece by its own statistics. With it, a batch in pieces is not the whole batch.
    """
    if len(pieces) == 1:
        own = sums_of(0, pieces[0])
        total = _sum([own], ranks) if ranks.count > 1 else own
        value, parts = _backward(own, total, loss, weights_k)
    else:
        with torch.no_grad(), kept_buffers(net):
            total = _sum([sums_of(i, piece) for i, piece in enumerate(pieces)], ranks)
        for i, piece in enumerate(pieces):
            value, parts = _backward(sums_of(i, piece), total, loss, weights_k)
    if ranks.count > 1:
        sum_over(ranks, [p.grad for p in net.parameters() if p.grad is not None])
        _average_buffers(net, ranks)
    return value.detach(), parts.detach()


def split_chips(batch: Chips, count: int) -> list[Chips]:
    """Cut a batch into `count` pieces, or as many as it has chips."""
    n = len(batch.target)
    count = min(count, n)
    cuts = [slice(n * i // count, n * (i + 1) // count) for i in range(count)]
    return [
        Chips(
            {name: t[cut] for name, t in batch.images.items()},
            {name: t[cut] for name, t in batch.valid.items()},
            batch.target[cut],
            batch.weight[cut],
        )
        for cut in cuts
    ]


def _backward(own: LossSums, total: LossSums, loss: LossTable, weights_k: Tensor) -> tuple[Tensor, Tensor]:
    # The value is that of all, the gradient that of this piece.
    joined = LossSums(*(a + (b.detach() - a.detach()) for a, b in zip(_values(own), _values(total), strict=True)))
    value, parts = combine_terms(joined, loss, weights_k)
    value.backward()  # type: ignore[no-untyped-call]
    return value, parts


def _values(sums: LossSums) -> list[Tensor]:
    return [getattr(sums, field.name) for field in fields(sums)]


def _sum(pieces: list[LossSums], ranks: Ranks) -> LossSums:
    total = [torch.stack(values).sum(0).detach() for values in zip(*map(_values, pieces), strict=True)]
    sum_over(ranks, total)
    return LossSums(*total)


@contextlib.contextmanager
def kept_buffers(net: SegmentationNet) -> Iterator[None]:
    """Undo what a pass that only looks does to the running statistics of batch norm."""
    before = [buffer.clone() for buffer in net.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(net.buffers(), before, strict=True):
            buffer.copy_(value)


@torch.no_grad()
def _average_buffers(net: SegmentationNet, ranks: Ranks) -> None:
    floats = [buffer for buffer in net.buffers() if buffer.is_floating_point()]
    sum_over(ranks, floats)
    for buffer in floats:
        buffer.div_(ranks.count)
