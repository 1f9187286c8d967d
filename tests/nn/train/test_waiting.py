"""Cutting chips on a device: nothing waits for a number, and all that a batch needs is sent at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_chips import CPU, make_scene
from test_loop import CHIPS, ENGINE, SCENES, Waits, make_net, run

from landscribe.core.recipe import ChipTable, LossTable, ScheduleTable
from landscribe.nn.device import choose_engine
from landscribe.nn.sample import sending
from landscribe.nn.sample.cutmix import NOBODY, Pastes, draw_pastes, paste, paste_on_device
from landscribe.nn.sample.tones import colours_of
from landscribe.nn.train import chips as module
from landscribe.nn.train.chips import cut_chips, draw_plan, load_bank

ALL = {"strength": 1.0, "match": 0.5, "cutmix": 0.6, "sensor_dropout": {"C": 0.5}}


def bank_of(backend="torch", device=CPU):
    scenes = [make_scene(), make_scene("b", (47, 53), 1)]
    bank = load_bank(scenes, {"F": 1, "C": 4}, device, backend=backend, cubic=("C",))
    return replace(bank, colours=colours_of(scenes, bank.sensors))


@pytest.mark.parametrize("more", [{}, ALL])
def test_no_chip_waits_for_a_number_and_what_it_needs_is_sent_once(monkeypatch, more):
    table = ChipTable(size=32, context=4, batch=9, **more)
    bank, sent = bank_of(), []
    cut_chips(bank, table, draw_plan(bank, table, 0, 0))  # tables of rasters lie there from then on
    plan = draw_plan(bank, table, 0, 1).part(slice(2, 7))

    def once(arrays, device):
        sent.append(set(arrays))
        return sending.send(arrays, device)

    def another_way(*_arguments, **_options):
        raise AssertionError("an array went to the device by itself")

    monkeypatch.setattr(module, "send", once)
    for name in ("from_numpy", "tensor", "as_tensor"):
        monkeypatch.setattr(torch, name, another_way)
    with Waits(monkeypatch) as waits:
        waits.seen.clear()
        chips = cut_chips(bank, table, plan, frame=2)
        # Of Waits' own list, what makes the block for the device is on the processor's side.
        assert waits.seen == ["numpy"]
    assert len(sent) == 1
    assert {"scene", "map", "inner map", "share", "gain F", "offset C"} <= sent[0]
    assert len(chips.target) == 5


def test_waiting_is_seen(monkeypatch):
    """The watch that the other tests rely on."""
    with Waits(monkeypatch) as waits:
        x = torch.arange(3.0)
        assert bool((x > 1).any())
        x[x > 1] = 0
        torch.nonzero(x)
    assert {"__bool__", "aten::_local_scalar_dense", "aten::nonzero", "aten::index_put_"} <= set(waits.seen)


def test_the_part_of_a_plan_is_cut_as_the_whole_of_it():
    table = ChipTable(size=32, context=4, batch=9, **ALL)
    bank = bank_of()
    plan = draw_plan(bank, table, 0, 1)
    whole, part = cut_chips(bank, table, plan), cut_chips(bank, table, plan.part(slice(2, 7)), first=2)
    assert torch.equal(whole.target[2:7], part.target)
    assert torch.equal(whole.images["F"][2:7], part.images["F"])
    assert torch.equal(whole.valid["C"][2:7], part.valid["C"])


def test_both_ways_of_pasting_are_one():
    rng = np.random.default_rng(4)
    for n, more in ((7, 0), (5, 3)):
        pastes = draw_pastes(n, 32, 4, 0.7, rng)
        pastes = Pastes(np.where(pastes.partner_b == NOBODY, NOBODY, rng.integers(0, n + more, n)), pastes.box_b4)
        sizes = ((1, 0, 32), (4, 0, 8), (1, 5, 22))
        layers = [(torch.from_numpy(rng.random((n + more, 2, side, side))), step, b) for step, b, side in sizes]
        copies = [(values.clone(), step, before) for values, step, before in layers]
        paste(pastes, layers)
        paste_on_device(*(torch.from_numpy(a) for a in (pastes.partner_b, pastes.box_b4)), copies)
        for (ours, *_), (theirs, *_) in zip(layers, copies, strict=True):
            assert torch.equal(ours, theirs)


def test_training_on_tensors_is_training_on_arrays():
    """The path of a GPU, on the processor: chips agree within rounding, so the networks do for some steps."""
    schedule = ScheduleTable(epochs=2, steps=3, average=0.9)
    chips = CHIPS.model_copy(update={"hard": 0.4, "cutmix": 0.5})
    nets = []
    for backend in ("numba", "torch"):
        net = make_net()
        bank = load_bank(SCENES, net.sensor_steps, CPU, backend=backend)
        nets.append(run(schedule, net=net, bank=bank, chips=chips, engine=ENGINE).state_dict())
    for name, value in nets[0].items():
        assert torch.allclose(value.float(), nets[1][name].float(), atol=1e-3), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_never_waited_for_within_an_epoch():
    """Torch itself raises where something would wait."""
    engine = choose_engine("cuda")
    net = make_net()
    bank = load_bank(SCENES, net.sensor_steps, engine.device)

    def on_step(done, _total, _loss):
        torch.cuda.set_sync_debug_mode("error" if done % 6 in range(2, 5) else "default")

    chips = CHIPS.model_copy(update={"hard": 0.3, "cutmix": 0.5, "strength": 0.5})
    loss = LossTable(jaccard=0.5, distance=0.1)
    try:
        run(ScheduleTable(epochs=2, steps=6), on_step, net=net, bank=bank, engine=engine, chips=chips, loss=loss)
    finally:
        torch.cuda.set_sync_debug_mode("default")
