"""Sums of the loss as one kernel of Triton, and their gradient as another, where torch starts two dozen each.

What is compiled has no annotations but those of constants: Triton would look these names up on the GPU. Each program
has a block of pixels with all classes and writes sums of its own, which torch adds up: no atomics, so the same batch
gives the same sums.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 1024
"""Numbers of a block: pixels times classes."""
MOST_CLASSES = 64
ROWS = 5
"""Sums of each class: cross entropy, probability, its product with the target, target, weight."""


def sum_fused(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the sums of each class, float32 (5, K); arguments as `sum_pixels`, at most 64 classes."""
    n_chips, n_classes, height, width = logits.shape
    classes = triton.next_power_of_2(n_classes)
    pixels, total = TILE // classes, n_chips * height * width
    programs = triton.cdiv(total, pixels)
    parts = torch.empty((programs, ROWS, n_classes), device=logits.device)
    with _on(logits):
        _sums[(programs,)](
            logits, target, weight, parts, total, height, width, *logits.stride(), *target.stride(),
            N_CLASSES=n_classes, PIXELS=pixels, CLASSES=classes,
        )  # fmt: skip
    return parts.sum(dim=0)


def gradient_fused(logits: Tensor, target: Tensor, weight: Tensor, of_sums: Tensor) -> Tensor:
    """Return the gradient of logits, of their type and channels-last, from that of the first three sums, (5, K)."""
    n_chips, n_classes, height, width = logits.shape
    classes = triton.next_power_of_2(n_classes)
    pixels, total = TILE // classes, n_chips * height * width
    found = torch.empty_like(logits, memory_format=torch.channels_last)
    with _on(logits):
        _gradient[(triton.cdiv(total, pixels),)](
            logits, target, weight, of_sums.contiguous(), found, total, height, width, *logits.stride(),
            *target.stride(), N_CLASSES=n_classes, PIXELS=pixels, CLASSES=classes,
        )  # fmt: skip
    return found


def _on(tensor: Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(tensor.device) if tensor.device.type == "cuda" else nullcontext()


@triton.jit
def _load(
    logits, target, weight, total, height, width, x_b, x_k, x_i, x_j, y_b, y_k, y_i, y_j,
    N_CLASSES: tl.constexpr, PIXELS: tl.constexpr, CLASSES: tl.constexpr,
):  # fmt: skip
    """Return logits, their sigmoid, target and weight of a block, the last as a column, and which of them there are."""
    n = tl.program_id(0).to(tl.int64) * PIXELS + tl.arange(0, PIXELS)
    k = tl.arange(0, CLASSES)[None, :]
    there = (n < total)[:, None] & (k < N_CLASSES)
    b, i, j = n // (height * width), n // width % height, n % width
    x = tl.load(logits + (b * x_b + i * x_i + j * x_j)[:, None] + k * x_k, mask=there, other=0).to(tl.float32)
    y = tl.load(target + (b * y_b + i * y_i + j * y_j)[:, None] + k * y_k, mask=there, other=0)
    w = tl.load(weight + n, mask=n < total, other=0)[:, None]
    # The larger of both ways to write it is left out, so that nothing overflows.
    small = tl.exp(-tl.abs(x))
    p = tl.where(x >= 0, 1.0, small) / (1.0 + small)
    return n, k, there, x, p, y, w, small


@triton.jit
def _sums(
    logits, target, weight, parts, total, height, width, x_b, x_k, x_i, x_j, y_b, y_k, y_i, y_j,
    N_CLASSES: tl.constexpr, PIXELS: tl.constexpr, CLASSES: tl.constexpr,
):  # fmt: skip
    n, k, there, x, p, y, w, small = _load(
        logits, target, weight, total, height, width, x_b, x_k, x_i, x_j, y_b, y_k, y_i, y_j, N_CLASSES, PIXELS, CLASSES
    )
    w = tl.where(there, w, 0.0)
    entropy = tl.maximum(x, 0.0) - x * y + tl.log(1.0 + small)
    place = parts + tl.program_id(0).to(tl.int64) * (5 * N_CLASSES) + tl.arange(0, CLASSES)
    known = tl.arange(0, CLASSES) < N_CLASSES
    tl.store(place, tl.sum(entropy * w, axis=0), mask=known)
    tl.store(place + N_CLASSES, tl.sum(p * w, axis=0), mask=known)
    tl.store(place + 2 * N_CLASSES, tl.sum(p * y * w, axis=0), mask=known)
    tl.store(place + 3 * N_CLASSES, tl.sum(y * w, axis=0), mask=known)
    tl.store(place + 4 * N_CLASSES, tl.sum(w, axis=0), mask=known)


@triton.jit
def _gradient(
    logits, target, weight, of_sums, found, total, height, width, x_b, x_k, x_i, x_j, y_b, y_k, y_i, y_j,
    N_CLASSES: tl.constexpr, PIXELS: tl.constexpr, CLASSES: tl.constexpr,
):  # fmt: skip
    n, k, there, x, p, y, w, small = _load(
        logits, target, weight, total, height, width, x_b, x_k, x_i, x_j, y_b, y_k, y_i, y_j, N_CLASSES, PIXELS, CLASSES
    )
    known = k < N_CLASSES
    of_entropy = tl.load(of_sums + k, mask=known, other=0)
    of_p = tl.load(of_sums + N_CLASSES + k, mask=known, other=0)
    of_py = tl.load(of_sums + 2 * N_CLASSES + k, mask=known, other=0)
    slope = small / ((1.0 + small) * (1.0 + small))
    moved = w * ((p - y) * of_entropy + slope * (of_p + y * of_py))
    tl.store(found + n[:, None] * N_CLASSES + k, moved.to(found.dtype.element_ty), mask=there)
