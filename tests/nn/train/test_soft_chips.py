"""Chips with soft labels between labelled ones."""

from dataclasses import replace

import numpy as np
import torch

from landscribe.core.recipe import ChipTable, InputTable, LossTable, NetworkTable, ScheduleTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.train.batches import cut_ahead
from landscribe.nn.train.chips import draw_plan, load_bank
from landscribe.nn.train.loop import Callbacks, train
from landscribe.nn.train.setup import Setup
from scenes import make_arrays

SENSOR = SensorSpec("F", "f", ("red",), 8)
SHAPE = (83, 71)
CHIPS = ChipTable(size=32, context=4, batch=3, sharp=1.0, oversample=1.0, gain=0.0, band_gain=0.0, scale=0.0)
CPU = torch.device("cpu")


def scene(value, coverage):
    image = np.full((1, *SHAPE), value, np.uint8)
    return make_arrays({"F": image}, coverage=coverage, labelled=coverage[-1] > 0, sensors=(SENSOR,))


LABELLED = scene(50, np.full((1, *SHAPE), 255, np.uint8))
SOFT_KHW = np.stack([np.full(SHAPE, 20, np.uint8), np.full(SHAPE, 51, np.uint8)])
SOFT_KHW[0, 40:60, 30:50] = 204
SOFT_KHW[1, :20] = 0
NEW = scene(200, SOFT_KHW)


def make_setup(**more):
    spec = ModelSpec("m", ("a",), (SENSOR,), {"F": 1.0}, InputTable(), NetworkTable(filters=2, depth=2), 4)
    net = build_network(spec, compute_statistics([LABELLED, NEW], 0.1), seed=1)
    bank = load_bank([LABELLED], net.sensor_steps, CPU)
    soft = load_bank([NEW], net.sensor_steps, CPU, touched=128)
    soft = replace(soft, of_class=soft.of_class[:-1])
    schedule = ScheduleTable(epochs=2, steps=3, average=0.5, **more)
    return Setup(net, bank, choose_engine("cpu", "float32"), LossTable(), CHIPS, schedule, 3, soft=soft)


def test_every_other_batch_has_soft_labels_and_their_weights():
    with cut_ahead(make_setup(), None, 0) as batches:
        found = list(batches)
    assert len(found) == 6
    for step, batch in enumerate(found):
        assert {int(v) for v in batch.images["F"].unique()} == {200 if step % 2 else 50}
        assert batch.target.shape == (3, 1, 24, 24)
        values = {round(float(v) * 255) for v in batch.target[batch.weight.expand_as(batch.target) > 0].unique()}
        weights = {round(float(v) * 255) for v in batch.weight.unique()}
        assert values <= ({20, 204} if step % 2 else {255})
        assert weights <= ({0, 51} if step % 2 else {0, 255})


def test_chips_show_what_is_likely_of_a_class_not_what_is_possible():
    """With `oversample` = 1 each chip holds a pixel of the square that is probably of the class."""
    setup = make_setup()
    assert setup.soft.of_class[0].count == 20 * 20
    for step in range(20):
        for map_23 in draw_plan(setup.soft, CHIPS, 3, step).map_b6.reshape(-1, 2, 3):
            col, row = map_23[:, :2].sum(axis=1) * 16 + map_23[:, 2]
            assert 30 - 13 <= col <= 50 + 13
            assert 40 - 13 <= row <= 60 + 13


def test_a_run_learns_from_both_and_goes_on_where_it_was():
    states = []
    whole = train(make_setup(settle=2), Callbacks(on_epoch=lambda epoch: states.append(epoch.state())))
    resumed = train(replace(make_setup(settle=2), state=states[0]))
    alone = train(replace(make_setup(settle=2), soft=None))
    values = [net.state_dict() for net in (whole, resumed, alone)]
    assert all(torch.equal(value, values[1][name]) for name, value in values[0].items())
    assert not all(torch.equal(value, values[2][name]) for name, value in values[0].items())
