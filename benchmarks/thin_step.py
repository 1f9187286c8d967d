"""A training step of a thin network that pools by 4 at first, as the demo's: python benchmarks/thin_step.py [--json].

Upsampled: the decoder lays the coarse map out before it convolves. Joined: it convolves the coarse map where it lies,
at levels that are pooled by 2, and as it is now at those pooled by 4, too. Losses are alike to float rounding.

Beside each way stands its part of the rate of a 3x3 convolution of 64 maps, if the products of the upsampled network
are counted for all: what the decoder saves counts as done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import torch

from landscribe.core.recipe import NetworkTable
from landscribe.nn.device import Engine, choose_engine
from landscribe.nn.network import joined
from landscribe.nn.network.unet import UNet
from landscribe.process import settle_process
from networks import count_flop, limits, training_step
from side_by_side import finish, report, time_in_turn

BANDS, CLASSES, SIZE, BATCH, REPEATS = 13, 10, 128, 12, 9
WAYS = {"upsampled": (), "joined where pooled by 2": (2,), "joined": joined.POOLS}


def make_step(pools: tuple[int, ...], *, lower: bool) -> Callable[[], None]:
    """Return a training step whose decoder joins at levels pooled by these."""
    torch.manual_seed(0)
    net = UNet({1: BANDS}, CLASSES, NetworkTable(filters=16, first_pool=4))
    return training_step(net, (BATCH, BANDS, SIZE), lower=lower, begin=partial(setattr, joined, "POOLS", pools))


def main() -> None:
    """Time all ways in each precision that is quick here, and print medians and ratios."""
    settle_process()
    fast = choose_engine("cpu").dtype == torch.bfloat16
    tables = []
    threads = torch.get_num_threads()
    for lower in (True, False)[not fast :]:
        products = count_flop(make_step((), lower=False))
        seconds = time_in_turn({name: make_step(pools, lower=lower) for name, pools in WAYS.items()}, REPEATS)
        dtype = torch.bfloat16 if lower else torch.float32
        rate = limits(Engine(torch.device("cpu"), dtype, "benchmark"))["convolution 64"]
        # Processor seconds of all threads: so both are of one thread.
        parts = {name: f"{products / value / rate:.0%} of a convolution of 64 maps" for name, value in seconds.items()}
        title = (
            f"training step, 16 filters, first_pool = 4, {BATCH} chips of {SIZE} px, {'bf16' if lower else 'float32'}"
        )
        tables.append(report(f"{title}, {threads} threads", seconds, "joined where pooled by 2", parts))
    finish(tables, "--json" in sys.argv)


if __name__ == "__main__":
    main()
