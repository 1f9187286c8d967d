"""Chips whose colours are changed: labels stay, places stay, and training goes on as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_chips import CPU, make_scene
from test_loop import CHIPS, make_net, states_of

from landscribe.core.recipe import ChipTable, InputTable, ModelTable, NetworkTable, Recipe, ScheduleTable
from landscribe.core.recipe.chips import STRONG
from landscribe.core.sensors import SensorSpec
from landscribe.core.spectral.indices import find_index
from landscribe.errors import RecipeError
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network, model_spec
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.sample.tones import colours_of
from landscribe.nn.train.chips import cut_chips, draw_plan, load_bank
from landscribe.nn.train.decoded import decode_scenes, in_memory
from landscribe.nn.train.settle import plain_chips
from landscribe.nn.train.setup import set_up
from scenes import make_arrays

SCENES = [make_scene(), make_scene("b", (47, 53), 1)]
ALL = {"strength": 1.0, "match": 0.5, "cutmix": 0.6}
PLAIN = ChipTable(size=32, context=4, batch=9)
CHANGED = ChipTable(size=32, context=4, batch=9, **ALL)


def bank_of(scenes=SCENES, backend=None, steps=None):
    bank = load_bank(scenes, steps or {"F": 1, "C": 4}, CPU, backend=backend)
    return replace(bank, colours=colours_of(scenes, bank.sensors))


def cut(bank, table, seed=0, step=0):
    return cut_chips(bank, table, draw_plan(bank, table, seed, step))


def everything(chips):
    return {**{f"i{n}": t for n, t in chips.images.items()}, **{f"v{n}": t for n, t in chips.valid.items()},
            "t": chips.target, "w": chips.weight}  # fmt: skip


def test_strength_goes_from_what_is_said_to_what_is_strong():
    table = ChipTable(haze=0.7, gamma=0.1)
    assert table.strong is table
    half, whole = (table.model_copy(update={"strength": s}).strong for s in (0.5, 1.0))
    assert half.gamma == pytest.approx((0.1 + STRONG["gamma"]) / 2)
    assert half.haze == whole.haze == 0.7
    assert {key: getattr(whole, key) for key in STRONG} == STRONG | {"haze": 0.7}
    assert half.gain == whole.gain == 0.1
    assert (whole.rotate_deg, whole.sharp, whole.match, whole.cutmix) == (table.rotate_deg, table.sharp, 0.0, 0.0)


def test_strength_gives_the_chips_of_the_settings_that_it_stands_for():
    knob, single = (cut(bank_of(), PLAIN.model_copy(update=more)) for more in ({"strength": 1.0}, STRONG))
    for name, value in everything(knob).items():
        assert torch.equal(value, everything(single)[name]), name


def test_without_changes_chips_are_cut_as_ever():
    plan = draw_plan(bank_of(), PLAIN, 0, 0)
    assert plan.changes == {}
    assert plan.pastes is None
    assert (plan.gains["F"] != 1).all()


@pytest.mark.parametrize("one", [{"gamma": 0.3}, {"blur": 1.0}, {"match": 0.5}, {"cutmix": 0.5}])
def test_places_are_those_of_a_run_without_changes(one):
    bank, dropping = bank_of(), {"sensor_dropout": {"C": 0.5}}
    plain, changed = (draw_plan(bank, PLAIN.model_copy(update=dropping | more), 3, 5) for more in ({}, one))
    assert np.array_equal(plain.scene_b, changed.scene_b)
    assert np.array_equal(plain.map_b6, changed.map_b6)
    assert np.array_equal(plain.missing["C"], changed.missing["C"])
    if "cutmix" in one:
        assert np.array_equal(plain.gains["F"], changed.gains["F"])


def test_gain_and_offset_are_worked_into_the_tables():
    """A blur that cannot be seen makes the tables; chips are then what they are without it."""
    table = PLAIN.model_copy(update={"band_offset": 0.3, "band_contrast": 0.3})
    plain, through = (cut(bank_of(), table.model_copy(update=more)) for more in ({}, {"blur": 1e-9}))
    floor = plain.images["F"].clamp(min=0)
    assert torch.allclose(through.images["F"], floor, atol=1e-4 * float(floor.max()))
    assert not torch.equal(through.images["F"], plain.images["F"])


def test_both_backends_give_one_result():
    ours, theirs = (everything(cut(bank_of(backend=b), CHANGED)) for b in ("numba", "torch"))
    for name, value in ours.items():
        assert (value.float() - theirs[name].float()).abs().max() < 1e-4 * value.float().abs().max(), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_chips():
    banks = [load_bank(SCENES, {"F": 1, "C": 4}, torch.device(name)) for name in ("cpu", "cuda")]
    ours, theirs = (everything(cut(replace(b, colours=colours_of(SCENES, b.sensors)), CHANGED).to(CPU)) for b in banks)
    for name, value in ours.items():
        assert (value.float() - theirs[name].float()).abs().max() < 1e-4 * value.float().abs().max(), name


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_a_chip_does_not_depend_on_who_cuts_it(backend):
    """Each of several processes cuts a part, which takes rectangles from the parts of others."""
    bank = bank_of(backend=backend)
    plan = draw_plan(bank, CHANGED, 7, 3)
    whole = everything(cut_chips(bank, CHANGED, plan))
    parts = [cut_chips(bank, CHANGED, plan.part(s), first=s.start) for s in (slice(0, 4), slice(4, 5), slice(5, 9))]
    assert [len(part.target) for part in parts] == [4, 1, 4]
    assert [part.first for part in parts] == [0, 4, 5]
    assert (plan.pastes.partner_b >= 0).sum() > 3
    for name, value in whole.items():
        assert torch.equal(torch.cat([everything(part)[name] for part in parts]), value), name


def test_labels_know_nothing_of_colours_and_pasted_ones_are_of_what_is_pasted():
    bank = bank_of()
    plain, changed = (
        cut(bank, CHANGED.model_copy(update=m)) for m in ({"strength": 0.0, "match": 0.0}, {"scale": 0.1})
    )
    assert not torch.equal(plain.images["F"], changed.images["F"])
    still = CHANGED.model_copy(update={"strength": 0.0, "gamma": 0.3, "match": 0.5})
    assert torch.equal(plain.target, cut(bank, still).target)
    # An image that is the label itself comes out as the target, pasted or not.
    scenes = [make_arrays({"F": s.coverage_khw.astype(np.float32)}, coverage=s.coverage_khw, name=s.id) for s in SCENES]
    table = ChipTable(size=48, context=3, batch=16, gain=0.0, band_gain=0.0, scale=0.4, cutmix=1.0)
    chips = cut(bank_of(scenes, steps={"F": 1}), table)
    known = chips.weight.bool().expand_as(chips.target)
    assert known.float().mean() > 0.3
    assert (chips.images["F"][:, :, 3:-3, 3:-3] / 255 - chips.target)[known].abs().max() < 1e-5
    apart = cut(bank_of(scenes, steps={"F": 1}), table.model_copy(update={"cutmix": 0.0}))
    assert not torch.equal(apart.target, chips.target)


def test_a_frame_for_distances_is_pasted_too():
    bank = bank_of()
    plan = draw_plan(bank, CHANGED, 1, 1)
    narrow, wide = (cut_chips(bank, CHANGED, plan, frame=frame) for frame in (0, 3))
    assert wide.target.shape[2] == narrow.target.shape[2] + 6
    assert torch.equal(wide.target[:, :, 3:-3, 3:-3], narrow.target)
    assert torch.equal(wide.weight[:, :, 3:-3, 3:-3], narrow.weight)


def test_a_sensor_that_a_chip_goes_without_is_pasted_as_missing():
    table = CHANGED.model_copy(update={"sensor_dropout": {"C": 0.5}, "cutmix": 1.0})
    bank = bank_of()
    plan = draw_plan(bank, table, 0, 0)
    valid = cut_chips(bank, table, plan).valid["C"]
    mixed = [b for b, other in enumerate(plan.pastes.partner_b) if plan.missing["C"][b] != plan.missing["C"][other]]
    assert mixed
    for b in mixed:
        top, left, bottom, right = plan.pastes.box_b4[b] // 4
        there = valid[b, 0, top:bottom, left:right]
        assert there.any() == (not plan.missing["C"][plan.pastes.partner_b[b]])


def test_indices_are_of_the_changed_bands():
    bands = ("red", "nir")
    rng = np.random.default_rng(0)
    scene = make_arrays(
        {"F": rng.integers(1, 2000, (2, 61, 83)).astype(np.uint16)}, coverage=np.zeros((1, 61, 83), np.uint8)
    )
    sensor = SensorSpec("F", "f", bands, 11)
    spec = ModelSpec(
        "m", ("a",), (sensor,), {"F": 1.0}, InputTable(indices=("ndvi",)), NetworkTable(filters=2, depth=2), 4
    )
    net = build_network(spec, compute_statistics([scene], 0.1), seed=0)
    plain, changed = (cut(bank_of([scene], steps={"F": 1}), table) for table in (PLAIN, CHANGED))
    image = changed.images["F"]
    stack = net.stem(changed.images, changed.valid)[1]
    expected = find_index("ndvi").formula(image[:, 1:], image[:, :1])
    known = changed.valid["F"]
    assert torch.allclose(stack[:, 2:][known], (2 * expected.clamp(-2, 2))[known], atol=1e-4)
    assert image.min() >= 0
    assert not torch.allclose(stack, net.stem(plain.images, plain.valid)[1])


def test_settling_chips_are_not_changed():
    assert plain_chips(CHANGED, 8, 61).strong == plain_chips(PLAIN, 8, 61)


def test_a_resumed_run_with_all_changes_is_the_uninterrupted_one_bit_for_bit():
    table = CHIPS.model_copy(update={"strength": 1.0, "cutmix": 0.5, "hard": 0.5})
    schedule = ScheduleTable(epochs=2, steps=3, average=0.9)
    whole, states = states_of(schedule, chips=table)
    resumed, late = states_of(schedule, chips=table, state=states[0], net=make_net(seed=9))
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
    assert late[0]["state.safetensors"] == states[1]["state.safetensors"]
    plain, _ = states_of(schedule, chips=CHIPS)
    assert any(not torch.equal(value, plain.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_batch_of_one_has_nothing_to_take_from():
    with pytest.raises(RecipeError, match=r"models.0.chips.*cutmix needs batch = 2 or more"):
        Recipe.of({"data": {"root": "."}, "models": [{"chips": {"cutmix": 0.1, "batch": 1}}]}, "r")


def test_without_noted_quantiles_chips_take_colours_of_the_training_scenes():
    table = ModelTable(network=NetworkTable(filters=2, depth=2), chips=CHANGED)
    scenes = [make_scene(), make_scene("b", (47, 53), 1)]
    spec = model_spec(table, ("a", "b"), scenes)
    decoded = decode_scenes(scenes, ["F", "C"], [0, 1], in_memory)
    bank = set_up(table, spec, decoded, choose_engine("cpu", "float32"), CPU, 3).bank
    expected = colours_of(scenes, ["F", "C"])
    assert set(bank.colours) == {"F", "C"}
    assert np.array_equal(bank.colours["C"].others_scq, expected["C"].others_scq)
    assert len(expected["F"].others_scq) == 2
    plain = table.model_copy(update={"chips": PLAIN})
    assert set_up(plain, spec, decoded, choose_engine("cpu", "float32"), CPU, 3).bank.colours == {}
