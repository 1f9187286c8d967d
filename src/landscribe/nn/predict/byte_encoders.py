"""Encoders in bytes: EfficientNet-lite, which was made for them (ReLU6, nothing that weighs whole maps), and ResNet.

ReLU6 needs no step of its own: 255 stands for 6, or for less where a sample stays below, and larger sums are cut off
there. What follows no activation has a sign. Shortcuts are added inside the last convolution of a block, before its
sums are rounded.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from landscribe.nn.network.encoders import STRIDES, Basic, Encoder, Inverted
from landscribe.nn.predict.byte_layers import (
    ZERO,
    ByteConvolution,
    Maps,
    filters,
    pack_bent,
    pack_settled,
    signed_units_of,
    units_of,
)
from landscribe.nn.predict.fused import ReluConvolution
from landscribe.nn.private_ops import pool_bytes

ByteBlock = Callable[[Tensor], Tensor]
"""Maps bytes (B, C, h, w) to (B, K, h', w')."""


@dataclass(frozen=True)
class ByteInverted:
    """`Inverted` in bytes."""

    layers: tuple[ByteConvolution, ...]
    """The wider maps, where there are some, and what looks at each of them."""
    project: ByteConvolution
    own_unit: float | None
    """Of the input, in units of the result; None where it is not added."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, K, h / stride, w / stride); `x` is used up."""
        y = x
        for layer in self.layers:
            y = layer(y)
        if self.own_unit is None:
            return self.project(y, zero=ZERO, relu=False)
        return self.project.add(y, x, self.own_unit, ZERO, zero=ZERO, relu=False)


@dataclass(frozen=True)
class ByteBasic:
    """`Basic` in bytes."""

    first: ByteConvolution
    second: ByteConvolution
    short: ByteConvolution | None
    own_unit: float
    """Of the input or the shortcut, in units of the result."""
    own_zero: int

    def __call__(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, K, h / stride, w / stride); `x` is used up."""
        y = self.first(x)
        other = x if self.short is None else self.short(x, zero=self.own_zero, relu=False)
        return self.second.add(y, other, self.own_unit, self.own_zero)


@dataclass(frozen=True)
class ByteEntrance:
    """What adds a coarser stack to the maps of its level."""

    convolution: ByteConvolution
    own_unit: float
    """Of the maps before, in units of those after."""
    own_zero: int

    def __call__(self, x: Tensor, stack: Tensor) -> Tensor:
        """Map (B, K, h, w) and (B, C, h, w) to (B, K, h, w); `x` is used up."""
        return self.convolution.add(stack, x, self.own_unit, self.own_zero, zero=ZERO, relu=False)


@dataclass(frozen=True)
class ByteEncoder:
    """`Encoder` in bytes."""

    levels: tuple[tuple[ByteBlock, ...], ...]
    entrances: Mapping[int, ByteEntrance]
    """By stride."""

    def __call__(self, stacks: Mapping[int, Tensor]) -> list[Tensor]:
        """Return the maps of each level, (B, channels, H / stride, W / stride)."""
        maps, x = [], stacks[1]
        for stride, blocks in zip(STRIDES, self.levels, strict=True):
            for block in blocks:
                x = block(x)
            if stride in self.entrances:
                x = self.entrances[stride](x, stacks[stride])
            maps.append(x)
        return maps


def pack_encoder(encoder: Encoder, entering: Mapping[int, Maps]) -> tuple[ByteEncoder, list[Maps]]:
    """Turn an encoder to bytes.

    Args:
        encoder: float32, batch norm folded.
        entering: What a sample brings, by stride.

    Returns:
        The encoder, and what it makes of the sample at each level.
    """
    levels: list[tuple[ByteBlock, ...]] = []
    entrances, maps, seen = {}, [], entering[1]
    for level, (stride, blocks) in enumerate(zip(STRIDES, encoder.levels, strict=True)):
        made = []
        for number, block in enumerate(blocks.children()):
            is_first = not level and not number
            one, seen = _pack_first(block, seen) if is_first else _pack_block(block, seen)
            made.append(one)
        levels.append(tuple(made))
        if str(stride) in encoder.entrances:
            entrances[stride], seen = _pack_entrance(encoder.entrances[str(stride)], entering[stride], seen)
        maps.append(seen)
    return ByteEncoder(tuple(levels), entrances), maps


def _pack_first(block: nn.Module, seen: Maps) -> tuple[ByteBlock, Maps]:
    """Turn the convolution that sees the stack of full resolution to bytes."""
    (own,) = filters(block)
    return pack_bent(own.doubled(seen.values.shape[1] // 2), seen, _most(block))


def _pack_entrance(entrance: nn.Module, stack: Maps, seen: Maps) -> tuple[ByteEntrance, Maps]:
    (plain,) = filters(entrance)
    own = plain.doubled(stack.values.shape[1] // 2)
    total = seen.values + own(stack.values)
    units, own_unit = _onto(seen, signed_units_of(total))
    made = ByteEntrance(pack_settled(own, stack, units, total, (seen, own_unit)), own_unit, seen.zero)
    return made, Maps(total, units, made(seen.bytes.clone(), stack.bytes), ZERO)


def _pack_block(block: nn.Module, seen: Maps) -> tuple[ByteBlock, Maps]:
    if isinstance(block, Inverted):
        return _pack_inverted(block, seen)
    if isinstance(block, Basic):
        return _pack_basic(block, seen)
    if isinstance(block, nn.MaxPool2d):
        pool = functools.partial(pool_bytes, side=3, padding=1)
        return pool, Maps(block(seen.values), seen.units, pool(seen.bytes), seen.zero)
    raise TypeError(type(block).__name__)


def _pack_inverted(block: Inverted, seen: Maps) -> tuple[ByteBlock, Maps]:
    layers, inner = [], seen
    for part in (block.expand, block.depthwise):
        if part is not None:
            (own,) = filters(part)
            layer, inner = pack_bent(own, inner, _most(part))
            layers.append(layer)
    (own,) = filters(block.project)
    total, units, own_unit = own(inner.values), None, None
    if block.adds:
        total += seen.values
        units, own_unit = _onto(seen, signed_units_of(total))
    units = signed_units_of(total) if units is None else units
    other = None if own_unit is None else (seen, own_unit)
    made = ByteInverted(tuple(layers), pack_settled(own, inner, units, total, other), own_unit)
    return made, Maps(total, units, made(seen.bytes.clone()), ZERO)


def _pack_basic(block: Basic, seen: Maps) -> tuple[ByteBlock, Maps]:
    (one,), (two,) = filters(block.first), filters(block.second)
    first, inner = pack_bent(one, seen)
    other, short = seen, None
    if block.short is not None:
        (its,) = filters(block.short)
        y = its(seen.values)
        units = signed_units_of(y)
        short = pack_settled(its, seen, units, y)
        other = Maps(y, units, short(seen.bytes, zero=ZERO, relu=False), ZERO)
    total = two(inner.values) + other.values
    bent = total.clamp(min=0)
    units, own_unit = _onto(other, units_of(bent))
    second = pack_settled(two, inner, units, total, (other, own_unit))
    made = ByteBasic(first, second, short, own_unit, other.zero)
    return made, Maps(bent, units, made(seen.bytes.clone()))


def _onto(before: Maps, wanted: Tensor) -> tuple[Tensor, float]:
    """Return units after something was added, in one multiple of those before, and 1 / that multiple."""
    multiple = float((wanted / before.units).max())
    return before.units * multiple, 1 / multiple


def _most(block: nn.Module) -> float:
    """Return the largest value that a block's activation lets through."""
    limits = [m.most for m in block.modules() if isinstance(m, ReluConvolution) and m.most is not None]
    limits += [float(m.max_val) for m in block.modules() if isinstance(m, nn.ReLU6)]
    return min(limits, default=math.inf)
