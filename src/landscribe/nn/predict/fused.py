"""Networks rewritten for prediction: batch norm inside convolutions, ReLU inside their last write."""

from __future__ import annotations

import copy
import itertools
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from landscribe.nn.device import Engine
from landscribe.nn.network.blocks import Convolutions
from landscribe.nn.network.bundle import SegmentationNet, channels_last
from landscribe.nn.network.encoders import EvenConvolution, without_first
from landscribe.nn.network.norms import PixelNorm
from landscribe.nn.network.unet import fold_batch_norm
from landscribe.nn.predict.stem_table import ReadyStem
from landscribe.nn.private_ops import can_fuse, relu_convolution

STRIP_ROWS = 128
"""Rows of the highest level that are made at once on a processor: then a strip stays in its cache."""

_kept: WeakKeyDictionary[SegmentationNet, dict[Engine, SegmentationNet]] = WeakKeyDictionary()
"""Of networks whose weights are final: what was made of them for prediction."""


class ReluConvolution(nn.Module):
    """A padded convolution that writes its result once, with ReLU: on a processor, writing twice costs a third more."""

    def __init__(self, conv: nn.Conv2d, most: float | None = None) -> None:
        super().__init__()
        self.weight, self.bias, self.most = conv.weight, conv.bias, most
        self.padding, self.stride, self.dilation, self.groups = conv.padding, conv.stride, conv.dilation, conv.groups
        self.is_even = isinstance(conv, EvenConvolution)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, K, h', w')."""
        y = relu_convolution(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups, self.most
        )
        return without_first(y) if self.is_even else y


def keep_ready(net: SegmentationNet) -> SegmentationNet:
    """Say that a network's weights are final, so that it is made ready once and not for each scene; return it."""
    _kept.setdefault(net, {})
    return net


def make_ready(net: SegmentationNet, engine: Engine) -> SegmentationNet:
    """Return a copy for inference that nobody changes: on the device, batch norm folded, in the engine's type."""
    kept = _kept.get(net)
    if kept is None:
        return make_own(net, engine)
    if engine not in kept:
        kept[engine] = make_own(net, engine)
    return kept[engine]


def make_own(net: SegmentationNet, engine: Engine) -> SegmentationNet:
    """Return a copy as `make_ready` does, for whoever changes it further."""
    ready = copy.deepcopy(net).eval().requires_grad_(False)
    fold_batch_norm(ready.unet)
    ready.unet.to(engine.dtype)
    for module in ready.unet.modules():
        if isinstance(module, nn.BatchNorm2d | PixelNorm):  # what has no convolution before it keeps its digits
            module.float()
    ready = channels_last(ready.to(engine.device))
    ready.stem = ReadyStem(ready.stem, engine.dtype)  # type: ignore[assignment]  # the same calls
    if engine.device.type == "cpu":
        ready.unet.strip_rows = STRIP_ROWS if ready.unet.has_strips else 0
        if can_fuse(engine.dtype):
            fuse_relu(ready.unet)
    return ready


def fuse_relu(net: nn.Module) -> int:
    """Merge each ReLU into the convolution before it, in place; return how many.

    The first convolution of a decoder block stays, since its result is still added to.
    """
    joined = {id(block.body) for block in getattr(net, "up", ()) if isinstance(block, Convolutions)}
    count = 0
    for module in list(net.modules()):
        if not isinstance(module, nn.Sequential):
            continue
        real = [i for i, part in enumerate(module) if not isinstance(part, nn.Identity)]
        first = real[1:] if id(module) in joined else real
        for i, j in itertools.pairwise(first):
            conv, relu = module[i], module[j]
            bends = isinstance(relu, nn.ReLU | nn.ReLU6)
            if isinstance(conv, nn.Conv2d) and bends and conv.padding_mode == "zeros":
                most = relu.max_val if isinstance(relu, nn.ReLU6) else None
                module[i], module[j] = ReluConvolution(conv, most), nn.Identity()
                count += 1
    return count
