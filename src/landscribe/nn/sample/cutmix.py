"""CutMix on shares: a rectangle of a chip is that of another chip of its batch, pixels, validity and labels alike.

Labels are shares of each pixel, so nothing has to be guessed: what is pasted has the labels of where it comes from.

Source:
    Yun et al. (2019), arXiv:1905.04899.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscribe.core.arrays import IntArray

SMALLEST, LARGEST = 0.1, 0.5
"""Part of a chip that is replaced."""
LONGEST = 2.0
"""How many times as long as wide a rectangle may be."""
NOBODY = -1


@dataclass(frozen=True)
class Pastes:
    """What is pasted into the first chips of a plan; those behind them are only taken from."""

    partner_b: IntArray
    """int64 (B,): row of the plan that a chip takes from, or `NOBODY`."""
    box_b4: IntArray
    """int64 (B, 4): first row, first column, behind the last row and column, in pixels of the chip."""

    def rows(self, chosen: IntArray) -> tuple[IntArray, Pastes]:
        """Return which rows of the plan some of its chips need, those chips first, and what is pasted into these."""
        partner_b = self.partner_b[chosen]
        rows = np.concatenate([chosen, np.setdiff1d(partner_b[partner_b >= 0], chosen)])
        place = np.zeros(int(rows.max(initial=0)) + 1, np.int64)
        place[rows] = np.arange(len(rows))
        return rows, Pastes(np.where(partner_b >= 0, place[partner_b], NOBODY), self.box_b4[chosen])


def draw_pastes(n: int, size: int, grain: int, share: float, rng: np.random.Generator) -> Pastes:
    """Draw what is pasted into the chips of a batch.

    Args:
        n: Chips.
        size: Side of a chip, a multiple of `grain`.
        grain: Rectangles begin and end at multiples of this, where all sensors have a whole sample.
        share: Of the chips that get something; a batch of one gets nothing.
        rng: Used for nothing else.
    """
    gets_b, step_b = rng.random(n) < share, rng.integers(1, max(n, 2), n)
    area_b = rng.uniform(SMALLEST, LARGEST, n) * size**2
    ratio_b = LONGEST ** rng.uniform(-1, 1, n)
    place_b2 = rng.random((n, 2))
    side_b2 = np.stack([np.sqrt(area_b * ratio_b), np.sqrt(area_b / ratio_b)], axis=1)
    side_b2 = np.clip(np.rint(side_b2 / grain), 1, size // grain)
    first_b2 = np.floor(place_b2 * (size // grain - side_b2 + 1))
    box_b4 = (np.concatenate([first_b2, first_b2 + side_b2], axis=1) * grain).astype(np.int64)
    partner_b = (np.arange(n) + step_b) % n
    return Pastes(np.where(gets_b & (n > 1), partner_b, NOBODY), box_b4)


def paste(pastes: Pastes, layers: Iterable[tuple[Tensor, int, int]]) -> None:
    """Paste into the chips of a batch, in place.

    Args:
        pastes: Of the batch.
        layers: (B, C, h, w), the distance of its samples in pixels of the chip, and how many pixels of the chip lie
            before its first sample, on each axis.
    """
    for values, step, before in layers:
        height, width = values.shape[2:]
        boxes = []
        for b in np.flatnonzero(pastes.partner_b >= 0):
            top, left, bottom, right = (int(v) for v in (pastes.box_b4[b] - before) // step)
            rows, cols = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
            if rows.start < rows.stop and cols.start < cols.stop:
                # As it was before anything was pasted into it.
                boxes.append((b, rows, cols, values[pastes.partner_b[b], :, rows, cols].clone()))
        for b, rows, cols, taken in boxes:
            values[b, :, rows, cols] = taken


def paste_on_device(partner_b: Tensor, box_b4: Tensor, layers: Iterable[tuple[Tensor, int, int]]) -> None:
    """Paste as `paste` does, in place, all chips at once; what `Pastes` has is on the device of the layers."""
    takes, partner = (partner_b >= 0)[:, None, None], partner_b.clamp(min=0)
    for values, step, before in layers:
        n, (height, width) = len(partner), values.shape[2:]
        rows, cols = (torch.arange(size, device=values.device) for size in (height, width))
        top, left, bottom, right = torch.div(box_b4 - before, step, rounding_mode="floor").T[..., None, None].unbind()
        inside = takes & (rows[:, None] >= top) & (rows[:, None] < bottom) & (cols >= left) & (cols < right)
        values[:n].copy_(torch.where(inside[:, None], values.index_select(0, partner), values[:n]))
