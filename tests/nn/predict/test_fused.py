import pytest
import torch

from landscribe.core.recipe import NetworkTable
from landscribe.nn.network.unet import UNet, fold_batch_norm
from landscribe.nn.predict.fused import ReluConvolution, fuse_relu
from landscribe.nn.private_ops import can_fuse

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this torch has no fused convolution")


@pytest.mark.parametrize(
    ("network", "fused"),
    [
        ({}, 3 * 2 + 2 * 1),
        ({"block": "triple"}, 3 * 3 + 2 * 2),
        ({"block": "residual"}, 3 + 0),
        ({"batch_norm": False}, 8),
        ({"activation": "elu"}, 0),
    ],
)
def test_fused_is_unfused(network, fused):
    torch.manual_seed(0)
    table = NetworkTable(**{"filters": 5, "depth": 3} | network)
    net = UNet({1: 3}, 2, table).eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 1)
    x = torch.randn(2, 3, 28, 20)
    expected = net({1: x})
    fold_batch_norm(net)
    assert fuse_relu(net) == fused == sum(isinstance(m, ReluConvolution) for m in net.modules())
    assert torch.allclose(net({1: x}), expected, atol=1e-5)
