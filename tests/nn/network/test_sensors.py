"""Any set of sensors, each at its own resolution, with parts or all of one missing."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from affine import Affine

from landscribe.core.recipe import ChipTable, InputTable, LossTable, NetworkTable, ScheduleTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.stem import BandStatistics, compute_statistics
from landscribe.nn.train.chips import cut_chips, draw_plan, load_bank
from landscribe.nn.train.loop import train
from landscribe.nn.train.setup import Setup
from scenes import make_arrays

CPU = torch.device("cpu")
SIZES = {"RGB": (3, 1.0), "P": (1, 1.0), "M": (8, 4.0), "A": (8, 25.0), "S": (5, 2.7)}
BANDS = {
    "RGB": ("red", "green", "blue"),
    "P": ("pan",),
    "M": ("coastal", "blue", "green", "yellow", "red", "red_edge", "nir1", "nir2"),
    "A": tuple(f"swir{i}" for i in range(8)),
    "S": tuple("abcde"),
}
TABLE = NetworkTable(filters=2, depth=5, activation="leaky_relu")


def network(names, low, indices=(), table=TABLE):
    sensors = tuple(SensorSpec(n, n.lower(), BANDS[n], 11) for n in names)
    known = {n: BandStatistics(*(np.full(SIZES[n][0], v, np.float32) for v in (0, 2047, 400, 100))) for n in names}
    scales = {n: SIZES[n][1] for n in names}
    inputs = InputTable(low=low, indices=indices)
    return build_network(ModelSpec("m", ("a", "b"), sensors, scales, inputs, table, 8), known).eval()


def pictures(net, side=64, seed=0):
    rng = torch.Generator().manual_seed(seed)
    shapes = {
        s.name: (1, len(s.bands), side // net.sensor_steps[s.name], side // net.sensor_steps[s.name])
        for s in net.spec.sensors
    }
    images = {n: torch.rand(shape, generator=rng) * 800 for n, shape in shapes.items()}
    return images, {n: torch.ones(1, 1, *shape[2:], dtype=torch.bool) for n, shape in shapes.items()}


@pytest.mark.parametrize(
    ("names", "indices", "bands"),
    [
        (("RGB",), (), 3),
        (("RGB", "P"), (), 4),
        (("RGB", "P", "M"), (), 12),
        (("RGB", "P", "M"), ("ndvi", "ndwi", "evi", "ccci"), 16),
        (("RGB", "P", "M", "A"), (), 20),
        (("M",), ("ndvi",), 9),
        (("RGB", "S"), (), 8),
    ],
)
@pytest.mark.parametrize("low", ["upsample", "branch", "second"])
def test_every_set_of_sensors_makes_a_network(names, indices, bands, low):
    net = network(names, low, indices)
    assert sum(net.stem.channels.values()) == bands
    images, valid = pictures(net)
    with torch.no_grad():
        assert net(images, valid).shape == (1, 2, 64, 64)


def test_branches_take_the_level_nearest_to_a_pixel_size_whole_or_not():
    assert network(("RGB", "M", "A", "S"), "branch").sensor_steps == {"RGB": 1, "M": 4, "A": 16, "S": 2}
    deep = NetworkTable(filters=2, depth=6)
    assert network(("RGB", "A"), "branch", table=deep).sensor_steps["A"] == 32


@pytest.mark.parametrize("low", ["upsample", "branch"])
def test_missing_pixels_say_nothing_whatever_stands_there(low):
    net = network(("RGB", "M", "A"), low)
    images, valid = pictures(net)
    valid["M"][..., :3, 5:] = False
    valid["A"][:] = False
    with torch.no_grad():
        expected = net(images, valid)
        for name in ("M", "A"):
            images[name] = torch.where(valid[name], images[name], torch.nan)
        assert torch.equal(net(images, valid), expected)
        valid["M"][..., 0, 5] = True
        images["M"][..., 0, 5] = 2000
        assert not torch.equal(net(images, valid), expected)


def scene(name="s", seed=0, without=(), shape=(72, 87)):
    """Two classes that only C tells apart; F is noise."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    there = (np.sin(rows / 9 + seed) * np.cos(cols / 7) > 0) * 255
    small = shape[0] // 3, shape[1] // 3
    coarse = np.stack([there[1 : small[0] * 3 : 3, 1 : small[1] * 3 : 3]] * 2) + rng.normal(0, 20, (2, *small))
    images = {
        "F": rng.integers(1, 900, (3, *shape)).astype(np.uint16),
        "C": np.clip(coarse + 300, 0, 900).astype(np.uint16),
    }
    maps = {"F": Affine.identity(), "C": Affine.scale(1 / 3)}
    valid = {n: np.ones(i.shape[1:], bool) for n, i in images.items()}
    for n in without:
        images[n], valid[n] = np.zeros((len(images[n]), 1, 1), np.uint16), np.zeros((1, 1), bool)
        maps[n] = Affine.scale(1 / shape[1], 1 / shape[0])
    return make_arrays(images, valid=valid, maps=maps, coverage=there.astype(np.uint8)[None], shape=shape, name=name)


def chips_of(scenes, table, steps, backend=None, step=0):
    bank = load_bank(scenes, steps, CPU, backend=backend)
    return bank, cut_chips(bank, table, draw_plan(bank, table, 5, step))


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_sensor_dropout_takes_whole_sensors_from_chips_and_never_all(backend):
    table = ChipTable(size=16, context=2, batch=400, sensor_dropout={"F": 0.5, "C": 0.8})
    _, chips = chips_of([scene()], table, {"F": 1, "C": 2}, backend)
    there = {n: chips.valid[n].flatten(1).any(1) for n in ("F", "C")}
    whole = {n: chips.valid[n].flatten(1).all(1) for n in ("F", "C")}
    assert all(torch.equal(there[n], whole[n]) for n in there)
    assert (there["F"] | there["C"]).all()
    # Gone where it is drawn and the other is not: 0.5 x 0.2 and 0.8 x 0.5.
    assert (~there["F"]).float().mean() == pytest.approx(0.1, abs=0.05)
    assert (~there["C"]).float().mean() == pytest.approx(0.4, abs=0.08)


def test_without_dropout_nothing_changes():
    plain, named = (ChipTable(size=16, context=2, batch=9, **more) for more in ({}, {"sensor_dropout": {"C": 0.0}}))
    one, two = (chips_of([scene()], table, {"F": 1, "C": 1})[1] for table in (plain, named))
    assert all(
        torch.equal(one.images[n], two.images[n]) and torch.equal(one.valid[n], two.valid[n]) for n in ("F", "C")
    )


def test_what_a_scene_lacks_is_never_the_last_thing_left():
    table = ChipTable(size=16, context=2, batch=60, sensor_dropout={"F": 0.9})
    scenes, steps = [scene("a", without=("C",)), scene("b", 1)], {"F": 1, "C": 1}
    bank = load_bank(scenes, steps, CPU)
    plan = draw_plan(bank, table, 5, 0)
    chips, lacking = cut_chips(bank, table, plan), torch.from_numpy(plan.scene_b == 0)
    there = {n: chips.valid[n].flatten(1).any(1) for n in steps}
    assert 0 < lacking.sum() < len(lacking)
    assert there["F"][lacking].all()
    assert not there["C"][lacking].any()
    assert there["F"][~lacking].float().mean() < 0.4
    assert there["C"][~lacking].all()


def test_a_network_trained_with_dropout_lives_without_the_sensor():
    """F says as much as C here; only a network that has met chips without C looks at it."""
    scenes = []
    for seed in (0, 1):
        one = scene(seed=seed)
        grey = (one.coverage_khw[0] / 255 * 400 + 200).astype(np.uint16)
        scenes.append(replace(one, images_chw={**one.images_chw, "F": np.stack([grey] * 3)}))
    sensors = (SensorSpec("F", "f", ("x", "y", "z"), 11), SensorSpec("C", "c", ("u", "v"), 11))
    spec = ModelSpec("m", ("k",), sensors, {"F": 1.0, "C": 3.0}, InputTable(), NetworkTable(filters=4, depth=2), 2)
    net = build_network(spec, compute_statistics(scenes, 0.1), seed=1)
    table = ChipTable(size=24, context=2, batch=6, sensor_dropout={"C": 0.5})
    bank = load_bank(scenes, net.sensor_steps, CPU)
    schedule = ScheduleTable(epochs=1, steps=80, rate=1e-2, average=0.8)
    done = train(Setup(net, bank, Engine(CPU, torch.float32, "test"), LossTable(), table, schedule, seed=0))
    chips = cut_chips(bank, ChipTable(size=24, context=2, batch=20), draw_plan(bank, table, 9, 1))
    gone = {**chips.valid, "C": torch.zeros_like(chips.valid["C"])}
    with torch.no_grad():
        p = torch.sigmoid(done(chips.images, gone))[..., 2:-2, 2:-2]
    truth, known = chips.target > 0.5, chips.weight > 0
    assert ((p > 0.5) == truth)[known].float().mean() > 0.9


def test_a_missing_sensor_reaches_no_statistics():
    with_all, without = [scene("a"), scene("b", 1)], [scene("a"), scene("b", 1, without=("C",))]
    alone = compute_statistics(with_all[:1], 0.1)["C"]
    mixed = compute_statistics(without, 0.1)["C"]
    for field, other in itertools.pairwise(("low", "high", "mean", "std")):
        assert np.array_equal(getattr(alone, field), getattr(mixed, field))
        assert np.array_equal(getattr(alone, other), getattr(mixed, other))
