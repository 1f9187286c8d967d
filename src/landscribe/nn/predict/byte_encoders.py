"""Encoders in bytes: EfficientNet-lite, which was made for them (ReLU6, nothing that weighs whole maps), and ResNet.

ReLU6 needs no step of its own: 255 stands for 6, or for less where a sample stays below, and larger sums are cut off
there. What follows no activation has a sign. Shortcuts are added inside the last convolution of a block, before its
sums are rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from landscribe.nn.network.encoders import STRIDES, Basic, Encoder, Inverted
from landscribe.nn.predict.byte_layers import (
    LARGEST,
    ZERO,
    ByteConvolution,
    Maps,
    filters,
    pack,
    signed,
    unit_of,
    units_of,
)
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


def pack_encoder(
    encoder: Encoder, sample: Mapping[int, Tensor], entering: Mapping[int, Maps]
) -> tuple[ByteEncoder, list[Maps]]:
    """Turn an encoder to bytes.

    Args:
        encoder: float32, batch norm folded.
        sample: Normalised stacks by stride, (B, C, H / stride, W / stride).
        entering: The same by their positive and negative parts.

    Returns:
        The encoder, and what it makes of the sample at each level.
    """
    levels: list[tuple[ByteBlock, ...]] = []
    entrances, maps, seen = {}, [], entering[1]
    for level, (stride, blocks) in enumerate(zip(STRIDES, encoder.levels, strict=True)):
        made = []
        for i, block in enumerate(blocks):  # type: ignore[arg-type]  # blocks in a row
            if level == 0 and i == 0:
                made_one, seen = _pack_first(block, sample[1], seen)
            else:
                made_one, seen = _pack_block(block, seen)
            made.append(made_one)
        levels.append(tuple(made))
        if str(stride) in encoder.entrances:
            entrance = encoder.entrances[str(stride)]
            after = signed(seen.values + entrance(sample[stride]))
            (own,) = filters(entrance)
            packed, own_unit = _onto(seen, after)
            entrances[stride] = ByteEntrance(
                pack(own.doubled(sample[stride].shape[1]), entering[stride].units, packed.units), own_unit, seen.zero
            )
            seen = packed
        maps.append(seen)
    return ByteEncoder(tuple(levels), entrances), maps


def _pack_first(block: nn.Module, stack: Tensor, seen: Maps) -> tuple[ByteBlock, Maps]:
    """Turn the convolution that sees the stack of full resolution to bytes."""
    (own,) = filters(block)
    y = block(stack)
    after = Maps(y, unit_of(y))
    return pack(own.doubled(stack.shape[1]), seen.units, after.units), after


def _pack_block(block: nn.Module, seen: Maps) -> tuple[ByteBlock, Maps]:
    if isinstance(block, Inverted):
        return _pack_inverted(block, seen)
    if isinstance(block, Basic):
        return _pack_basic(block, seen)
    if isinstance(block, nn.MaxPool2d):
        return (lambda x: pool_bytes(x, 3, 1)), Maps(block(seen.values), seen.units, seen.zero)
    raise TypeError(type(block).__name__)


def _pack_inverted(block: Inverted, seen: Maps) -> tuple[ByteBlock, Maps]:
    layers, inner = [], seen
    for part in (block.expand, block.depthwise):
        if part is None:
            continue
        y = part(inner.values)
        # What looks at each map alone is the same in any unit of it.
        after = Maps(y, units_of(y, LARGEST) if part is block.expand else unit_of(y))
        (own,) = filters(part)
        layers.append(pack(own, inner.units, after.units, inner.zero))
        inner = after
    y = block.project(inner.values)
    (own,) = filters(block.project)
    after, own_unit = _onto(seen, signed(seen.values + y)) if block.adds else (signed(y), None)
    return ByteInverted(tuple(layers), pack(own, inner.units, after.units, inner.zero), own_unit), after


def _pack_basic(block: Basic, seen: Maps) -> tuple[ByteBlock, Maps]:
    (one,), (two,) = filters(block.first), filters(block.second)
    y = block.first(seen.values)
    inner = Maps(y, unit_of(y))
    if block.short is None:
        other, short = seen, None
    else:
        other = signed(block.short(seen.values))
        (its,) = filters(block.short)
        short = pack(its, seen.units, other.units, seen.zero)
    total = torch.relu(block.second(inner.values) + other.values)
    after, own_unit = _onto(other, Maps(total, unit_of(total)))
    first = pack(one, seen.units, inner.units, seen.zero)
    return ByteBasic(first, pack(two, inner.units, after.units), short, own_unit, other.zero), after


def _onto(before: Maps, after: Maps) -> tuple[Maps, float]:
    """Return maps after something was added, in one multiple of the units of those before, and 1 / that multiple."""
    multiple = float((after.units / before.units).max())
    return Maps(after.values, before.units * multiple, after.zero), 1 / multiple
