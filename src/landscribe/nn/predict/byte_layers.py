"""Convolutions of bytes, and how those of floats become such by what a sample of a scene gives.

What lies between convolutions is either never negative, thanks to ReLU, and then counts from 0; or it has a sign, and
then the byte `ZERO` stands for 0. Weights are signed bytes with a unit for each map that they yield. Sums of products
are exact.

Source:
    Jacob et al. (2018), arXiv:1712.05877, section 2; ranges by a sample instead of training.
"""

from __future__ import annotations

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
LEAST_SHARE = 0.25
"""A map has room for at least this share of the largest value of all maps: other ground may bring it where the sample
has none."""


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

    def doubled(self, count: int) -> Filter:
        """Return what sees the last `count` maps by their positive and their negative parts, as `signs` gives them."""
        return replace(self, weight=torch.cat([self.weight, -self.weight[:, -count:]], dim=1))


@dataclass(frozen=True)
class Maps:
    """What a sample gives at a place of a network, and how bytes count it."""

    values: Tensor
    """float32 (B, C, h, w)."""
    units: Tensor
    """float32 (C,), what 1 stands for in each map."""
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
        """Map (B, C, h, w) and (B, C', H, W) to (B, K, H, W)."""
        phases = self.below(low, zero=ZERO, relu=False)
        batch, _, height, width = skip.shape
        spread = phases.new_empty((batch, height, width, phases.shape[1] // 4)).permute(0, 3, 1, 2)
        for there, here in phase_places(spread.shape, offset_hw):
            spread[there] = phases[here]
        return self.skip.add(skip, spread, self.below_unit, ZERO)


def unit_of(x: Tensor) -> Tensor:
    """Return what 1 stands for in (B, C, h, w) so that `LARGEST` is the largest value of all maps, float32 (C,)."""
    return (x.amax() / LARGEST).clamp(min=SMALLEST).expand(x.shape[1])


def units_of(x: Tensor, largest: int) -> Tensor:
    """Return the same map by map, of what has a sign too, so that no map has less room than `LEAST_SHARE`."""
    most = x.abs().amax((0, 2, 3))
    return (torch.maximum(most, LEAST_SHARE * most.max()) / largest).clamp(min=SMALLEST)


def signed(x: Tensor) -> Maps:
    """Return maps that have a sign."""
    return Maps(x, units_of(x, LARGEST - ZERO), ZERO)


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


def pack_row(filters: Sequence[Filter], seen: Maps) -> tuple[list[ByteConvolution], Maps]:
    """Turn padded convolutions with ReLU, one after the other, to bytes; also returns what they make of the sample."""
    layers = []
    for one in filters:
        y = functional.conv2d(seen.values, one.weight, one.bias, padding=one.padding).relu_()
        after = Maps(y, unit_of(y))
        layers.append(pack(one, seen.units, after.units, seen.zero))
        seen = after
    return layers, seen


def pack_join(both: Filter, below: Maps, skip: Maps) -> tuple[ByteJoin, Maps]:
    """Turn the first convolution of a decoder level to bytes; also returns what it makes of the sample."""
    n = below.values.shape[1]
    coarse = Filter(phase_kernels(both.weight[:, :n]), None, (1, 1))
    own = replace(both, weight=both.weight[:, n:])
    phases = functional.conv2d(below.values, coarse.weight, padding=1)
    x = functional.conv2d(skip.values, own.weight, own.bias, padding=1)
    for there, here in phase_places(x.shape, (0, 0)):
        x[there] += phases[here]
    units = unit_of(x.relu_())
    below_unit = float(phases.abs().amax() / (LARGEST - ZERO) / units[0])
    join = ByteJoin(
        pack(coarse, below.units, (below_unit * units).repeat(4), below.zero),
        pack(own, skip.units, units, skip.zero),
        below_unit,
    )
    return join, Maps(x, units)


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


def signs(stack: Tensor) -> Tensor:
    """Return the positive parts of all maps, then the negative ones."""
    return torch.cat([stack, -stack], dim=1).clamp_(min=0)


def _pair(value: object) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple) else (value, value)
    return int(first), int(second)
