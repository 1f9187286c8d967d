import pytest
import torch
from torch import nn
from torch.nn import functional

from landscribe.core.grid import Window
from landscribe.core.recipe import NetworkTable
from landscribe.nn.network import unet
from landscribe.nn.network.joined import can_join, convolve_joined
from landscribe.nn.network.unet import UNet


def plain(conv, low, pool, skip, offset_hw):
    """Upsample all, put the skip among zeros, convolve, cut."""
    fine = functional.interpolate(low, scale_factor=pool, mode="nearest")
    (top, left), (height, width) = offset_hw, skip.shape[-2:]
    around = torch.zeros(*skip.shape[:2], *fine.shape[-2:], dtype=skip.dtype)
    around[:, :, top : top + height, left : left + width] = skip
    whole = conv(torch.cat([fine, around], 1))
    return whole[:, :, top : top + height, left : left + width]


@pytest.mark.parametrize("pool", [2, 4])
@pytest.mark.parametrize("offset_hw", [(0, 0), (1, 0), (0, 1), (3, 2)])
def test_joined_is_upsampling_and_concatenation_with_the_same_gradients(offset_hw, pool):
    torch.manual_seed(1)
    conv = nn.Conv2d(5 + 3, 7, 3, padding=1).double()
    low, skip = torch.randn(2, 5, 6, 5).double(), torch.randn(2, 3, 7, 6).double()
    results = []
    for way in (convolve_joined, plain):
        inputs = [low.clone().requires_grad_(), skip.clone().requires_grad_()]
        y = way(conv, inputs[0], pool, inputs[1], offset_hw)
        gradients = torch.autograd.grad(
            (y * torch.arange(y.numel()).reshape(y.shape)).sum(), [*inputs, *conv.parameters()]
        )
        results.append([y, *gradients])
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("first_pool", [2, 4])
@pytest.mark.parametrize("block", ["double", "triple"])
def test_a_network_gives_the_same_with_and_without(block, first_pool, monkeypatch):
    torch.manual_seed(2)
    net = UNet({1: 3}, 2, NetworkTable(filters=3, depth=3, block=block, first_pool=first_pool)).eval()
    x, keep = torch.randn(2, 3, 48, 40), Window(9, 7, 21, 13)
    ours = net({1: x}, keep)
    calls = []
    monkeypatch.setattr(unet, "can_join", lambda *a: calls.append(a))
    theirs = net({1: x}, keep)
    assert len(calls) == 2
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_only_what_was_proven_equal_is_joined():
    x = torch.zeros(1, 4, 2, 2)
    assert can_join(nn.Conv2d(4, 2, 3, padding=1), 2, x)
    assert can_join(nn.Conv2d(4, 2, 3, padding=1), 4, x)
    assert not can_join(nn.Conv2d(4, 2, 3, padding=1), 3, x)
    assert not can_join(nn.Conv2d(4, 2, 1), 2, x)
    assert not can_join(nn.Conv2d(4, 2, 3, padding=2, dilation=2), 2, x)
    assert not can_join(nn.Conv2d(4, 2, 3, padding=1), 2, x.to("meta"))
