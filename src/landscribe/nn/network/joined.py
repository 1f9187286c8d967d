"""The convolution of [upsampled, skip] without upsampling: the same sums with fewer products, 4 in place of 9 a pixel.

Nearest upsampling by 2 or 4 lays copies of each pixel side by side, so a 3x3 window on the fine grid meets at most 2x2
different coarse pixels, and which ones depends on where in its coarse pixel the middle lies. 4 or 16 kernels of 2x2 on
the coarse grid, made by adding up rows and columns of the 3x3 kernel, therefore give the same result.

Source:
    Sub-pixel convolution, Shi et al. (2016), arXiv:1609.05158, read backwards: there a convolution on the coarse grid
    with four times the channels replaces one on the fine grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

POOLS = (2, 4)
"""Factors of upsampling that there are kernels for."""


def can_join(conv: nn.Module, pool: int, x: Tensor) -> bool:
    """Tell whether `convolve_joined` applies: a padded 3x3 convolution, upsampling by 2 or 4, on a processor.

    On a GPU upsampling stays: there memory traffic decides, and that has not been measured.
    """
    return (
        isinstance(conv, nn.Conv2d)
        and (conv.kernel_size, conv.dilation, conv.stride, conv.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and conv.padding in ((1, 1), (0, 1))
        and pool in POOLS
        and x.device.type == "cpu"
    )


def convolve_joined(conv: nn.Conv2d, low: Tensor, pool: int, skip: Tensor, offset_hw: tuple[int, int]) -> Tensor:
    """Return what `conv` makes of [`low` upsampled and cut to the skip's place, `skip`].

    Beyond the skip's edges the skip counts as 0 and `low` goes on; with concatenation both would be 0 there. So
    outermost pixels differ where the skip was cut out of something larger.

    Args:
        conv: 3x3 convolution of C_low + C_skip channels, padded, or left and right alone.
        low: (B, C_low, h, w).
        pool: Factor of upsampling.
        skip: (B, C_skip, H, W).
        offset_hw: Row and column of `skip` on the upsampled grid of `low`.

    Returns:
        (B, K, H, W); without the first and the last row where `conv` is not padded above and below.
    """
    n_low = low.shape[1]
    coarse = functional.conv2d(low, phase_kernels(conv.weight[:, :n_low], pool), padding=1)
    own = conv.weight[:, n_low:].contiguous(memory_format=torch.channels_last)
    fine = functional.conv2d(skip, own, conv.bias, padding=conv.padding)
    begin = (offset_hw[0] + 1 - int(conv.padding[0]), offset_hw[1])
    joined: Tensor = _AddPhases.apply(fine, coarse, pool, begin)  # type: ignore[no-untyped-call]
    return joined


def phase_kernels(weight: Tensor, pool: int = 2) -> Tensor:
    """Return the 2x2 kernels of a 3x3 kernel, (K, C, 3, 3) to (pool^2 K, C, 2, 2), phase by phase.

    Args:
        weight: Of the convolution on the fine grid.
        pool: Factor of upsampling.
    """
    (k, c), n = weight.shape[:2], pool**2
    taps = weight.permute(0, 2, 3, 1).reshape(k, 9, c)
    sums = torch.matmul(_TAPS[pool].to(weight.dtype), taps)
    return sums.reshape(k, n, 2, 2, c).transpose(0, 1).reshape(n * k, 2, 2, c).permute(0, 3, 1, 2)


def _tap_sums(pool: int) -> Tensor:
    # Around each corner of coarse pixels lie pool x pool fine ones, which see the four that meet there and no other.
    axis = torch.zeros(pool, 2, 3)
    for place in range(pool):
        from_middle = (place + pool // 2) % pool - pool // 2
        for tap in (-1, 0, 1):
            axis[place, int(from_middle + tap >= 0), tap + 1] = 1
    return torch.einsum("ipr,jqs->ijpqrs", axis, axis).reshape(4 * pool**2, 9)


_TAPS = {pool: _tap_sums(pool) for pool in POOLS}


class _AddPhases(torch.autograd.Function):
    """Add the phases, (B, pool^2 K, h + 1, w + 1), to where they belong on the fine grid, (B, K, H, W), in place."""

    @staticmethod
    def forward(ctx: Any, fine: Tensor, coarse: Tensor, pool: int, offset_hw: tuple[int, int]) -> Tensor:
        ctx.mark_dirty(fine)
        ctx.pool, ctx.offset_hw, ctx.coarse_shape = pool, offset_hw, coarse.shape
        for there, here in phase_places(fine.shape, offset_hw, pool):
            fine[there] += coarse[here]
        return fine

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (fine,) = gradients
        n, channels, height, width = ctx.coarse_shape
        coarse = fine.new_zeros((n, height, width, channels)).permute(0, 3, 1, 2)
        for there, here in phase_places(fine.shape, ctx.offset_hw, ctx.pool):
            coarse[here] = fine[there]
        return fine, coarse, None, None


def phase_places(
    fine_shape: Sequence[int], offset_hw: tuple[int, int], pool: int = 2
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Yield, for each phase, its pixels on the fine grid and in the coarse result.

    A phase is the row and the column of a fine pixel within its coarse one.
    """
    k = fine_shape[1]
    for phase, places in enumerate(itertools.product(range(pool), repeat=2)):
        there, here = [], []
        for size, offset, place in zip(fine_shape[2:], offset_hw, places, strict=True):
            first = (place - offset) % pool
            count = (size - first + pool - 1) // pool
            start = (first + offset + pool // 2) // pool
            there.append(slice(first, None, pool))
            here.append(slice(start, start + count))
        yield (..., *there), (slice(None), slice(phase * k, (phase + 1) * k), *here)
