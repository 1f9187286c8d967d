"""The convolution of [upsampled, skip] without upsampling: the same sums with fewer products, 4 in place of 9 a pixel.

Nearest upsampling by 2 lays four copies of each pixel side by side, so a 3x3 window on the fine grid meets only 2x2
different coarse pixels, and which ones depends on whether row and column are even or odd. Four 2x2 kernels on the
coarse grid, made by adding up rows and columns of the 3x3 kernel, therefore give the same result.

Source:
    Sub-pixel convolution, Shi et al. (2016), arXiv:1609.05158, read backwards: there a convolution on the coarse grid
    with four times the channels replaces one on the fine grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of a fine pixel within its coarse one."""


def can_join(conv: nn.Module, pool: int, x: Tensor) -> bool:
    """Tell whether `convolve_joined` applies: a padded 3x3 convolution, upsampling by 2, on a processor.

    On a GPU upsampling stays: there memory traffic decides, and that has not been measured.
    """
    return (
        isinstance(conv, nn.Conv2d)
        and (conv.kernel_size, conv.dilation, conv.stride, conv.groups) == ((3, 3), (1, 1), (1, 1), 1)
        and conv.padding in ((1, 1), (0, 1))
        and pool == 2
        and x.device.type == "cpu"
    )


def convolve_joined(conv: nn.Conv2d, low: Tensor, skip: Tensor, offset_hw: tuple[int, int]) -> Tensor:
    """Return what `conv` makes of [`low` upsampled by 2 and cut to the skip's place, `skip`].

    Beyond the skip's edges the skip counts as 0 and `low` goes on; with concatenation both would be 0 there. So
    outermost pixels differ where the skip was cut out of something larger.

    Args:
        conv: 3x3 convolution of C_low + C_skip channels, padded, or left and right alone.
        low: (B, C_low, h, w).
        skip: (B, C_skip, H, W).
        offset_hw: Row and column of `skip` on the upsampled grid of `low`.

    Returns:
        (B, K, H, W); without the first and the last row where `conv` is not padded above and below.
    """
    n_low = low.shape[1]
    coarse = functional.conv2d(low, phase_kernels(conv.weight[:, :n_low]), padding=1)
    own = conv.weight[:, n_low:].contiguous(memory_format=torch.channels_last)
    fine = functional.conv2d(skip, own, conv.bias, padding=conv.padding)
    begin = (offset_hw[0] + 1 - int(conv.padding[0]), offset_hw[1])
    joined: Tensor = _AddPhases.apply(fine, coarse, begin)  # type: ignore[no-untyped-call]
    return joined


def phase_kernels(weight: Tensor) -> Tensor:
    """Return the four 2x2 kernels of a 3x3 kernel, (K, C, 3, 3) to (4 K, C, 2, 2), phase by phase."""
    k, c = weight.shape[:2]
    taps = weight.permute(0, 2, 3, 1).reshape(k, 9, c)
    sums = torch.matmul(_TAPS.to(weight.dtype), taps)
    return sums.reshape(k, 4, 2, 2, c).transpose(0, 1).reshape(4 * k, 2, 2, c).permute(0, 3, 1, 2)


def _tap_sums() -> Tensor:
    # One axis: an even pixel sees (before, own + own), an odd one (own + own, after); two axes are their product.
    axis = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
    return torch.einsum("ipr,jqs->ijpqrs", axis, axis).reshape(16, 9)


_TAPS = _tap_sums()


class _AddPhases(torch.autograd.Function):
    """Add the four phases, (B, 4 K, h + 1, w + 1), to where they belong on the fine grid, (B, K, H, W), in place."""

    @staticmethod
    def forward(ctx: Any, fine: Tensor, coarse: Tensor, offset_hw: tuple[int, int]) -> Tensor:
        ctx.mark_dirty(fine)
        ctx.offset_hw, ctx.coarse_shape = offset_hw, coarse.shape
        for there, here in phase_places(fine.shape, offset_hw):
            fine[there] += coarse[here]
        return fine

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (fine,) = gradients
        n, channels, height, width = ctx.coarse_shape
        coarse = fine.new_zeros((n, height, width, channels)).permute(0, 3, 1, 2)
        for there, here in phase_places(fine.shape, ctx.offset_hw):
            coarse[here] = fine[there]
        return fine, coarse, None


def phase_places(
    fine_shape: Sequence[int], offset_hw: tuple[int, int]
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Yield, for each phase, its pixels on the fine grid and in the coarse result."""
    k = fine_shape[1]
    for phase, odd in enumerate(PHASES):
        there, here = [], []
        for size, offset, bit in zip(fine_shape[2:], offset_hw, odd, strict=True):
            first = (bit - offset) % 2
            count = (size - first + 1) // 2
            start = (first + offset) // 2 + bit
            there.append(slice(first, None, 2))
            here.append(slice(start, start + count))
        yield (..., *there), (slice(None), slice(phase * k, (phase + 1) * k), *here)
