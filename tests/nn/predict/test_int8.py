import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from landscribe.core.grid import Window
from landscribe.core.recipe import InputTable, NetworkTable, PredictTable
from landscribe.core.sensors import SensorSpec
from landscribe.errors import RecipeError
from landscribe.nn import private_ops
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.stem import BandStatistics
from landscribe.nn.network.unet import UNet, fold_batch_norm
from landscribe.nn.predict.byte_layers import Filter, pack
from landscribe.nn.predict.int8 import ByteUNet
from landscribe.nn.predict.patches import predict_patches
from landscribe.nn.predict.prepare_network import make_ready_for, sample_windows
from landscribe.nn.predict.reading import scene_reader
from landscribe.nn.predict.tiles import predict_tiles
from scenes import make_arrays

pytestmark = pytest.mark.skipif(not private_ops.can_multiply_bytes(), reason="this torch has no convolutions of bytes")
SENSORS = (SensorSpec("F", "f", ("red", "green"), 8), SensorSpec("C", "c", ("nir",), 8))
MAPS = {"F": Affine.identity(), "C": Affine.translation(0.3, -0.2) @ Affine.scale(0.5)}


def make_net(low="branch", **network):
    statistics = {
        s.name: BandStatistics(*(np.full(len(s.bands), v, np.float32) for v in (0, 255, 128, 40))) for s in SENSORS
    }
    table = NetworkTable(**{"filters": 8, "depth": 3} | network)
    spec = ModelSpec("m", ("a", "b"), SENSORS, {"F": 1.0, "C": 2.0}, InputTable(low=low), table, 6)
    net = build_network(spec, statistics, seed=1)
    generator = torch.Generator().manual_seed(2)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.1, 0.3, generator=generator)
    torch.nn.init.normal_(net.unet.head.weight, 0, 0.5, generator=generator)
    return net


def make_scene(shape, seed=0, blank=()):
    """Images that change slowly with some noise, and validity: False outside of `blank`'s window, if given."""
    rng = np.random.default_rng(seed)
    images, valid = {}, {}
    for sensor, size in zip(SENSORS, (shape, (-(-shape[0] // 2), -(-shape[1] // 2))), strict=True):
        rows, cols = np.mgrid[: size[0], : size[1]]
        waves = 128 + 60 * np.sin(rows / 5)[None] * np.cos(cols / 7)[None]
        images[sensor.name] = (waves + rng.integers(-40, 40, (len(sensor.bands), *size))).clip(0, 255).astype(np.uint8)
        valid[sensor.name] = np.ones(size, bool)
        if blank:
            valid[sensor.name][:] = False
            step = shape[0] // size[0]
            rows, cols = (slice(part.start // step, part.stop // step) for part in blank.slices)
            valid[sensor.name][rows, cols] = True
    return make_arrays(images, valid=valid, maps=MAPS)


def predict(net, scene, shape, precision, way=predict_tiles, **table):
    settings_ = PredictTable(**{"tile": 4096, "symmetries": 1} | table)
    whole = np.full((2, *shape), np.nan, np.float32)
    for window, p_khw in way([net], scene, choose_engine("cpu", precision), settings_):
        whole[:, *window.slices] = p_khw
    assert not np.isnan(whole).any()
    return whole


@pytest.mark.parametrize("low", ["branch", "upsample"])
@pytest.mark.parametrize("network", [{}, {"block": "triple", "depth": 2}, {"block": "single", "batch_norm": False}])
def test_bytes_are_close_to_float32(low, network):
    shape = (149, 127)
    net, scene = make_net(low, **network), make_scene(shape)
    exact, ours = (predict(net, scene, shape, precision) for precision in ("float32", "int8"))
    assert exact.std() > 0.015
    assert 0 < np.abs(ours - exact).mean() < 0.05 * exact.std()


@settings(max_examples=6, deadline=None)
@given(tile=st.sampled_from([32, 64]), symmetries=st.sampled_from([1, 8]), height=st.integers(40, 90))
def test_tiles_do_not_show(tile, symmetries, height):
    shape, net = (height, 97), make_net()
    scene = make_scene(shape)
    whole = predict(net, scene, shape, "int8", symmetries=symmetries)
    tiled = predict(net, scene, shape, "int8", tile=tile, symmetries=symmetries)
    # Coarse sensors are interpolated in floats: now and then a value lies between two bytes.
    assert np.abs(tiled - whole).mean() < 1e-5


def test_patches_take_bytes_too():
    shape = (71, 83)
    net, scene = make_net(), make_scene(shape)
    exact, ours = (
        predict(net, scene, shape, precision, predict_patches, patch=20, step=10) for precision in ("float32", "int8")
    )
    assert 0 < np.abs(ours - exact).mean() < 0.01


def test_a_convolution_of_bytes_is_that_of_what_they_stand_for():
    generator = torch.Generator().manual_seed(3)
    x = torch.randint(0, 256, (2, 5, 11, 7), dtype=torch.uint8, generator=generator)
    units_in, units_out = torch.rand(5, generator=generator) + 0.5, torch.rand(4, generator=generator) + 900
    weight = torch.randint(-127, 128, (4, 5, 3, 3), generator=generator).float() / units_in.reshape(1, -1, 1, 1)
    weight[:, 0, 0, 0] = 127 / units_in[0]  # so that whole numbers are the bytes of these weights
    bias = torch.randn(4, generator=generator) * 1000
    y = pack(Filter(weight, bias, (1, 1)), units_in, units_out)(x.contiguous(memory_format=torch.channels_last))
    real = functional.conv2d(x.float() * units_in.reshape(1, -1, 1, 1), weight, bias, padding=1)
    wanted = (real / units_out.reshape(1, -1, 1, 1)).clamp(0, 255)
    assert (y.float() - wanted).abs().max() <= 0.5 + 1e-3
    assert 20 < wanted.mean() < 235


def test_what_is_kept_is_part_of_the_whole():
    unet = UNet({1: 3, 2: 2}, 2, NetworkTable(filters=4, depth=3)).eval().requires_grad_(False)
    fold_batch_norm(unet)
    torch.manual_seed(4)
    stacks = {1: torch.randn(2, 3, 76, 92), 2: torch.randn(2, 2, 38, 46)}
    net = ByteUNet(unet, stacks)
    seen = {
        stride: torch.randint(0, 256, stack.shape, dtype=torch.uint8).repeat(1, 2, 1, 1)
        for stride, stack in stacks.items()
    }
    keep = Window(23, 31, 13, 17)
    whole = net(seen)
    for unet.strip_rows in (0, 5):
        assert torch.equal(net(seen, keep), whole[:, :, *keep.slices])


def test_samples_lie_where_data_are():
    """Of 400 x 400 pixels only a corner has data; the ranges must be those of the corner."""
    shape, corner = (400, 400), Window(330, 330, 64, 64)
    net, scene = make_net("upsample"), make_scene(shape, blank=corner)
    exact, ours = (predict(net, scene, shape, precision)[:, *corner.slices] for precision in ("float32", "int8"))
    assert np.abs(ours - exact).mean() < 0.01


def test_windows_of_a_sample():
    assert sample_windows((10, 200), 64, 2) == [Window(0, 18, 64, 64), Window(0, 118, 64, 64)]
    assert sample_windows((64, 64), 64, 3) == [Window(0, 0, 64, 64)]


@pytest.mark.parametrize(
    "network", [{"activation": "elu"}, {"block": "residual"}, {"first_pool": 4}, {"up": "transposed"}]
)
def test_other_networks_are_refused(network):
    [(key, value)] = network.items()
    net = make_net(**network)
    reader = scene_reader([net], make_scene((40, 40)), choose_engine("cpu", "int8"))
    with pytest.raises(RecipeError, match=f"model 'm': predict.precision = 'int8', got {key} = {value!r}"):
        make_ready_for(net, reader, reader.engine)


def test_a_torch_without_bytes_says_so(monkeypatch):
    monkeypatch.setattr(private_ops, "can_multiply_bytes", lambda: False)
    with pytest.raises(RecipeError, match=r"no int8 here, got cpu, torch .*; leave it out"):
        choose_engine("cpu", "int8")
