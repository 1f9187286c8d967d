"""Depthwise convolutions: values and gradients are torch's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscribe.nn.network.depthwise import _firsts, convolve_each

FORMS = [(5, 1, 2), (5, 2, 3), (3, 2, 2), (3, 1, 1), (7, 1, 3), (7, 2, 4), (7, 3, 3), (2, 2, 0), (1, 1, 0), (5, 4, 1)]


def both(x, side, stride, padding, dtype=torch.float64):
    """Return value and gradients by torch in float64, and by ours."""
    torch.manual_seed(1)
    conv = nn.Conv2d(x.shape[1], x.shape[1], side, stride, padding, groups=x.shape[1], bias=False)
    found = []
    for way, kind in ((plain, torch.float64), (convolve_each, dtype)):
        own, maps = nn.Conv2d(*x.shape[1:2] * 2, side, stride, padding, groups=x.shape[1], bias=False), x.to(kind)
        own.load_state_dict(conv.state_dict())
        own, maps = own.to(kind), maps.clone().requires_grad_()
        y = way(own, maps)
        y.square().mean().backward()
        found.append([y.detach(), maps.grad, own.weight.grad])
    return found


def plain(conv, x):
    return functional.conv2d(x, conv.weight, None, conv.stride, conv.padding, 1, conv.groups)


@pytest.mark.parametrize(("side", "stride", "padding"), FORMS)
@pytest.mark.parametrize("size", [(8, 8), (13, 6), (1, 9)])
def test_gradients_are_torchs(side, stride, padding, size):
    if min(size) + 2 * padding < side:
        pytest.skip("no room for the kernel")
    x = torch.randn(2, 3, *size).contiguous(memory_format=torch.channels_last)
    for expected, got in zip(*both(x, side, stride, padding), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-7)  # at stride 2 in float32


@pytest.mark.parametrize(("side", "stride"), [(5, 1), (5, 2), (3, 2)])
def test_bf16_is_as_close_as_it_can_be(side, stride):
    x = torch.randn(4, 32, 20, 20).contiguous(memory_format=torch.channels_last)
    for expected, got in zip(*both(x, side, stride, side // 2, torch.bfloat16), strict=True):
        assert got.dtype == torch.bfloat16
        assert (got.double() - expected).norm() < 0.01 * expected.norm()


def test_autocast_and_precision_of_weights():
    conv = nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False)
    x = torch.randn(2, 8, 16, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = convolve_each(conv, x)
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    assert (conv.weight.grad.dtype, x.grad.dtype) == (torch.float32, torch.float32)


def test_a_bias_is_added():
    conv = nn.Conv2d(4, 4, 5, 2, 3, groups=4)
    x = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(convolve_each(conv, x), nn.Conv2d.forward(conv, x))
    with torch.no_grad():
        torch.testing.assert_close(convolve_each(conv, x), nn.Conv2d.forward(conv, x))


def test_what_does_not_learn_is_left_out():
    conv = nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False).requires_grad_(False)
    x = torch.randn(1, 4, 9, 9, requires_grad=True)
    convolve_each(conv, x).sum().backward()
    assert conv.weight.grad is None
    assert x.grad is not None


@pytest.mark.parametrize("side", range(1, 12))
@pytest.mark.parametrize("stride", range(1, 4))
def test_blocks_cover_each_tap(side, stride):
    taps = {tap for first in _firsts(side, stride) for tap in range(first, min(first + 3 * stride, side), stride)}
    assert taps == set(range(side))
