"""Normalisation that knows no other chips, and statistics that are kept."""

import numpy as np
import pytest
import torch
from affine import Affine

from landscribe.core.recipe import ChipTable, InputTable, LossTable, NetworkTable, PredictTable, Recipe, ScheduleTable
from landscribe.core.sensors import SensorSpec
from landscribe.errors import RecipeError
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network, from_files, to_files
from landscribe.nn.network.norms import KeptNorm, PixelNorm
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.predict.tiles import predict_tiles
from landscribe.nn.train.chips import load_bank
from landscribe.nn.train.loop import train
from landscribe.nn.train.settle import settled
from landscribe.nn.train.setup import Setup
from scenes import make_arrays

SENSOR = SensorSpec("F", "f", ("red", "green", "nir"), 8)
SHAPE = (101, 83)
CHIPS = ChipTable(size=64, context=8, batch=2)
LITE = {"encoder": "efficientnet-lite0", "filters": 4, "depth": 5}


def make_scene(seed=0):
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    inside = ((rows // 13 + cols // 17) % 2).astype(np.uint8)
    image = (90 + 60 * inside + rng.integers(-30, 30, (3, *SHAPE))).astype(np.uint8)
    return make_arrays({"F": image}, coverage=255 * inside[None], sensors=(SENSOR,))


SCENE = make_scene()


def make_net(**network):
    table = NetworkTable(**{"filters": 4, "depth": 3} | network)
    spec = ModelSpec("m", ("a",), (SENSOR,), {"F": 1.0}, InputTable(), table, 8)
    return build_network(spec, compute_statistics([SCENE], 0.1), seed=1)


def train_some(net, settle=0):
    schedule = ScheduleTable(epochs=1, steps=3, rate=1e-2, average=0, settle=settle)
    bank = load_bank([SCENE], net.sensor_steps, torch.device("cpu"))
    setup = Setup(net, bank, choose_engine("cpu", "float32"), LossTable(), CHIPS, schedule, 3)
    return train(setup), setup


def predict(net, precision="float32", tile=4096):
    whole = np.full((1, *SHAPE), np.nan, np.float32)
    table = PredictTable(tile=tile, symmetries=1)
    for window, p_khw in predict_tiles([net], SCENE, choose_engine("cpu", precision), table):
        whole[:, *window.slices] = p_khw
    return whole


@pytest.mark.parametrize(("channels", "groups"), [(96, 3), (40, 1)])
def test_each_group_of_maps_has_mean_0_and_variance_1_at_each_pixel(channels, groups):
    norm = PixelNorm(channels, 1e-7)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, channels))
        norm.bias.copy_(torch.linspace(-1, 1, channels))
    x = torch.randn(2, channels, 5, 7, generator=torch.Generator().manual_seed(1)) * 3 + 2
    parts = x.numpy().astype(np.float64).reshape(2, groups, channels // groups, 5, 7)
    even = (parts - parts.mean(axis=2, keepdims=True)) / parts.std(axis=2, keepdims=True)
    factor, offset = (v.detach().numpy().reshape(1, -1, 1, 1) for v in (norm.weight, norm.bias))
    assert np.allclose(norm(x).detach().numpy(), even.reshape(x.shape) * factor + offset, atol=1e-4)


@pytest.mark.parametrize("network", [{}, {"family": "segnet"}, LITE | {"weights": "none"}])
def test_with_group_norm_neither_other_chips_nor_tiles_count(network):
    net = make_net(norm="group", **network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    images = torch.from_numpy(SCENE.images_chw["F"][None, :, :64, :64].astype(np.float32))
    two = {"F": torch.cat([images, images.flip(-1) * 0.5])}
    seen = {"F": torch.ones(2, 1, 64, 64, dtype=torch.bool)}
    net.train()
    with torch.no_grad():
        alone, both = net({"F": images}, {"F": seen["F"][:1]}), net(two, seen)
    assert torch.allclose(alone, both[:1], atol=1e-4)
    whole = predict(net.eval())
    assert whole.std() > 0.01
    assert np.allclose(predict(net, tile=64), whole, atol=2e-5)
    assert np.abs(predict(net, "bf16") - whole).mean() < 0.1 * whole.std()
    assert from_files(to_files(net))[0].spec.network.norm == "group"
    trained, setup = train_some(net)
    assert settled(trained, setup) is trained
    assert np.abs(predict(trained) - whole).max() > 0.01


def test_frozen_statistics_stay_while_all_else_learns():
    net = make_net(**LITE, norm="frozen", weights="x.pth")
    kept = [module for module in net.modules() if isinstance(module, KeptNorm)]
    assert len(kept) == sum(isinstance(module, torch.nn.BatchNorm2d) for module in net.unet.known.modules())
    for number, module in enumerate(kept):
        module.running_mean.fill_(0.01 * number)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    after = train_some(net, settle=2)[0].state_dict()
    same = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert {n for n in before if ".known." in n and "running" in n} <= same
    assert not {n for n in before if ".known." not in n and "running" in n} & same
    assert not {n for n in before if ".known.levels.0" in n and n.endswith("1.weight")} & same


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"norm": "frozen"}, "norm = 'frozen' needs an encoder that begins with weights"),
        ({"norm": "frozen", "encoder": "resnet18", "weights": "none"}, "needs an encoder that begins with weights"),
        ({"norm": "group", "encoder": "efficientnet-lite0"}, "norm = 'group' needs weights = 'none'"),
        ({"norm": "group", "batch_norm": False}, "norm = 'group' does not go with batch_norm = false"),
    ],
)
def test_what_does_not_go_together_is_one_line(network, said):
    with pytest.raises(RecipeError, match=said) as raised:
        Recipe(data={"sensors": {}}, models=[{"network": network}])
    assert "\n" not in str(raised.value)


def test_group_norm_has_no_bytes_and_no_statistics_to_adapt():
    for predict_table, said in (
        ({"precision": "int8"}, "norm = 'group'"),
        ({"adapt": "batchnorm"}, "needs batch norm"),
    ):
        with pytest.raises(RecipeError, match=said):
            Recipe(data={"sensors": {}}, models=[{"network": {"norm": "group"}}], predict=predict_table)


def test_a_network_on_another_grid_is_normalised_too():
    """The branch of a coarse sensor has the same norm as all else."""
    other = SensorSpec("C", "c", ("swir",), 8)
    coarse = np.random.default_rng(2).integers(1, 250, (1, 51, 42), dtype=np.uint8)
    scene = make_arrays(
        {"F": SCENE.images_chw["F"], "C": coarse}, maps={"F": Affine.identity(), "C": Affine.scale(0.5)},
        coverage=SCENE.coverage_khw, sensors=(SENSOR, other),
    )  # fmt: skip
    table = NetworkTable(filters=4, depth=3, norm="group")
    spec = ModelSpec("m", ("a",), (SENSOR, other), {"F": 1.0, "C": 2.0}, InputTable(low="branch"), table, 8)
    net = build_network(spec, compute_statistics([scene], 0.1), seed=1)
    assert len([m for m in net.modules() if isinstance(m, PixelNorm)]) == 10
    engine = choose_engine("cpu", "float32")
    tiles = [p for _, p in predict_tiles([net], scene, engine, PredictTable(tile=4096, symmetries=1))]
    assert np.isfinite(tiles[0]).all()
