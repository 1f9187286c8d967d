"""A U-Net in bytes: twice the products a second of bf16 on processors that multiply bytes, and half the memory.

What lies between its convolutions is never negative, thanks to ReLU, and so is the input, whose positive and negative
parts enter as maps of their own. A byte therefore counts from 0, in a unit that 255 of are the largest value that a
sample of the scene gives at that place of the network. Known encoders in its place: `byte_encoders.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscribe.core.grid import Window
from landscribe.nn.network.cuts import LevelCut, Span, cut
from landscribe.nn.network.unet import UNet
from landscribe.nn.predict.byte_encoders import ByteEncoder, pack_encoder
from landscribe.nn.predict.byte_layers import (
    ByteConvolution,
    ByteJoin,
    Maps,
    enter,
    filters,
    pack_join,
    pack_row,
    pack_settled,
)
from landscribe.nn.private_ops import pool_bytes


class ByteUNet(nn.Module):
    """A U-Net for prediction whose maps are bytes; from the outside as `UNet`, with stacks of a `ReadyStem`.

    Args:
        unet: Of one of the forms that `NetworkTable.float_only` allows, float32 on a processor, batch norm folded.
        sample: Normalised stacks by stride, (B, C, H / stride, W / stride), that show what values occur.
    """

    def __init__(self, unet: UNet, sample: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.plan = unet
        self.divisor, self.width, self.receptive_radius = unet.divisor, unet.width, unet.receptive_radius
        entering = {stride: enter(stack) for stride, stack in sample.items()}
        # What the stacks count in.
        self.enter_units = {stride: maps.units for stride, maps in entering.items()}
        self.known: ByteEncoder | None = None
        self.down: list[list[ByteConvolution]] = []
        self.up: list[tuple[ByteJoin, list[ByteConvolution]]] = []
        skips = self._pack_down(unet, entering)
        seen = skips[-1]
        for level in reversed(range(len(unet.up))):
            first, *rest = filters(unet.up[level])
            join, seen = pack_join(first, seen, skips[level])
            layers, seen = pack_row(rest, seen)
            self.up.insert(0, (join, layers))
        (head,) = filters(unet.head)
        self.head = pack_settled(head, seen, torch.ones(unet.head.out_channels), head(seen.values))

    def _pack_down(self, unet: UNet, entering: Mapping[int, Maps]) -> list[Maps]:
        """Turn the way down to bytes; returns what goes over to the decoder of the sample."""
        skips: list[Maps] = []
        for level, (stride, block) in enumerate(zip(unet.strides, unet.down, strict=False)):
            convolutions, parts = filters(block), []
            if level:
                values, own = skips[-1].values, skips[-1].bytes
                parts.append(Maps(functional.max_pool2d(values, 2), skips[-1].units, pool_bytes(own)))
            if stride in entering:
                parts.append(entering[stride])
                convolutions[0] = convolutions[0].doubled(len(entering[stride].units) // 2)
            values, units, own = (
                _join([getattr(part, name) for part in parts]) for name in ("values", "units", "bytes")
            )
            layers, seen = pack_row(convolutions, Maps(values, units, own))
            self.down.append(layers)
            skips.append(seen)
        if unet.known is not None:
            self.known, levels = pack_encoder(unet.known, entering)
            skips += levels
        return skips

    def forward(self, stacks: Mapping[int, Tensor], keep: Window | None = None) -> Tensor:
        """Return logits, float32 (B, K, keep.height, keep.width); see `UNet.forward`."""
        size_hw = (int(stacks[1].shape[-2]), int(stacks[1].shape[-1]))
        cuts = self.plan.cuts(size_hw, keep)
        skips = self._go_down(stacks)
        x = cut(skips.pop(), *cuts.lowest)
        for level in reversed(range(1, len(self.up))):
            x = self._rise_to(level, x, skips.pop(), cuts.levels[level])
        if not self.up:
            return cut(self.head(x, relu=False, dtype=torch.float32), *cuts.keep)
        skip, parts = skips.pop(), []
        for strip in self.plan.strips(size_hw, keep, cuts):
            y = self._rise_to(0, cut(x, *strip.below), skip, strip.level)
            parts.append(cut(self.head(y, relu=False, dtype=torch.float32), *strip.keep))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)

    def _rise_to(self, level: int, x: Tensor, skip: Tensor, own: LevelCut) -> Tensor:
        """Return what a level of the decoder makes of what comes from below and of what comes over."""
        join, layers = self.up[level]
        x = join(x, self._across(skip, level, own.near), own.offset_hw)
        for layer in layers:
            x = layer(x)
        return cut(x, *own.wanted)

    def _go_down(self, stacks: Mapping[int, Tensor]) -> list[Tensor]:
        if self.known is not None:
            return [stacks[1], *self.known(stacks)]
        skips: list[Tensor] = []
        for level, (stride, layers) in enumerate(zip(self.plan.strides, self.down, strict=True)):
            parts = [pool_bytes(skips[-1])] if level else []
            x = _join([*parts, *([stacks[stride]] if stride in stacks else [])])
            for layer in layers:
                x = layer(x)
            skips.append(x)
        return skips

    def _across(self, skip: Tensor, level: int, near: tuple[Span, Span]) -> Tensor:
        """Return what goes over to the decoder of a level, the part that it looks at; see `UNet`."""
        if self.known is None or level:
            return cut(skip, *near)
        wide, inner = self.plan.around(near, (int(skip.shape[-2]), int(skip.shape[-1])))
        x = cut(skip, *wide)
        for layer in self.down[0]:
            x = layer(x)
        return cut(x, *inner)


def _join(parts: list[Tensor]) -> Tensor:
    """Return maps, or their units, one after the other."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=min(1, parts[0].dim() - 1))
