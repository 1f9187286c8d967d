"""Batch norm with statistics of the scenes that are predicted."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from affine import Affine

from landscribe.core.grid import Window
from landscribe.core.recipe import InputTable, NetworkTable, PredictTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn import private_ops
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.stem import BandStatistics
from landscribe.nn.predict.adapted import MOST, adapt_to, from_file, place_statistics, to_file, with_statistics
from landscribe.nn.predict.tiles import predict_tiles
from scenes import make_arrays

SENSORS = (SensorSpec("F", "f", ("red", "green"), 16), SensorSpec("C", "c", ("nir",), 16))
MAPS = {"F": Affine.identity(), "C": Affine.scale(0.5)}
EXACT = choose_engine("cpu", "float32")


def make_net(low="branch", **network):
    wide = {"F": 1.0, "C": 2.0}
    statistics = {
        s.name: BandStatistics(*(np.full(len(s.bands), v, np.float32) for v in (0, 9999, 300, 40))) for s in SENSORS
    }
    table = NetworkTable(**{"filters": 4, "depth": 3} | network)
    net = build_network(ModelSpec("m", ("a", "b"), SENSORS, wide, InputTable(low=low), table, 6), statistics, seed=1)
    generator = torch.Generator().manual_seed(2)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.1, 0.3, generator=generator)
    torch.nn.init.normal_(net.unet.head.weight, 0, 0.5, generator=generator)
    return net.eval()


def make_scene(shape, seed=0, more=0, valid=None):
    rng = np.random.default_rng(seed)
    images = {}
    for sensor, size in zip(SENSORS, (shape, (-(-shape[0] // 2), -(-shape[1] // 2))), strict=True):
        rows, cols = np.mgrid[: size[0], : size[1]]
        waves = 300 + more + 60 * np.sin(rows / 5)[None] * np.cos(cols / 7)[None]
        images[sensor.name] = (waves + rng.integers(-40, 40, (len(sensor.bands), *size))).astype(np.uint16)
    known = None if valid is None else {"F": valid, "C": valid[::2, ::2]}
    return make_arrays(images, maps=MAPS, valid=known, sensors=SENSORS)


def opens(*scenes):
    return [lambda scene=scene: nullcontext(scene) for scene in scenes]


def predict(nets, scene, **table):
    engine = choose_engine("cpu", table.pop("precision", "float32"))
    whole = np.full((2, *scene.shape_hw), np.nan, np.float32)
    for window, p_khw in predict_tiles(nets, scene, engine, PredictTable(**{"tile": 4096, "symmetries": 1} | table)):
        whole[:, *window.slices] = p_khw
    return whole


def values(net):
    return {name: value for name, value in net.named_buffers() if "running" in name}


def test_the_whole_share_is_what_batch_norm_itself_takes_from_the_same_squares():
    net, scene = make_net(), make_scene((256, 256), seed=3)
    found = place_statistics(net, opens(scene), EXACT, 1.0)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
            module.momentum = 1.0
    images, valid = (
        {n: torch.from_numpy(a[n].astype(t)) for n in a}
        for a, t in ((scene.images_chw, np.float32), (scene.valid_hw, bool))
    )
    bilinear = {"F": images["F"][None], "C": images["C"][None]}
    with torch.no_grad():
        net(bilinear, {name: seen[None, None] for name, seen in valid.items()})
    assert found.keys() == values(net).keys()
    for name, value in values(net).items():
        rest = 0.02 if name.endswith("var") else 1e-4  # torch divides by one less
        assert torch.allclose(found[name], value, rtol=rest, atol=1e-3), name


def test_a_share_lies_between_what_was_trained_and_what_is_seen():
    net, scene = make_net(), make_scene((41, 67), more=100)
    stored = {name: value.clone() for name, value in values(net).items()}
    whole, part = (place_statistics(net, opens(scene), EXACT, share) for share in (1.0, 0.25))
    first = next(name for name in whole if name.endswith("running_mean"))
    assert torch.allclose(part[first], 0.75 * stored[first] + 0.25 * whole[first], atol=1e-5)
    assert not torch.allclose(part[first], stored[first], atol=0.05)
    assert all(torch.equal(value, stored[name]) for name, value in values(net).items())  # it stays as it was


def test_other_light_is_undone():
    """Brighter raw numbers move what the first convolution gives by a constant, which batch norm takes away."""
    net, shape = make_net("upsample"), (97, 83)
    plain, bright = make_scene(shape, seed=5), make_scene(shape, seed=5, more=170)
    same = adapt_to([net], opens(plain), EXACT, 1.0)
    theirs = adapt_to([net], opens(bright), EXACT, 1.0)
    inner = Window(0, 0, *shape).pad(-24).slices
    wanted, found, without = predict(same, plain), predict(theirs, bright), predict(same, bright)
    apart, apart_without = (np.abs(p - wanted)[:, *inner].mean() for p in (found, without))
    assert apart_without > 0.05
    assert apart < 0.2 * apart_without


def test_squares_come_from_all_scenes_and_squares_without_data_do_not_count():
    net = make_net()
    one, other = make_scene((61, 59)), make_scene((61, 59), seed=1, more=400)
    blank = make_scene((61, 59), seed=2, more=900, valid=np.zeros((61, 59), bool))
    alone, both = (place_statistics(net, opens(*s), EXACT, 1.0) for s in ((one,), (one, other)))
    with_blank = place_statistics(net, opens(one, blank, other), EXACT, 1.0)
    assert to_file([with_blank]) == to_file([both]) != to_file([alone])
    assert place_statistics(net, opens(blank), EXACT, 1.0) == {}
    many = [one, other] * MOST
    assert to_file([place_statistics(net, opens(*many), EXACT, 1.0)]) != to_file([both])  # every second is `one`


def test_the_same_scenes_give_the_same_bytes_with_any_number_of_threads():
    net, scenes = make_net(encoder="resnet18", weights="none", depth=5, filters=4), opens(make_scene((331, 290)))
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(to_file([place_statistics(net, scenes, EXACT, 0.5)]))
    assert found[0] == found[1]


@pytest.mark.parametrize("network", [{}, {"encoder": "efficientnet-lite0", "weights": "none", "depth": 5}])
def test_an_adapted_network_has_no_seams_and_is_fused(network):
    net, scene = make_net(**network), make_scene((131, 157), more=80)
    adapted = adapt_to([net], opens(scene), EXACT, 0.5)
    whole = predict(adapted, scene)
    assert np.abs(whole - predict([net], scene)).max() > 0.01
    assert np.allclose(predict(adapted, scene, tile=64), whole, atol=2e-5)


@pytest.mark.skipif(not private_ops.can_multiply_bytes(), reason="this torch has no convolutions of bytes")
def test_bytes_are_close_to_float32():
    net, scene = make_net(), make_scene((131, 157), more=80)
    exact = predict(adapt_to([net], opens(scene), EXACT, 0.5), scene)
    engine = choose_engine("cpu", "int8")
    ours = predict(adapt_to([net], opens(scene), engine, 0.5), scene, precision="int8")
    assert 0 < np.abs(ours - exact).mean() < 0.05 * exact.std()


def test_a_file_holds_what_it_was_given():
    nets = [make_net(), make_net(depth=2)]
    found = [place_statistics(net, opens(make_scene((53, 47))), EXACT, 0.5) for net in nets]
    again = from_file(to_file(found), 2)
    for net, own, read in zip(nets, found, again, strict=True):
        assert own.keys() == read.keys()
        adapted = values(with_statistics(net, read))
        assert all(torch.equal(adapted[name], value) for name, value in own.items())
