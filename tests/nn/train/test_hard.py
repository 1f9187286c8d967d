import numpy as np
import pytest
import torch
from safetensors.torch import load
from test_loop import CHIPS, CPU, SCENES, make_net, run, states_of

from landscribe.core.recipe import ChipTable, ScheduleTable
from landscribe.nn.train.chips import cut_chips, draw_plan, load_bank
from landscribe.nn.train.hard import WORST, HardChips, WorstChips
from landscribe.nn.train.ranks import Ranks

HARD = CHIPS.model_copy(update={"hard": 0.5})
ALONE = Ranks()


def centres(plan, size=CHIPS.size):
    half = np.array([size / 2, size / 2, 1])
    return plan.map_b6.reshape(-1, 2, 3) @ half


def fill(table, losses_sb, device=CPU):
    """Note an epoch whose chips have the losses that are asked for; returns their places."""
    hard = HardChips(table, len(losses_sb), device)
    bank = load_bank(SCENES, {"F": 1}, CPU)
    places = []
    for step, losses_b in enumerate(losses_sb):
        plan = draw_plan(bank, table, 5, step)
        hard.place(step, plan.scene_b, plan.map_b6)
        places += zip(plan.scene_b, *centres(plan).T, strict=True)
        # A logit of x against the target 0 costs log(1 + exp(x)).
        logits = torch.log(torch.expm1(torch.tensor(losses_b))).reshape(-1, 1, 1, 1)
        hard.note(step, 0, logits, torch.zeros_like(logits), torch.ones_like(logits))
    hard.settle(ALONE)
    return hard, np.array(places)


def test_the_worst_chips_are_those_of_the_largest_loss():
    losses = np.random.default_rng(0).permutation(np.arange(1.0, 45)).reshape(11, 4)
    hard, places = fill(CHIPS, losses)
    expected = places[np.argsort(-losses.ravel())[: -(-44 // WORST)]]
    assert len(expected) == 6
    assert np.array_equal(hard.worst.scene_n, expected[:, 0])
    assert np.allclose(hard.worst.point_n2, expected[:, 1:])


def test_a_chip_without_a_labelled_pixel_is_never_among_the_worst():
    hard = HardChips(ChipTable(batch=3 * WORST), 1, CPU)
    logits, weight = torch.full((3 * WORST, 2, 3, 5), 9.0), torch.ones(3 * WORST, 1, 3, 5)
    weight[1:] = 0
    hard.note(0, 0, logits, torch.zeros_like(logits), weight)
    hard.scene_sb[0] = range(7, 7 + 3 * WORST)
    hard.settle(ALONE)
    assert hard.worst.scene_n.tolist() == [7]


@pytest.mark.parametrize("edges", ["mirror", "inside"])
def test_the_share_is_kept_and_hard_chips_are_centred_on_the_worst(edges):
    bank = load_bank(SCENES, {"F": 1}, CPU)
    worst = WorstChips(np.array([0, 1]), np.array([[41.25, 37.5], [60.75, 30.5]]))
    table = ChipTable(size=32, context=4, batch=900, hard=0.3, sharp=0.0, edges=edges)
    plan = draw_plan(bank, table, 3, 0, worst)
    points = np.column_stack([plan.scene_b, centres(plan)])
    known = np.column_stack([worst.scene_n, worst.point_n2])
    hits = np.abs(points[:, None] - known).max(axis=2) < 1e-9
    assert hits.any(axis=1).mean() == pytest.approx(0.3, abs=0.05)
    assert hits.sum(axis=0)[0] == pytest.approx(hits.sum(axis=0)[1], rel=0.3)
    turned = plan.map_b6[hits.any(axis=1)][:, [0, 1, 3, 4]]
    assert len(np.unique(turned.round(6), axis=0)) == len(turned)  # never the same chip again


def test_the_first_epoch_is_that_of_a_run_without_hard_chips():
    schedule = ScheduleTable(epochs=1, steps=2)
    plain, hard = (run(schedule, chips=table).state_dict() for table in (CHIPS, HARD))
    assert all(torch.equal(plain[name], hard[name]) for name in plain)
    schedule = ScheduleTable(epochs=2, steps=2)
    plain, hard = (run(schedule, chips=table).state_dict() for table in (CHIPS, HARD))
    assert any(not torch.equal(plain[name], hard[name]) for name in plain)


def test_training_finds_the_chips_that_cost_most():
    """After an epoch the state names what an untouched network, seeing the same chips, finds worst."""
    schedule = ScheduleTable(epochs=1, steps=4, rate=1e-12, warmup=0.0, weight_decay=0.0)
    net = make_net(batch_norm=False)
    _, [state] = states_of(schedule, chips=HARD, net=make_net(batch_norm=False))
    bank = load_bank(SCENES, net.sensor_steps, CPU)
    plans = [draw_plan(bank, HARD, 3, step) for step in range(4)]
    losses = []
    with torch.no_grad():
        for plan in plans:
            chips = cut_chips(bank, HARD, plan)
            logits = net.train()(chips.images, chips.valid)[:, :, 4:-4, 4:-4]
            both = torch.nn.functional.binary_cross_entropy_with_logits(logits, chips.target, reduction="none")
            losses += (both * chips.weight).sum((1, 2, 3)).tolist()
    order = np.argsort(-np.array(losses))[:2]
    found = load(state["state.safetensors"])["hard.point"].numpy()
    assert np.allclose(found, np.concatenate([centres(plan) for plan in plans])[order])


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_resumed_run_with_hard_chips_is_the_uninterrupted_one_bit_for_bit(accumulate):
    schedule = ScheduleTable(epochs=3, steps=3, average=0.9, accumulate=accumulate)
    whole, states = states_of(schedule, chips=HARD)
    assert len(load(states[0]["state.safetensors"])["hard.scene"]) == 2
    for done in (1, 2):
        resumed, late = states_of(schedule, chips=HARD, state=states[done - 1], net=make_net(seed=9))
        assert all(torch.equal(v, resumed.state_dict()[k]) for k, v in whole.state_dict().items())
        assert late[-1]["state.safetensors"] == states[2]["state.safetensors"]


def test_chips_of_the_next_epoch_wait_for_the_losses_of_this_one(monkeypatch):
    """Batches are cut ahead, but none of them from an older list of the worst."""
    from landscribe.nn.train import batches

    seen = []

    def watch(bank, table, seed, step, worst):
        seen.append((step, len(worst.scene_n)))
        return draw_plan(bank, table, seed, step, worst)

    monkeypatch.setattr(batches, "draw_plan", watch)
    run(ScheduleTable(epochs=3, steps=4), chips=HARD)
    assert sorted(seen) == [(step, 0 if step < 4 else 2) for step in range(12)]
