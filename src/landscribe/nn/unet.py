"""The network family: one U-Net whose variations are the rows of the recipe's `network` table.

Structure after Ronneberger et al. (2015), arXiv:1505.04597, in the form that both DSTL solutions used
(`reference_methods.md` 2.5 and 3.3): padded 3x3 convolutions, max pooling, nearest upsampling,
concatenation [upsampled, skip], logits out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from landscribe.core.grid import Window
from landscribe.core.recipe import NetworkTable
from landscribe.errors import RecipeError, problem
from landscribe.nn.joined import can_join, convolve_joined

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "selu": lambda: nn.SELU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "gelu": nn.GELU,
    "silu": lambda: nn.SiLU(inplace=True),
}
CONVOLUTIONS = {"double": 2, "triple": 3, "residual": 2}


def level_strides(table: NetworkTable) -> tuple[int, ...]:
    """Return the pixel size of each level in reference pixels: 1, first_pool, 2 first_pool, ..."""
    return (1, *(table.first_pool * 2**level for level in range(table.depth - 1)))


class Block(nn.Module):
    """Two or three times 3x3 convolution, batch norm, activation; `residual` adds the input before the last one."""

    def __init__(self, channels_in: int, channels_out: int, table: NetworkTable) -> None:
        super().__init__()
        body: list[nn.Module] = []
        for i in range(CONVOLUTIONS[table.block]):
            body.append(nn.Conv2d(channels_in if i == 0 else channels_out, channels_out, 3, padding=1))
            body += [nn.BatchNorm2d(channels_out)] if table.batch_norm else []
            body.append(ACTIVATIONS[table.activation]())
        last = body.pop() if table.block == "residual" else nn.Identity()
        self.body = nn.Sequential(*body)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1) if table.block == "residual" else None
        self.last = last
        self.dropout = nn.Dropout2d(table.dropout) if table.dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, h, w) to (B, channels_out, h, w)."""
        y = self.body(x)
        if self.shortcut is not None:
            y = self.last(y + self.shortcut(x))
        return self.dropout(y)

    def join(self, low: Tensor, pool: int, skip: Tensor, offset_hw: tuple[int, int]) -> Tensor:
        """Map [`low` upsampled by `pool` and cut to the place of `skip`, `skip`] to (B, channels_out, h, w).

        Args:
            low: (B, C, h', w').
            pool: Factor of nearest upsampling.
            skip: (B, channels_in - C, h, w).
            offset_hw: Row and column of `skip` on the upsampled grid.
        """
        first = self.body[0]
        if self.shortcut is None and isinstance(first, nn.Conv2d) and can_join(first, pool, low):
            y = convolve_joined(first, low, skip, offset_hw)
            for module in list(self.body)[1:]:
                y = module(y)
            return self.dropout(y)
        (top, left), (height, width) = offset_hw, skip.shape[-2:]
        fine = functional.interpolate(low, scale_factor=pool, mode="nearest")
        return self(torch.cat([_cut(fine, (top, top + height), (left, left + width)), skip], dim=1))


class UNet(nn.Module):
    """U-Net over stacks that enter at the level of their resolution.

    Args:
        channels: Input channels by stride: `{1: 12}`, or `{1: 4, 4: 8}` where a coarser sensor enters by
            concatenation after pooling to its level. Stride 1 must be there.
        classes: Number of output maps K.
        table: Width, depth and the rest.

    Raises:
        RecipeError: If a stride is not one of the levels'.
    """

    def __init__(self, channels: Mapping[int, int], classes: int, table: NetworkTable) -> None:
        super().__init__()
        self.strides = level_strides(table)
        if 1 not in channels or not set(channels) <= set(self.strides):
            raise RecipeError(problem("network", "no level for an input", got=sorted(channels), need=self.strides))
        self.convolutions = CONVOLUTIONS[table.block]
        self.pools = tuple(b // a for a, b in itertools.pairwise(self.strides))
        widths = [table.filters * 2**level for level in range(table.depth)]
        below = [0, *widths[:-1]]
        self.down = nn.ModuleList(
            Block(below[level] + channels.get(stride, 0), widths[level], table)
            for level, stride in enumerate(self.strides)
        )
        self.up = nn.ModuleList(Block(low + high, low, table) for low, high in itertools.pairwise(widths))
        self.head = nn.Conv2d(table.filters, classes, 1)

    @property
    def divisor(self) -> int:
        """Height and width of an input must be multiples of this."""
        return self.strides[-1]

    @property
    def receptive_radius(self) -> int:
        """Distance in pixels beyond which no input reaches an output, for the worst position on the pooling grid."""
        reaches = (self._reach(position) for position in range(self.divisor))
        return max(max(position - low, high - position) for position, (low, high) in enumerate(reaches))

    def _reach(self, position: int) -> tuple[int, int]:
        # Follow one output pixel down the decoder; at each level add what its encoder sees, back at full resolution.
        n, low, high = self.convolutions, position, position
        seen_low, seen_high = position, position
        for level in range(len(self.strides)):
            if level < len(self.pools):
                low, high = low - n, high + n
            enc_low, enc_high = low, high
            for pool in (1, *reversed(self.pools[:level])):
                enc_low, enc_high = enc_low * pool - n, enc_high * pool + pool - 1 + n
            seen_low, seen_high = min(seen_low, enc_low), max(seen_high, enc_high)
            if level < len(self.pools):
                low, high = low // self.pools[level], high // self.pools[level]
        return seen_low, seen_high

    def forward(self, stacks: Mapping[int, Tensor], keep: Window | None = None) -> Tensor:
        """Return logits.

        Args:
            stacks: Normalised input by stride, (B, C, H / stride, W / stride); H and W multiples of `divisor`.
            keep: The part whose logits are wanted; the decoder then computes only what that part needs, with the
                same result. None keeps all.

        Returns:
            Logits (B, K, keep.height, keep.width).

        Raises:
            RecipeError: If the size does not divide.
        """
        height, width = (int(size) for size in stacks[1].shape[-2:])
        if height % self.divisor or width % self.divisor:
            raise RecipeError(
                problem("network", "input size", got=f"{height} x {width}", need=f"multiples of {self.divisor}")
            )
        keep = keep or Window(0, 0, height, width)
        rows = self._spans(height, keep.row, keep.row_stop)
        cols = self._spans(width, keep.col, keep.col_stop)
        skips = self._encode(stacks)
        x = _cut(skips[-1], rows[-1], cols[-1])
        for level in reversed(range(len(self.up))):
            near = [
                (max(0, s[level][0] - self.convolutions), min(size, s[level][1] + self.convolutions))
                for s, size in zip((rows, cols), skips[level].shape[-2:], strict=True)
            ]
            pool = self.pools[level]
            top, left = (n[0] - pool * s[level + 1][0] for n, s in zip(near, (rows, cols), strict=True))
            block: Block = self.up[level]  # type: ignore[assignment]  # ModuleList forgets what it holds
            x = block.join(x, pool, _cut(skips[level], *near), (top, left))
            wanted = rows[level], cols[level]
            x = _cut(x, *((a - n[0], b - n[0]) for (a, b), n in zip(wanted, near, strict=True)))
        logits: Tensor = self.head(x)
        return logits

    def _encode(self, stacks: Mapping[int, Tensor]) -> list[Tensor]:
        skips: list[Tensor] = []
        for level, (stride, block) in enumerate(zip(self.strides, self.down, strict=True)):
            parts = [functional.max_pool2d(skips[-1], self.pools[level - 1])] if level else []
            parts += [stacks[stride].to(parts[0].dtype) if parts else stacks[stride]] if stride in stacks else []
            skips.append(block(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)))
        return skips

    def _spans(self, size: int, start: int, stop: int) -> list[tuple[int, int]]:
        """Return, for each level, the pixels along one axis that the decoder must yield there."""
        spans = [(start, stop)]
        for pool in self.pools:
            size = size // pool  # not in place: where a network is traced, sizes are tensors
            low, high = spans[-1][0] - self.convolutions, spans[-1][1] + self.convolutions
            spans.append((max(0, low // pool), min(size, math.ceil(high / pool))))
        return spans


def _cut(x: Tensor, rows: tuple[int, int], cols: tuple[int, int]) -> Tensor:
    height, width = x.shape[-2:]
    if (*rows, *cols) == (0, height, 0, width):
        return x
    # Negative padding instead of a slice: the gradient of a slice is channels-first, which slows all layers before it.
    return functional.pad(x, (-cols[0], cols[1] - width, -rows[0], rows[1] - height))


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
