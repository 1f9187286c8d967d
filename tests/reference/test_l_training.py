"""Training of the two reference methods: `reference_methods.md` 2.7 and 3.5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from landscribe.core.recipe import ChipTable, InputTable, LossTable, NetworkTable, ScheduleTable, StageTable
from landscribe.core.sensors import SensorSpec
from landscribe.io.models.model_files import MODEL_FILES, read_model, write_model
from landscribe.io.settings import load_recipe
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network, from_files, to_files
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.train.chips import load_bank
from landscribe.nn.train.loop import Callbacks, train
from landscribe.nn.train.schedule import begins_anew, rate_at, start_learner
from landscribe.nn.train.setup import Setup
from landscribe.nn.train.validation import evaluate
from scenes import make_arrays

RECIPES = Path(__file__).parents[2] / "recipes"
ENGINE = choose_engine("cpu", "float32")
CHIPS = ChipTable(size=32, context=4, batch=4, edges="inside", oversample=0.0)
STEPPED = {"warmup": 0.0, "decay": "constant", "weight_decay": 0.0, "clip_norm": 0.0, "average": 0.0}
"""What neither method has, switched off."""
FIFTHS = (StageTable(epochs=25, rate=1e-4), StageTable(epochs=25, rate=2e-5), StageTable(epochs=50, rate=4e-6))


def make_scene(seed, classes):
    """Blobs of two related classes: bright ones and dark ones."""
    rows, cols = np.mgrid[:97, :83]
    phase = np.random.default_rng(seed).uniform(0, 6, 2)
    field = np.sin(cols / 6 + phase[0]) * np.cos(rows / 7 + phase[1])
    noise = np.random.default_rng(seed + 100).normal(0, 20, (2, 97, 83))
    image = (500 + 300 * field + noise).astype(np.uint16)
    coverage = (np.stack([field > 0.3, field < -0.3]) * 255).astype(np.uint8)
    kept = [("bright", "dark").index(name) for name in classes]
    return make_arrays({"F": image}, coverage=coverage[kept], name=f"s{seed}")


def make_net(classes=("bright", "dark"), seed=0, **network):
    sensor = SensorSpec("F", "f", ("red", "nir"), 11)
    table = NetworkTable(**{"filters": 4, "depth": 2} | network)
    spec = ModelSpec("m", classes, (sensor,), {"F": 1.0}, InputTable(), table, CHIPS.context)
    return build_network(spec, compute_statistics([make_scene(0, classes)], 0.1), seed=seed)


def run(schedule, net=None, loss=None, seed=1, state=None, **callbacks):
    net = net or make_net()
    bank = load_bank([make_scene(i, net.spec.classes) for i in (0, 1)], net.sensor_steps, ENGINE.device)
    return train(Setup(net, bank, ENGINE, loss or LossTable(), CHIPS, schedule, seed, state), Callbacks(**callbacks))


def test_l06_rates_of_100_epochs_and_a_new_optimiser_at_each_step():
    schedule = ScheduleTable(optimizer="adam", stages=FIFTHS, steps=554, **STEPPED)
    assert schedule.epochs == 100
    expected = [1e-4] * 25 + [1e-4 / 5] * 25 + [1e-4 / 25] * 50
    assert [rate_at(schedule, epoch * 554 + 553, 554) for epoch in range(100)] == pytest.approx(expected)
    assert [rate_at(schedule, epoch * 554, 554) for epoch in range(100)] == pytest.approx(expected)
    assert [s for s in range(0, 100 * 554) if begins_anew(schedule, s, 554)] == [25 * 554, 50 * 554]


@pytest.mark.parametrize("done", [3, 6])
def test_l06_a_resumed_run_is_in_the_right_stage(done):
    # 30 and 60 of 100 epochs, at a tenth of the length: 2.5 epochs are rounded to 2.
    stages = tuple(StageTable(epochs=n, rate=r) for n, r in ((2, 1e-3), (3, 2e-4), (5, 4e-5)))
    schedule = ScheduleTable(optimizer="adam", stages=stages, steps=1, **STEPPED)
    rows, states, late = [], [], []
    whole = run(schedule, on_epoch=lambda epoch: (rows.append(epoch.row), states.append(epoch.state())))
    moments = [load(state["state.safetensors"])["optimizer.0.step"].item() for state in states]
    assert moments == [1, 2, 1, 2, 3, 1, 2, 3, 4, 5], "steps of the optimiser in use"
    again = run(schedule, make_net(seed=5), state=states[done - 1], on_epoch=lambda epoch: late.append(epoch.row))
    assert [row["rate"] for row in late] == [row["rate"] for row in rows[done:]]
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


def test_l09_related_classes_train_together_and_each_is_reported():
    schedule = ScheduleTable(epochs=2, steps=20, rate=3e-2, average=0.0)
    jaccards = {}
    for classes in (("bright", "dark"), ("bright",), ("dark",)):
        rows, held_out = [], [make_scene(7, classes)]

        def judge(epoch, rows=rows, held_out=held_out):
            rows.append(epoch.row | evaluate(epoch.net, held_out, ENGINE, LossTable(), tile=64))

        run(schedule, make_net(classes), on_epoch=judge)
        assert rows[-1]["loss"] == pytest.approx(np.mean([rows[-1][f"loss/{name}"] for name in classes]), abs=1e-5)
        jaccards[classes] = {name: rows[-1][f"jaccard/{name}"] for name in classes}
    # As long as one class alone, for two; at so small a budget which of the ways is better is chance.
    assert min(value for run_of in jaccards.values() for value in run_of.values()) > 0.6


def test_l09_the_recipe_has_the_groups_of_the_method():
    models = load_recipe(RECIPES / "dstl-lopuhin.toml").recipe.models
    joint = [model.classes for model in models if len(model.classes or ()) > 1]
    assert joint == [("building", "structure"), ("road", "track"), ("large-vehicle", "small-vehicle")]


def test_l28_a_power_of_the_epoch_and_a_new_optimiser_at_every_even_one():
    schedule = ScheduleTable(
        optimizer="adam",
        rate=1e-4,
        epochs=7,
        steps=3,
        restart_every=2,
        decay_factor=0.9,
        **STEPPED | {"decay": "power"},
    )
    assert [rate_at(schedule, 3 * n, 3) for n in range(7)] == pytest.approx([1e-4 * 0.9**n for n in range(7)])
    assert [s // 3 for s in range(21) if begins_anew(schedule, s, 3)] == [2, 4, 6]
    states = []
    run(schedule.model_copy(update={"epochs": 5}), on_epoch=lambda epoch: states.append(epoch.state()))
    steps = [load(state["state.safetensors"])["optimizer.0.step"].item() for state in states]
    assert steps == [3, 6, 3, 6, 3]


TABLE = {
    "buildings": (128, [(50, 1e-3)]),
    "structures": (128, [(50, 1e-3), (50, 1e-4)]),
    "road": (128, [(50, 1e-3), (50, 1e-4)]),
    "track": (96, [(50, 1e-3), (50, 1e-4)]),
    "trees": (128, [(50, 1e-2)]),
    "crops": (128, [(50, 1e-3), (50, 1e-4)]),
}


@pytest.mark.parametrize("name", TABLE)
def test_t05_stages_batches_and_epochs_of_each_class(name):
    [model] = [m for m in load_recipe(RECIPES / "dstl-ternaus.toml").recipe.models if m.name == name]
    batch, stages = TABLE[name]
    schedule = model.schedule
    assert (model.chips.batch, schedule.steps, schedule.optimizer) == (batch, 400, "nadam")
    epochs = sum(length for length, _ in stages)
    assert schedule.epochs == epochs
    expected = [rate for length, rate in stages for _ in range(length)]
    assert [rate_at(schedule, 400 * epoch + 399, 400) for epoch in range(epochs)] == pytest.approx(expected)
    assert [s for s in range(epochs * 400) if begins_anew(schedule, s, 400)] == [50 * 400] * (len(stages) - 1)
    assert (schedule.clip_norm, schedule.weight_decay, schedule.average) == (0, 0, 0)


def test_t05_nadam_has_the_settings_of_keras():
    optimizer = start_learner(make_net(), ScheduleTable(optimizer="nadam", **STEPPED)).optimizer
    assert type(optimizer) is torch.optim.NAdam
    for group in optimizer.param_groups:
        assert (group["betas"], group["eps"], group["momentum_decay"]) == ((0.9, 0.999), 1e-8, 0.004)
        assert group["weight_decay"] == 0


def test_t04_six_networks_of_one_class_with_the_settings_of_keras():
    models = [m for m in load_recipe(RECIPES / "dstl-ternaus.toml").recipe.models if m.kind == "network"]
    assert [m.classes for m in models] == [(c,) for c in ("building", "structure", "road", "track", "tree", "crop")]
    for model in models:
        network = model.network
        assert (network.activation, network.norm_momentum, network.norm_epsilon) == ("elu", 0.01, 1e-3)
        assert (model.chips.size, model.chips.context) == (112, 16)
        assert (model.loss.bce, model.loss.log_jaccard, model.loss.dice) == (model.loss.log_jaccard, model.loss.bce, 0)


def test_t07_weights_and_architecture_lie_in_files_and_come_back_as_they_were(tmp_path):
    net = run(ScheduleTable(optimizer="nadam", epochs=1, steps=3, **STEPPED), make_net(activation="elu"))
    written = write_model(tmp_path / "128_50_buildings", to_files(net))
    assert [path.name for path in written] == list(MODEL_FILES)
    again, spec, _ = from_files(read_model(tmp_path / "128_50_buildings"))
    assert spec == net.spec
    image = {"F": torch.rand(1, 2, 36, 44) * 900}
    valid = {"F": torch.ones(1, 1, 36, 44, dtype=torch.bool)}
    assert torch.equal(again(image, valid), net(image, valid))


def test_t15_the_same_seed_gives_the_same_curve_and_others_differ_by_a_little():
    loss = LossTable(bce=1, dice=0, log_jaccard=1)
    schedule = ScheduleTable(optimizer="nadam", epochs=1, steps=25, rate=1e-2, **STEPPED)

    def curve(seed, net_seed=None, steps=25):
        losses, table = [], schedule.model_copy(update={"steps": steps})
        net = make_net(("bright",), seed if net_seed is None else net_seed)
        run(table, net, loss, seed, on_step=lambda _d, _t, value: losses.append(value.item()))
        return losses

    first = curve(0)
    assert curve(0) == first
    ends = [np.mean(losses[-5:]) for losses in (first, curve(1), curve(2))]
    assert len(set(ends)) == 3
    # The seed decides chips and weights.
    assert curve(1, net_seed=0, steps=1) != first[:1]
    assert curve(0, net_seed=1, steps=1) != first[:1]
    assert curve(0, net_seed=0, steps=1) == first[:1]
    assert np.std(ends) < 0.5 * (np.mean(first[:5]) - np.mean(ends)), "spread over seeds against what is learned"
