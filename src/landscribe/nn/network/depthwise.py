"""The convolution of each map by itself, with gradients that a processor is quick at.

oneDNN has quick kernels for one form of a depthwise convolution's gradient: 3 x 3 at stride 1. For 5 x 5, and at
stride 2 in bf16, it falls back to code that takes a hundred times as long, which was half of a training step of an
EfficientNet. Here the gradient of a kernel is put together from blocks of at most 3 x 3 of its taps: those of one block
look at every `stride`-th pixel from some first one on, and so are the gradient of a 3 x 3 kernel at stride 1 over these
pixels alone. The gradient of the maps is computed in float32 at stride 2. The sums are the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscribe.nn.private_ops import convolution_gradients

SIDE = 3
"""Of the kernels whose gradient is quick."""


def convolve_each(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return what a depthwise convolution makes of maps, with quick gradients on a processor.

    Args:
        conv: Square kernel of one map each, without dilation.
        x: (B, C, H, W).

    Returns:
        (B, C, h, w), in the precision that autocast asks for.
    """
    side, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
    learns = torch.is_grad_enabled() and x.device.type == "cpu"
    if not learns or (side == SIDE and stride == 1):
        return functional.conv2d(x, conv.weight, conv.bias, stride, padding, 1, conv.groups)
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    y: Tensor = _Each.apply(x.to(dtype), conv.weight.to(dtype), stride, padding)  # type: ignore[no-untyped-call]
    return y if conv.bias is None else y + conv.bias.to(dtype)[:, None, None]


class _Each(torch.autograd.Function):
    """A depthwise convolution: (B, C, H, W) and (C, 1, k, k) to (B, C, h, w)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, None, stride, padding, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight = ctx.needs_input_grad[:2]
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x = _of_maps(gradient, x, weight, ctx.stride, ctx.padding) if wants_x else None
        of_weight = _of_kernel(gradient, x, weight, ctx.stride, ctx.padding) if wants_weight else None
        return of_x, of_weight, None, None


def _of_maps(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    if stride > 1:
        exact = convolution_gradients(gradient.float(), x.float(), weight.float(), stride, padding, (True, False))[0]
        return exact.to(x.dtype)
    return convolution_gradients(gradient, x, weight, stride, padding, (True, False))[0]


def _of_kernel(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    side, size = weight.shape[-1], gradient.shape[2:]
    result, block = torch.empty_like(weight), weight.new_empty((len(weight), 1, SIDE, SIDE))
    for top, left in itertools.product(_firsts(side, stride), repeat=2):
        seen = _every(x, (top - padding, left - padding), stride, (size[0] + SIDE - 1, size[1] + SIDE - 1))
        found = convolution_gradients(gradient, seen, block, 1, 0, (False, True))[1]
        rows, cols = (slice(first, min(first + stride * SIDE, side), stride) for first in (top, left))
        there = result[:, :, rows, cols]
        there.copy_(found[:, :, : there.shape[2], : there.shape[3]])
    return result


def _firsts(side: int, stride: int) -> Iterator[int]:
    """Yield the first taps, along one axis, of blocks that together are a kernel; blocks may overlap."""
    for first in range(min(stride, side)):
        count = len(range(first, side, stride))
        last = first + stride * max(count - SIDE, 0)
        yield from (*range(first, last, stride * SIDE), last)


def _every(x: Tensor, first: tuple[int, int], stride: int, count: tuple[int, int]) -> Tensor:
    """Return `count` pixels of maps from `first` on, every `stride`-th along both axes; beyond the edges 0."""
    parts, beyond = [], []
    for start, many, size in zip(first, count, x.shape[2:], strict=True):
        before = max(0, -(start // stride))
        here = min(many, max(before, -((start - size) // stride)))
        parts.append(slice(start + stride * before, max(0, start + stride * (here - 1) + 1), stride))
        beyond.append((before, many - here))
    (top, bottom), (left, right) = beyond
    inner = x[:, :, parts[0], parts[1]]
    return functional.pad(inner, (left, right, top, bottom)).contiguous(memory_format=torch.channels_last)
