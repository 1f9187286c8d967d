"""Several processes that train one network: who is who, and sums over all of them.

`torchrun` starts the processes and says to each which one it is. Each has the same weights and takes its part of every
batch; what differs is summed, so all of them take the same step.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

PATIENCE = timedelta(hours=6)
"""The first process alone validates and writes; the others wait for it."""


@dataclass(frozen=True)
class Ranks:
    """The processes of a run."""

    rank: int = 0
    """Number of this process; the first one, 0, validates, writes and talks."""
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0


def join_ranks(device: torch.device) -> Ranks:
    """Join the processes that `torchrun` started with this one; alone, return the only rank.

    Args:
        device: Of this process; NCCL sums on GPUs, gloo on processors.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Ranks()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def share_of(ranks: Ranks, count: int) -> slice:
    """Return which of `count` things are this process's; parts differ by one at most."""
    return slice(count * ranks.rank // ranks.count, count * (ranks.rank + 1) // ranks.count)


def sum_over(ranks: Ranks, tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in place and in one message; float tensors of one device."""
    if ranks.count == 1 or not tensors:
        return
    flat = torch.cat([t.reshape(-1).float() for t in tensors])
    distributed.all_reduce(flat)
    for tensor, part in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.reshape(tensor.shape))


def wait_for_all(ranks: Ranks) -> None:
    """Return when every process has come here."""
    if ranks.count > 1:
        distributed.barrier()
