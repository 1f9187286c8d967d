"""Encoders in training: rates of their own, and batch norm settled at the end."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_loop import make_net, make_scene, run, setup_of, states_of

from landscribe.core.recipe import ChipTable, NetworkTable, ScheduleTable
from landscribe.errors import RecipeError
from landscribe.nn.train.bank import load_bank
from landscribe.nn.train.chips import cut_chips, draw_plan
from landscribe.nn.train.loop import Callbacks, train
from landscribe.nn.train.ranks import Ranks
from landscribe.nn.train.schedule import set_rate, start_learner
from landscribe.nn.train.settle import plain_chips, settled
from scenes import make_arrays

LITE = {"encoder": "efficientnet-lite0", "weights": "none", "depth": 5}
CHIPS = ChipTable(size=64, context=4, batch=2)
ONE = ScheduleTable(epochs=1, steps=1)


def norms_of(net):
    return {n: m for n, m in net.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}


def test_settled_statistics_are_those_of_all_chips_together():
    net = make_net().eval()
    setup = setup_of(ScheduleTable(epochs=2, steps=3, settle=5), net=net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = settled(net, setup)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    table = plain_chips(setup.chips, net.divisor, 72)
    assert (table.size, table.batch) == (64, 2)
    # Of the first norm, whose input depends on no other norm: mean and variance of all pixels of all batches.
    seen = []
    for number in range(5):
        chips = cut_chips(setup.bank, table, draw_plan(setup.bank, table, setup.seed, 6 + number))
        stack = net.stem(chips.images, chips.valid)[1]
        seen.append(net.unet.down[0].body[0](stack).detach())
    first = result.unet.down[0].body[1]
    pixels = torch.cat(seen).transpose(0, 1).flatten(1)
    assert torch.allclose(first.running_mean, pixels.mean(1), atol=1e-4)
    assert torch.allclose(first.running_var, pixels.var(1), rtol=1e-3)
    assert not any(module.training for module in result.modules())
    assert {m.momentum for m in norms_of(result).values()} == {0.1}
    others = {n for n in result.state_dict() if "running" not in n}
    assert all(torch.equal(result.state_dict()[n], before[n]) for n in others)


def test_settling_chips_are_pixels_of_the_scenes():
    table = plain_chips(CHIPS, 32, 500)
    assert (table.size, table.batch, table.context) == (128, 1, 4)
    assert plain_chips(CHIPS.model_copy(update={"batch": 63}), 32, 97).size == 96
    assert plain_chips(CHIPS.model_copy(update={"batch": 63}), 32, 97).batch == 32
    assert (plain_chips(CHIPS, 32, 5).size, plain_chips(CHIPS, 32, 5).batch) == (64, 2)
    bank = setup_of(ONE).bank
    plan = draw_plan(bank, plain_chips(CHIPS, 8, 61), 0, 0)
    assert (plan.gains["F"] == 1).all()
    assert (plan.offsets["F"] == 0).all()
    assert np.array_equal(plan.map_b6[:, [0, 1, 3, 4]], [[1, 0, 0, 1]] * len(plan.map_b6))


def test_networks_settle_on_the_mix_of_ground_that_they_learned_from():
    # One class, in a corner of a scene that chips drawn anywhere seldom show.
    coverage = np.zeros((2, 400, 400), np.uint8)
    coverage[0, :6, :6] = 255
    scene = make_arrays({"F": np.full((2, 400, 400), 500, np.uint16)}, coverage=coverage, name="corner")
    bank = load_bank([scene], make_net().sensor_steps, torch.device("cpu"))
    shows = []
    for share in (0.9, 0.0):
        table = plain_chips(CHIPS.model_copy(update={"oversample": share, "batch": 32}), 8, 400)
        target = cut_chips(bank, table, draw_plan(bank, table, 0, 0)).target
        shows.append(float((target.amax((1, 2, 3)) > 0).float().mean()))
    assert shows[0] > 0.7
    assert shows[1] < 0.3


def test_without_an_encoder_nothing_is_settled_unless_asked_for():
    assert setup_of(ONE).settle == 0
    assert setup_of(ONE.model_copy(update={"settle": 3})).settle == 3
    assert setup_of(ONE, net=make_net(**LITE), chips=CHIPS).settle == 0
    assert setup_of(ONE, net=make_net(**LITE | {"weights": "x.pth"}), chips=CHIPS).settle == 24
    net = make_net()
    assert settled(net, setup_of(ONE)) is net


def test_a_resumed_run_with_an_encoder_is_the_uninterrupted_one_and_snapshots_are_settled():
    schedule = ScheduleTable(epochs=2, steps=2, settle=2, snapshots=1)
    shown = []
    setup = setup_of(schedule, net=make_net(**LITE), chips=CHIPS)
    states = []
    whole = train(setup, Callbacks(on_epoch=lambda e: (shown.append(e.net), states.append(e.state()))))
    for state, left in ((states[0], 1), (states[1], 0)):
        resumed, late = states_of(schedule, state=state, net=make_net(seed=9, **LITE), chips=CHIPS)
        assert len(late) == left
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), name
    for name, value in whole.state_dict().items():
        assert torch.equal(value, shown[1].state_dict()[name]), name
    plain = run(schedule.model_copy(update={"settle": 0}), net=make_net(**LITE), chips=CHIPS)
    differ = {n for n, v in plain.state_dict().items() if not torch.equal(v, whole.state_dict()[n])}
    assert differ == {n for n in plain.state_dict() if "running" in n}


def test_all_processes_settle_alike():
    net = make_net()
    setup = setup_of(ONE.model_copy(update={"settle": 2}), net=net)
    one, other = settled(net, setup), settled(net, replace(setup, ranks=Ranks(1, 2)))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_settling_makes_up_for_statistics_that_have_not_kept_up():
    # Momentum so small that the running ones are nearly those of the beginning.
    schedule = ScheduleTable(epochs=1, steps=30, rate=5e-3, average=0.0, settle=4)
    net = run(schedule.model_copy(update={"settle": 0}), net=make_net(norm_momentum=0.001))
    held_out = make_scene(7)
    setup = setup_of(schedule, net=net)

    def right(net):
        image = torch.from_numpy(held_out.images_chw["F"][:, :96, :80].astype(np.float32))[None]
        with torch.no_grad():
            found = net({"F": image}, {"F": torch.ones(1, 1, 96, 80, dtype=torch.bool)})[0] > 0
        return float((found.numpy() == (held_out.coverage_khw[:, :96, :80] > 127)).mean())

    assert right(settled(net, setup)) > right(net) + 0.15


@pytest.mark.parametrize(("network", "share"), [({}, 1.0), ({"encoder_rate": 0.05}, 0.05), ({"weights": "x.pth"}, 0.2)])
def test_an_encoder_learns_at_a_rate_of_its_own(network, share):
    net = make_net(**LITE | network)
    learner = start_learner(net, ONE)
    assert set_rate(learner, ONE, 0, 1) == 1e-3
    rates = {id(p): g["lr"] for g in learner.optimizer.param_groups for p in g["params"]}
    decays = {id(p): g["weight_decay"] for g in learner.optimizer.param_groups for p in g["params"]}
    assert len(rates) == len(list(net.parameters()))
    for name, parameter in net.named_parameters():
        expected = share if name.startswith("unet.known.levels") else 1.0
        assert rates[id(parameter)] == pytest.approx(1e-3 * expected), name
        assert (decays[id(parameter)] > 0) == (parameter.ndim > 1), name


def test_weights_move_by_their_rates():
    before = make_net(**LITE | {"encoder_rate": 1e-6})
    after = run(
        ONE.model_copy(update={"average": 0.0, "warmup": 0.0}),
        net=make_net(**LITE | {"encoder_rate": 1e-6}),
        chips=CHIPS,
    )
    moved = {
        name: float((value - before.state_dict()[name]).abs().max())
        for name, value in after.state_dict().items()
        if name.endswith("weight")
    }
    assert max(m for name, m in moved.items() if "known" in name) < 1e-7
    assert min(m for name, m in moved.items() if "known" not in name) > 1e-5


def test_one_pixel_of_the_lowest_level_is_refused():
    net, one = make_net(**LITE), ChipTable(size=32, context=4, batch=2)
    setup_of(ONE, net=net, chips=one)
    for schedule, chips in (
        (ONE.model_copy(update={"accumulate": 2}), one),
        (ONE, one.model_copy(update={"batch": 1})),
    ):
        with pytest.raises(RecipeError, match=r"one pixel of the lowest level at once, need chips.size = 64"):
            setup_of(schedule, net=net, chips=chips)


def test_what_an_encoder_does_not_go_with_is_said():
    for settings, said in (
        ({"encoder": "resnet18"}, "no package brings its weights"),
        (
            {"encoder": "efficientnet-lite0", "depth": 4, "widths": (4, 8)},
            "not go with depth = 4, widths",
        ),
        ({"encoder": "efficientnet-lite0", "family": "segnet"}, "does not go with family = 'segnet'"),
        ({"weights": "none"}, "weights and encoder_rate need an encoder"),
        ({"encoder_rate": 0.1}, "weights and encoder_rate need an encoder"),
        ({"encoder": "efficientnet-lite0", "filters": 1}, "filters = 2 or more"),
    ):
        with pytest.raises(ValueError, match=said):
            NetworkTable(**settings)
    assert NetworkTable(encoder="efficientnet-lite0").float_only == ()
    assert NetworkTable(encoder="resnet18", weights="none", norm="group").float_only == ("norm = 'group'",)
