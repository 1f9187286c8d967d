import numpy as np
import pytest
import torch
from affine import Affine

from landscribe.core.grid import Window
from landscribe.core.recipe import InputTable, NetworkTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.stem import BandStatistics
from landscribe.nn.predict import reading
from landscribe.nn.predict.prepare_network import make_ready_for
from landscribe.nn.predict.reading import SceneReader
from landscribe.nn.predict.stem_table import ReadyStem
from landscribe.nn.private_ops import can_multiply_bytes
from scenes import make_arrays

SENSORS = (
    SensorSpec("F", "f", ("red", "green", "blue"), 11),
    SensorSpec("G", "g", ("nir",), 8),
    SensorSpec("C", "c", ("swir1", "swir2"), 14),
)
SHAPE = (75, 61)
PRECISIONS = [
    "float32",
    "bf16",
    pytest.param("int8", marks=pytest.mark.skipif(not can_multiply_bytes(), reason="torch")),
]


def make_net(sensors, scales, **inputs):
    rng = np.random.default_rng(3)
    statistics = {}
    for s in sensors:
        low, high = (rng.uniform(*span, len(s.bands)).astype(np.float32) for span in ((0, 40), (150, 250)))
        statistics[s.name] = BandStatistics(low, high, (low + high) / 3, (high - low) / 5)
    spec = ModelSpec("m", ("a",), sensors, scales, InputTable(**inputs), NetworkTable(filters=8, depth=3), 8)
    return build_network(spec, statistics)


def make_reader(sensors, engine, dtypes, coarse=()):
    """Noise of each sensor with a hole in it; sensors in `coarse` have half the pixels."""
    rng = np.random.default_rng(4)
    images, valid, maps = {}, {}, {}
    for sensor, dtype in zip(sensors, dtypes, strict=True):
        shape = tuple(-(-n // 2) for n in SHAPE) if sensor.name in coarse else SHAPE
        low = -90 if np.dtype(dtype).kind in "if" else 0
        images[sensor.name] = rng.integers(low, 255, (len(sensor.bands), *shape)).astype(dtype)
        valid[sensor.name] = rng.random(shape) < 0.9
        maps[sensor.name] = Affine.scale(0.5) if sensor.name in coarse else Affine.identity()
    return SceneReader(make_arrays(images, valid=valid, maps=maps, shape=SHAPE), maps, engine)


def stacks_both_ways(monkeypatch, net, reader, windows):
    ready = make_ready_for(net, reader, reader.engine)
    looked_up = reader.load_many(ready, windows)
    monkeypatch.setattr(reading, "TABLE_TYPES", frozenset())
    return ready.stem, looked_up, reader.load_many(ready, windows)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("dtypes", [("uint16", "uint8"), ("int16", "uint16")])
@pytest.mark.parametrize(
    "windows",
    [
        [Window(-8, -8, 96, 80)],
        [Window(40, 24, 32, 32)],
        [Window(56, -8, 24, 24), Window(56, 9, 24, 24), Window(56, 45, 24, 24)],
    ],
)
def test_a_table_gives_what_the_stem_gives(monkeypatch, precision, dtypes, windows):
    engine = choose_engine("cpu", precision)
    net, reader = make_net(SENSORS[:2], {"F": 1.0, "G": 1.0}), make_reader(SENSORS[:2], engine, dtypes)
    stem, looked_up, stemmed = stacks_both_ways(monkeypatch, net, reader, windows)
    assert stem.tables[1] is not None
    assert looked_up[1].shape == (len(windows), 8 if precision == "int8" else 4, windows[0].height, windows[0].width)
    assert torch.equal(looked_up[1], stemmed[1])
    assert looked_up[1].is_contiguous(memory_format=torch.channels_last)
    assert looked_up[1].float().std() > 0.1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_one_stack_by_a_table_and_one_by_the_stem(monkeypatch, precision):
    engine = choose_engine("cpu", precision)
    sensors = (SENSORS[0], SENSORS[2])
    net = make_net(sensors, {"F": 1.0, "C": 2.0}, low="branch")
    reader = make_reader(sensors, engine, ("uint16", "uint16"), coarse=("C",))
    stem, looked_up, stemmed = stacks_both_ways(monkeypatch, net, reader, [Window(-8, -8, 96, 80)])
    assert list(stem.tables) == [1]
    assert looked_up.keys() == stemmed.keys() == {1, 2}
    assert all(torch.equal(looked_up[stride], stemmed[stride]) for stride in (1, 2))


@pytest.mark.parametrize(
    ("dtypes", "coarse", "inputs"),
    [
        (("float32", "uint8"), (), {}),
        (("int32", "uint8"), (), {}),
        (("uint16", "uint8"), ("G",), {}),
        (("uint16", "uint8"), (), {"indices": ("ndvi",)}),
        (("uint16", "uint8"), (), {"mask": True}),
    ],
)
def test_no_table_where_one_does_not_hold(dtypes, coarse, inputs):
    """For floats, for sensors that are resampled, for indices of two bands, for masks."""
    engine = choose_engine("cpu", "float32")
    net = make_net(SENSORS[:2], {"F": 1.0, "G": 1.0}, **inputs)
    reader = make_reader(SENSORS[:2], engine, dtypes, coarse)
    ready = make_ready_for(net, reader, engine)
    stack = reader.load_many(ready, [Window(0, 0, 72, 56)])[1]
    assert not any(ready.stem.tables.values())
    assert stack.shape[1] == 4 + len(inputs.get("indices", ())) + 2 * inputs.get("mask", False)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("inputs", [{}, {"mask": True}, {"indices": ("ndvi",)}, {"low": "branch"}])
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_stacks_are_what_the_stem_makes(monkeypatch, precision, inputs, dtype):
    scales = {"F": 1.0, "G": 1.0, "C": 2.0}
    windows = [Window(-8, -8, 64, 40), Window(-8, 24, 64, 40)]

    def stacks(precision):
        engine = choose_engine("cpu", precision)
        reader = make_reader(SENSORS, engine, (dtype,) * 3, coarse=("C",))
        ready = make_ready_for(make_net(SENSORS, scales, **inputs), reader, engine)
        return reader.load_many(ready, windows), ready.stem.units

    ours, units = stacks(precision)
    monkeypatch.setattr(ReadyStem, "follows_bands", lambda *_: False)
    exact, _ = stacks("float32")
    assert ours.keys() == exact.keys() == ({1, 2} if "low" in inputs else {1})
    for stride, floats in exact.items():
        if precision == "int8":
            signs = torch.cat([floats, -floats], dim=1).clamp(min=0) / units[stride].reshape(1, -1, 1, 1)
            expected = signs.round().clamp(max=255).to(torch.uint8)
        else:
            expected = floats.to(choose_engine("cpu", precision).dtype)
        assert torch.equal(ours[stride], expected)
        assert (ours[stride] == 0).float().mean() > 0.05
