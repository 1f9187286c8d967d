"""Networks with encoders for tests."""

import numpy as np
import torch

from known_networks import weights_file
from landscribe.core.recipe import InputTable, NetworkTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.pretrained import load_encoder
from landscribe.nn.network.stem import BandStatistics

RGB = SensorSpec("F", "rgb8", ("red", "green", "blue"), 8)
TWO = (RGB, SensorSpec("C", "c", ("nir", "red_edge"), 8))
NM = {"F": (0.0, 0.0, 0.0), "C": (0.0, 0.0)}


def table_of(name, **more):
    return NetworkTable(**{"encoder": name, "weights": "none", "filters": 8} | more)


def make_net(name, sensors=(RGB,), scales=None, context=5, inputs=None, **more):
    statistics = {
        s.name: BandStatistics(*(np.full(len(s.bands), v, np.float32) for v in (0, 255, 128, 40))) for s in sensors
    }
    spec = ModelSpec(
        "m", ("a", "b"), sensors, scales or {"F": 1.0}, inputs or InputTable(), table_of(name, **more), context
    )
    return build_network(spec, statistics, seed=1)


def lively(net):
    """Give a network weights with which a wrong pixel shows."""
    torch.manual_seed(0)
    randomise(net)
    load_encoder(net, weights_file(net.spec.network.encoder), "file", NM)
    for entrance in net.unet.known.entrances.values():
        torch.nn.init.normal_(entrance.weight)
    torch.nn.init.normal_(net.unet.head.weight)
    torch.nn.init.zeros_(net.unet.head.bias)
    seen = {stride: torch.randn(1, count, 64 // stride, 64 // stride) for stride, count in net.stem.channels.items()}
    with torch.no_grad():
        logits = net.eval().unet(seen)
        net.unet.head.weight.div_(logits.std((0, 2, 3)).reshape(-1, 1, 1, 1))
        net.unet.head.bias.sub_(net.unet(seen).mean((0, 2, 3)))
    return net


def randomise(net):
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias)
