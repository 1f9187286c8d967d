"""A network made ready for the scene that it is to predict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from landscribe.core.grid import Window
from landscribe.errors import RecipeError, problem
from landscribe.nn.device import BYTES, Engine, prefers_bytes
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.network.unet import UNet
from landscribe.nn.predict.fused import make_own, make_ready
from landscribe.nn.predict.int8 import ByteUNet
from landscribe.nn.predict.reading import SceneReader, round_up
from landscribe.nn.predict.stem_table import ReadyStem
from landscribe.nn.predict.streamed import Streamed, can_stream

SAMPLE_SIDE = 64
"""Side of the squares of a scene by which a network in bytes is set, in pixels."""
LOWEST_SIDE = 4
"""Side of such a square at the lowest level, at least."""
SAMPLE_GRIDS = (3, 6, 12)
"""Squares in a row and in a column; more are looked at where too few of them have data."""
ENOUGH, MOST = 4, 9
"""Squares with data that do, and how many are taken."""
WORTH = 8
"""A scene has at least so many times the pixels of those squares, where bytes are taken without being asked for."""


def engine_for(
    base: Engine,
    nets: Sequence[SegmentationNet],
    precision: str | None,
    shape_hw: tuple[int, int],
    *,
    alone: bool = True,
) -> Engine:
    """Return what a scene is predicted on: `base`, or bytes where nobody asked for a precision and they are faster.

    That is on processors that multiply bytes fast and bf16 slowly, for networks that lose nothing by it: known encoders
    lose some thousandths of Jaccard, so theirs have to be asked for. Ranges of bytes follow from the scene, so a scene
    that goes on in another one stays as it is: across the border between them, nothing may show.

    Args:
        base: What `choose_engine` chose.
        nets: Those that predict it.
        precision: What was asked for.
        shape_hw: Size of the scene.
        alone: Whether nothing but the scene is looked at.
    """
    if precision is not None or not alone or not nets or not prefers_bytes(base):
        return base
    if any(net.spec.network.float_only or net.spec.network.encoder for net in nets):
        return base
    looked_at = MOST * max(sample_side(net) for net in nets) ** 2
    if shape_hw[0] * shape_hw[1] < WORTH * looked_at:
        return base
    return replace(base, dtype=BYTES, reason="the processor multiplies bytes fast, and bf16 slower than float32")


def make_ready_for(net: SegmentationNet, scene: SceneReader, engine: Engine) -> SegmentationNet:
    """Return a copy for inference; in bytes where the engine has those, with ranges from squares of the scene.

    Raises:
        RecipeError: If the network has no form in bytes.
    """
    if engine.dtype != BYTES:
        ready = make_ready(net, engine)
        if engine.device.type == "cpu" and isinstance(ready.unet, UNet) and can_stream(ready.unet):
            ready.unet = Streamed(ready.unet, engine.dtype)  # type: ignore[assignment]  # the same calls
        return ready
    other = net.spec.network.float_only
    if other:
        where, need = f"model {net.spec.name!r}", "a network that int8 is made for: see docs/speed.md"
        raise RecipeError(problem(where, "predict.precision = 'int8'", got=", ".join(other), need=need))
    floats = replace(engine, dtype=torch.float32)
    ready = make_own(net, floats)
    with torch.inference_mode():
        unet = ByteUNet(ready.unet, _sample(ready, scene))
    ready.unet = Streamed(unet, BYTES) if can_stream(unet.plan) else unet  # type: ignore[assignment]  # the same calls
    ready.stem = ReadyStem(net.stem, BYTES, unet.enter_units)  # type: ignore[assignment]
    return ready


def sample_windows(shape_hw: tuple[int, int], side: int, count: int) -> list[Window]:
    """Return squares with their centres on a grid of `count` x `count` over a scene; none twice."""
    rows, cols = (
        sorted({max(0, min(size - side, (2 * i + 1) * size // (2 * count) - side // 2)) for i in range(count)})
        for size in shape_hw
    )
    return [Window(row, col, side, side) for row in rows for col in cols]


def sample_side(net: SegmentationNet) -> int:
    """Return the side of the squares that a network is set by: at the lowest level, zeros around them must not rule."""
    return max(round_up(SAMPLE_SIDE, net.divisor), LOWEST_SIDE * net.divisor)


def _sample(net: SegmentationNet, scene: SceneReader) -> dict[int, Tensor]:
    """Return what the network sees of squares of the scene, by stride; of those with data where there are some."""
    loaded = []
    for count in SAMPLE_GRIDS:
        windows = sample_windows(scene.shape_hw, sample_side(net), count)
        loaded = [scene.load_many(net, [window]) for window in windows]
        seen = [stacks for stacks in loaded if any(share_with_data(stack) >= 0.5 for stack in stacks.values())]
        if len(seen) >= min(ENOUGH, len(windows)):
            break
    seen = seen or loaded
    chosen = seen[:: math.ceil(len(seen) / MOST)]
    return {stride: torch.cat([stacks[stride] for stacks in chosen]) for stride in chosen[0]}


def share_with_data(stack: Tensor) -> float:
    """Return the share of pixels with data: the others are 0 in all channels."""
    return float((stack != 0).any(dim=1).float().mean())
