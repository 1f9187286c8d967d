"""A U-Net in eight bits: twice the products a second of bf16 on processors that multiply bytes, at half the memory.

Maps between convolutions are bytes from 0, since ReLU leaves nothing below; so are inputs, whose positive and negative
parts are maps of their own. What a byte stands for is decided per map of a tensor by what a sample of the scene gives
there. Weights are signed bytes with one scale for each map that they yield. Sums are exact, in 32 bits.

Source:
    Jacob et al. (2018), arXiv:1712.05877, section 2, without training for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscribe.core.grid import Window
from landscribe.errors import RecipeError, problem
from landscribe.nn.blocks import Convolutions
from landscribe.nn.joined import can_join, phase_kernels, phase_places
from landscribe.nn.unet import UNet, cut

LARGEST = 255
"""What stands for the largest value of a sample."""
ZERO = 128
"""What stands for 0 where values have a sign."""
PADDING = [1, 1]


@dataclass(frozen=True)
class ByteConvolution:
    """A padded convolution of bytes, with what it needs to yield bytes again."""

    weight: Tensor
    """As the library packs it."""
    weight_scale: Tensor
    """float32 (K,): what 1 of a product stands for, in units of the result."""
    bias: Tensor
    """float32 (K,), in units of the result."""
    padding: int

    def __call__(self, x: Tensor, *, dtype: torch.dtype = torch.uint8, zero: int = 0, relu: bool = True) -> Tensor:
        """Map bytes (B, C, h, w) to (B, K, h', w')."""
        y: Tensor = torch.ops.onednn.qconv2d_pointwise.default(
            x, 1.0, 0, self.weight, self.weight_scale, _zeros(self.weight_scale), self.bias, [1, 1],
            [self.padding] * 2, [1, 1], 1, 1.0, zero, dtype, "relu" if relu else "none", [], "",
        )  # fmt: skip
        return y

    def add_to(self, total: Tensor, scale: float, x: Tensor) -> Tensor:
        """Return ReLU of `total`, bytes whose 0 is `ZERO` and whose unit is `scale` of ours, and what `x` gives."""
        y: Tensor = torch.ops.onednn.qconv2d_pointwise.binary(
            x, 1.0, 0, self.weight, self.weight_scale, _zeros(self.weight_scale), total, self.bias, [1, 1],
            [self.padding] * 2, [1, 1], 1, 1.0, 0, torch.uint8, scale, ZERO, "sum", 1.0, "relu", [], "",
        )  # fmt: skip
        return y


def _zeros(scale: Tensor) -> Tensor:
    return torch.zeros(len(scale), dtype=torch.int64)


def pack(weight: Tensor, bias: Tensor | None, scale_in: Tensor, scale_out: Tensor, padding: int) -> ByteConvolution:
    """Turn a float convolution to bytes.

    Args:
        weight: (K, C, kh, kw).
        bias: (K,) or None for 0.
        scale_in: (C,), what 1 of the input stands for.
        scale_out: (K,), likewise of the result.
        padding: Rows and columns of zeros around the input.
    """
    real = weight.float() * scale_in.reshape(1, -1, 1, 1)
    step = (real.abs().amax((1, 2, 3)) / 127).clamp(min=1e-12)
    signed = torch.round(real / step.reshape(-1, 1, 1, 1)).to(torch.int8).contiguous()
    packed = torch.ops.onednn.qconv_prepack(signed, step, 1.0, 0, [1, 1], [padding] * 2, [1, 1], 1, None)
    offset = torch.zeros(len(step)) if bias is None else bias.float()
    return ByteConvolution(packed, step / scale_out, offset / scale_out, padding)


class ByteUNet(nn.Module):
    """A U-Net of `convert`: as `UNet` from the outside, bytes inside."""

    def __init__(self, unet: UNet, stacks: Mapping[int, Tensor], per_map: bool) -> None:
        super().__init__()
        self.divisor, self.width, self.receptive_radius = unet.divisor, unet.width, unet.receptive_radius
        self._layout_of = unet
        self.stack_scale = {stride: _scale(torch.cat([x, -x], dim=1), per_map) for stride, x in stacks.items()}
        self.down: list[list[ByteConvolution]] = []
        self.up: list[tuple[ByteConvolution, ByteConvolution, float, list[ByteConvolution]]] = []
        skips, scales = [], []
        x = scale = torch.empty(0)
        for level, (stride, block) in enumerate(zip(unet.strides, unet.down, strict=True)):
            x = functional.max_pool2d(x, unet.pools[level - 1]) if level else x
            parts, units = ([x], [scale]) if level else ([], [])
            if stride in stacks:
                parts.append(torch.cat([stacks[stride], -stacks[stride]], dim=1).clamp(min=0))
                units.append(self.stack_scale[stride])
            convs = _convolutions(block)
            if stride in stacks:
                n = stacks[stride].shape[1]
                convs[0] = _signed(convs[0], n)
            layers, x, scale = _stack(convs, torch.cat(parts, dim=1), torch.cat(units), per_map)
            self.down.append(layers)
            skips.append(x)
            scales.append(scale)
        for level in reversed(range(len(unet.up))):
            first, *others = _convolutions(unet.up[level])
            n = x.shape[1]
            kernels, own = phase_kernels(first.weight[:, :n]), first.weight[:, n:]
            coarse = functional.conv2d(x, kernels, padding=1)
            fine = functional.conv2d(skips[level], own, first.bias, padding=1)
            for there, here in phase_places(fine.shape, (0, 0)):
                fine[there] += coarse[here]
            y = fine.relu_()
            unit = _scale(y, per_map)
            most = coarse.abs().amax((0, 2, 3)).reshape(4, -1).amax(0)
            ratio = float((most / (127 * unit)).max())
            low = pack(kernels, None, scale, (ratio * unit).repeat(4), 1)
            high = pack(own, first.bias, scales[level], unit, 1)
            layers, x, scale = _stack(others, y, unit, per_map)
            self.up.insert(0, (low, high, ratio, layers))
        head = unet.head
        self.head = pack(head.weight, head.bias, scale, torch.ones(head.out_channels), head.padding[0])

    def enter(self, stride: int, stack: Tensor) -> Tensor:
        """Turn a normalised stack to bytes."""
        return torch.cat([stack, -stack], dim=1).div_(self.stack_scale[stride].reshape(1, -1, 1, 1)).round_().clamp_(0, 255).to(torch.uint8)

    def forward(self, stacks: Mapping[int, Tensor], keep: Window | None = None) -> Tensor:
        unet = self._layout_of
        height, width = (int(size) for size in stacks[1].shape[-2:])
        keep = keep or Window(0, 0, height, width)
        rows = unet._spans(height, keep.row, keep.row_stop)
        cols = unet._spans(width, keep.col, keep.col_stop)
        skips = []
        x = stacks[1]
        for level, (stride, layers) in enumerate(zip(unet.strides, self.down, strict=True)):
            if level:
                p = unet.pools[level - 1]
                x = torch.ops.quantized.max_pool2d(skips[-1], [p, p], [p, p], [0, 0], [1, 1], False)
                if stride in stacks:
                    x = torch.cat([x, stacks[stride]], dim=1)
            for layer in layers:
                x = layer(x)
            skips.append(x)
        x = cut(x, rows[-1], cols[-1])
        for level in reversed(range(len(self.up))):
            low, high, ratio, layers = self.up[level]
            n, sizes = 1 + len(layers), (height // unet.strides[level], width // unet.strides[level])
            (top, bottom), (left, right) = near = [
                (max(0, span[level][0] - n), min(size, span[level][1] + n))
                for span, size in zip((rows, cols), sizes, strict=True)
            ]
            offset_hw = top - 2 * rows[level + 1][0], left - 2 * cols[level + 1][0]
            skip = cut(skips[level], *near)
            coarse = low(x, zero=ZERO, relu=False)
            total = torch.empty(
                (len(skip), bottom - top, right - left, coarse.shape[1] // 4), dtype=torch.uint8
            ).permute(0, 3, 1, 2)
            for there, here in phase_places(total.shape, offset_hw):
                total[there] = coarse[here]
            x = high.add_to(total, ratio, skip)
            for layer in layers:
                x = layer(x)
            wanted = rows[level], cols[level]
            x = cut(x, *((a - m[0], b - m[0]) for (a, b), m in zip(wanted, near, strict=True)))
        logits = self.head(x, dtype=torch.float32, relu=False)
        starts = rows[0][0], cols[0][0]
        return cut(
            logits,
            (keep.row - starts[0], keep.row_stop - starts[0]),
            (keep.col - starts[1], keep.col_stop - starts[1]),
        )


def _scale(x: Tensor, per_map: bool) -> Tensor:
    most = x.amax((0, 2, 3))
    most = most if per_map else most.max().expand(len(most))
    return (most / LARGEST).clamp(min=1e-12)


def _convolutions(block: nn.Module) -> list[nn.Conv2d]:
    return [m for m in block.body if isinstance(m, nn.Conv2d)]


def _signed(conv: nn.Conv2d, n: int) -> nn.Conv2d:
    w = torch.cat([conv.weight, -conv.weight[:, -n:]], dim=1)
    new = nn.Conv2d(w.shape[1], w.shape[0], conv.kernel_size, padding=conv.padding)
    new.weight, new.bias = nn.Parameter(w, requires_grad=False), conv.bias
    return new


def _stack(convs, x, scale, per_map):
    layers = []
    for conv in convs:
        x = functional.conv2d(x, conv.weight, conv.bias, padding=conv.padding).relu_()
        out = _scale(x, per_map)
        layers.append(pack(conv.weight, conv.bias, scale, out, conv.padding[0]))
        scale = out
    return layers, x, scale
