"""What losses need of pixels, added up; on a GPU by one kernel where a trial of it gives what torch gives."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from landscribe.errors import first_line

CLOSE = 1e-4
"""Share by which sums and gradients of the kernel may differ from torch's."""


@dataclass(frozen=True)
class LossSums:
    """What the loss needs of any number of pixels; sums of parts add up. Each tensor is float (K,)."""

    cross_entropy: Tensor
    """Sum of the binary cross entropy."""
    p: Tensor
    """Sum of the probability."""
    y: Tensor
    """Sum of the target."""
    py: Tensor
    """Sum of probability times target."""
    pixels: Tensor
    """Sum of the weight, the same for all classes."""
    d: Tensor
    """Sum of the distance target; this and the next two are 0 where the loss has no such term."""
    pd: Tensor
    """Sum of probability times distance target."""
    squared: Tensor
    """Sum of the squared difference of the two."""

    def __add__(self, other: LossSums) -> LossSums:
        return LossSums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class Fused(Protocol):
    """Sums and their gradient by kernels, as `_triton_sums` has them."""

    MOST_CLASSES: int

    def sum_fused(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the sums of each class, float32 (5, K)."""

    def gradient_fused(self, logits: Tensor, target: Tensor, weight: Tensor, of_sums: Tensor) -> Tensor:
        """Return the gradient of logits from that of the sums."""


def sum_pixels(
    logits_bkhw: Tensor, target_bkhw: Tensor, weight_b1hw: Tensor, near_bkhw: Tensor | None = None
) -> LossSums:
    """Sum over batch and pixels, in float32 at least.

    Args:
        logits_bkhw: Float (B, K, H, W), any precision.
        target_bkhw: Float (B, K, H, W), covered share 0..1.
        weight_b1hw: Float (B, 1, H, W), 0 where nothing is known, else 1.
        near_bkhw: Distance target, float (B, K, H, W), 0..1; None where the loss has no use for it.
    """
    kernels = None if near_bkhw is not None else find_kernels(logits_bkhw.device)[0]
    if kernels is not None and _suits(logits_bkhw, target_bkhw, weight_b1hw, kernels):
        return sum_by(kernels, logits_bkhw, target_bkhw, weight_b1hw)
    return sum_plainly(logits_bkhw, target_bkhw, weight_b1hw, near_bkhw)


def sum_plainly(
    logits_bkhw: Tensor, target_bkhw: Tensor, weight_b1hw: Tensor, near_bkhw: Tensor | None = None
) -> LossSums:
    """Sum as `sum_pixels`, operation by operation."""
    logits = logits_bkhw.float() if logits_bkhw.dtype in {torch.bfloat16, torch.float16} else logits_bkhw
    target, weight = target_bkhw.to(logits.dtype), weight_b1hw.to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    p = torch.sigmoid(logits) * weight
    over = (0, 2, 3)
    pixels = weight.sum().expand(logits.shape[1])
    none = torch.zeros_like(pixels)
    d, pd, squared = none, none, none
    if near_bkhw is not None:
        near = near_bkhw.to(logits.dtype) * weight
        d, pd, squared = near.sum(over), (p * near).sum(over), (p - near).square().sum(over)
    y, py = (target * weight).sum(over), (p * target).sum(over)
    return LossSums(entropy.sum(over), p.sum(over), y, py, pixels, d, pd, squared)


def sum_by(kernels: Fused, logits_bkhw: Tensor, target_bkhw: Tensor, weight_b1hw: Tensor) -> LossSums:
    """Sum as `sum_pixels` by kernels, forth and back; no distance target."""
    sums: Tensor = _Sums.apply(logits_bkhw, target_bkhw, weight_b1hw, kernels)  # type: ignore[no-untyped-call]
    entropy, p, py, y, pixels = sums.unbind()
    none = torch.zeros_like(pixels)
    return LossSums(entropy, p, y, py, pixels, none, none, none)


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, target, weight, kernels):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN205
        ctx.save_for_backward(logits, target, weight)
        ctx.kernels = kernels
        return kernels.sum_fused(logits, target, weight)

    @staticmethod
    def backward(ctx, of_sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN205
        logits, target, weight = ctx.saved_tensors
        return ctx.kernels.gradient_fused(logits, target, weight, of_sums), None, None, None


def _suits(logits: Tensor, target: Tensor, weight: Tensor, kernels: Fused) -> bool:
    single = target.dtype == weight.dtype == torch.float32 and logits.dtype != torch.float64
    return single and logits.shape[1] <= kernels.MOST_CLASSES and weight.is_contiguous()


@functools.cache
def find_kernels(device: torch.device) -> tuple[Fused | None, str]:
    """Return the kernels for a device, None where torch has to do, and why, for `doctor`."""
    if device.type != "cuda":
        return None, "operation by operation"
    try:
        from landscribe.nn.loss import _triton_sums
    except ImportError:
        return None, "operation by operation: no Triton here"
    fault = find_fault(_triton_sums, device)
    return (None, f"operation by operation: the kernel failed its trial, {fault}") if fault else (
        _triton_sums, "one kernel forth and one back, tried",
    )  # fmt: skip


def find_fault(kernels: Fused, device: torch.device) -> str:
    """Return why kernels may not be taken on a device, in one line; nothing where they give what torch gives."""
    generator = torch.Generator().manual_seed(0)
    x = 4 * torch.randn(3, 5, 11, 7, generator=generator)
    y, w = torch.rand(x.shape, generator=generator), (torch.rand(3, 1, 11, 7, generator=generator) > 0.3).float()
    for dtype, layout in ((torch.float32, torch.contiguous_format), (torch.bfloat16, torch.channels_last)):
        logits = x.to(device, dtype).contiguous(memory_format=layout).requires_grad_()
        target, weight = y.to(device).contiguous(memory_format=torch.channels_last), w.to(device)
        try:
            pairs = zip(_look(sum_by(kernels, logits, target, weight), logits),
                        _look(sum_plainly(logits, target, weight), logits), strict=True)  # fmt: skip
            close = CLOSE if dtype == torch.float32 else 0.01  # gradients are rounded to bf16
            far = [bool((a - b).norm() > close * b.norm()) for a, b in pairs]
        except Exception as error:  # noqa: BLE001 - compilers raise what they like, and a slower way is at hand
            return first_line(error)
        if any(far):
            return "it gives other numbers"
    return ""


def _look(sums: LossSums, logits: Tensor) -> list[Tensor]:
    values = [getattr(sums, f.name) for f in fields(sums)][:5]
    weighted = sum((i + 1.0) * value.square().sum().sqrt() for i, value in enumerate(values[:4]))
    (gradient,) = torch.autograd.grad(torch.as_tensor(weighted), logits)
    return [*(value.detach() for value in values), gradient.float()]
