"""The network family: one encoder with a decoder, whose variations are the rows of the recipe's `network` table.

Structure after Ronneberger et al. (2015), arXiv:1505.04597, in the form that both DSTL solutions used
(`reference_methods.md` 2.5 and 3.3): padded 3x3 convolutions, max pooling, nearest upsampling,
concatenation [upsampled, skip], logits out. What else there is, `layouts.py` says as lists of blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from landscribe.core.grid import Window
from landscribe.core.recipe import NetworkTable
from landscribe.errors import RecipeError, problem
from landscribe.nn.network.blocks import (
    ACTIVATIONS,
    Convolutions,
    Stack,
    build_block,
    dropout,
    init_he,
    keep_input,
)
from landscribe.nn.network.cuts import Cuts, LevelCut, Span, Strip, cut
from landscribe.nn.network.encoders import build_encoder
from landscribe.nn.network.joined import can_join, convolve_joined
from landscribe.nn.network.layouts import Layout, layout_of, level_strides
from landscribe.nn.network.norms import build_norm

__all__ = ["UNet", "count_parameters", "fold_batch_norm", "level_strides"]


class UNet(nn.Module):
    """A network over stacks that enter at the level of their resolution.

    Args:
        channels: Input channels by stride: `{1: 12}`, or `{1: 4, 4: 8}` where a coarser sensor enters by
            concatenation after pooling to its level. Stride 1 must be there.
        classes: Number of output maps K.
        table: Family, width, depth and the rest.

    Raises:
        RecipeError: If a stride is not one of the levels'.
    """

    def __init__(self, channels: Mapping[int, int], classes: int, table: NetworkTable) -> None:
        super().__init__()
        layout = layout_of(table)
        self.joins = True
        """Whether a decoder may do without upsampling (`joined.py`); a graph for other programs is smaller with it."""
        self.strip_rows = 0
        """Rows of logits that are made at once; 0 makes all of them."""
        self.strides, self.pools = level_strides(table), layout.pools
        if 1 not in channels or not set(channels) <= set(self.strides):
            raise RecipeError(problem("network", "no level for an input", got=sorted(channels), need=self.strides))
        self.layout = layout
        entering = [channels.get(stride, 0) for stride in self.strides]
        self.first = build_block(entering[0], layout.first, table) if layout.first else None
        entering[0] = self.first.channels if self.first else entering[0]
        self.down, self.enter, skipped = nn.ModuleList(), nn.ModuleList(), []
        coarse = {stride: count for stride, count in channels.items() if stride > 1}
        self.known = build_encoder(layout.known, channels[1], coarse, table) if layout.known else None
        below = 0
        for level, stack in enumerate(layout.encoder):
            if level:
                self.enter.append(_way_down(below, level - 1, layout, table))
                below = layout.transitions[level - 1] if layout.transitions else below
            block = build_block(below + entering[level], stack, table)
            self.down.append(block)
            inputs = below + entering[level] if layout.skip == "input" else 0
            below = block.channels + inputs
            skipped.append(below)
        self._width = skipped[0]
        skipped += self.known.channels if self.known else []
        low = skipped[-1] if self.known else block.channels
        self.up, self.rise, self.skip = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(layout.decoder))):
            self.rise.insert(0, _way_up(low, level, layout, table))
            low = layout.rise[level].widths[-1] if layout.rise else low
            over = 0 if layout.skip == "none" else skipped[level]
            across = Stack("convolution", (over,)) if layout.skip == "convolution" else None
            self.skip.insert(0, build_block(over, across, table) if across else nn.Identity())
            up = build_block(low + over, layout.decoder[level], table)
            self.up.insert(0, up)
            low = up.channels
        self.dropout = nn.Sequential(*dropout(table)) if layout.dropout else nn.Sequential()
        self.head = nn.Conv2d(low, classes, layout.head_kernel, padding=layout.head_kernel // 2)
        if table.init == "he":
            init_he(self, self.head)

    @property
    def divisor(self) -> int:
        """Height and width of an input must be multiples of this."""
        return self.strides[-1]

    @property
    def width(self) -> int:
        """Maps of the highest level."""
        return self._width

    @property
    def receptive_radius(self) -> int:
        """Distance in pixels beyond which no input reaches an output, for the worst position on the pooling grid."""
        reaches = (self._reach(position) for position in range(self.divisor))
        return max(max(position - low, high - position) for position, (low, high) in enumerate(reaches))

    def _reach(self, position: int) -> tuple[int, int]:
        # Follow one output pixel down the decoder; at each level add what its encoder sees, back at full resolution.
        low, high = position - self._head_radius, position + self._head_radius
        seen_low, seen_high = position, position
        for level in range(len(self.strides)):
            lowest = level == len(self.pools)
            n = 0 if lowest else radius_of(self.up[level])
            low, high = low - n, high + n
            if lowest or self.layout.skip != "none":
                over = 0 if lowest else radius_of(self.skip[level])
                back_low, back_high = self._back_to_input(low - over, high + over, level)
                seen_low, seen_high = min(seen_low, back_low), max(seen_high, back_high)
            if not lowest:
                n = self._rise_radius(level)
                low, high = low // self.pools[level] - n, high // self.pools[level] + n
        return seen_low, seen_high

    def _back_to_input(self, low: int, high: int, level: int) -> tuple[int, int]:
        if self.known and level:
            return self.known.reach(low, high, level)
        for i in range(level, -1, -1):
            n = radius_of(self.down[i])
            low, high = low - n, high + n
            if i:
                pool = self.pools[i - 1]
                side = pool // 2 if self.layout.down == "convolution" else None
                low = low * pool - (side or 0)
                high = high * pool + (pool - 1 if side is None else side)
        n = radius_of(self.first) if self.first else 0
        return low - n, high + n

    @property
    def _head_radius(self) -> int:
        return self.layout.head_kernel // 2

    def _rise_radius(self, level: int) -> int:
        return radius_of(self.rise[level][0])  # type: ignore[index]

    def forward(self, stacks: Mapping[int, Tensor], keep: Window | None = None) -> Tensor:
        """Return logits.

        Args:
            stacks: Normalised input by stride, (B, C, H / stride, W / stride); H and W multiples of `divisor`.
            keep: The part whose logits are wanted; the decoder then computes only what that part needs, with the
                same result. In training, batch norm of the decoder sees no more than that either. None keeps all.

        Returns:
            Logits (B, K, keep.height, keep.width).

        Raises:
            RecipeError: If the size does not divide.
        """
        height, width = stacks[1].shape[-2:]  # not through int(): where a network is written down, they are symbols
        cuts = self.cuts((height, width), keep)
        skips = self._encode(stacks)
        x = cut(skips.pop(), *cuts.lowest)
        for level in reversed(range(1, len(self.up))):
            x = self._rise_to(level, x, skips.pop(), cuts.levels[level])
        if not self.up:
            return cut(self.head(x), *cuts.keep)
        skip, parts = skips.pop(), []
        for strip in self.strips((height, width), keep, cuts):
            y = self.head(self._rise_to(0, cut(x, *strip.below), skip, strip.level))
            parts.append(cut(y, *strip.keep))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)

    def _rise_to(self, level: int, x: Tensor, skip: Tensor, own: LevelCut) -> Tensor:
        """Return what a level of the decoder makes of what comes from below and of what comes over."""
        pool, ((top, bottom), (left, right)) = self.pools[level], own.near
        x = self.rise[level](x)
        if self.layout.up == "nearest" and self.layout.skip != "none":
            x = join(self.up[level], x, pool, self._across(skip, level, own.near), own.offset_hw, joins=self.joins)
        else:
            if self.layout.up == "nearest":
                x = functional.interpolate(x, scale_factor=pool, mode="nearest")
            x = _place(x, own.offset_hw, (bottom - top, right - left))
            if self.layout.skip != "none":
                x = torch.cat([x, self._across(skip, level, own.near)], dim=1)
            x = self.up[level](x)
        return cut(self.dropout(x), *own.wanted)

    def cuts(self, size_hw: tuple[int, int], keep: Window | None) -> Cuts:
        """Return what of each level the decoder computes.

        Args:
            size_hw: Height and width of the input.
            keep: The part whose logits are wanted; None for all.

        Raises:
            RecipeError: If the size does not divide.
        """
        height, width = size_hw
        if height % self.divisor or width % self.divisor:
            raise RecipeError(
                problem("network", "input size", got=f"{height} x {width}", need=f"multiples of {self.divisor}")
            )
        keep = keep or Window(0, 0, height, width)
        rows, cols = self._spans(height, keep.row, keep.row_stop), self._spans(width, keep.col, keep.col_stop)
        levels = []
        for level, (block, pool) in enumerate(zip(self.up, self.pools, strict=True)):
            n, spans = radius_of(block), (rows[level], cols[level])
            sizes = (height // self.strides[level], width // self.strides[level])
            near = [(max(0, a - n), min(size, b + n)) for (a, b), size in zip(spans, sizes, strict=True)]
            below = rows[level + 1][0], cols[level + 1][0]
            offset = [start - pool * low for (start, _), low in zip(near, below, strict=True)]
            wanted = [(a - start, b - start) for (a, b), (start, _) in zip(spans, near, strict=True)]
            levels.append(LevelCut((near[0], near[1]), (offset[0], offset[1]), (wanted[0], wanted[1])))
        top, left = rows[0][0], cols[0][0]
        inner = (keep.row - top, keep.row_stop - top), (keep.col - left, keep.col_stop - left)
        yields = tuple(zip(rows, cols, strict=True))
        return Cuts(yields[-1], tuple(levels), inner, yields)

    @property
    def has_strips(self) -> bool:
        """Whether the highest level of the decoder can be made strip by strip, without making anything twice."""
        return bool(self.up) and self.layout.skip != "convolution"

    def strips(self, size_hw: tuple[int, int], keep: Window | None, cuts: Cuts) -> list[Strip]:
        """Return strips of `strip_rows` that together are the part whose logits are wanted.

        The maps of the highest level are the largest, and only the logits of a strip outlive it.
        """
        if not self.strip_rows:
            return [cuts.strip]
        all_of, whole, rows = keep or Window(0, 0, *size_hw), cuts.yields[1], self.strip_rows
        found = []
        for top in range(all_of.row, all_of.row_stop, rows):
            part = Window(top, all_of.col, min(rows, all_of.row_stop - top), all_of.width)
            own = self.cuts(size_hw, part)
            below = [(a - first, b - first) for (a, b), (first, _) in zip(own.yields[1], whole, strict=True)]
            found.append(Strip((below[0], below[1]), own.levels[0], own.keep))
        return found

    def _across(self, skip: Tensor, level: int, near: tuple[Span, Span]) -> Tensor:
        """Return what goes over to the decoder of a level, the part that it looks at."""
        if self.known is None or level:
            return cut(self.skip[level](skip), *near)
        wide, inner = self.around(near, skip.shape[-2:])
        return cut(self.down[0](cut(skip, *wide)), *inner)

    def around(self, near: tuple[Span, Span], size_hw: Sequence[int]) -> tuple[tuple[Span, Span], tuple[Span, Span]]:
        """Return what the block of full resolution must see to give a part of its maps, and where that then lies.

        Beside an encoder that block feeds nothing else, and costs as much as the encoder.
        """
        n = radius_of(self.down[0])
        wide = [(max(0, a - n), min(size, b + n)) for (a, b), size in zip(near, size_hw, strict=True)]
        inner = [(a - start, b - start) for (a, b), (start, _) in zip(near, wide, strict=True)]
        return (wide[0], wide[1]), (inner[0], inner[1])

    def _encode(self, stacks: Mapping[int, Tensor]) -> list[Tensor]:
        if self.known is not None:
            return [stacks[1], *self.known(stacks)]
        skips: list[Tensor] = []
        for level, (stride, block) in enumerate(zip(self.strides, self.down, strict=True)):
            parts = [self._lower(skips[-1], level - 1)] if level else []
            if stride in stacks:
                entering = stacks[stride].to(parts[0].dtype) if parts else stacks[stride]
                parts.append(self.first(entering) if self.first and not level else entering)
            x = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
            y = self.dropout(block(x))
            lowest = level == len(self.pools)
            skips.append(torch.cat([y, x], dim=1) if self.layout.skip == "input" and not lowest else y)
        return skips

    def _lower(self, x: Tensor, level: int) -> Tensor:
        x = self.enter[level](x)
        return x if self.layout.down == "convolution" else functional.max_pool2d(x, self.pools[level])

    def _spans(self, size: int, start: int, stop: int) -> list[tuple[int, int]]:
        """Return, for each level, the pixels along one axis that the decoder must yield there."""
        spans = [(max(0, start - self._head_radius), min(size, stop + self._head_radius))]
        for level, pool in enumerate(self.pools):
            size = size // pool  # not in place: where a network is traced, sizes are tensors
            n, rise = radius_of(self.up[level]), self._rise_radius(level)
            low, high = spans[-1][0] - n, spans[-1][1] + n
            spans.append((max(0, low // pool - rise), min(size, math.ceil(high / pool) + rise)))
        return spans


def _way_down(channels: int, level: int, layout: Layout, table: NetworkTable) -> nn.Module:
    """Return what stands between a level and the next one, without the pooling."""
    if layout.down == "convolution":
        pool = layout.pools[level]
        return nn.Conv2d(channels, channels, pool + 1, stride=pool, padding=pool // 2)
    if not layout.transitions:
        return nn.Identity()
    norm = [build_norm(channels, table)] if table.batch_norm else []
    # Batch norm gives maps of its own: the activation may work in place. Without it the skip must be left alone.
    activation = ACTIVATIONS[table.activation]()
    if not norm:
        keep_input(activation)
    return nn.Sequential(*norm, activation, nn.Conv2d(channels, layout.transitions[level], 1), *dropout(table))


def _way_up(channels: int, level: int, layout: Layout, table: NetworkTable) -> nn.Sequential:
    """Return what stands before the upsampling to a level, and that itself where it is learned."""
    parts: list[nn.Module] = [build_block(channels, layout.rise[level], table)] if layout.rise else [nn.Identity()]
    if layout.up == "transposed":
        maps, pool = layout.rise[level].widths[-1] if layout.rise else channels, layout.pools[level]
        parts.append(nn.ConvTranspose2d(maps, maps, pool, stride=pool))
    return nn.Sequential(*parts)


def join(block: nn.Module, low: Tensor, pool: int, skip: Tensor, offset_hw: tuple[int, int], *, joins: bool) -> Tensor:
    """Return what a block makes of [`low` upsampled by `pool` and cut to the place of `skip`, `skip`].

    Args:
        block: Of C + C' input maps.
        low: (B, C, h', w').
        pool: Factor of nearest upsampling.
        skip: (B, C', h, w).
        offset_hw: Row and column of `skip` on the upsampled grid.
        joins: Whether to do without upsampling where that is possible.
    """
    if joins and isinstance(block, Convolutions) and block.shortcut is None and can_join(block.body[0], pool, low):
        y = convolve_joined(block.body[0], low, pool, skip, offset_hw)  # type: ignore[arg-type]
        for module in list(block.body)[1:]:
            y = module(y)
        return y
    fine = functional.interpolate(low, scale_factor=pool, mode="nearest")
    height, width = skip.shape[-2:]
    joined: Tensor = block(torch.cat([_place(fine, offset_hw, (height, width)), skip], dim=1))
    return joined


def _place(x: Tensor, offset_hw: tuple[int, int], size_hw: tuple[int, int]) -> Tensor:
    (top, left), (height, width) = offset_hw, size_hw
    return cut(x, (top, top + height), (left, left + width))


def radius_of(module: nn.Module) -> int:
    """Return how many pixels around one of its outputs a block sees."""
    return int(getattr(module, "radius", 0))


def fold_batch_norm(net: nn.Module) -> None:
    """Merge each batch norm into the convolution before it, in place; only for evaluation."""
    for module in net.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i in range(len(module) - 1):
            conv, norm = module[i], module[i + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[i], module[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()


def count_parameters(net: nn.Module) -> int:
    """Return the number of trainable numbers."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)
