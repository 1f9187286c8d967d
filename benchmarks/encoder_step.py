"""A training step of an encoder, with quick depthwise gradients and with torch's: python benchmarks/encoder_step.py."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscribe.core.grid import Window
from landscribe.core.recipe import NetworkTable
from landscribe.nn.device import choose_engine
from landscribe.nn.network import encoders
from landscribe.nn.network.unet import UNet
from landscribe.process import settle_process
from networks import training_step
from side_by_side import finish, report, time_in_turn

BANDS, SIZE, BATCH, REPEATS = 3, 128, 8, 7
KEEP = Window(16, 16, 96, 96)
QUICK = encoders.convolve_each


def convolve_plainly(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Leave the gradients to torch."""
    return functional.conv2d(x, conv.weight, None, conv.stride, conv.padding, 1, conv.groups)


def make_step(name: str, way: Callable[[nn.Conv2d, Tensor], Tensor], *, lower: bool) -> Callable[[], None]:
    """Return a training step whose depthwise convolutions go a way."""
    torch.manual_seed(0)
    net = UNet({1: BANDS}, 1, NetworkTable(encoder=name, weights="none"))  # type: ignore[arg-type]
    begin = partial(setattr, encoders, "convolve_each", way)
    return training_step(net, (BATCH, BANDS, SIZE), lower=lower, begin=begin, keep=KEEP)


def main() -> None:
    """Time both in each precision that is quick here, and print medians and ratio."""
    settle_process()
    fast = choose_engine("cpu").dtype == torch.bfloat16
    tables = []
    for name, lower in itertools.product(("efficientnet-lite0", "efficientnet-lite2"), (True, False)[not fast :]):
        ways = {"torch's gradients": convolve_plainly, "ours": QUICK}
        seconds = time_in_turn({key: make_step(name, way, lower=lower) for key, way in ways.items()}, REPEATS)
        title = f"training step, {name}, {BATCH} chips of {SIZE} px, {'bf16' if lower else 'float32'}"
        tables.append(report(title, seconds, "torch's gradients"))
    finish(tables, "--json" in sys.argv)


if __name__ == "__main__":
    main()
