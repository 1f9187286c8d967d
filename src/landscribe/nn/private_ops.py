"""The operations of torch that are not part of its public interface, all of them, each behind a trial.

They are those that its own compiler emits, faster for prediction on processors than the public ones, and may go or
change with any version. A trial runs them on a small convolution and compares with the public way. Where it fails,
ReLU is applied apart, precision "int8" is refused, and `doctor` says so.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_BROKEN = (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What torch raises for an operation that is not there, takes other arguments or has no kernel for this processor."""


def relu_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding: Sequence[int] | str,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    most: float | None = None,
) -> Tensor:
    """Map (B, C, h, w) to (B, K, h', w') by a convolution that writes its result once, with ReLU, up to `most`."""
    bend, limits = ("relu", []) if most is None else ("hardtanh", [0.0, most])
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, stride, dilation, groups, bend, limits, ""
    )
    return y


def pack_bytes(weight: Tensor, unit: Tensor, padding: Sequence[int]) -> Tensor:
    """Return signed bytes (K, C, kh, kw), with a unit for each map that they yield, as the library wants them."""
    packed: Tensor = torch.ops.onednn.qconv_prepack(weight, unit, 1.0, 0, [1, 1], padding, [1, 1], 1, None)
    return packed


def convolve_bytes(
    x: Tensor,
    packed: Tensor,
    unit: Tensor,
    bias: Tensor,
    padding: Sequence[int],
    *,
    zero: int,
    relu: bool,
    dtype: torch.dtype,
) -> Tensor:
    """Map bytes (B, C, h, w) to (B, K, h', w') of that type; `zero` stands for 0, `unit` float32 (K,) for a product."""
    zeros = torch.zeros(len(unit), dtype=torch.int64)
    y: Tensor = torch.ops.onednn.qconv2d_pointwise.default(
        x, 1.0, 0, packed, unit, zeros, bias, [1, 1], padding, [1, 1], 1,
        1.0, zero, dtype, "relu" if relu else "none", [], "",
    )  # fmt: skip
    return y


def convolve_bytes_onto(
    x: Tensor,
    other: Tensor,
    packed: Tensor,
    unit: Tensor,
    bias: Tensor,
    padding: Sequence[int],
    *,
    other_unit: float,
    other_zero: int,
) -> Tensor:
    """Return ReLU of the sum of what `x` gives and of `other`, bytes whose 0 is `other_zero`; `other` is used up."""
    zeros = torch.zeros(len(unit), dtype=torch.int64)
    y: Tensor = torch.ops.onednn.qconv2d_pointwise.binary(
        x, 1.0, 0, packed, unit, zeros, other, bias, [1, 1], padding, [1, 1], 1,
        1.0, 0, torch.uint8, other_unit, other_zero, "sum", 1.0, "relu", [], "",
    )  # fmt: skip
    return y


def pool_bytes(x: Tensor) -> Tensor:
    """Return the largest byte of each 2 x 2, (B, C, h, w) to (B, C, h / 2, w / 2)."""
    y: Tensor = torch.ops.quantized.max_pool2d(x, [2, 2], [2, 2], [0, 0], [1, 1], False)
    return y


@functools.cache
def can_fuse() -> bool:
    """Tell whether `relu_convolution` does here what a convolution and a ReLU do."""
    x, weight, bias = _small()
    try:
        with torch.inference_mode():
            fused, limited = (
                relu_convolution(x, weight, bias, (1, 1), (1, 1), (1, 1), 1, most) for most in (None, 6.0)
            )
    except _BROKEN:
        return False
    plain = functional.relu(functional.conv2d(x, weight, bias, padding=1))
    pairs = ((fused, plain), (limited, plain.clamp(max=6)))
    return all(a.shape == b.shape and torch.allclose(a, b, atol=1e-4) for a, b in pairs)


@functools.cache
def can_multiply_bytes() -> bool:
    """Tell whether convolutions and pools of bytes give here what whole numbers give."""
    x, weight, _ = _small()
    # Up to the largest bytes: without VNNI, sums of two products are cut off at 16 bits, and far off.
    x, weight = (x.abs() * 150).clamp(max=255).to(torch.uint8), (weight * 90).clamp(-127, 127).to(torch.int8)
    unit, bias = torch.full((len(weight),), 2.0**-11), torch.ones(len(weight))
    exact = functional.conv2d(x.float(), weight.float(), padding=1) * 2.0**-11 + 1
    other = torch.full_like(exact, 100).to(torch.uint8).contiguous(memory_format=torch.channels_last)
    try:
        with torch.inference_mode():
            packed = pack_bytes(weight.contiguous(), unit, (1, 1))
            found = convolve_bytes(x, packed, unit, bias, (1, 1), zero=0, relu=False, dtype=torch.float32)
            onto = convolve_bytes_onto(x, other, packed, unit, bias, (1, 1), other_unit=0.5, other_zero=90)
            pooled = pool_bytes(x)
    except _BROKEN:
        return False
    summed = (exact + 0.5 * (100 - 90)).clamp(0, 255)
    same = found.shape == exact.shape and torch.allclose(found, exact, atol=1e-3)
    near = onto.shape == summed.shape and bool((onto.float() - summed).abs().max() <= 1)
    return same and near and torch.equal(pooled, functional.max_pool2d(x.float(), 2).to(torch.uint8))


@functools.cache
def can_train_on(device: torch.device) -> bool:
    """Tell whether a small network gives on a device what it gives on the processor, forth and back."""
    x, weight, bias = _small()

    def run(on: torch.device) -> list[Tensor]:
        image, kernel = x.to(on), weight.to(on).requires_grad_()
        y = functional.relu(functional.conv2d(image, kernel, bias.to(on), padding=1))
        y = functional.batch_norm(y, None, None, training=True)
        y = functional.interpolate(functional.max_pool2d(y, 2), scale_factor=2, mode="nearest")
        (gradient,) = torch.autograd.grad(functional.binary_cross_entropy_with_logits(y, torch.zeros_like(y)), kernel)
        return [y.detach().cpu(), gradient.cpu()]

    try:
        ours, theirs = run(device), run(torch.device("cpu"))
    except _BROKEN:
        return False
    return all(torch.allclose(a, b, atol=1e-3) for a, b in zip(ours, theirs, strict=True))


def _small() -> tuple[Tensor, Tensor, Tensor]:
    """Return an image (2, 5, 8, 6), channels-last, a weight (16, 5, 3, 3) and a bias, the same each time."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 5, 8, 6), (16, 5, 3, 3), (16,))
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    return x.contiguous(memory_format=torch.channels_last), weight, bias
