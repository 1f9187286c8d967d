"""What follows a convolution and brings its maps to one scale: the recipe's `network.norm`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from landscribe.core.recipe import NetworkTable

GROUP = 32
"""Maps that are normalised together, where they can be shared out so; else all of a layer."""


class KeptNorm(nn.BatchNorm2d):
    """Batch norm that goes on with the statistics that it began with, in training too; its factors are learned."""

    def train(self, mode: bool = True) -> KeptNorm:
        """Stay out of training, whatever the network does."""
        del mode
        super().train(False)
        return self


class PixelNorm(nn.Module):
    """Mean 0 and variance 1 over groups of maps, at each pixel alone.

    Group norm as published also takes the mean over the ground, of a chip in training and of a tile at prediction;
    what is predicted of a pixel would then depend on where tiles lie. Pixel by pixel, nothing but the network's own
    reach counts, and neither the other chips of a batch nor their number do.

    Source:
        Wu & He (2018), arXiv:1803.08494, for the groups; Liu et al. (2022), arXiv:2201.03545, for the single pixel.
    """

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.groups = channels // GROUP if channels % GROUP == 0 else 1
        self.epsilon = epsilon
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape and type, by way of float32."""
        grouped = torch.unflatten(x.float(), 1, (self.groups, -1))
        centred = grouped - grouped.mean(dim=2, keepdim=True)
        spread = (centred.square().mean(dim=2, keepdim=True) + self.epsilon).rsqrt()
        even = (centred * spread).flatten(1, 2)
        factor, offset = (value.float().reshape(1, -1, 1, 1) for value in (self.weight, self.bias))
        return (even * factor + offset).to(x.dtype)


def build_norm(channels: int, table: NetworkTable, epsilon: float | None = None) -> nn.Module:
    """Return what normalises so many maps.

    Args:
        channels: Number of maps.
        table: Says how, with momentum and epsilon.
        epsilon: In place of the table's, and `frozen` may be meant: of an encoder, as its authors have it.
    """
    if table.norm == "group":
        return PixelNorm(channels, table.norm_epsilon if epsilon is None else epsilon)
    if epsilon is None:
        return nn.BatchNorm2d(channels, eps=table.norm_epsilon, momentum=table.norm_momentum)
    kind = KeptNorm if table.norm == "frozen" else nn.BatchNorm2d
    return kind(channels, eps=epsilon, momentum=table.norm_momentum)
