"""Targets that say how far the border of a class is, made from the labels of a chip on its device."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def distance_target(share_bkhw: Tensor, weight_b1hw: Tensor, limit_px: float) -> Tensor:
    """Return a ramp across the border of each class: 0 far outside, a half between the two sides, 1 far inside.

    A pixel is inside where half of it is covered. Its value is (1 + inner - outer) / 2 with the Euclidean distances to
    the nearest pixel outside and inside, in units of `limit_px` and at most 1. Pixels of which nothing is known are on
    neither side.

    Args:
        share_bkhw: Covered share, float (B, K, H, W).
        weight_b1hw: Float (B, 1, H, W), 0 where nothing is known.
        limit_px: Where the ramp ends, in pixels.

    Returns:
        float32 (B, K, H, W). Within `limit_px` of the chip's edge it is what the chip alone says.

    Source:
        `reference_methods.md` 2.4, whose distances are up to 5 % shorter than these exact ones (a 3 x 3 chamfer).
    """
    known = weight_b1hw > 0
    inner = _distance_to((share_bkhw < 0.5) & known, limit_px)
    outer = _distance_to((share_bkhw >= 0.5) & known, limit_px)
    return (1 + (inner - outer) / limit_px) / 2


def frame_px(limit_px: float) -> int:
    """Return how many pixels around a chip its distances depend on."""
    return math.ceil(limit_px)


def _distance_to(there_bkhw: Tensor, limit_px: float) -> Tensor:
    """Return the distance to the nearest marked pixel, at most `limit_px`: first along columns, then along rows."""
    reach, far = frame_px(limit_px), limit_px**2
    squared = torch.where(there_bkhw, 0.0, far)
    for dim, padding in ((-2, (0, 0, reach, reach)), (-1, (reach, reach, 0, 0))):
        size = squared.shape[dim]
        padded = functional.pad(squared, padding, value=far)
        for offset in range(2 * reach + 1):
            squared = torch.minimum(squared, padded.narrow(dim, offset, size) + (offset - reach) ** 2)
    return squared.sqrt()
