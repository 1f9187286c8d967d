"""Batch norm that takes a share of its statistics from the scenes that are to be predicted.

What a network has learned of brightness and colour sits to a good part in the mean and variance that batch norm
subtracts and divides by. Other light or another sensor moves both, and mean and variance of the new scenes, which
need no label, move them back. All squares of a place are looked at before anything is predicted, so that statistics
are those of the place and not of a tile.

Source:
    Schneider et al. (2020), arXiv:2006.16971; a fixed share of the new, of mean and variance alike: You et al. (2021),
    arXiv:2110.04065.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from landscribe.core.pixel_source import PixelSource
from landscribe.nn.device import BYTES, Engine
from landscribe.nn.network.bundle import SegmentationNet, channels_last
from landscribe.nn.predict.fused import keep_ready
from landscribe.nn.predict.prepare_network import sample_windows, share_with_data
from landscribe.nn.predict.reading import round_up, scene_reader
from landscribe.nn.predict.stem_table import ReadyStem
from landscribe.workers import stop_if_asked

SIDE = 256
"""Of the squares that are looked at, in pixels: zeros at their edges then weigh little in deep layers."""
MOST = 64
"""Squares of a place."""
AT_ONCE = 8
"""Squares of a batch, from all over the place."""
ENOUGH = 0.5
"""Share of a square that has data."""
MEAN, VARIANCE = "running_mean", "running_var"

Opens: TypeAlias = Callable[[], AbstractContextManager[PixelSource]]
"""Opens a scene, for one thread that reads it."""


def place_statistics(net: SegmentationNet, scenes: Sequence[Opens], engine: Engine, share: float) -> dict[str, Tensor]:
    """Return the statistics that a network's batch norm is to have for some scenes.

    They follow from the network and the scenes in their order alone: squares lie on a grid.

    Args:
        net: As it was trained; it stays as it is.
        scenes: All those of a place.
        engine: Device and precision; bytes are counted in by way of float32.
        share: Of the scenes in mean and variance; the rest is of training.

    Returns:
        Means and variances, float32 (C,), by their names among the network's values; none where no scene has data.
    """
    floats = replace(engine, dtype=torch.float32) if engine.dtype == BYTES else engine
    seen = copy.deepcopy(net).eval().requires_grad_(False)
    plain = channels_last(seen.to(engine.device))
    plain.stem = ReadyStem(seen.stem, torch.float32)  # type: ignore[assignment]  # the same calls
    squares = _look(plain, scenes, floats)
    norms = {name: module for name, module in plain.named_modules() if isinstance(module, nn.BatchNorm2d)}
    stored = {name: (_value(norm, MEAN), _value(norm, VARIANCE)) for name, norm in norms.items()}
    sums = {name: torch.zeros(3, norm.num_features, dtype=torch.float64) for name, norm in norms.items()}
    for name, norm in norms.items():
        norm.register_forward_pre_hook(functools.partial(_mix_in, share, stored[name], sums[name]))
    batches = math.ceil(len(squares) / AT_ONCE)
    for number in range(batches):
        stop_if_asked()
        some = squares[number::batches]
        stacks = {stride: torch.cat([square[stride] for square in some]) for stride in some[0]}
        lower = floats.dtype == torch.bfloat16
        with torch.no_grad(), torch.autocast(engine.device.type, torch.bfloat16, enabled=lower):
            plain.unet(stacks)
    found = {}
    for name in norms if batches else ():
        mean, square, variance = sums[name] / batches
        whole = variance + square - mean.square()
        for field, new, old in zip((MEAN, VARIANCE), (mean, whole), stored[name], strict=True):
            found[f"{name}.{field}"] = torch.lerp(old, new, share).float()
    return found


def with_statistics(net: SegmentationNet, statistics: Mapping[str, Tensor]) -> SegmentationNet:
    """Return a copy of a network whose batch norm has these statistics, as `place_statistics` gave them."""
    adapted = copy.deepcopy(net)
    values = dict(adapted.named_buffers())
    for name, value in statistics.items():
        values[name].copy_(value)
    return keep_ready(adapted)


def adapt_to(
    nets: Sequence[SegmentationNet], scenes: Sequence[Opens], engine: Engine, share: float
) -> tuple[SegmentationNet, ...]:
    """Return copies of networks whose batch norm has taken a share of its statistics from scenes."""
    return tuple(with_statistics(net, place_statistics(net, scenes, engine, share)) for net in nets)


def has_batch_norm(net: nn.Module) -> bool:
    """Tell whether there is something to adapt."""
    return any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def to_file(statistics: Sequence[Mapping[str, Tensor]]) -> bytes:
    """Return the statistics of several networks as a safetensors file."""
    named = {f"{n}.{name}": value for n, own in enumerate(statistics) for name, value in own.items()}
    content: bytes = save_safetensors(named)
    return content


def from_file(content: bytes, count: int) -> list[dict[str, Tensor]]:
    """Return what `to_file` was given, for so many networks."""
    named = load_safetensors(content)
    return [
        {name.removeprefix(f"{n}."): value for name, value in named.items() if name.startswith(f"{n}.")}
        for n in range(count)
    ]


def _look(net: SegmentationNet, scenes: Sequence[Opens], engine: Engine) -> list[dict[int, Tensor]]:
    """Return what the network sees of squares of scenes, by stride; of those with data where there are some."""
    chosen = scenes[:: max(1, math.ceil(len(scenes) / MOST))]
    in_a_row = math.isqrt(MOST // max(1, len(chosen)))
    side = round_up(SIDE, net.divisor)
    found: list[dict[int, Tensor]] = []
    for opened in chosen:
        stop_if_asked()
        with opened() as scene:
            reader = scene_reader([net], scene, engine)
            enough = math.ceil(max(reader.shape_hw) / side)
            windows = sample_windows(reader.shape_hw, side, min(in_a_row, enough))
            found += [reader.load_many(net, [window]) for window in windows]
    shares = [max(share_with_data(stack) for stack in square.values()) for square in found]
    least = ENOUGH if any(share >= ENOUGH for share in shares) else min((s for s in shares if s > 0), default=1.0)
    return [square for square, share in zip(found, shares, strict=True) if share >= least]


@torch.no_grad()
def _mix_in(share: float, stored: tuple[Tensor, Tensor], sums: Tensor, norm: nn.BatchNorm2d, inputs: Any) -> None:
    """Normalise a batch by its own statistics and the stored ones together, and add its own to the sums.

    In double precision, so that the order of sums, which hangs on the number of threads, is not seen.
    """
    x = inputs[0].cpu() if inputs[0].device.type == "mps" else inputs[0]  # which has no double precision
    variance, mean = (value.cpu() for value in torch.var_mean(x.double(), dim=(0, 2, 3), correction=0))
    sums += torch.stack([mean, mean.square(), variance])
    for field, old, new in zip((MEAN, VARIANCE), stored, (mean, variance), strict=True):
        norm.get_buffer(field).copy_(torch.lerp(old, new, share))


def _value(norm: nn.BatchNorm2d, field: str) -> Tensor:
    return norm.get_buffer(field).cpu().double()
