"""What a first pooling by 4 saves in a training step against one by 2: python benchmarks/first_pool.py [--json]."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch

from landscribe.core.grid import Window
from landscribe.core.recipe import NetworkTable
from landscribe.nn.network.unet import UNet
from side_by_side import finish, report, time_in_turn

BANDS, SIZE, BATCH, REPEATS = 12, 96, 8, 5
KEEP = Window(16, 16, 64, 64)


def make_step(first_pool: int) -> Callable[[], None]:
    """Return a training step, forward, backward and update, of the full network."""
    torch.manual_seed(0)
    net = UNet({1: BANDS}, 1, NetworkTable(first_pool=first_pool))  # type: ignore[arg-type]
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
    x = torch.randn(BATCH, BANDS, SIZE, SIZE).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad()
        net({1: x}, KEEP).square().mean().backward()
        optimizer.step()

    return step


def main() -> None:
    """Time both and print medians and ratio."""
    seconds = time_in_turn({f"first_pool = {pool}": make_step(pool) for pool in (2, 4)}, REPEATS)
    finish([report("training step, 12 bands, 8 chips of 96 px", seconds, "first_pool = 2")], "--json" in sys.argv)


if __name__ == "__main__":
    main()
