"""A U-Net in bytes: twice the products a second of bf16 on processors that multiply bytes, and half the memory.

What lies between convolutions is never negative, thanks to ReLU, and so is the input, whose positive and negative parts
enter as maps of their own. A byte therefore counts from 0, in a unit that 255 of are the largest value that a sample of
the scene gives at that place of the network. Weights are signed bytes with a unit for each map that they yield. Sums of
products are exact.

Source:
    Jacob et al. (2018), arXiv:1712.05877, section 2; ranges by a sample instead of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscribe.core.grid import Window
from landscribe.nn.network.joined import phase_kernels, phase_places
from landscribe.nn.network.unet import UNet, cut
from landscribe.nn.predict.fused import ReluConvolution
from landscribe.nn.private_ops import convolve_bytes, convolve_bytes_onto, pack_bytes, pool_bytes

LARGEST = 255
"""The byte of the largest value of a sample."""
ZERO = 128
"""The byte of 0 where values have a sign."""
LARGEST_WEIGHT = 127
SMALLEST = 1e-12
"""Stands for a largest value of 0."""


@dataclass(frozen=True)
class ByteConvolution:
    """A convolution from bytes, in units of its result."""

    weight: Tensor
    """(K, C, kh, kw), as the library packs it."""
    unit: Tensor
    """float32 (K,), of a product."""
    bias: Tensor
    """float32 (K,)."""
    padding: tuple[int, int]

    def __call__(self, x: Tensor, *, zero: int = 0, relu: bool = True, dtype: torch.dtype = torch.uint8) -> Tensor:
        """Map bytes (B, C, h, w) to (B, K, h', w') of that type; `zero` stands for 0."""
        return convolve_bytes(x, self.weight, self.unit, self.bias, self.padding, zero=zero, relu=relu, dtype=dtype)

    def add(self, x: Tensor, other: Tensor, other_unit: float) -> Tensor:
        """Return ReLU of the sum of what `x` gives and of `other`, bytes whose 0 is `ZERO`; `other` is used up."""
        return convolve_bytes_onto(
            x, other, self.weight, self.unit, self.bias, self.padding, other_unit=other_unit, other_zero=ZERO
        )


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
        return self.skip.add(skip, spread, self.below_unit)


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
        parts = {stride: _signs(stack) for stride, stack in sample.items()}
        # What the stacks count in.
        self.enter_units = {stride: unit_of(stack) for stride, stack in parts.items()}
        self.down: list[list[ByteConvolution]] = []
        self.up: list[tuple[ByteJoin, list[ByteConvolution]]] = []
        skips: list[tuple[Tensor, Tensor]] = []
        for level, (stride, block) in enumerate(zip(unet.strides, unet.down, strict=True)):
            weights = _weights(block)
            lower, its_units = (functional.max_pool2d(skips[-1][0], 2), skips[-1][1]) if level else (None, None)
            x, units = _join(lower, parts.get(stride)), _join(its_units, self.enter_units.get(stride))
            if stride in parts:
                weight, bias = weights[0]
                weights[0] = torch.cat([weight, -weight[:, -sample[stride].shape[1] :]], dim=1), bias
            layers, x, units = _pack_all(weights, x, units)
            self.down.append(layers)
            skips.append((x, units))
        x, units = skips[-1]
        for level in reversed(range(len(unet.up))):
            (weight, bias), *weights = _weights(unet.up[level])
            join, x, units = _pack_join(weight, bias, (x, units), skips[level])
            layers, x, units = _pack_all(weights, x, units)
            self.up.insert(0, (join, layers))
        self.head = pack(unet.head.weight, unet.head.bias, units, torch.ones(unet.head.out_channels))

    def forward(self, stacks: Mapping[int, Tensor], keep: Window | None = None) -> Tensor:
        """Return logits, float32 (B, K, keep.height, keep.width); see `UNet.forward`."""
        cuts = self.plan.cuts((int(stacks[1].shape[-2]), int(stacks[1].shape[-1])), keep)
        skips: list[Tensor] = []
        for level, (stride, layers) in enumerate(zip(self.plan.strides, self.down, strict=True)):
            lower = pool_bytes(skips[-1]) if level else None
            x = _join(lower, stacks.get(stride))
            for layer in layers:
                x = layer(x)
            skips.append(x)
        x = cut(skips[-1], *cuts.lowest)
        for level in reversed(range(len(self.up))):
            join, layers = self.up[level]
            x = join(x, cut(skips[level], *cuts.levels[level].near), cuts.levels[level].offset_hw)
            for layer in layers:
                x = layer(x)
            x = cut(x, *cuts.levels[level].wanted)
        return cut(self.head(x, relu=False, dtype=torch.float32), *cuts.keep)


def unit_of(x: Tensor) -> Tensor:
    """Return what 1 stands for in (B, C, h, w) so that `LARGEST` is the largest value of all maps, float32 (C,)."""
    return (x.amax() / LARGEST).clamp(min=SMALLEST).expand(x.shape[1])


def pack(
    weight: Tensor, bias: Tensor | None, units_in: Tensor, units_out: Tensor, padding: int | None = None
) -> ByteConvolution:
    """Turn a convolution to bytes.

    Args:
        weight: Float (K, C, kh, kw).
        bias: (K,); None is 0.
        units_in: (C,), what 1 stands for in its input.
        units_out: (K,), and in its result.
        padding: Rows and columns of zeros around the input; None keeps the size.
    """
    real = weight.float() * _along_maps(units_in)
    unit = (real.abs().amax((1, 2, 3)) / LARGEST_WEIGHT).clamp(min=SMALLEST)
    rounded = torch.round(real / unit.reshape(-1, 1, 1, 1)).to(torch.int8).contiguous()
    around = (weight.shape[-1] // 2 if padding is None else padding,) * 2
    packed = pack_bytes(rounded, unit / units_out, around)
    offset = torch.zeros(len(unit)) if bias is None else bias.float()
    return ByteConvolution(packed, unit / units_out, offset / units_out, around)


def _pack_all(
    weights: Sequence[tuple[Tensor, Tensor | None]], x: Tensor, units: Tensor
) -> tuple[list[ByteConvolution], Tensor, Tensor]:
    """Pack convolutions in a row; also returns what they make of the sample, and its units."""
    layers = []
    for weight, bias in weights:
        x = functional.conv2d(x, weight, bias, padding=weight.shape[-1] // 2).relu_()
        after = unit_of(x)
        layers.append(pack(weight, bias, units, after))
        units = after
    return layers, x, units


def _pack_join(
    weight: Tensor, bias: Tensor | None, below: tuple[Tensor, Tensor], skip: tuple[Tensor, Tensor]
) -> tuple[ByteJoin, Tensor, Tensor]:
    """Pack the first convolution of a decoder level; `below` and `skip` are the sample there, and its units."""
    n = below[0].shape[1]
    kernels, own = phase_kernels(weight[:, :n]), weight[:, n:]
    phases = functional.conv2d(below[0], kernels, padding=1)
    x = functional.conv2d(skip[0], own, bias, padding=1)
    for there, here in phase_places(x.shape, (0, 0)):
        x[there] += phases[here]
    units = unit_of(x.relu_())
    below_unit = float(phases.abs().amax() / (LARGEST - ZERO) / units[0])
    join = ByteJoin(
        pack(kernels, None, below[1], (below_unit * units).repeat(4), padding=1),
        pack(own, bias, skip[1], units),
        below_unit,
    )
    return join, x, units


def _weights(block: nn.Module) -> list[tuple[Tensor, Tensor | None]]:
    return [(m.weight, m.bias) for m in block.modules() if isinstance(m, nn.Conv2d | ReluConvolution)]


def _signs(stack: Tensor) -> Tensor:
    """Return the positive parts of all maps, then the negative ones."""
    return torch.cat([stack, -stack], dim=1).clamp_(min=0)


def _join(*parts: Tensor | None) -> Tensor:
    """Return maps, or their units, one after the other."""
    given = [part for part in parts if part is not None]
    return given[0] if len(given) == 1 else torch.cat(given, dim=min(1, given[0].dim() - 1))


def _along_maps(units: Tensor) -> Tensor:
    return units.reshape(1, -1, 1, 1)
