import numpy as np
import pytest
import torch

from landscribe.core.grid import Window
from landscribe.core.recipe import NetworkTable
from landscribe.nn import private_ops
from landscribe.nn.network.unet import UNet, fold_batch_norm
from landscribe.nn.predict.fused import fuse_relu
from landscribe.nn.predict.int8 import ByteUNet
from landscribe.nn.predict.streamed import Rows, Streamed, can_stream, column_bytes

HEIGHT, WIDTH = 176, 96
KEEPS = [None, Window(40, 16, 88, 60), Window(0, 0, 160, 96), Window(3, 5, 173, 7)]


def _table(network):
    return NetworkTable(**{k: v for k, v in ({"filters": 8, "depth": 4} | network).items() if v is not None})


def make_unet(channels, **network):
    torch.manual_seed(0)
    net = UNet(channels, 2, _table(network)).eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 1)
    torch.nn.init.normal_(net.head.weight, 0, 2)
    fold_batch_norm(net)
    if private_ops.can_fuse():
        fuse_relu(net)
    return net


def in_rows(net, rows):
    streamed = Streamed(net, torch.float32)
    streamed.rows = rows
    return streamed


def layered(tensor):
    return tensor.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize(
    "network",
    [
        {},
        {"block": "single"},
        {"block": "triple"},
        {"first_pool": 4},
        {"activation": "elu"},
        {"norm": "group"},
        {"batch_norm": False},
    ],
)
def test_row_by_row_is_all_at_once(network, keep):
    channels = {1: 3, 4: 2}
    net = make_unet(channels, **network)
    assert can_stream(net)
    x = {s: layered(torch.randn(1, count, HEIGHT // s, WIDTH // s)) for s, count in channels.items()}
    with torch.inference_mode():
        whole = net(x, keep)
        for rows in (16, 40, 80):
            found = in_rows(net, rows)(x, keep)
            assert found.shape == whole.shape
            assert torch.allclose(found, whole, rtol=1e-4, atol=1e-4), rows
    assert whole.std() > 0.05


@pytest.mark.skipif(not private_ops.can_multiply_bytes(), reason="this torch has no convolutions of bytes")
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("block", ["single", "double", "triple"])
def test_row_by_row_gives_the_same_bytes(block, keep):
    channels = {1: 3, 2: 2}
    unet = make_unet(channels, block=block)
    net = ByteUNet(unet, {s: layered(torch.randn(1, count, 64 // s, 64 // s)) for s, count in channels.items()})
    x = {
        s: layered(torch.randint(0, 200, (1, 2 * count, HEIGHT // s, WIDTH // s), dtype=torch.uint8))
        for s, count in channels.items()
    }
    with torch.inference_mode():
        whole = net(x, keep)
        for rows in (16, 80):
            assert torch.equal(in_rows(net, rows)(x, keep), whole)


@pytest.mark.parametrize("keep", [None, Window(160, 32, 180, 60)])
@pytest.mark.parametrize("encoder", ["efficientnet-lite0", "resnet18"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_encoders_go_row_by_row_too(encoder, precision, keep):
    if precision == "int8" and not private_ops.can_multiply_bytes():
        pytest.skip("this torch has no convolutions of bytes")
    net = make_unet({1: 3}, encoder=encoder, weights="none", depth=None)
    assert can_stream(net)
    x = layered(torch.randn(1, 3, 352, 96))
    with torch.inference_mode():
        if precision == "int8":
            net = ByteUNet(net, {1: x[:, :, :128]})
            x = layered(torch.randint(0, 200, (1, 6, 352, 96), dtype=torch.uint8))
        whole = net({1: x.clone()}, keep)
        for rows in (32, 96):
            found = in_rows(net, rows)({1: x}, keep)
            assert found.shape == whole.shape
            assert torch.equal(found, whole) if precision == "int8" else torch.allclose(found, whole, atol=1e-4), rows
    assert whole.std() > 0.05


def test_several_views_and_small_tiles_go_through_as_a_whole():
    net = make_unet({1: 3})
    streamed = in_rows(net, 16)
    with torch.inference_mode():
        for shape in ((2, 3, HEIGHT, WIDTH), (1, 3, 32, WIDTH)):
            x = {1: layered(torch.randn(shape))}
            assert torch.equal(streamed(x), net(x))


@pytest.mark.parametrize(
    "network",
    [
        {"block": "residual"},
        {"block": "inception"},
        {"down": "convolution"},
        {"up": "transposed"},
        {"family": "segnet"},
        {"family": "small"},
    ],
)
def test_other_forms_are_not_streamed(network):
    assert not can_stream(UNet({1: 3}, 1, NetworkTable(filters=8, **network)))


def test_rows_are_made_once_and_let_go_when_all_are_past_them():
    made = []

    def make(first, stop):
        made.append((first, stop))
        return torch.arange(first, stop).reshape(1, 1, -1, 1)

    rows = Rows(50, 4, make)
    one, other = rows.reader(), rows.reader()
    for first in range(0, 50, 10):
        stop = min(first + 13, 50)
        assert one(first, stop).ravel().tolist() == list(range(first, stop))
        assert other(max(0, first - 3), first + 3).ravel().tolist() == list(range(max(0, first - 3), first + 3))
        assert sum(strip.shape[2] for _, strip in rows.strips) <= 3 + 13 + 12
    assert made == [(0, 16), (16, 24), (24, 36), (36, 44), (44, 50)]


def test_nothing_is_made_above_what_is_asked_for():
    made = []
    rows = Rows(90, 8, lambda first, stop: (made.append((first, stop)), torch.zeros(1, 1, stop - first, 1))[1])
    take = rows.reader()
    take(43, 50)
    take(49, 70)
    assert made == [(40, 56), (56, 72)]


def test_memory_follows_from_the_width_of_a_tile(monkeypatch):
    """Of a tile twice as high no more maps are there at once."""
    net = make_unet({1: 3})
    most = []
    take = Rows._take

    def counted(self, *arguments):
        found = take(self, *arguments)
        most[-1] = max(most[-1], sum(strip.numel() for _, strip in self.strips))
        return found

    monkeypatch.setattr(Rows, "_take", counted)
    streamed = in_rows(net, 16)
    with torch.inference_mode():
        for height in (HEIGHT, 2 * HEIGHT):
            most.append(0)
            streamed({1: layered(torch.randn(1, 3, height, WIDTH))})
    assert most[0] == most[1]
    assert most[0] * 4 * 2 <= WIDTH * column_bytes(net, torch.float32)
    assert np.prod((8, HEIGHT, WIDTH)) > most[0]
