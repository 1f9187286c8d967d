"""Hard chips: where the loss of the last epoch was largest, to be looked at more often in the next one.

Nothing is computed for it but the loss of each chip beside that of the batch, which training has the logits for; it
stays on the device until the epoch ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from landscribe.core.arrays import FloatArray, IntArray
from landscribe.core.recipe import ChipTable
from landscribe.nn.train.ranks import Ranks, sum_over

WORST = 8
"""One chip in so many counts as worst."""


@dataclass(frozen=True)
class WorstChips:
    """Places of the chips with the largest loss, the worst one first."""

    scene_n: IntArray
    """int64 (N,): number of the scene."""
    point_n2: FloatArray
    """float64 (N, 2): reference (col, row) of the chip's centre."""


NONE_YET = WorstChips(np.empty(0, np.int64), np.empty((0, 2)))


class HardChips:
    """Losses of an epoch's chips, chip by chip, and the worst chips of the epoch before.

    Args:
        table: What a batch is.
        steps: Of an epoch.
        device: Where logits are.
    """

    def __init__(self, table: ChipTable, steps: int, device: torch.device) -> None:
        self.worst = NONE_YET
        self.size = table.size
        self.scene_sb = np.zeros((steps, table.batch), np.int64)
        self.point_sb2 = np.zeros((steps, table.batch, 2))
        self.loss_sb = torch.zeros((steps, table.batch), device=device)

    def place(self, step: int, scene_b: IntArray, map_b6: FloatArray) -> None:
        """Keep where the chips of a step lie; any thread may do so."""
        row = step % len(self.scene_sb)
        self.scene_sb[row] = scene_b
        map_b23 = map_b6.reshape(-1, 2, 3)
        self.point_sb2[row] = map_b23[:, :, :2].sum(axis=2) * (self.size / 2) + map_b23[:, :, 2]

    @torch.no_grad()
    def note(self, step: int, first: int, logits_bkhw: Tensor, target_bkhw: Tensor, weight_b1hw: Tensor) -> None:
        """Keep what each of some chips, from number `first` of its batch on, adds to the cross entropy."""
        entropy = functional.binary_cross_entropy_with_logits(logits_bkhw.float(), target_bkhw, reduction="none")
        losses = (entropy * weight_b1hw).sum((1, 2, 3))
        self.loss_sb[step % len(self.loss_sb), first : first + len(losses)] = losses

    def settle(self, ranks: Ranks) -> None:
        """Find the worst chips when an epoch is done; equal losses stay in the order in which they came."""
        sum_over(ranks, [self.loss_sb])
        losses = self.loss_sb.cpu().numpy().ravel()
        order = np.argsort(-losses, kind="stable")[: -(-losses.size // WORST)]
        order = order[losses[order] > 0]  # chips without a labelled pixel teach nothing
        self.worst = WorstChips(self.scene_sb.ravel()[order], self.point_sb2.reshape(-1, 2)[order])
        self.loss_sb.zero_()
