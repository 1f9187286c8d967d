"""Convolutions of bytes, and how those of floats become such by what a sample of a scene gives.

What lies between convolutions is either never negative, thanks to ReLU, and then counts from 0; or it has a sign, and
then the byte `ZERO` stands for 0. Weights are signed bytes with a unit for each map that they yield. Sums of products
are exact.

Source:
    Jacob et al. (2018), arXiv:1712.05877, section 2; ranges by a sample instead of training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscribe.nn.network.encoders import EvenConvolution, without_first
from landscribe.nn.network.joined import phase_kernels, phase_places
from landscribe.nn.predict.fused import ReluConvolution
from landscribe.nn.private_ops import Geometry, convolve_bytes, convolve_bytes_onto, pack_bytes

LARGEST = 255
"""The byte of the largest value of a sample."""
ZERO = 128
"""The byte of 0 where values have a sign."""
LARGEST_WEIGHT = 127
SMALLEST = 1e-12
"""Stands for a largest value of 0."""
BENT, SIGNED = (2.0, 0.25), (1.25, 0.5)
"""Room of maps after ReLU, and of maps with a sign: a factor on the largest value of a sample, and the least share of
the largest of all maps that each has. Other ground brings more, and what is cut off costs more than coarser steps."""


@dataclass(frozen=True)
class Filter:
    """A convolution of floats."""

    weight: Tensor
    """(K, C, kh, kw), or (C, 1, kh, kw) where it looks at each map alone."""
    bias: Tensor | None
    """(K,); None is 0."""
    padding: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    is_even: bool = False
    """Whether the first row and column of its result are left out, as `EvenConvolution` does."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, K, h', w')."""
        y = functional.conv2d(x, self.weight, self.bias, self.stride, self.padding, 1, self.groups)
        return without_first(y) if self.is_even else y

    def doubled(self, count: int) -> Filter:
        """Return what sees the last `count` maps by their positive and their negative parts, as `enter` gives them."""
        return replace(self, weight=torch.cat([self.weight, -self.weight[:, -count:]], dim=1))


@dataclass(frozen=True)
class Maps:
    """What a sample gives at a place of a network, and how bytes count it."""

    values: Tensor
    """float32 (B, C, h, w)."""
    units: Tensor
    """float32 (C,), what 1 stands for in each map."""
    bytes: Tensor
    """uint8, the same as the network in bytes has it, with all that was rounded before."""
    zero: int = 0
    """The byte of 0."""


@dataclass(frozen=True)
class ByteConvolution:
    """A convolution from bytes, in units of its result."""

    weight: Tensor
    """(K, C / groups, kh, kw), as the library packs it."""
    unit: Tensor
    """float32 (K,), of a product."""
    bias: Tensor
    """float32 (K,)."""
    how: Geometry
    is_even: bool = False
    """Whether the first row and column are left out, as `EvenConvolution` does."""

    def __call__(self, x: Tensor, *, zero: int = 0, relu: bool = True, dtype: torch.dtype = torch.uint8) -> Tensor:
        """Map bytes (B, C, h, w) to (B, K, h', w') of that type; `zero` stands for 0."""
        y = convolve_bytes(x, self.weight, self.unit, self.bias, self.how, zero=zero, relu=relu, dtype=dtype)
        return without_first(y) if self.is_even else y

    def add(
        self, x: Tensor, other: Tensor, other_unit: float, other_zero: int, *, zero: int = 0, relu: bool = True
    ) -> Tensor:
        """Return the sum of what `x` gives and of `other`, bytes whose 0 is `other_zero`; `other` is used up."""
        return convolve_bytes_onto(
            x, other, self.weight, self.unit, self.bias, self.how,
            other_unit=other_unit, other_zero=other_zero, zero=zero, relu=relu,
        )  # fmt: skip


@dataclass(frozen=True)
class ByteJoin:
    """The first convolution of a decoder level, of what comes from below and of the skip; see `joined.py`."""

    below: ByteConvolution
    skip: ByteConvolution
    below_unit: float
    """Of what `below` gives, in units of what `skip` gives."""

    def __call__(self, low: Tensor, skip: Tensor, offset_hw: tuple[int, int]) -> Tensor:
        """Map (B, C, h, w) and (B, C', H, W) to (B, K, H, W), or less by what the skip's convolution does not pad."""
        batch, maps, height, width = skip.shape
        less = 1 - self.skip.how.padding[0]
        shape, begin = (batch, maps, height - 2 * less, width), (offset_hw[0] + less, offset_hw[1])
        spread = spread_phases(self.below(low, zero=ZERO, relu=False), shape, begin)
        return self.skip.add(skip, spread, self.below_unit, ZERO)


def units_of(x: Tensor, most: float = math.inf) -> Tensor:
    """Return what 1 stands for in each map of (B, C, h, w) that is never negative, float32 (C,).

    Args:
        x: What a sample gives.
        most: The largest value that there can be.
    """
    return (_room(x, *BENT).clamp(max=most) / LARGEST).clamp(min=SMALLEST)


def signed_units_of(x: Tensor) -> Tensor:
    """Return the same of maps with a sign."""
    return (_room(x, *SIGNED) / (LARGEST - ZERO)).clamp(min=SMALLEST)


def _room(x: Tensor, factor: float, share: float) -> Tensor:
    largest = x.abs().amax((0, 2, 3))
    return torch.maximum(largest, share * largest.max()) * factor


def enter(stack: Tensor) -> Maps:
    """Return what comes into a network: (B, C, h, w) by its positive and its negative parts, as `ReadyStem` has it."""
    parts = torch.cat([stack, -stack], dim=1).clamp_(min=0)
    units = (parts.amax() / LARGEST).clamp(min=SMALLEST).expand(parts.shape[1])
    return Maps(parts, units, (parts / along(units)).round_().to(torch.uint8))


def pack(filter_: Filter, units_in: Tensor, units_out: Tensor, zero: int = 0) -> ByteConvolution:
    """Turn a convolution to bytes.

    Args:
        filter_: What it does.
        units_in: (C,), what 1 stands for in its input.
        units_out: (K,), and in its result.
        zero: The byte of 0 in its input.
    """
    how = Geometry(filter_.padding, filter_.stride, filter_.groups, zero)
    real = filter_.weight.float() * units_in.reshape((1, -1, 1, 1) if filter_.groups == 1 else (-1, 1, 1, 1))
    unit = (real.abs().amax((1, 2, 3)) / LARGEST_WEIGHT).clamp(min=SMALLEST)
    rounded = torch.round(real / unit.reshape(-1, 1, 1, 1)).to(torch.int8).contiguous()
    packed = pack_bytes(rounded, unit / units_out, how)
    offset = torch.zeros(len(unit)) if filter_.bias is None else filter_.bias.float()
    return ByteConvolution(packed, unit / units_out, offset / units_out, how, filter_.is_even)


def pack_settled(
    filter_: Filter, seen: Maps, units_out: Tensor, total: Tensor, other: tuple[Maps, float] | None = None
) -> ByteConvolution:
    """Turn a convolution to bytes, with a bias that gives its maps the mean that those of floats have in the sample.

    Rounded weights move means, above all where a map follows from few of them, and what comes later adds that up.

    Args:
        filter_: What it does.
        seen: Its input.
        units_out: (K,), what 1 stands for in its result.
        total: What floats give before any activation, with `other`.
        other: What is added to the result, and the unit of that in units of the result.

    Source:
        Nagel et al. (2019), arXiv:1906.04721, section 4.2, with a sample in place of statistics of batches.
    """
    layer = pack(filter_, seen.units, units_out, seen.zero)
    found = layer(seen.bytes, relu=False, dtype=torch.float32)
    if other is not None:
        found += (other[0].bytes.float() - other[0].zero) * other[1]
    return replace(layer, bias=layer.bias + (total / along(units_out) - found).mean((0, 2, 3)))


def pack_row(row: Sequence[Filter], seen: Maps) -> tuple[list[ByteConvolution], Maps]:
    """Turn convolutions with ReLU, one after the other, to bytes; also returns what they make of the sample."""
    layers = []
    for one in row:
        layer, seen = pack_bent(one, seen)
        layers.append(layer)
    return layers, seen


def pack_bent(filter_: Filter, seen: Maps, most: float = math.inf) -> tuple[ByteConvolution, Maps]:
    """Turn a convolution with ReLU, up to `most`, to bytes; also returns what it makes of the sample."""
    total = filter_(seen.values)
    bent = total.clamp(0, most)
    units = units_of(bent, most)
    layer = pack_settled(filter_, seen, units, total)
    return layer, Maps(bent, units, layer(seen.bytes))


def pack_join(both: Filter, below: Maps, skip: Maps) -> tuple[ByteJoin, Maps]:
    """Turn the first convolution of a decoder level to bytes; also returns what it makes of the sample."""
    n = below.values.shape[1]
    coarse = Filter(phase_kernels(both.weight[:, :n]), None, (1, 1))
    own = replace(both, weight=both.weight[:, n:])
    phases, total = coarse(below.values), own(skip.values)
    for there, here in phase_places(total.shape, (0, 0)):
        total[there] += phases[here]
    bent = total.clamp(min=0)
    units = units_of(bent)
    units = units.amax().expand(len(units))  # what comes from below has one unit for all maps
    below_unit = float(phases.abs().amax() / units[0] * SIGNED[0] / (LARGEST - ZERO))
    first = pack(coarse, below.units, (below_unit * units).repeat(4), below.zero)
    spread = Maps(total, units, spread_phases(first(below.bytes, zero=ZERO, relu=False), total.shape, (0, 0)), ZERO)
    join = ByteJoin(first, pack_settled(own, skip, units, total, (spread, below_unit)), below_unit)
    return join, Maps(bent, units, join(below.bytes, skip.bytes, (0, 0)))


def spread_phases(phases: Tensor, shape: Sequence[int], offset_hw: tuple[int, int]) -> Tensor:
    """Lay bytes (B, 4 K, h, w) where they belong on the fine grid, (B, K, H, W)."""
    batch, _, height, width = shape
    spread = phases.new_empty((batch, height, width, phases.shape[1] // 4)).permute(0, 3, 1, 2)
    for there, here in phase_places(spread.shape, offset_hw):
        spread[there] = phases[here]
    return spread


def along(units: Tensor) -> Tensor:
    """Return units as a factor of maps."""
    return units.reshape(1, -1, 1, 1)


def filters(block: nn.Module) -> list[Filter]:
    """Return the convolutions of a block whose batch norm is folded, in their order."""
    return [
        Filter(
            m.weight, m.bias, _pair(m.padding), _pair(m.stride), m.groups,
            isinstance(m, EvenConvolution) or (isinstance(m, ReluConvolution) and m.is_even),
        )
        for m in block.modules()
        if isinstance(m, nn.Conv2d | ReluConvolution)
    ]  # fmt: skip


def _pair(value: object) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple) else (value, value)
    return int(first), int(second)
