import pytest
import torch

from landscribe.core.grid import Window
from landscribe.core.recipe import NetworkTable
from landscribe.errors import RecipeError
from landscribe.nn.network.unet import UNet, count_parameters, fold_batch_norm, level_strides


def random_net(channels, classes=2, seed=0, **table):
    torch.manual_seed(seed)
    net = UNet(channels, classes, NetworkTable(**table)).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias)
    return net


def test_the_published_network_has_its_number_of_parameters():
    assert count_parameters(UNet({1: 12}, 1, NetworkTable(filters=32, depth=5))) == 7_855_137


def test_three_convolutions_have_their_number_of_parameters():
    assert count_parameters(UNet({1: 12}, 1, NetworkTable(filters=32, depth=5, block="triple"))) == 11_785_569


@pytest.mark.parametrize(("first_pool", "strides"), [(2, (1, 2, 4, 8, 16)), (4, (1, 4, 8, 16, 32))])
def test_levels(first_pool, strides):
    table = NetworkTable(filters=1, first_pool=first_pool)
    assert level_strides(table) == strides
    assert UNet({1: 1}, 1, table).divisor == strides[-1]


@pytest.mark.parametrize("activation", ["relu", "elu", "selu", "leaky_relu", "gelu", "silu"])
@pytest.mark.parametrize("block", ["double", "triple", "residual"])
def test_every_variation_maps_to_logits_of_the_same_size(block, activation):
    net = random_net({1: 3}, block=block, activation=activation, filters=2, depth=3, batch_norm=False, dropout=0.2)
    assert net({1: torch.randn(1, 3, 12, 20)}).shape == (1, 2, 12, 20)


def test_a_single_level_is_a_plain_stack_of_convolutions():
    net = random_net({1: 3}, filters=2, depth=1)
    assert (net.divisor, net.receptive_radius) == (1, 2)
    assert net({1: torch.randn(1, 3, 7, 5)}).shape == (1, 2, 7, 5)


def reach_by_gradient(net, size, position):
    """Distance of the farthest input pixel that an output at (position, position) has a gradient for."""
    x = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    net({1: x})[0, 0, position, position].backward()
    rows, cols = torch.nonzero(x.grad[0, 0], as_tuple=True)
    return max(int((axis - position).abs().max()) for axis in (rows, cols))


@pytest.mark.parametrize(
    ("table", "size"),
    [
        ({"depth": 1}, 15),
        ({"depth": 2}, 46),
        ({"depth": 3}, 96),
        ({"depth": 3, "block": "triple"}, 128),
        ({"depth": 3, "block": "residual"}, 96),
        ({"depth": 2, "first_pool": 4}, 64),
        ({"depth": 3, "first_pool": 4}, 160),
    ],
)
def test_the_receptive_radius_is_exact(table, size, monkeypatch):
    # Average pooling in place of maximum pooling, so that every pixel in reach has a gradient.
    monkeypatch.setattr(torch.nn.functional, "max_pool2d", torch.nn.functional.avg_pool2d)
    net = random_net({1: 1}, 1, filters=2, activation="elu", **table).double()
    middle = size // 2 // net.divisor * net.divisor
    found = [reach_by_gradient(net, size, middle + i) for i in range(net.divisor)]
    assert max(found) == net.receptive_radius
    assert 2 * net.receptive_radius < size


@pytest.mark.parametrize("first_pool", [2, 4])
def test_keeping_a_part_gives_the_same_numbers(first_pool):
    net = random_net({1: 3, 4: 2}, filters=3, depth=3, first_pool=first_pool)
    stacks = {1: torch.randn(2, 3, 64, 80), 4: torch.randn(2, 2, 16, 20)}
    whole = net(stacks)
    for keep in (Window(0, 0, 5, 7), Window(21, 35, 13, 11), Window(59, 77, 5, 3), Window(0, 0, 64, 80)):
        assert torch.allclose(net(stacks, keep), whole[..., *keep.slices], atol=1e-5)


def test_a_coarse_sensor_enters_at_its_level():
    net = random_net({1: 3, 4: 2}, filters=2, depth=3)
    assert net.down[2].body[0].in_channels == 4 + 2
    stacks = {1: torch.zeros(1, 3, 16, 16), 4: torch.zeros(1, 2, 4, 4)}
    before = net(stacks)
    stacks[4] = torch.ones(1, 2, 4, 4)
    assert not torch.allclose(net(stacks), before)


def test_the_upsampled_channels_come_before_the_skipped_ones():
    net = random_net({1: 3}, filters=2, depth=2)
    x = {1: torch.randn(1, 3, 8, 8)}
    net.up[0].body[0].weight.data[:, :4] = 0
    before = net(x)
    for parameter in net.down[1].parameters():
        parameter.data.fill_(0.7)
    assert torch.equal(net(x), before)


def test_folding_batch_norm_changes_no_result():
    net = random_net({1: 3}, filters=3, depth=3, block="residual")
    x = {1: torch.randn(1, 3, 16, 16)}
    before = net(x)
    fold_batch_norm(net)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
    assert torch.allclose(net(x), before, atol=1e-5)


def test_errors():
    with pytest.raises(RecipeError, match=r"got 12 x 10, need multiples of 4"):
        random_net({1: 1}, filters=1, depth=3)({1: torch.zeros(1, 1, 12, 10)})
    with pytest.raises(RecipeError, match=r"got \[1, 3\], need \(1, 2, 4\)"):
        UNet({1: 1, 3: 1}, 1, NetworkTable(depth=3))
