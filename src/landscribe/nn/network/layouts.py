"""Networks as lists of blocks: what the recipe's `network` table comes to."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from landscribe.core.recipe import NetworkTable
from landscribe.nn.network.blocks import Stack
from landscribe.nn.network.encoders import STRIDES


@dataclass(frozen=True)
class Layout:
    """An encoder, and for all its levels but the lowest a decoder; no decoder where there is one level."""

    pools: tuple[int, ...]
    """Pixels of a level that become one of the next."""
    encoder: tuple[Stack, ...]
    decoder: tuple[Stack, ...]
    """Of the same levels, the highest first."""
    first: Stack | None = None
    """Before the highest level, on the input of full resolution alone."""
    down: Literal["pool", "convolution"] = "pool"
    transitions: tuple[int, ...] = ()
    """Maps after a 1x1 convolution before each pooling; none where empty."""
    up: Literal["nearest", "transposed"] = "nearest"
    rise: tuple[Stack, ...] = ()
    """Before each upsampling, the highest level first; none where empty."""
    skip: Literal["plain", "convolution", "input", "none"] = "plain"
    """What goes over to the decoder: the encoder's block, that after a convolution, that and the block's input, or
    nothing."""
    head_kernel: int = 1
    dropout: bool = True
    """Whether dropout follows each block."""
    known: str | None = None
    """The known network that gives all levels but the highest; `encoder` is then the block of that one alone."""


def layout_of(table: NetworkTable) -> Layout:
    """Return the layout of a network."""
    return LAYOUTS[table.family](table)


def level_strides(table: NetworkTable) -> tuple[int, ...]:
    """Return the pixel size of each level in reference pixels: 1, first_pool, 2 first_pool, ..."""
    return tuple(itertools.accumulate((1, *layout_of(table).pools), lambda a, b: a * b))


def _pools(table: NetworkTable, levels: int) -> tuple[int, ...]:
    return (table.first_pool, *(2,) * (levels - 2))[: levels - 1]


def _unet(table: NetworkTable) -> Layout:
    if table.encoder is not None:
        stacks = tuple(BLOCKS[table.block](table.filters // 2 * 2**level) for level in range(len(STRIDES)))
        return Layout((2,) * len(STRIDES), stacks[:1], stacks, up=table.up, known=table.encoder)
    widths = table.widths or tuple(table.filters * 2**level for level in range(table.depth))
    stacks = tuple(BLOCKS[table.block](width) for width in widths)
    return Layout(
        _pools(table, len(widths)),
        stacks,
        stacks[:-1],
        down=table.down,
        up=table.up,
        skip="convolution" if table.down == "convolution" else "plain",
    )


def _segnet(table: NetworkTable) -> Layout:
    f = table.filters
    return Layout(
        (2, 2, 2),
        tuple(Stack("lean", widths) for widths in ((2 * f,), (4 * f,), (8 * f,), (8 * f, 8 * f))),
        tuple(Stack("lean", (width,)) for width in (f, 2 * f, 4 * f)),
        first=Stack("lean", (f,), 1),
        up=table.up,
        skip="none",
    )


def _densenet(table: NetworkTable) -> Layout:
    k = table.filters
    return Layout(
        (4, 2),
        tuple(Stack("dense", (k,) * layers) for layers in (3, 5, 7)),
        tuple(Stack("dense", (k,) * layers) for layers in (3, 5)),
        first=Stack("plain", (3 * k,)),
        transitions=(8 * k, 16 * k),
        up=table.up,
        rise=tuple(Stack("plain", (width,), 1) for width in (4 * k, 8 * k)),
        skip="input",
        dropout=False,
    )


def _small_unet(table: NetworkTable) -> Layout:
    f = table.filters
    return Layout(
        (table.first_pool,),
        (Stack("convolution", (f, f)), Stack("convolution", (2 * f, 2 * f))),
        (Stack("convolution", (f,)),),
        up=table.up,
        rise=(Stack("convolution", (f,)),),
        head_kernel=3,
    )


def _flat(widths_of: Callable[[int], tuple[int, ...]], kernel: int, head: int) -> Callable[[NetworkTable], Layout]:
    def layout(table: NetworkTable) -> Layout:
        return Layout((), (Stack("convolution", widths_of(table.filters), kernel),), (), head_kernel=head)

    return layout


def _mini_net(table: NetworkTable) -> Layout:
    narrow, wide = max(1, table.filters // 8), max(1, table.filters // 4)
    first = Stack("convolution", (narrow,), 1)
    return Layout((), (Stack("convolution", (wide,)),), (), first=first, head_kernel=3)


BLOCKS: dict[str, Callable[[int], Stack]] = {
    "single": lambda width: Stack("convolution", (width,)),
    "double": lambda width: Stack("convolution", (width, width)),
    "triple": lambda width: Stack("convolution", (width, width, width)),
    "residual": lambda width: Stack("residual", (width, width)),
    "inception": lambda width: Stack("inception", (width,)),
    "inception2": lambda width: Stack("inception", (width, width)),
    "dense": lambda width: Stack("dense", (width // 4, width // 4, width // 4, width - 3 * (width // 4))),
}
"""Blocks of a U-Net by the number of maps they give."""

LAYOUTS: dict[str, Callable[[NetworkTable], Layout]] = {
    "unet": _unet,
    "segnet": _segnet,
    "densenet": _densenet,
    "small-unet": _small_unet,
    "small": _flat(lambda f: (2 * f, 2 * f, 2 * f, 4 * f), 3, 3),
    "old": _flat(lambda f: (2 * f, 2 * f, 2 * f), 5, 7),
    "mini": _mini_net,
}
"""Families by their name in the recipe."""
