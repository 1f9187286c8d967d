import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load
from torch.utils._python_dispatch import TorchDispatchMode

from landscribe.core.recipe import ChipTable, InputTable, LossTable, NetworkTable, ScheduleTable, StageTable
from landscribe.core.sensors import SensorSpec
from landscribe.errors import DataError, IntegrityError, LandscribeError, RecipeError
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network, from_files, to_files
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.train.chips import load_bank
from landscribe.nn.train.loop import Callbacks, train
from landscribe.nn.train.ranks import Ranks
from landscribe.nn.train.setup import Setup
from landscribe.nn.train.validation import evaluate
from scenes import make_arrays

CPU = torch.device("cpu")
ENGINE = choose_engine("cpu", "float32")
CHIPS = ChipTable(size=32, context=4, batch=4)
LOSS = LossTable()
CLASSES = ("bright", "dark")


def make_scene(seed=0, shape=(97, 83)):
    """Blobs of two classes that a network can tell from brightness."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    phase = rng.uniform(0, 6, 2)
    field = np.sin(cols / 6 + phase[0]) * np.cos(rows / 7 + phase[1])
    image = (500 + 300 * field + rng.normal(0, 30, (2, *shape))).astype(np.uint16)
    coverage = (np.stack([field > 0.4, field < -0.4]) * 255).astype(np.uint8)
    return make_arrays({"F": image}, coverage=coverage, name=f"s{seed}")


SCENES = [make_scene(0), make_scene(1, (61, 103))]


def make_net(seed=0, **network):
    spec = ModelSpec(
        "m",
        CLASSES,
        (SensorSpec("F", "f", ("red", "nir"), 11),),
        {"F": 1.0},
        InputTable(indices=("ndvi",)),
        NetworkTable(**{"filters": 4, "depth": 3} | network),
        CHIPS.context,
    )
    return build_network(spec, compute_statistics(SCENES, 0.1), seed=seed)


def setup_of(schedule, net=None, bank=None, loss=LOSS, chips=CHIPS, seed=3, engine=ENGINE, **more):
    net = net or make_net()
    return Setup(net, bank or load_bank(SCENES, net.sensor_steps, CPU), engine, loss, chips, schedule, seed, **more)


def run(schedule, on_step=None, on_epoch=None, on_warning=None, **given):
    told = {"on_step": on_step, "on_epoch": on_epoch, "on_warning": on_warning}
    return train(setup_of(schedule, **given), Callbacks(**{name: to for name, to in told.items() if to}))


def states_of(schedule, **kw):
    states = []
    net = run(schedule, on_epoch=lambda epoch: states.append(epoch.state()), **kw)
    return net, states


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "nadam"])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(optimizer):
    schedule = ScheduleTable(optimizer=optimizer, epochs=2, steps=3, average=0.9)
    whole, states = states_of(schedule, net=make_net(dropout=0.2))
    # Another seed of the weights: everything must come from the state.
    resumed, late = states_of(schedule, state=states[0], net=make_net(seed=9, dropout=0.2))
    assert len(late) == 1
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert late[0]["state.safetensors"] == states[1]["state.safetensors"]


def test_the_run_follows_from_its_seed():
    schedule = ScheduleTable(epochs=1, steps=3)
    a, b, c = (run(schedule, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_training_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(ScheduleTable(epochs=1, steps=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_learns_what_is_there():
    rows = []
    schedule = ScheduleTable(epochs=4, steps=25, rate=5e-3, average=0.9)
    held_out = [make_scene(7)]
    net = run(
        schedule,
        on_epoch=lambda epoch: rows.append(epoch.row | evaluate(epoch.net, held_out, ENGINE, LOSS, tile=64)),
    )
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row["step"] for row in rows] == [25, 50, 75, 100]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["loss"] == pytest.approx(np.mean([rows[-1][f"loss/{c}"] for c in CLASSES]), abs=1e-5)
    assert rows[-1]["jaccard/bright"] > 0.7
    assert rows[-1]["valid_jaccard"] == pytest.approx(np.mean([rows[-1][f"jaccard/{c}"] for c in CLASSES]))
    assert not net.training
    # What is saved scores what was reported.
    again, _, _ = from_files(to_files(net))
    assert evaluate(again, held_out, ENGINE, LOSS, tile=32)["valid_jaccard"] == pytest.approx(rows[-1]["valid_jaccard"])


def test_bf16_learns_too():
    net = run(ScheduleTable(epochs=1, steps=60, rate=5e-3, average=0.9), engine=choose_engine("cpu", "bf16"))
    assert all(p.dtype == torch.float32 for p in net.parameters())
    assert evaluate(net, [make_scene(7)], ENGINE, LOSS)["valid_jaccard"] > 0.5


def test_steps_and_losses_are_reported():
    seen = []
    run(ScheduleTable(epochs=2, steps=3), on_step=lambda done, total, loss: seen.append((done, total, loss.item())))
    assert [s[:2] for s in seen] == [(i, 6) for i in range(1, 7)]
    assert all(0 < s[2] < 2 for s in seen)


def test_without_averaging_the_last_weights_are_used():
    net = make_net()
    final = run(ScheduleTable(epochs=1, steps=2, average=0.0), net=net)
    assert all(torch.equal(v, final.state_dict()[k]) for k, v in net.state_dict().items())
    averaged = run(ScheduleTable(epochs=1, steps=2, average=0.99))
    assert any(not torch.equal(v, averaged.state_dict()[k]) for k, v in net.state_dict().items())


def test_scores_by_hand():
    """A network whose head says yes everywhere: Jaccard is the share of labelled pixels of the class."""
    net = make_net()
    torch.nn.init.zeros_(net.unet.head.weight)
    torch.nn.init.constant_(net.unet.head.bias, 3.0)
    plain = make_scene(0)
    labelled = plain.labelled_hw.copy()
    labelled[:40] = False
    scene = replace(plain, labelled_hw=labelled)
    row = evaluate(net, [scene], ENGINE, LossTable(bce=1, dice=1), tile=32)
    p, parts = 1 / (1 + np.exp(-3)), []
    for k, name in enumerate(CLASSES):
        y = (plain.coverage_khw[k] / 255)[labelled]
        assert row[f"jaccard/{name}"] == pytest.approx((y > 0.5).mean())
        bce = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
        parts.append(0.5 * bce + 0.5 * (1 - 2 * p * y.sum() / (p * y.size + y.sum())))
    assert row["valid_loss"] == pytest.approx(np.mean(parts), rel=1e-4)


def test_a_network_that_is_sure_and_wrong_pays_all_of_it():
    """Probabilities in float32 end at 1 - 6e-8, where a mistake costs 16.6 at most; logits do not."""
    net = make_net()
    torch.nn.init.zeros_(net.unet.head.weight)
    torch.nn.init.constant_(net.unet.head.bias, 41.0)
    plain = make_scene(0)
    scene = replace(plain, coverage_khw=np.zeros_like(plain.coverage_khw))
    row = evaluate(net, [scene], ENGINE, LossTable(bce=1, dice=0), tile=32)
    assert row["valid_loss"] == pytest.approx(41)
    assert row["valid_jaccard"] == 0


def test_a_class_that_neither_occurs_nor_is_predicted_has_no_score():
    net = make_net()
    torch.nn.init.zeros_(net.unet.head.weight)
    net.unet.head.bias.data = torch.tensor([3.0, -3.0])
    plain = make_scene(0)
    coverage = plain.coverage_khw.copy()
    coverage[1] = 0
    scene = replace(plain, coverage_khw=coverage)
    row = evaluate(net, [scene], ENGINE, LOSS)
    assert np.isnan(row["jaccard/dark"])
    assert row["valid_jaccard"] == row["jaccard/bright"]


def test_wrong_sizes_are_told_before_the_first_step():
    with pytest.raises(RecipeError, match=r"chips.size: does not divide, got 34, need multiple of 4"):
        run(ScheduleTable(epochs=1), chips=ChipTable(size=34))
    with pytest.raises(RecipeError, match=r"chips.context: leaves nothing, got 16"):
        run(ScheduleTable(epochs=1), chips=ChipTable(size=32, context=16))


def test_more_processes_than_chips_are_told():
    with pytest.raises(RecipeError, match=r"chips.batch: fewer chips than processes, got 4, need one for each of 5"):
        setup_of(ScheduleTable(epochs=1), ranks=Ranks(4, 5))


def test_other_classes_than_the_labels_are_told():
    bank = load_bank([make_scene()], {"F": 1}, CPU)
    net = make_net()
    object.__setattr__(bank, "of_class", bank.of_class[:1])
    with pytest.raises(DataError, match="labels: classes, got 1, need 2"):
        setup_of(ScheduleTable(epochs=1), net, bank)


def test_divergence_is_told():
    net = make_net()
    net.unet.head.weight.data.fill_(torch.nan)
    with pytest.raises(LandscribeError, match="loss is not a number, got epoch 1; lower schedule"):
        run(ScheduleTable(epochs=1, steps=1), net=net)


def test_a_foreign_or_damaged_state_is_refused():
    schedule = ScheduleTable(epochs=1, steps=1)
    _, [state] = states_of(schedule)
    with pytest.raises(IntegrityError, match="belongs to another network"):
        run(schedule, state=state, net=make_net(filters=8))
    with pytest.raises(IntegrityError, match="optimizer, got AdamW, need NAdam"):
        run(ScheduleTable(epochs=1, steps=1, optimizer="nadam"), state=state)
    spoilt = state["state.safetensors"][:-1] + bytes([state["state.safetensors"][-1] ^ 1])
    with pytest.raises(IntegrityError, match="SHA-256"):
        run(schedule, state={**state, "state.safetensors": spoilt})
    with pytest.raises(IntegrityError, match="unreadable"):
        run(schedule, state={"state.safetensors": b""})


def test_a_failure_while_cutting_chips_is_told():
    net = make_net()
    bank = load_bank(SCENES, {"F": 1}, CPU)
    object.__setattr__(bank, "bands", {})
    with pytest.raises(KeyError):
        run(ScheduleTable(epochs=1, steps=3), net=net, bank=bank)


def test_a_run_resumed_at_the_border_of_a_stage_is_the_uninterrupted_one_bit_for_bit():
    stages = (StageTable(epochs=1, rate=1e-3), StageTable(epochs=2, rate=1e-4))
    schedule = ScheduleTable(stages=stages, steps=2)
    whole, states = states_of(schedule)
    for done in (1, 2):
        resumed = run(schedule, state=states[done - 1], net=make_net(seed=9))
        assert all(torch.equal(v, resumed.state_dict()[k]) for k, v in whole.state_dict().items())


def test_a_new_optimiser_knows_nothing_of_the_one_before():
    plain = {"optimizer": "adam", "steps": 1, "warmup": 0.0, "decay": "constant", "average": 0.0, "clip_norm": 0.0}
    counts = []
    for restart in (True, False):
        stages = (StageTable(epochs=2, rate=1e-3), StageTable(epochs=1, rate=1e-3, restart=restart))
        _, states = states_of(ScheduleTable(stages=stages, **plain))
        steps = [load(state["state.safetensors"])["optimizer.0.step"].item() for state in states]
        counts.append(steps)
    assert counts == [[1, 2, 1], [1, 2, 3]]


def test_gradients_are_shortened_only_when_asked_for():
    def moved(clip_norm):
        # After one step Adam's first moment is a tenth of the gradient.
        schedule = ScheduleTable(optimizer="adam", epochs=1, steps=1, clip_norm=clip_norm, weight_decay=0.0)
        _, [state] = states_of(schedule)
        moments = [t for name, t in load(state["state.safetensors"]).items() if name.endswith("exp_avg")]
        return float(torch.stack([(10 * m).square().sum() for m in moments]).sum().sqrt())

    free = moved(0.0)
    assert moved(free / 2) == pytest.approx(free / 2, rel=1e-3)
    assert moved(free * 2) == pytest.approx(free, rel=1e-5)


class Waits(TorchDispatchMode):
    """Notes what would make a processor wait for a GPU, in the thread that trains."""

    KERNELS = frozenset({"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"})
    METHODS = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "__array__")

    def __init__(self, monkeypatch):
        super().__init__()
        self.seen = []
        for name in self.METHODS:
            monkeypatch.setattr(torch.Tensor, name, self.noting(name, getattr(torch.Tensor, name)))

    def noting(self, name, method):
        def noted(*arguments, **options):
            if threading.current_thread() is threading.main_thread():
                self.seen.append(name)
            return method(*arguments, **options)

        return noted

    def __torch_dispatch__(self, func, _types, args=(), kwargs=None):
        places = [place for a in args if isinstance(a, list | tuple) for place in a]
        by_mask = func.name().startswith("aten::index") and any(
            isinstance(place, torch.Tensor) and place.dtype == torch.bool for place in places
        )
        if func.name() in self.KERNELS or by_mask:
            self.seen.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_no_step_waits_for_a_number(monkeypatch, optimizer):
    """But the end of an epoch does, for its row of the history. (NAdam's numbers lie on the processor in any case.)"""
    schedule = ScheduleTable(optimizer=optimizer, epochs=1, steps=4, accumulate=2, clip_norm=1.0)
    seen_after = []
    with Waits(monkeypatch) as waits:
        net = make_net(dropout=0.1)
        bank = load_bank(SCENES, net.sensor_steps, CPU)
        on_step = lambda done, _total, _loss: (seen_after.append(list(waits.seen)), waits.seen.clear())  # noqa: E731
        chips = CHIPS.model_copy(update={"hard": 0.3})
        run(schedule, on_step, net=net, bank=bank, loss=LossTable(jaccard=0.5, distance=0.1), chips=chips)
    assert seen_after[1:] == [[]] * 3
    assert waits.seen.count("tolist") >= 1
