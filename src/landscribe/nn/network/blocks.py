"""What networks are built of: stacks of convolutions in the forms that the recipe's `network.block` names.

Each block has `channels`, the number of maps it gives, and `radius`, how many pixels around one of its outputs it sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from landscribe.core.recipe import NetworkTable
from landscribe.nn.network.norms import build_norm

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "elu": lambda: nn.ELU(inplace=True),
    "selu": lambda: nn.SELU(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(0.01, inplace=True),
    "gelu": nn.GELU,
    "silu": lambda: nn.SiLU(inplace=True),
}


@dataclass(frozen=True)
class Stack:
    """A block before its input is known."""

    kind: Literal["plain", "convolution", "lean", "residual", "inception", "dense"]
    """`plain`: convolutions alone; `convolution`: each with batch norm and activation; `lean`: the same without the
    biases that batch norm makes idle."""
    widths: tuple[int, ...]
    """Maps of each convolution; of each module for `inception`; new maps of each layer for `dense`."""
    kernel: int = 3


class Convolutions(nn.Module):
    """Convolution, batch norm, activation, several times; `residual` adds the input before the last activation."""

    def __init__(self, channels_in: int, stack: Stack, table: NetworkTable) -> None:
        super().__init__()
        body: list[nn.Module] = []
        for before, after in zip((channels_in, *stack.widths), stack.widths, strict=False):
            body += _convolution(before, after, stack.kernel, table, stack.kind)
        self.last = body.pop() if stack.kind == "residual" else nn.Identity()
        self.body = nn.Sequential(*body)
        self.channels = stack.widths[-1]
        self.shortcut = nn.Conv2d(channels_in, self.channels, 1) if stack.kind == "residual" else None
        self.radius = len(stack.widths) * (stack.kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, h, w) to (B, channels, h, w)."""
        y: Tensor = self.body(x)
        return y if self.shortcut is None else self.last(y + self.shortcut(x))


class Inception(nn.Module):
    """Three eighths of the maps from 1x1, three from 3x3, two from 5x5 convolutions, the latter two after a 1x1 one.

    Source:
        After Szegedy et al. (2015), arXiv:1409.4842; shares of `reference_methods.md` 2.5.
    """

    def __init__(self, channels_in: int, stack: Stack, table: NetworkTable) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for width in stack.widths:
            wide, narrow = width * 3 // 8, width - 2 * (width * 3 // 8)
            half, quarter = max(1, channels_in // 2), max(1, channels_in // 4)
            paths = (((wide, 1),), ((half, 1), (wide, 3)), ((quarter, 1), (narrow, 5)))
            modules.append(_Paths(_path(channels_in, path, table) for path in paths))
            channels_in = width
        self.turn = nn.Sequential(*modules)
        self.channels = stack.widths[-1]
        self.radius = 2 * len(stack.widths)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, h, w) to (B, channels, h, w)."""
        y: Tensor = self.turn(x)
        return y


class _Paths(nn.Module):
    def __init__(self, paths: Iterable[nn.Module]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([path(x) for path in self.paths], dim=1)


class Dense(nn.Module):
    """Layers that see the input and what all layers before gave; out come the new maps, those of the last layer first.

    A layer is activation, batch norm, convolution, dropout, in that order.

    Source:
        After Huang et al. (2017), arXiv:1608.06993; order of `reference_methods.md` 2.5.
    """

    def __init__(self, channels_in: int, stack: Stack, table: NetworkTable) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for width in stack.widths:
            # Not in place: the maps go to other layers and to the skip as they are.
            activation = ACTIVATIONS[table.activation]()
            keep_input(activation)
            norm = [build_norm(channels_in, table)] if table.batch_norm else []
            convolution = nn.Conv2d(channels_in, width, stack.kernel, padding=stack.kernel // 2)
            self.layers.append(nn.Sequential(activation, *norm, convolution, *dropout(table)))
            channels_in += width
        self.channels = sum(stack.widths)
        self.radius = len(stack.widths) * (stack.kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels_in, h, w) to (B, channels, h, w)."""
        maps = [x]
        for layer in self.layers:
            maps.insert(0, layer(torch.cat(maps, dim=1)))
        return torch.cat(maps[:-1], dim=1)


Block = Convolutions | Inception | Dense
BLOCKS: dict[str, type[Block]] = {"inception": Inception, "dense": Dense}
"""What stands at a level, by the kind of its stack; all other kinds are plain convolutions."""


def build_block(channels_in: int, stack: Stack, table: NetworkTable) -> Block:
    """Return a block for that many input maps."""
    return BLOCKS.get(stack.kind, Convolutions)(channels_in, stack, table)


def dropout(table: NetworkTable) -> list[nn.Module]:
    """Return dropout of whole maps, or nothing."""
    return [nn.Dropout2d(table.dropout)] if table.dropout else []


def keep_input(activation: nn.Module) -> None:
    """Let an activation write to new memory."""
    if hasattr(activation, "inplace"):
        setattr(activation, "inplace", False)  # noqa: B010  # torch's stub calls any attribute a tensor


def init_he(net: nn.Module, head: nn.Conv2d) -> None:
    """Draw weights as Keras does for `he_uniform` convolutions and a `glorot_uniform` head; biases are 0.

    Source:
        He et al. (2015), arXiv:1502.01852; Glorot & Bengio (2010); `reference_methods.md` 3.3.
    """
    for module in net.modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            continue
        if module is head:
            nn.init.xavier_uniform_(module.weight)
        else:
            bound = math.sqrt(6 / (module.in_channels * math.prod(module.kernel_size)))
            nn.init.uniform_(module.weight, -bound, bound)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _convolution(before: int, after: int, kernel: int, table: NetworkTable, kind: str) -> list[nn.Module]:
    lean = kind == "lean" and table.batch_norm and table.norm != "group"
    layers: list[nn.Module] = [nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=not lean)]
    if kind == "plain":
        return layers
    layers += [build_norm(after, table)] if table.batch_norm else []
    return [*layers, ACTIVATIONS[table.activation]()]


def _path(before: int, path: tuple[tuple[int, int], ...], table: NetworkTable) -> nn.Sequential:
    layers: list[nn.Module] = []
    for after, kernel in path:
        layers += _convolution(before, after, kernel, table, "lean")
        before = after
    return nn.Sequential(*layers)
