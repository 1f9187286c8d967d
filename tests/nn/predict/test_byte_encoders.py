"""Encoders in bytes against the same in float32, and the promises that prediction rests on."""

import numpy as np
import pytest
import torch
from affine import Affine
from torch.nn import functional

from encoder_nets import RGB, TWO, lively, make_net
from landscribe.core.grid import Window
from landscribe.core.recipe import InputTable, PredictTable
from landscribe.errors import RecipeError
from landscribe.nn import private_ops
from landscribe.nn.device import choose_engine
from landscribe.nn.network.unet import fold_batch_norm
from landscribe.nn.predict.byte_encoders import pack_encoder
from landscribe.nn.predict.byte_layers import ZERO, Filter, enter, pack
from landscribe.nn.predict.int8 import ByteUNet
from landscribe.nn.predict.prepare_network import make_ready_for, sample_side
from landscribe.nn.predict.reading import scene_reader
from landscribe.nn.predict.tiles import predict_tiles
from scenes import make_arrays

pytestmark = pytest.mark.skipif(not private_ops.can_multiply_bytes(), reason="this torch has no convolutions of bytes")
SCALES = {"F": 1.0, "C": 4.0}
each = pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2", "resnet18"])


def make_scene(shape, seed=0):
    """Images that change slowly with some noise."""
    rng = np.random.default_rng(seed)
    images = {}
    for sensor, size in zip(TWO, (shape, (shape[0] // 4 + 1, shape[1] // 4 + 1)), strict=True):
        rows, cols = np.mgrid[: size[0], : size[1]]
        waves = 128 + 60 * np.sin(rows / 5)[None] * np.cos(cols / 7)[None]
        images[sensor.name] = (waves + rng.integers(-40, 40, (len(sensor.bands), *size))).clip(0, 255).astype(np.uint8)
    return make_arrays(images, maps={"C": Affine.translation(0.3, -0.2) @ Affine.scale(0.25)})


def predict(net, scene, shape, precision, **table):
    whole = np.full((2, *shape), np.nan, np.float32)
    settings = PredictTable(**{"tile": 4096, "symmetries": 1} | table)
    for window, p_khw in predict_tiles([net], scene, choose_engine("cpu", precision), settings):
        whole[:, *window.slices] = p_khw
    assert not np.isnan(whole).any()
    return whole


def in_bytes(x, units, zero=0):
    """Round floats to what their bytes stand for."""
    rounded = (x / units.reshape(1, -1, 1, 1)).round() + zero
    return rounded.clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)


def test_a_convolution_of_bytes_with_a_sign_pads_with_their_zero():
    generator = torch.Generator().manual_seed(3)
    real = torch.randn((2, 7, 11, 13), generator=generator)
    its = torch.full((7,), float(real.abs().max()) / 127)
    for groups, stride, even in ((1, 1, False), (7, 1, False), (7, 2, True)):
        weight = torch.randn((7, 7 // groups, 5, 5), generator=generator)
        side = 3 if even else 2
        own = Filter(weight, None, (side, side), (stride, stride), groups, even)
        wanted = functional.conv2d(real, weight, None, stride, side, 1, groups)[..., int(even) :, int(even) :]
        units = torch.full((7,), float(wanted.abs().max()) / 127)
        found = pack(own, its, units, ZERO)(in_bytes(real, its, ZERO), zero=ZERO, relu=False)
        assert found.shape == wanted.shape
        assert ((found.float() - ZERO) * units[0] - wanted).abs().max() < 0.03 * wanted.abs().max()


@each
def test_every_level_is_that_of_floats(name):
    """With coarse stacks that enter at two levels, at one of which a shortcut has just been added."""
    net = lively(make_net(name, TWO, SCALES, inputs=InputTable(low="branch")))
    fold_batch_norm(net.unet)
    torch.manual_seed(5)
    stacks = {stride: torch.randn(2, n, 160 // stride, 128 // stride) for stride, n in net.stem.channels.items()}
    with torch.no_grad():
        entering = {stride: enter(stack) for stride, stack in stacks.items()}
        encoder, maps = pack_encoder(net.unet.known, entering)
        exact = net.unet.known(stacks)
        found = encoder({stride: in_bytes(own.values, own.units) for stride, own in entering.items()})
    assert encoder.entrances.keys() == {4}
    for level, (ours, theirs, there) in enumerate(zip(found, exact, maps, strict=True)):
        real = (ours.float() - there.zero) * there.units.reshape(1, -1, 1, 1)
        assert torch.allclose(there.values, theirs, atol=1e-4 * float(theirs.abs().max())), level
        assert 0 < (real - theirs).abs().mean() < 0.25 * theirs.std(), level


@each
@pytest.mark.parametrize("low", ["branch", "upsample"])
def test_bytes_are_close_to_float32(name, low):
    shape = (211, 197)
    net, scene = lively(make_net(name, TWO, SCALES, inputs=InputTable(low=low))), make_scene(shape)
    exact, ours = (predict(net, scene, shape, precision) for precision in ("float32", "int8"))
    assert exact.std() > 0.015
    assert 0 < np.abs(ours - exact).mean() < 0.25 * exact.std()  # weights by chance hand on all that was rounded


@pytest.mark.parametrize("name", ["efficientnet-lite0", "resnet18"])
@pytest.mark.parametrize("symmetries", [1, 8])
def test_tiles_do_not_show(name, symmetries):
    shape = (97, 131)
    net, scene = lively(make_net(name, TWO, SCALES, inputs=InputTable(low="branch"))), make_scene(shape)
    whole = predict(net, scene, shape, "int8", symmetries=symmetries)
    tiled = predict(net, scene, shape, "int8", tile=32, symmetries=symmetries)
    # Coarse sensors are interpolated in floats: now and then a value lies between two bytes.
    assert np.abs(tiled - whole).mean() < 1e-5


@pytest.mark.parametrize("name", ["efficientnet-lite0", "resnet18"])
def test_what_is_kept_is_part_of_the_whole(name):
    unet = lively(make_net(name)).unet.requires_grad_(False)
    fold_batch_norm(unet)
    torch.manual_seed(4)
    stacks = {1: torch.randn(2, 3, 96, 128)}
    net = ByteUNet(unet, stacks)
    seen = {1: torch.randint(0, 256, (2, 6, 96, 128), dtype=torch.uint8)}
    whole = net(seen)
    for keep in (Window(23, 31, 13, 17), Window(0, 0, 5, 7), Window(91, 125, 5, 3)):
        for unet.strip_rows in (0, 7):
            assert torch.equal(net(seen, keep), whole[:, :, *keep.slices])
    assert whole.std() > 0.01


def test_squares_are_large_enough_for_the_lowest_level():
    assert sample_side(make_net("resnet18")) == 128


def test_group_norm_is_refused():
    net = make_net("efficientnet-lite0", norm="group")
    reader = scene_reader([net], make_arrays({RGB.name: np.zeros((3, 40, 40), np.uint8)}), choose_engine("cpu", "int8"))
    with pytest.raises(RecipeError, match=r"model 'm': predict.precision = 'int8', got norm = 'group'"):
        make_ready_for(net, reader, reader.engine)
