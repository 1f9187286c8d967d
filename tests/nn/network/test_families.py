"""Every family of networks keeps the promises that prediction rests on."""

import numpy as np
import pytest
import torch
from affine import Affine

from encoder_nets import randomise
from landscribe.core.grid import Window
from landscribe.core.recipe import InputTable, NetworkTable, PredictTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network, from_files, to_files
from landscribe.nn.network.stem import BandStatistics
from landscribe.nn.network.unet import UNet, fold_batch_norm
from landscribe.nn.predict.fused import make_ready
from landscribe.nn.predict.tiles import predict_tiles
from scenes import make_arrays

FAMILIES = {
    "inception": {"block": "inception", "depth": 3},
    "inception2": {"block": "inception2", "depth": 2},
    "dense": {"block": "dense", "depth": 3},
    "dense without norm": {"block": "dense", "depth": 2, "batch_norm": False},
    "single": {"block": "single", "depth": 3},
    "strided": {"down": "convolution", "widths": (8, 8, 16)},
    "strided by 4": {"down": "convolution", "depth": 2, "first_pool": 4},
    "transposed": {"up": "transposed", "depth": 3},
    "segnet": {"family": "segnet"},
    "segnet transposed": {"family": "segnet", "up": "transposed"},
    "densenet": {"family": "densenet", "filters": 3},
    "densenet without norm": {"family": "densenet", "filters": 2, "batch_norm": False},
    "small-unet": {"family": "small-unet"},
    "small": {"family": "small"},
    "old": {"family": "old"},
    "mini": {"family": "mini"},
}
each = pytest.mark.parametrize("name", FAMILIES)


def random_net(name, channels=None, classes=2, **table):
    torch.manual_seed(len(name))
    net = UNet(channels or {1: 3}, classes, NetworkTable(**{"filters": 8} | FAMILIES[name] | table)).eval()
    randomise(net)
    return net


@each
def test_a_kept_part_is_cut_out_of_the_whole(name):
    net = random_net(name)
    step = net.divisor
    height, width = 9 * step + (0 if step > 4 else 40), 10 * step + (0 if step > 4 else 36)
    x = {1: torch.randn(1, 3, height, width)}
    whole = net(x)
    assert whole.shape == (1, 2, height, width)
    keeps = [Window(0, 0, 5, 7), Window(height // 3, width // 2, 13, 11), Window(height - 5, width - 3, 5, 3)]
    for keep in (*keeps, Window(0, 0, height, width)):
        assert torch.allclose(net(x, keep), whole[..., *keep.slices], atol=1e-4), keep
    assert whole.std() > 1e-3


@each
@pytest.mark.parametrize("rows", [5, 16])
def test_strips_are_cut_out_of_the_whole(name, rows):
    net = random_net(name)
    step = net.divisor
    x = {1: torch.randn(1, 3, 9 * step + (0 if step > 4 else 40), 5 * step + (0 if step > 4 else 12))}
    whole = net(x)
    if not net.has_strips:
        assert net.layout.skip == "convolution" or not net.up
        return
    net.strip_rows = rows
    seen = []
    net.up[0].register_forward_hook(lambda _module, given, _made: seen.append(given[0].shape[-2]))
    for keep in (None, Window(0, 0, 21, 7), Window(whole.shape[-2] // 3, 3, 13, 11)):
        kept = whole if keep is None else whole[..., *keep.slices]
        assert torch.allclose(net(x, keep), kept, atol=1e-4), keep
    assert all(height <= rows + 12 for height in seen)


@each
def test_nothing_beyond_the_receptive_radius_has_a_say_and_what_is_at_it_has(name, monkeypatch):
    # Average pooling in place of maximum pooling, so that every pixel in reach has a gradient.
    monkeypatch.setattr(torch.nn.functional, "max_pool2d", torch.nn.functional.avg_pool2d)
    net = random_net(name, {1: 1}, 1, activation="elu").double()
    radius = net.receptive_radius
    size = (2 * radius // net.divisor + 3) * net.divisor
    middle = size // 2 // net.divisor * net.divisor
    # Of the large ones only two positions on the pooling grid: every one, and that all agree, is in `test_unet`.
    far = [max(i - low, high - i) for i, (low, high) in enumerate(map(net._reach, range(net.divisor)))]
    for i in range(net.divisor) if radius < 50 else {0, far.index(radius)}:
        x = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
        net({1: x})[0, 0, middle + i, middle + i].backward()
        rows, cols = torch.nonzero(x.grad[0, 0], as_tuple=True)
        assert max(int((axis - middle - i).abs().max()) for axis in (rows, cols)) == far[i]


@each
def test_folding_and_fusing_change_no_result(name):
    net = random_net(name)
    x = {1: torch.randn(1, 3, 4 * net.divisor, 5 * net.divisor)}
    before = net(x)
    left = sum(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    fold_batch_norm(net)
    assert torch.allclose(net(x), before, atol=1e-4)
    # Only dense layers have batch norm that no convolution stands before.
    remaining = sum(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    assert remaining == (left if "dense" in name else 0)


@each
def test_a_model_on_disk_predicts_what_it_did(name):
    sensor = SensorSpec("F", "f", ("red", "green"), 8)
    statistics = {"F": BandStatistics(*(torch.full((2,), v).numpy() for v in (0.0, 255.0, 128.0, 40.0)))}
    table = NetworkTable(**{"filters": 8} | FAMILIES[name])
    net = build_network(ModelSpec("m", ("a", "b"), (sensor,), {"F": 1.0}, InputTable(), table, 4), statistics, seed=3)
    randomise(net)
    again, spec, _ = from_files(to_files(net))
    image = {"F": torch.rand(1, 2, 4 * net.divisor, 3 * net.divisor) * 255}
    valid = {"F": torch.ones(1, 1, *image["F"].shape[-2:], dtype=torch.bool)}
    expected = net.eval()(image, valid)
    assert spec.network == table
    assert torch.equal(again(image, valid), expected)
    for precision, tolerance in (("float32", 1e-4), ("bf16", 0.1)):
        ready = make_ready(net, choose_engine("cpu", precision))
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        found = ready.unet({1: ready.stem(image, valid)[1].to(dtype)}).float()
        assert (found - expected).abs().mean() < tolerance * expected.std()


@each
@pytest.mark.parametrize("low", ["upsample", "second"])
def test_tiled_is_untiled(name, low):
    sensors = (SensorSpec("F", "f", ("red", "green"), 8), SensorSpec("C", "c", ("nir",), 8))
    statistics = {
        s.name: BandStatistics(*(np.full(len(s.bands), v, np.float32) for v in (0, 255, 128, 40))) for s in sensors
    }
    table = NetworkTable(**{"filters": 8} | FAMILIES[name])
    spec = ModelSpec("m", ("a",), sensors, {"F": 1.0, "C": 2.0}, InputTable(low=low), table, 5)
    net = build_network(spec, statistics, seed=1)
    randomise(net)
    rng, shape = np.random.default_rng(0), (83, 71)
    images = {"F": rng.integers(0, 255, (2, *shape)), "C": rng.integers(0, 255, (1, 42, 36))}
    images = {sensor: image.astype(np.uint8) for sensor, image in images.items()}
    scene = make_arrays(images, maps={"C": Affine.translation(0.3, -0.2) @ Affine.scale(0.5)})
    results = []
    for tile in (32, 96):
        whole = np.full(shape, np.nan, np.float32)
        predict = PredictTable(tile=tile, symmetries=1)
        for window, p_khw in predict_tiles([net], scene, choose_engine("cpu", "float32"), predict):
            whole[window.slices] = p_khw[0]
        results.append(whole)
    assert np.abs(results[0] - results[1]).max() < 1e-4


@each
def test_every_weight_is_learned(name):
    net = random_net(name, {1: 3}).train()
    net({1: torch.randn(2, 3, 4 * net.divisor, 4 * net.divisor)}).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_dropout_follows_every_block_and_is_gone_in_evaluation():
    for name in FAMILIES:
        net = random_net(name, dropout=0.5, filters=32 if name == "mini" else 8)
        x = {1: torch.randn(1, 3, 4 * net.divisor, 4 * net.divisor)}
        assert torch.equal(net(x), net(x)), name
        net.train()
        assert not torch.equal(net(x), net(x)), name


def test_weights_as_keras_draws_them():
    net = UNet({1: 6}, 1, NetworkTable(filters=24, depth=2, init="he"))
    first, head = net.down[0].body[0].requires_grad_(False), net.head.requires_grad_(False)
    assert first.weight.abs().max() == pytest.approx((6 / 54) ** 0.5, rel=0.02)
    assert first.weight.std() == pytest.approx((2 / 54) ** 0.5, rel=0.05)
    assert head.weight.abs().max() == pytest.approx((6 / 25) ** 0.5, rel=0.2)
    assert first.bias.abs().max() == head.bias.abs().max() == 0


@pytest.mark.parametrize("name", ["strided", "densenet", "segnet", "small-unet"])
def test_coarse_sensors_enter_where_there_is_a_level(name):
    net = random_net(name, {1: 3, 4: 2} if name != "small-unet" else {1: 3, 2: 2})
    stride = net.strides[2] if name in {"strided", "segnet"} else net.strides[1]
    stacks = {1: torch.randn(1, 3, 48, 64), stride: torch.zeros(1, 2, 48 // stride, 64 // stride)}
    before = net(stacks)
    stacks[stride] = torch.ones_like(stacks[stride])
    assert not torch.allclose(net(stacks), before)
