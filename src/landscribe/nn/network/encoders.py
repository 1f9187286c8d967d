"""Encoders that are known networks: EfficientNet-lite and ResNet, without what classifies pictures.

Their weights are those of their authors' files, module by module; `Encoder.names` says which is called what there.

Source:
    Tan & Le (2019), arXiv:1905.11946, in the lite form of github.com/tensorflow/tpu (efficientnet/lite): ReLU6, no
    squeeze-and-excitation, first and last stages of one size; He et al. (2016), arXiv:1512.03385.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscribe.core.recipe import NetworkTable
from landscribe.nn.network.depthwise import convolve_each
from landscribe.nn.network.norms import build_norm

Step = tuple[int, int, int]
"""Pixels before and after that a convolution looks at, and its stride."""
STRIDES = (2, 4, 8, 16, 32)
"""Of the levels of every encoder."""
LITE_EPSILON, RESNET_EPSILON = 1e-3, 1e-5
FIRST = "levels.0.0.0.weight"
"""Of the convolution that sees the bands."""


@dataclass(frozen=True)
class Stage:
    """Blocks of EfficientNet in a row."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


class EvenConvolution(nn.Conv2d):
    """A convolution with stride 2 that is padded as TensorFlow pads even sizes: one pixel more at the far edges.

    Padding on both sides and leaving out the first row and column of the result gives the same, without a copy of the
    larger input.
    """

    def __init__(self, channels_in: int, channels: int, kernel: int, *, groups: int = 1) -> None:
        super().__init__(channels_in, channels, kernel, 2, kernel // 2 + 1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) with even h and w to (B, K, h / 2, w / 2)."""
        return without_first(super().forward(x) if self.groups == 1 else convolve_each(self, x))


class EachConvolution(nn.Conv2d):
    """A padded convolution with stride 1 of each map by itself."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape."""
        return convolve_each(self, x)


def without_first(y: Tensor) -> Tensor:
    """Leave out the first row and the first column of (B, C, h, w)."""
    return functional.pad(y, (-1, 0, -1, 0))


class Inverted(nn.Module):
    """Wider, looked at map by map, narrower: a block of EfficientNet."""

    def __init__(self, channels_in: int, stage: Stage, stride: int, table: NetworkTable) -> None:
        super().__init__()
        wide = channels_in * stage.expansion
        self.expand = _lite(nn.Conv2d(channels_in, wide, 1, bias=False), table) if wide > channels_in else None
        self.depthwise = _lite(_depthwise(wide, stage.kernel, stride), table)
        self.project = _lite(nn.Conv2d(wide, stage.channels, 1, bias=False), table, bends=False)
        self.adds = stride == 1 and channels_in == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, K, h / stride, w / stride)."""
        y: Tensor = self.project(self.depthwise(x if self.expand is None else self.expand(x)))
        return x + y if self.adds else y


class Basic(nn.Module):
    """Two convolutions and a shortcut: a block of ResNet-18 and -34."""

    def __init__(self, channels_in: int, channels: int, stride: int, table: NetworkTable) -> None:
        super().__init__()
        first = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first = nn.Sequential(first, build_norm(channels, table, RESNET_EPSILON), nn.ReLU(inplace=True))
        self.second = nn.Sequential(second, build_norm(channels, table, RESNET_EPSILON))
        changes = stride > 1 or channels_in != channels
        short = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
        self.short = nn.Sequential(short, build_norm(channels, table, RESNET_EPSILON)) if changes else None
        self.bend = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, K, h / stride, w / stride)."""
        bent: Tensor = self.bend(self.second(self.first(x)) + (x if self.short is None else self.short(x)))
        return bent


class Encoder(nn.Module):
    """Maps at 2, 4, 8, 16 and 32 pixels from the stack of full resolution.

    Coarser stacks are added to the maps of their level by a 1x1 convolution that begins at 0: a network that knows
    photographs first sees what it knows.

    Args:
        plan: What it is made of.
        entering: Channels of coarser stacks by stride.
    """

    def __init__(self, plan: _Plan, entering: Mapping[int, int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Sequential(*blocks) for blocks in plan.blocks)
        self.channels, self.steps, self.names = tuple(plan.channels), plan.steps, plan.names
        self.left_over, self.input_scale = plan.left_over, plan.input_scale
        self.entrances = nn.ModuleDict()
        for stride, count in entering.items():
            entrance = nn.Conv2d(count, self.channels[STRIDES.index(stride)], 1, bias=False)
            nn.init.zeros_(entrance.weight)
            self.entrances[str(stride)] = entrance

    def forward(self, stacks: Mapping[int, Tensor]) -> list[Tensor]:
        """Return the maps of each level, (B, channels, H / stride, W / stride); H and W are multiples of 32."""
        maps, x = [], stacks[1]
        for stride, blocks in zip(STRIDES, self.levels, strict=True):
            x = blocks(x)
            if str(stride) in self.entrances:
                x = x + self.entrances[str(stride)](stacks[stride].to(x.dtype))
            maps.append(x)
        return maps

    def reach(self, low: int, high: int, levels: int) -> tuple[int, int]:
        """Return the first and the last input pixel that reach pixels `low` to `high` of a level, along one axis."""
        for step in reversed([step for steps in self.steps[:levels] for step in steps]):
            before, after, stride = step
            low, high = low * stride - before, high * stride + after
        return low, high


@dataclass
class _Plan:
    """An encoder while it is being put together."""

    blocks: list[list[nn.Module]]
    steps: list[list[Step]]
    channels: list[int]
    names: dict[str, str]
    """Where a convolution or a batch norm lies -> what files call it."""
    left_over: tuple[str, ...]
    """What files hold besides: the classifier."""
    input_scale: float
    """What a standardised band is multiplied by, to be what the weights are used to."""


def build_encoder(name: str, channels: int, entering: Mapping[int, int], table: NetworkTable) -> Encoder:
    """Return an encoder with weights drawn by chance.

    Args:
        name: As in the recipe.
        channels: Of the stack of full resolution.
        entering: Channels of coarser stacks by stride.
        table: Momentum of batch norm; its epsilon is that of the encoder's authors.
    """
    return Encoder(PLANS[name](channels, table), entering)


def _efficientnet(stages: tuple[Stage, ...]) -> Callable[[int, NetworkTable], _Plan]:
    def plan(channels_in: int, table: NetworkTable) -> _Plan:
        stem = _lite(EvenConvolution(channels_in, STEM, 3), table)
        names = {"levels.0.0.0": "_conv_stem", "levels.0.0.1": "_bn0"}
        made = _Plan([[stem]], [[(0, 2, 2)]], [STEM], names, ("_conv_head.", "_bn1.", "_fc."), LITE_SCALE)
        number, before = 0, STEM
        for stage in stages:
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                if stride == 2:
                    made.blocks.append([])
                    made.steps.append([])
                    made.channels.append(0)
                side = stage.kernel // 2
                made.steps[-1].append((side - 1, side + 1, 2) if stride == 2 else (side, side, 1))
                block, there = Inverted(before, stage, stride, table), f"_blocks.{number}"
                here = f"levels.{len(made.blocks) - 1}.{len(made.blocks[-1])}"
                if block.expand is not None:
                    names |= {f"{here}.expand.0": f"{there}._expand_conv", f"{here}.expand.1": f"{there}._bn0"}
                names |= {f"{here}.depthwise.0": f"{there}._depthwise_conv", f"{here}.depthwise.1": f"{there}._bn1"}
                names |= {f"{here}.project.0": f"{there}._project_conv", f"{here}.project.1": f"{there}._bn2"}
                made.blocks[-1].append(block)
                made.channels[-1] = before = stage.channels
                number += 1
        return made

    return plan


def _resnet(repeats: tuple[int, ...]) -> Callable[[int, NetworkTable], _Plan]:
    def plan(channels_in: int, table: NetworkTable) -> _Plan:
        conv = nn.Conv2d(channels_in, 64, 7, 2, 3, bias=False)
        stem = nn.Sequential(conv, build_norm(64, table, RESNET_EPSILON), nn.ReLU(inplace=True))
        names = {"levels.0.0.0": "conv1", "levels.0.0.1": "bn1"}
        made = _Plan([[stem]], [[(3, 3, 2)]], [64], names, ("fc.",), 1.0)
        before = 64
        for level, count in enumerate(repeats, start=1):
            channels = 32 * 2**level
            made.blocks.append([nn.MaxPool2d(3, 2, 1)] if level == 1 else [])
            made.steps.append([(1, 1, 2)] if level == 1 else [])
            for i in range(count):
                stride = 2 if level > 1 and i == 0 else 1
                made.steps[-1] += [(1, 1, stride), (1, 1, 1)]
                block = Basic(before, channels, stride, table)
                here, there = f"levels.{level}.{len(made.blocks[-1])}", f"layer{level}.{i}"
                for ours, conv_name, norm_name in (
                    ("first", "conv1", "bn1"),
                    ("second", "conv2", "bn2"),
                    ("short", "downsample.0", "downsample.1"),
                ):
                    if getattr(block, ours) is not None:
                        names |= {
                            f"{here}.{ours}.0": f"{there}.{conv_name}",
                            f"{here}.{ours}.1": f"{there}.{norm_name}",
                        }
                made.blocks[-1].append(block)
                before = channels
            made.channels.append(before)
        return made

    return plan


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    if stride == 2:
        return EvenConvolution(channels, channels, kernel, groups=channels)
    return EachConvolution(channels, kernel)


def _lite(conv: nn.Conv2d, table: NetworkTable, *, bends: bool = True) -> nn.Sequential:
    norm = build_norm(conv.out_channels, table, LITE_EPSILON)
    return nn.Sequential(conv, norm, *([nn.ReLU6(inplace=True)] if bends else []))


def _stages(widths: tuple[int, ...], repeats: tuple[int, ...]) -> tuple[Stage, ...]:
    return tuple(
        Stage(kernel, stride, expansion, width, count)
        for (kernel, stride, expansion), width, count in zip(KINDS, widths, repeats, strict=True)
    )


STEM = 32
LITE_SCALE = 0.45
"""A band of a photograph, less 127 and divided by 128, spreads by about this."""
KINDS = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))
"""Kernel, stride and expansion of the stages of EfficientNet."""
WIDTHS = (16, 24, 40, 80, 112, 192, 320)
LITES = {
    "efficientnet-lite0": _stages(WIDTHS, (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet-lite1": _stages(WIDTHS, (1, 3, 3, 4, 4, 5, 1)),
    "efficientnet-lite2": _stages((16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)),
}
PLANS: dict[str, Callable[[int, NetworkTable], _Plan]] = {
    **{name: _efficientnet(stages) for name, stages in LITES.items()},
    "resnet18": _resnet((2, 2, 2, 2)),
    "resnet34": _resnet((3, 4, 6, 3)),
}
"""Encoders by their name in the recipe."""


@torch.no_grad()
def widened(weight: Tensor, shares: list[tuple[float, float, float]], zeros: int) -> Tensor:
    """Return the first convolution of a network of photographs for other bands.

    Bands that stand for one colour share its filters, so that for ground of one brightness in all bands the result is
    that of a photograph. Where a colour is missing, all filters are enlarged by one factor. In both cases the sum of
    |w| over all channels is the original's.

    Args:
        weight: (K, 3, kh, kw), for red, green and blue.
        shares: Of each band, how much of red, green and blue it stands for, as `colour_shares` says.
        zeros: Channels after the bands that begin at 0: indices and masks.

    Returns:
        (K, len(shares) + zeros, kh, kw).
    """
    of_band = torch.tensor(shares, dtype=weight.dtype)
    mixing = of_band / of_band.sum(dim=0).clamp(min=torch.finfo(weight.dtype).tiny)
    bands = torch.einsum("bc,kcij->kbij", mixing, weight)
    lost = float(weight.abs().sum() / bands.abs().sum().clamp(min=torch.finfo(weight.dtype).tiny))
    if not math.isclose(lost, 1, rel_tol=1e-5):  # sums in another order differ in their last digits
        bands *= lost
    rest = weight.new_zeros((len(weight), zeros, *weight.shape[2:]))
    return torch.cat([bands, rest], dim=1)
