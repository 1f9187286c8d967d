"""Networks of the two reference methods: `reference_methods.md` 2.5 and 3.3. Tiny where numbers are not counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from landscribe.core.grid import Window
from landscribe.core.recipe import InputTable, NetworkTable
from landscribe.core.sensors import SensorSpec
from landscribe.errors import RecipeError
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.stem import BandStatistics
from landscribe.nn.network.unet import UNet, count_parameters, level_strides

BANDS, CLASSES = 12, 1
INPUT, OUTPUT = 96, Window(16, 16, 64, 64)
UNUSED_IN_UNET2 = 12 * 12 * 3 * 3 + 12
"""Parameters of a strided convolution of the input that the original has and never calls; ours has none such."""

PUBLISHED = {
    "UNet": ({}, 7_855_137),
    "UNet3l": ({"block": "triple"}, 11_785_569),
    "UNet2": ({"down": "convolution", "widths": (64, 64, 128, 256, 512)}, 9_604_189 - UNUSED_IN_UNET2),
    "InceptionUNet": ({"block": "inception"}, 2_237_775),
    "Inception2UNet": ({"block": "inception2"}, 4_151_407),
    "DenseUNet": ({"block": "dense"}, 5_413_889),
    "DenseNet": ({"family": "densenet"}, 3_536_673),
    "SimpleSegNet": ({"family": "segnet"}, 1_956_641),
    "SmallUNet": ({"family": "small-unet", "batch_norm": False}, 105_377),
    "SmallNet": ({"family": "small", "batch_norm": False}, 155_841),
    "OldNet": ({"family": "old", "batch_norm": False}, 227_329),
    "MiniNet": ({"family": "mini", "batch_norm": False}, 421),
}
T = {"activation": "elu", "norm_momentum": 0.01, "norm_epsilon": 1e-3, "init": "he"}
"""The network of the second method."""


def meta(channels=BANDS, classes=CLASSES, **table):
    with torch.device("meta"):
        return UNet({1: channels}, classes, NetworkTable(**table))


def tiny(channels=3, **table):
    torch.manual_seed(0)
    return UNet({1: channels}, 1, NetworkTable(**{"filters": 8} | table))


def convolutions(net):
    return [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)]


def normalisations(net):
    return [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_l29_every_network_has_its_number_of_parameters_and_maps_96_to_64(name):
    table, parameters = PUBLISHED[name]
    net = meta(**table)
    assert count_parameters(net) == parameters
    assert net({1: torch.empty(2, BANDS, INPUT, INPUT, device="meta")}, OUTPUT).shape == (2, 1, 64, 64)


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("name", ["DenseNet", "DenseUNet", "UNet"])
def test_l29_no_activation_changes_what_another_layer_reads(name, batch_norm, activation):
    """The original's worked in place on maps that the skips joined again afterwards.

    Where a skip is read through a ReLU first, a second one does not show; that of an ELU does.
    """
    settings = {"batch_norm": batch_norm, "activation": activation, "filters": 4}
    net = tiny(**{**PUBLISHED[name][0], **settings}).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        x = torch.randn(1, 3, INPUT, INPUT)
        given = x.clone()
        found = net({1: x}, OUTPUT)
        assert torch.equal(x, given)
        for module in net.modules():
            if hasattr(module, "inplace"):
                module.inplace = False
        assert torch.equal(net({1: given}, OUTPUT), found)


def test_l02_unet_with_batch_norm():
    net = meta()
    assert count_parameters(net) == 7_855_137
    assert len(normalisations(net)) == 18
    assert normalisations(meta(batch_norm=False)) == []


def test_l02_it_learns_one_patch_by_heart():
    net = tiny(depth=3)
    torch.manual_seed(1)
    x, rows = torch.randn(1, 3, INPUT, INPUT), torch.arange(64)
    y = (((rows[:, None] - 30) ** 2 + (rows - 25) ** 2) < 300).float()[None, None]
    # What is to be seen shows in the first band, under noise.
    x[:, :1, 16:-16, 16:-16] += 2 * y
    # Evaluation reads running averages, which trail weights that still move fast: at one high rate, how threads round
    # decides what it finds. So the rate falls by fives with a new optimiser each, as in the method.
    for steps, rate in ((80, 5e-3), (20, 1e-3), (20, 2e-4)):
        optimizer = torch.optim.Adam(net.parameters(), lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(net({1: x}, OUTPUT), y).backward()
            optimizer.step()
    found = net.eval()({1: x}, OUTPUT) > 0
    truth = y > 0
    assert (found & truth).sum() / (found | truth).sum() > 0.99
    # What is cut off does not learn, and the other layers make up for it: every convolution must heed all its inputs.
    for old, new in zip(convolutions(tiny(depth=3)), convolutions(net), strict=True):
        assert (old.weight != new.weight).any((0, 2, 3)).all()


def test_l04_output_pixels_lie_where_input_pixels_do():
    net = tiny(depth=2, batch_norm=False)
    for row, col in ((0, 0), (31, 17), (63, 63)):
        x = torch.zeros(1, 3, INPUT, INPUT)
        before = net({1: x}, OUTPUT)
        x[..., row + 16, col + 16] = 5.0
        change = (net({1: x}, OUTPUT) - before).abs()[0, 0]
        assert divmod(int(change.argmax()), 64) == pytest.approx((row, col), abs=2)
    # Without levels the place is exact.
    flat = tiny(family="mini", batch_norm=False, filters=64)
    x = torch.zeros(1, 3, INPUT, INPUT, requires_grad=True)
    flat({1: x}, OUTPUT)[0, 0, 31, 17].backward()
    rows, cols = torch.nonzero(x.grad[0].abs().sum(0), as_tuple=True)
    assert (rows.min() + rows.max(), cols.min() + cols.max()) == (2 * (31 + 16), 2 * (17 + 16))


def test_l04_96_fits_and_116_is_refused():
    net = tiny()
    with pytest.raises(RecipeError, match="input size, got 116 x 116, need multiples of 16"):
        net({1: torch.zeros(1, 3, 116, 116)})
    assert net({1: torch.zeros(1, 3, 96, 96)}).shape == (1, 1, 96, 96)


def test_l11_whole_maps_are_dropped_in_training_alone():
    net = tiny(depth=2, dropout=0.4, batch_norm=False)
    maps = []
    net.dropout.register_forward_hook(lambda _module, _inputs, y: maps.append(y.detach()))
    x = {1: torch.randn(64, 3, 8, 8)}
    net.train()(x)
    gone = [(m.abs().amax((2, 3)) == 0).float().mean().item() for m in maps]
    assert len(gone) == 3, "two modules down, one up"
    plain = tiny(depth=2, batch_norm=False)
    plain.load_state_dict(net.state_dict())
    assert torch.equal(net.eval()(x), plain(x))
    # Of the lower levels some maps are 0 of themselves; of the first level hardly one is.
    assert gone[0] == pytest.approx(0.4, abs=0.08)
    assert plain.train()(x).equal(plain.eval()(x)), "without dropout training and evaluation are the same"


def test_l18_a_first_pool_of_4_has_as_many_parameters_and_half_the_products():
    fine, coarse = meta(), meta(first_pool=4)
    assert count_parameters(fine) == count_parameters(coarse)
    assert level_strides(NetworkTable(first_pool=4)) == (1, 4, 8, 16, 32)
    assert coarse.divisor == 32
    products = []
    for net in (fine, coarse):
        with FlopCounterMode(display=False) as counter:
            net({1: torch.empty(1, BANDS, INPUT, INPUT, device="meta")}, OUTPUT)
        products.append(counter.get_total_flops())
    # What that is in time, benchmarks/first_pool.py measures: 1.6 times less.
    assert products[0] / products[1] > 1.9


def test_l26_coarse_bands_enter_at_the_second_level():
    n = 12
    fine = SensorSpec("F", "f", ("red", "green", "blue", "pan"), 8)
    coarse = SensorSpec("M", "m", ("coastal", "yellow", "red_edge", "nir1", "nir2", "a", "b", "c"), 8)
    inputs, scales = InputTable(low="second"), {"F": 1.0, "M": 4.0}
    spec = ModelSpec("m", ("tree",), (fine, coarse), scales, inputs, NetworkTable(filters=8), 16)
    statistics = {
        s.name: BandStatistics(*(np.full(len(s.bands), v, np.float32) for v in (0, 255, 128, 40))) for s in spec.sensors
    }
    net = build_network(spec, statistics, seed=0)
    assert net.sensor_steps == {"F": 1, "M": 2}
    assert net.unet.down[0].body[0].in_channels == 4
    assert net.unet.down[1].body[0].in_channels == 8 + (n - 4)
    images = {
        "F": (255 * torch.rand(1, 4, 96, 96)).requires_grad_(),
        "M": (255 * torch.rand(1, n - 4, 48, 48)).requires_grad_(),
    }
    valid = {name: torch.ones(1, 1, *image.shape[-2:], dtype=torch.bool) for name, image in images.items()}
    net(images, valid, OUTPUT).square().sum().backward()
    for image in images.values():
        assert (image.grad.abs().sum((0, 2, 3)) > 0).all()


ACTIVATIONS = (torch.nn.ReLU, torch.nn.ELU, torch.nn.SELU, torch.nn.LeakyReLU)


EXPECTED = {
    "relu": lambda x: x.clamp(min=0),
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "selu": lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (x.exp() - 1)),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
}
"""What torch.nn.functional makes of a number under these names, by which method L looked its activations up."""


@pytest.mark.parametrize(("name", "kind"), [*zip(("relu", "elu", "selu", "leaky_relu"), ACTIVATIONS, strict=True)])
def test_l27_the_activation_is_the_one_named(name, kind):
    found = [module for module in tiny(activation=name).modules() if type(module) in ACTIVATIONS]
    assert {type(module) for module in found} == {kind}
    x = torch.linspace(-3, 3, 41)
    for module in found:
        assert torch.allclose(module(x.clone()), EXPECTED[name](x)), name


def test_l27_each_setting_makes_the_layers_it_names():
    def outputs(net):
        return [block.body[0].out_channels for block in net.down]

    assert outputs(meta(filters=5, depth=4)) == [5, 10, 20, 40]
    assert outputs(meta(widths=(4, 4, 8))) == [4, 4, 8]
    for block, count in (("single", 1), ("double", 2), ("triple", 3)):
        assert {len(convolutions(part)) for part in meta(block=block).down} == {count}
    assert convolutions(meta().enter) == []
    assert [conv.stride for conv in meta(down="convolution").enter] == [(2, 2)] * 4
    for up, count in (("nearest", 0), ("transposed", 4)):
        assert sum(isinstance(m, torch.nn.ConvTranspose2d) for m in meta(up=up).modules()) == count


@pytest.mark.parametrize("activation", ["relu", "elu", "selu", "leaky_relu"])
@pytest.mark.parametrize(
    "table",
    [
        {"filters": 4},
        {"filters": 4, "block": "triple"},
        {"down": "convolution", "widths": (4, 4, 8)},
        {"filters": 4, "up": "transposed"},
        {"family": "small-unet", "up": "transposed"},
    ],
)
def test_l27_filters_activations_layers_scales_and_learned_upsampling(activation, table):
    net = tiny(activation=activation, **table)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, y = {1: torch.randn(2, 3, 96, 96)}, torch.rand(2, 1, 64, 64).round()
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x, OUTPUT), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_t04_elu_batch_norm_as_in_keras_and_112_to_80():
    net = meta(channels=16, **T)
    assert count_parameters(net) == 7_856_289
    assert all((norm.momentum, norm.eps) == (0.01, 1e-3) for norm in normalisations(net))
    assert sum(isinstance(module, torch.nn.ELU) for module in net.modules()) == 18
    x = torch.empty(2, 16, 112, 112, device="meta")
    assert net({1: x}, Window(16, 16, 80, 80)).shape == (2, 1, 80, 80)


def test_t04_the_crop_before_the_last_batch_norm_changes_what_it_sees_in_training_and_nothing_else():
    torch.manual_seed(2)
    net = tiny(depth=2, **T | {"norm_momentum": 1.0})
    last = normalisations(net)[-1]
    x, keep = {1: torch.randn(2, 3, 48, 48)}, Window(16, 16, 16, 16)
    seen = []
    last.register_forward_hook(lambda _module, inputs, _y: seen.append(inputs[0].shape[-2:]))
    net.train()(x, keep)
    # Ours sees the kept pixels and those that its own two convolutions reach beyond them, not the whole frame of 16.
    assert seen[-1] == (20, 20)
    whole, part = (net.eval()(x, k) for k in (None, keep))
    assert torch.allclose(whole[..., *keep.slices], part, atol=1e-5)
