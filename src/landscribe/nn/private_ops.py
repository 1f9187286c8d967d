"""The operations of torch that are not part of its public interface, all of them, each behind a trial.

They are those that its own compiler emits, faster for prediction on processors than the public ones, and may go or
change with any version. A trial runs them on a small convolution and compares with the public way. Where it fails,
ReLU is applied apart, precision "int8" is refused, and `doctor` says so.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_BROKEN = (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What torch raises for an operation that is not there, takes other arguments or has no kernel for this processor."""


def convolution_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Return torch's own gradients of maps and kernel of a depthwise convolution, those that are wanted.

    Without a trial: it is what torch's own backward pass calls, and is there wherever a convolution learns.

    Args:
        gradient: Of what the convolution gave, float (B, C, h', w').
        x: What it was given, float (B, C, h, w).
        weight: Its kernels, float (C, 1, k, k).
        stride: Along both axes, in pixels.
        padding: With zeros on all sides, in pixels.
        wanted: Whether those of `x`, and of `weight`; the other one is no tensor.
    """
    found = torch.ops.aten.convolution_backward(
        gradient, x, weight, [0], [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], x.shape[1], [*wanted, False]
    )
    return found[0], found[1]


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


@dataclass(frozen=True)
class Geometry:
    """How a convolution of bytes goes over its input."""

    padding: tuple[int, int] = (0, 0)
    """Rows and columns of zeros around the input."""
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    zero: int = 0
    """The byte of the input that stands for 0."""


def pack_bytes(weight: Tensor, unit: Tensor, how: Geometry) -> Tensor:
    """Return signed bytes (K, C / groups, kh, kw), with a unit for each of K maps, as the library wants them."""
    packed: Tensor = torch.ops.onednn.qconv_prepack(
        weight, unit, 1.0, how.zero, how.stride, how.padding, [1, 1], how.groups, None
    )
    return packed


def convolve_bytes(
    x: Tensor, packed: Tensor, unit: Tensor, bias: Tensor, how: Geometry, *, zero: int, relu: bool, dtype: torch.dtype
) -> Tensor:
    """Map bytes (B, C, h, w) to (B, K, h', w') of that type; `zero` stands for 0, `unit` float32 (K,) for a product."""
    zeros = torch.zeros(len(unit), dtype=torch.int64)
    y: Tensor = torch.ops.onednn.qconv2d_pointwise.default(
        x, 1.0, how.zero, packed, unit, zeros, bias, how.stride, how.padding, [1, 1], how.groups,
        1.0, zero, dtype, "relu" if relu else "none", [], "",
    )  # fmt: skip
    return y


def convolve_bytes_onto(
    x: Tensor,
    other: Tensor,
    packed: Tensor,
    unit: Tensor,
    bias: Tensor,
    how: Geometry,
    *,
    other_unit: float,
    other_zero: int,
    zero: int,
    relu: bool,
) -> Tensor:
    """Return the sum of what `x` gives and of `other`, bytes whose 0 is `other_zero`; `other` is used up."""
    zeros = torch.zeros(len(unit), dtype=torch.int64)
    y: Tensor = torch.ops.onednn.qconv2d_pointwise.binary(
        x, 1.0, how.zero, packed, unit, zeros, other, bias, how.stride, how.padding, [1, 1], how.groups,
        1.0, zero, torch.uint8, other_unit, other_zero, "sum", 1.0, "relu" if relu else "none", [], "",
    )  # fmt: skip
    return y


def pool_bytes(x: Tensor, side: int = 2, padding: int = 0) -> Tensor:
    """Return the largest byte of each square, two pixels apart, (B, C, h, w) to (B, C, h / 2, w / 2)."""
    y: Tensor = torch.ops.quantized.max_pool2d(x, [side, side], [2, 2], [padding, padding], [1, 1], False)
    return y


@functools.cache
def can_fuse(dtype: torch.dtype = torch.float32) -> bool:
    """Tell whether `relu_convolution` does here, in numbers of that type, what a convolution and a ReLU do.

    Where a processor has no instructions for bf16, torch's own convolution goes around that, this one refuses.
    """
    x, weight, bias = (values.to(dtype) for values in _small())
    try:
        with torch.inference_mode():
            fused, limited = (
                relu_convolution(x, weight, bias, (1, 1), (1, 1), (1, 1), 1, most) for most in (None, 6.0)
            )
    except _BROKEN:
        return False
    plain = functional.relu(functional.conv2d(x, weight, bias, padding=1))
    pairs = ((fused, plain), (limited, plain.clamp(max=6)))
    rtol, atol = (1e-5, 1e-4) if dtype == torch.float32 else (0.02, 0.05)
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol) for a, b in pairs)


@functools.cache
def can_multiply_bytes() -> bool:
    """Tell whether convolutions and pools of bytes give here what whole numbers give."""
    x, weight, _ = _small()
    # Up to the largest bytes: without VNNI, sums of two products are cut off at 16 bits, and far off.
    x, weight = (x.abs() * 150).clamp(max=255).to(torch.uint8), (weight * 90).clamp(-127, 127).to(torch.int8)
    try:
        with torch.inference_mode():
            pooled = pool_bytes(x), pool_bytes(x, 3, 1)
            right = [_right_bytes(x, weight, Geometry((1, 1)))]
            right += [_right_bytes(x, weight, Geometry((2, 2), (2, 2), zero=128))]
            alone = weight[: x.shape[1], :1].contiguous()
            right += [_right_bytes(x, alone, Geometry((1, 1), stride, x.shape[1])) for stride in ((1, 1), (2, 2))]
    except _BROKEN:
        return False
    largest = functional.max_pool2d(x.float(), 2), functional.max_pool2d(x.float(), 3, 2, 1)
    return all(right) and all(torch.equal(a.float(), b) for a, b in zip(pooled, largest, strict=True))


def _right_bytes(x: Tensor, weight: Tensor, how: Geometry) -> bool:
    """Tell whether a convolution of bytes gives the sums of whole numbers, as floats, as bytes and onto others."""
    unit, bias = torch.full((len(weight),), 2.0**-11), torch.ones(len(weight))
    real = functional.conv2d(x.float() - how.zero, weight.float(), None, how.stride, how.padding, 1, how.groups)
    exact = real * 2.0**-11 + 1
    packed = pack_bytes(weight.contiguous(), unit, how)
    found = convolve_bytes(x, packed, unit, bias, how, zero=0, relu=False, dtype=torch.float32)
    signed = convolve_bytes(x, packed, unit, bias, how, zero=128, relu=False, dtype=torch.uint8)
    pairs = [(signed, exact + 128)]
    for zero, relu in ((0, True), (128, False)):
        other = torch.full_like(exact, 100).to(torch.uint8).contiguous(memory_format=torch.channels_last)
        onto = convolve_bytes_onto(
            x, other, packed, unit, bias, how, other_unit=0.5, other_zero=90, zero=zero, relu=relu
        )
        pairs.append((onto, exact + 0.5 * (100 - 90) + zero))
    same = found.shape == exact.shape and torch.allclose(found, exact, atol=1e-3)
    return same and all(
        got.shape == need.shape and bool((got.float() - need.clamp(0, 255)).abs().max() <= 1) for got, need in pairs
    )


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
