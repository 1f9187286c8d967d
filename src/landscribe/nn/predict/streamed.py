"""A U-Net that is gone through from top to bottom, a few rows at a time.

The maps of full resolution are by far the largest, and each row of the result follows from few of their rows. So the
maps of every level are made in strips when they are asked for, and let go when nobody will ask for them any more:
memory follows from the width of a tile and no longer from its area, tiles may be larger, and less lies twice where
they overlap. A strip that meets no edge is convolved without padding above and below, so that nothing is made in vain.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscribe.core.grid import Window
from landscribe.nn.network.blocks import Convolutions
from landscribe.nn.network.cuts import Cuts, Span, cut
from landscribe.nn.network.encoders import STRIDES, Basic
from landscribe.nn.network.unet import UNet, join, radius_of
from landscribe.nn.predict.byte_layers import ByteConvolution, ByteJoin
from landscribe.nn.predict.int8 import ByteUNet
from landscribe.nn.private_ops import pool_bytes
from landscribe.workers import stop_if_asked

ROWS, ENCODER_ROWS = 96, 128
"""Pixels of the highest level that the strips of all levels are high, twice as many where numbers take less than four
bytes. More cost memory and gain nothing, fewer cost time; a known encoder makes more rows twice where strips meet."""
ENCODER_MAPS = 64
"""Maps of full resolution that take as much memory as what a block of a known encoder reads, widens and writes."""
Take = Callable[[int, int], Tensor]
"""Returns rows of maps, from the first up to the one after the last; never asked for rows above those of before."""


Block = Callable[[Tensor], Tensor]
"""A block of a known encoder: maps (1, C, h, w) to (1, K, h / stride, w / stride)."""


class Rows:
    """Maps of one level, made as far down as they were asked for, and let go once all who need them are past them.

    Args:
        height: Rows in all.
        step: Strips begin and end at multiples of it.
        make: Gives some rows, (1, C, h, w).
    """

    def __init__(self, height: int, step: int, make: Take) -> None:
        self.height, self.step, self.make = height, step, make
        self.strips: list[tuple[int, Tensor]] = []
        """First row of each, from top to bottom."""
        self.end: int | None = None
        """Row after the last that was made."""
        self.begins: list[int] = []
        """Of each reader, the first row that it may still ask for."""

    def reader(self) -> Take:
        """Return what gives rows to one of those who need them."""
        number = len(self.begins)
        self.begins.append(0)
        return partial(self._take, number)

    def _take(self, reader: int, first: int, stop: int) -> Tensor:
        self.begins[reader] = first
        passed = min(self.begins)
        self.strips = [(top, strip) for top, strip in self.strips if top + strip.shape[2] > passed]
        end = first // self.step * self.step if self.end is None else self.end
        if stop > end:
            self.end = min(math.ceil(stop / self.step) * self.step, self.height)
            self.strips.append((end, self.make(end, self.end)))
        parts = [
            rows_of(strip, max(first - top, 0), min(stop - top, strip.shape[2]))
            for top, strip in self.strips
            if top < stop and top + strip.shape[2] > first
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


class Levels(Protocol):
    """What a network makes of maps that are there; `inner` is said of rows that meet no edge: none is added there."""

    plan: UNet
    known: Sequence[Sequence[Block]]
    """Of a known encoder, the blocks of each level; none where there is no such."""

    def encode(self, level: int, parts: Sequence[Tensor], *, inner: bool) -> Tensor:
        """Return what the encoder makes of what comes from above and of a stack, together."""

    def pool(self, level: int, x: Tensor) -> Tensor:
        """Return what goes down to the next level."""

    def decode(self, level: int, low: Tensor, skip: Tensor, offset_hw: tuple[int, int], *, inner: bool) -> Tensor:
        """Return what the decoder makes of what comes from below and of what comes over, which begins at an offset."""

    def head(self, x: Tensor) -> Tensor:
        """Return logits."""


class FloatLevels:
    """Those of a `UNet`."""

    def __init__(self, unet: UNet) -> None:
        self.plan = unet
        levels: Iterable[nn.Module] = () if unet.known is None else unet.known.levels
        self.known: Sequence[Sequence[Block]] = [list(level.children()) for level in levels]
        self.down = {False: list(unet.down), True: [without_rows(block) for block in unet.down]}
        self.up = {False: list(unet.up), True: [without_rows(block) for block in unet.up]}

    def encode(self, level: int, parts: Sequence[Tensor], *, inner: bool) -> Tensor:
        """See `Levels`."""
        x = parts[0] if len(parts) == 1 else torch.cat([parts[0], parts[1].to(parts[0].dtype)], dim=1)
        y: Tensor = self.down[inner][level](x)
        return y

    def pool(self, level: int, x: Tensor) -> Tensor:
        """See `Levels`."""
        return functional.max_pool2d(x, self.plan.pools[level])

    def decode(self, level: int, low: Tensor, skip: Tensor, offset_hw: tuple[int, int], *, inner: bool) -> Tensor:
        """See `Levels`."""
        return join(self.up[inner][level], low, self.plan.pools[level], skip, offset_hw, joins=self.plan.joins)

    def head(self, x: Tensor) -> Tensor:
        """See `Levels`."""
        logits: Tensor = self.plan.head(x)
        return logits


class ByteLevels:
    """Those of a `ByteUNet`."""

    def __init__(self, net: ByteUNet) -> None:
        self.plan, self.last = net.plan, net.head
        levels = () if net.known is None else net.known.levels
        self.known: Sequence[Sequence[Block]] = [[_Spared(block) for block in level] for level in levels]
        self.down = {False: net.down, True: [[_bytes_without_rows(one) for one in layers] for layers in net.down]}
        inner = [
            (replace(both, skip=_bytes_without_rows(both.skip)), [_bytes_without_rows(one) for one in layers])
            for both, layers in net.up
        ]
        self.up: dict[bool, list[tuple[ByteJoin, list[ByteConvolution]]]] = {False: net.up, True: inner}

    def encode(self, level: int, parts: Sequence[Tensor], *, inner: bool) -> Tensor:
        """See `Levels`."""
        x = parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)
        for layer in self.down[inner][level]:
            x = layer(x)
        return x

    def pool(self, level: int, x: Tensor) -> Tensor:
        """See `Levels`."""
        del level  # all of them are pooled by 2
        return pool_bytes(x)

    def decode(self, level: int, low: Tensor, skip: Tensor, offset_hw: tuple[int, int], *, inner: bool) -> Tensor:
        """See `Levels`."""
        both, layers = self.up[inner][level]
        x = both(low, skip, offset_hw)
        for layer in layers:
            x = layer(x)
        return x

    def head(self, x: Tensor) -> Tensor:
        """See `Levels`."""
        return self.last(x, relu=False, dtype=torch.float32)


class Streamed(nn.Module):
    """A network for prediction that is gone through in strips of rows; from the outside as `UNet`.

    Args:
        net: `can_stream` says yes to it, or its `plan`.
        dtype: Type of its maps.
    """

    def __init__(self, net: UNet | ByteUNet, dtype: torch.dtype) -> None:
        super().__init__()
        self.whole = net
        self.levels: Levels = ByteLevels(net) if isinstance(net, ByteUNet) else FloatLevels(net)
        self.divisor, self.width, self.receptive_radius = net.divisor, net.width, net.receptive_radius
        self.rows = strip_rows(self.levels.plan, dtype)

    def forward(self, stacks: Mapping[int, Tensor], keep: Window | None = None) -> Tensor:
        """Return logits (1, K, keep.height, keep.width); see `UNet.forward`. Several views go through as a whole."""
        batch, _, height, width = stacks[1].shape
        if batch > 1 or height <= 2 * self.rows:
            logits: Tensor = self.whole(stacks, keep)
            return logits
        keep = keep or Window(0, 0, height, width)
        plan = self.levels.plan
        cuts = plan.cuts((height, width), keep)
        skips = self._known(stacks[1], cuts) if self.levels.known else self._encoder(stacks)
        lowest, level = skips[-1].reader(), len(plan.up)
        low: Take = lambda first, stop: _columns(lowest(first, stop), cuts.lowest[1])  # noqa: E731
        while level > 1:
            level -= 1
            make = partial(self._decode, level, cuts, low, skips[level].reader(), skips[level].height)
            low = Rows(skips[level].height, skips[level].step, make).reader()
        make = partial(self._decode, 0, cuts, low, skips[0].reader(), height)
        parts = []
        for first in range(keep.row, keep.row_stop, self.rows):
            stop_if_asked()
            found = self.levels.head(make(first, min(first + self.rows, keep.row_stop)))
            parts.append(_columns(found, cuts.keep[1]))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def _encoder(self, stacks: Mapping[int, Tensor]) -> list[Rows]:
        """Return what each level of the encoder gives, the highest first."""
        plan, found = self.levels.plan, list[Rows]()
        above: Take | None = None
        for level, stride in enumerate(plan.strides):
            height = int(stacks[1].shape[-2]) // stride
            make = partial(self._encode, level, above, stacks.get(stride), height)
            found.append(Rows(height, plan.divisor // stride, make))
            if level < len(plan.pools):
                pool = plan.pools[level]
                lower = partial(self._pool, level, pool, found[-1].reader())
                above = Rows(height // pool, found[-1].step // pool, lower).reader()
        return found

    def _known(self, stack: Tensor, cuts: Cuts) -> list[Rows]:
        """Return what each level of a known encoder gives, and before them the block of full resolution."""
        plan, (height, width) = self.levels.plan, stack.shape[2:]
        wide, inner = plan.around(cuts.levels[0].near, (height, width))
        make = partial(self._beside, _columns(stack, wide[1]), inner[1])
        found, step = [Rows(height, plan.divisor, make)], plan.divisor
        above: Take = partial(rows_of, stack)
        for blocks, reaches in zip(self.levels.known, block_reaches(plan), strict=True):
            for block, (reach, stride) in zip(blocks, reaches, strict=True):
                height, step = height // stride, step // stride
                rows = Rows(height, step, partial(self._through, block, above, reach, stride, height))
                above = rows.reader()
            found.append(rows)
        return found

    def _beside(self, stack: Tensor, inside: Span, first: int, stop: int) -> Tensor:
        (top, bottom), inner = _reached(first, stop, radius_of(self.levels.plan.down[0]), int(stack.shape[2]))
        y = self.levels.encode(0, [rows_of(stack, top, bottom)], inner=inner)
        return _columns(y if inner else rows_of(y, first - top, stop - top), inside)

    @staticmethod
    def _through(block: Block, above: Take, reach: int, stride: int, height: int, first: int, stop: int) -> Tensor:
        (top, bottom), _ = _reached(first, stop, reach, height)
        return rows_of(block(above(top * stride, bottom * stride)), first - top, stop - top)

    def _encode(
        self, level: int, above: Take | None, stack: Tensor | None, height: int, first: int, stop: int
    ) -> Tensor:
        (top, bottom), inner = _reached(first, stop, radius_of(self.levels.plan.down[level]), height)
        parts = [above(top, bottom)] if above is not None else []
        if stack is not None:
            parts.append(rows_of(stack, top, bottom))
        y = self.levels.encode(level, parts, inner=inner)
        return y if inner else rows_of(y, first - top, stop - top)

    def _pool(self, level: int, pool: int, own: Take, first: int, stop: int) -> Tensor:
        return self.levels.pool(level, own(first * pool, stop * pool))

    def _decode(self, level: int, cuts: Cuts, below: Take, over: Take, height: int, first: int, stop: int) -> Tensor:
        plan, own = self.levels.plan, cuts.levels[level]
        (top, bottom), inner = _reached(first, stop, radius_of(plan.up[level]), height)
        pool = plan.pools[level]
        low = below(top // pool, math.ceil(bottom / pool))
        skip = over(top, bottom)
        if level or not self.levels.known:  # whose block of full resolution is made of no other columns
            skip = _columns(skip, own.near[1])
        y = self.levels.decode(level, low, skip, (top % pool, own.offset_hw[1]), inner=inner)
        rows = (0, stop - first) if inner else (first - top, stop - top)
        return _columns(rows_of(y, *rows), own.wanted[1])


def can_stream(unet: UNet) -> bool:
    """Tell whether a network is of a form that can be gone through row by row: plain blocks, pools and skips."""
    layout = unet.layout
    plain = layout.first is None and layout.down == "pool" and not layout.transitions and not layout.rise
    way = layout.up == "nearest" and layout.skip == "plain" and layout.head_kernel == 1
    way = way and (unet.known is None or not unet.known.entrances)
    blocks = [*unet.down, *unet.up]
    return plain and way and bool(unet.up) and all(isinstance(b, Convolutions) and b.shortcut is None for b in blocks)


class _Spared:
    """A block in bytes, some of which use up what they are given: rows are needed again."""

    def __init__(self, block: Block) -> None:
        self.block = block

    def __call__(self, x: Tensor) -> Tensor:
        """Map (1, C, h, w) to (1, K, h / stride, w / stride)."""
        return self.block(x.clone(memory_format=torch.channels_last))


def block_reaches(unet: UNet) -> list[list[tuple[int, int]]]:
    """Return, for each block of a known encoder, how many of its own rows it reaches up and down, and its stride."""
    found = []
    for level, steps in zip(unet.known.levels, unet.known.steps, strict=True):  # type: ignore[union-attr]
        left, own = list(steps), []
        for block in level.children():
            parts = [left.pop(0) for _ in range(2 if isinstance(block, Basic) else 1)]
            low, high = 0, 0
            for before, after, stride in reversed(parts):
                low, high = low * stride - before, high * stride + after
            whole = math.prod(stride for _, _, stride in parts)
            own.append((math.ceil(max(-low, high) / whole), whole))
        found.append(own)
    return found


def strip_rows(unet: UNet, dtype: torch.dtype) -> int:
    """Return how many pixels of the highest level strips of maps of a type are high."""
    rows = ROWS if unet.known is None else ENCODER_ROWS
    return math.ceil(rows * (1 if dtype.itemsize > 2 else 2) / unet.divisor) * unet.divisor


def column_bytes(unet: UNet, dtype: torch.dtype) -> int:
    """Return about how much memory maps take for each column of a tile.

    Each level takes half of what the one above takes. The encoder keeps what the decoder still has to look at, which
    is so far behind as the network sees; a convolution has what it reads and what it writes.
    """
    rows = strip_rows(unet, dtype)
    if unet.known is not None:
        maps = sum(channels / stride**2 for channels, stride in zip(unet.known.channels, STRIDES, strict=True))
        working = (ENCODER_MAPS + 4 * unet.width) * rows
        return int((working + maps * (2 * rows + unet.receptive_radius)) * dtype.itemsize)
    kept, decoder, working = 2 * (2 * rows + unet.receptive_radius), rows, 3 * rows
    return (kept + decoder + working) * unet.width * dtype.itemsize


def without_rows(block: nn.Module) -> nn.Module:
    """Return a block with the same weights that adds no rows: its result is lower by its radius above and below."""
    kept = [*block.parameters(), *block.buffers()]
    other = copy.deepcopy(block, {id(value): value for value in kept})
    for module in other.modules():
        if hasattr(module, "padding"):
            module.padding = (0, int(module.padding[1]))  # type: ignore[index, assignment]
    return other


def _bytes_without_rows(layer: ByteConvolution) -> ByteConvolution:
    return replace(layer, how=replace(layer.how, padding=(0, layer.how.padding[1])))


def rows_of(x: Tensor, first: int, stop: int) -> Tensor:
    """Return some rows of (1, C, h, w), which lie where they were."""
    return x if (first, stop) == (0, x.shape[2]) else x[:, :, first:stop]


def _columns(x: Tensor, cols: Span) -> Tensor:
    return cut(x, (0, int(x.shape[2])), cols)


def _reached(first: int, stop: int, reach: int, height: int) -> tuple[Span, bool]:
    """Return the rows that some rows follow from, and whether none is missing."""
    top, bottom = max(0, first - reach), min(height, stop + reach)
    return (top, bottom), (top, bottom) == (first - reach, stop + reach)
