import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from affine import Affine

from landscribe.core.recipe import ChipTable
from landscribe.errors import DataError
from landscribe.nn.scene import SceneArrays
from landscribe.nn.train.chips import cut_chips, draw_plan, load_bank, steps_per_epoch
from scenes import make_arrays

CPU = torch.device("cpu")


def make_scene(name="a", shape=(61, 83), seed=0, n_classes=2, labelled=None):
    """A fine sensor F and a sensor C four times as coarse, shifted; classes are shares of smooth fields."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    coverage = np.stack([127.5 + 127.5 * np.sin(cols / 9 + k) * np.cos(rows / 11) for k in range(n_classes)])
    coarse_shape = shape[0] // 4 + 2, shape[1] // 4 + 2
    images = {
        "F": rng.integers(1, 2000, (3, *shape)).astype(np.uint16),
        "C": rng.integers(1, 200, (2, *coarse_shape)).astype(np.uint8),
    }
    maps = {"C": Affine.translation(0.4, 0.7) @ Affine.scale(0.25)}
    return make_arrays(images, maps=maps, coverage=coverage.round().astype(np.uint8), labelled=labelled, name=name)


STILL = {
    "rotate_deg": 0.0,
    "sharp": 0.0,
    "flips": False,
    "scale": 0.0,
    "gain": 0.0,
    "band_gain": 0.0,
    "band_offset": 0.0,
    "oversample": 0.0,
}


def make_chips(scenes, table, seed=0, step=0, steps=None, backend=None):
    bank = load_bank(scenes, steps or {"F": 1, "C": 4}, CPU, backend=backend)
    return cut_chips(bank, table, draw_plan(bank, table, seed, step))


def test_shapes_and_ranges():
    chips = make_chips([make_scene()], ChipTable(size=32, context=5, batch=3))
    assert chips.images["F"].shape == (3, 3, 32, 32)
    assert chips.images["C"].shape == (3, 2, 8, 8)
    assert chips.valid["C"].shape == (3, 1, 8, 8)
    assert chips.valid["C"].dtype == torch.bool
    assert chips.target.shape == (3, 2, 22, 22)
    assert 0 <= chips.target.min() < chips.target.max() <= 1 + 1e-6  # weights of neighbours are rounded
    assert chips.weight.shape == (3, 1, 22, 22)


def test_the_same_step_gives_the_same_chips_and_another_step_others():
    scenes, table = [make_scene()], ChipTable(size=16, context=2, batch=2)
    first, again, other = (make_chips(scenes, table, seed=7, step=s) for s in (3, 3, 4))
    assert torch.equal(first.images["F"], again.images["F"])
    assert torch.equal(first.target, again.target)
    assert not torch.equal(first.images["F"], other.images["F"])
    assert not torch.equal(first.images["F"], make_chips(scenes, table, seed=8, step=3).images["F"])


def test_both_backends_give_one_result():
    scenes = [make_scene(), make_scene("b", (47, 53), 1)]
    table = ChipTable(size=32, context=4, batch=9, oversample=0.5)
    ours, theirs = (make_chips(scenes, table, backend=b) for b in ("numba", "torch"))
    for name in ours.images:
        scale = ours.images[name].abs().max()
        assert (ours.images[name] - theirs.images[name]).abs().max() < 1e-4 * scale
        assert torch.equal(ours.valid[name], theirs.valid[name])
    assert (ours.target - theirs.target).abs().max() < 1e-4
    assert torch.equal(ours.weight, theirs.weight)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_chips():
    scenes, table = [make_scene(), make_scene("b", (47, 53), 1)], ChipTable(size=32, context=4, batch=9)
    banks = [load_bank(scenes, {"F": 1, "C": 4}, torch.device(name)) for name in ("cpu", "cuda")]
    ours, theirs = (cut_chips(bank, table, draw_plan(bank, table, 0, 0)).to(CPU) for bank in banks)
    for name in ours.images:
        assert (ours.images[name] - theirs.images[name]).abs().max() < 1e-4 * ours.images[name].abs().max()
    assert (ours.target - theirs.target).abs().max() < 1e-4


def test_image_and_label_stay_registered():
    """An image that is the label itself comes out as the target, whatever the chip's map."""
    scene = make_scene()
    images = {"F": scene.coverage_khw.astype(np.float32)}
    copied = make_arrays(images, coverage=scene.coverage_khw)
    table = ChipTable(size=48, context=3, batch=16, gain=0.0, band_gain=0.0, scale=0.4)
    chips = make_chips([copied], table, steps={"F": 1})
    known = chips.weight.bool().expand_as(chips.target)
    assert known.float().mean() > 0.3
    assert (chips.images["F"][:, :, 3:-3, 3:-3] / 255 - chips.target)[known].abs().max() < 1e-5


def test_a_still_chip_is_a_crop_between_pixels():
    """Without changes neighbouring samples are one pixel apart, in image and label alike."""
    rows, cols = np.mgrid[:64, :64] + 0.5
    scene = make_scene(shape=(64, 64))
    ramp = make_arrays({"F": np.stack([cols, rows]).astype(np.float32)}, coverage=scene.coverage_khw)
    chips = make_chips([ramp], ChipTable(size=16, context=0, batch=64, **STILL), steps={"F": 1})
    inside = chips.weight.flatten(1).min(1).values > 0
    cols_out, rows_out = chips.images["F"][inside].unbind(1)
    # Half a pixel from the scene's edge interpolation has nothing to lean on.
    assert torch.allclose(cols_out.diff(dim=2)[:, :, 1:-1], torch.ones(1), atol=1e-3)
    assert torch.allclose(rows_out.diff(dim=1)[:, 1:-1], torch.ones(1), atol=1e-3)
    assert inside.sum() > 10


def test_unlabelled_pixels_have_no_weight_and_attract_no_chip():
    labelled = np.zeros((61, 83), bool)
    labelled[20:30, 50:70] = True
    table = ChipTable(size=16, context=0, batch=40, **STILL)
    bank = load_bank([make_scene(labelled=labelled)], {"F": 1}, CPU)
    plan = draw_plan(bank, table, 0, 0)
    centres = plan.map_b6[:, [2, 5]] + 8
    assert ((centres >= [50, 20]) & (centres <= [70, 30])).all()
    chips = cut_chips(bank, table, plan)
    assert (chips.weight.sum((1, 2, 3)) <= 200).all()
    assert chips.weight.sum() > 0


def test_classes_are_drawn_evenly_when_oversampling():
    rare = np.zeros((2, 101, 103), np.uint8)
    rare[0] = 255
    rare[1, 50:52, 60:63] = 255
    scene = replace(make_scene(shape=(101, 103)), coverage_khw=rare)
    shares = []
    for oversample in (0.0, 1.0):
        table = ChipTable(size=16, context=2, batch=200, **STILL | {"oversample": oversample})
        chips = make_chips([scene], table)
        shares.append((chips.target[:, 1] * chips.weight[:, 0]).amax((1, 2)).gt(0).float().mean().item())
    assert shares[0] < 0.1
    assert shares[1] == pytest.approx(0.5, abs=0.12)


def test_scenes_are_drawn_by_labelled_area():
    scenes = [make_scene("a", (40, 50)), make_scene("b", (80, 75), 1)]
    bank = load_bank(scenes, {"F": 1}, CPU)
    plan = draw_plan(bank, ChipTable(size=16, context=0, batch=800, balance="area", oversample=0.0), 0, 0)
    assert plan.scene_b.mean() == pytest.approx(0.75, abs=0.05)


def test_a_pixel_of_a_class_lies_anywhere_in_what_is_learned_from():
    """Centred on it, the network could learn the place instead of the look."""
    coverage = np.zeros((1, 101, 103), np.uint8)
    coverage[0, 50, 60] = 255
    scene = replace(make_scene(shape=(101, 103)), coverage_khw=coverage)
    table = ChipTable(size=20, context=2, batch=300, **STILL | {"oversample": 1.0})
    bank = load_bank([scene], {"F": 1}, CPU)
    rows = 50.5 - draw_plan(bank, table, 0, 0).map_b6[:, 5]
    assert (rows > 1.5).all()
    assert (rows < 18.5).all()
    assert rows.std() == pytest.approx(16 / 12**0.5, rel=0.1)
    assert (make_chips([scene], table).weight * make_chips([scene], table).target).amax((1, 2, 3)).gt(0).all()


def test_maps_turn_zoom_and_flip_within_their_limits():
    bank = load_bank([make_scene()], {"F": 1}, CPU)

    def squares(**table):
        maps = draw_plan(bank, ChipTable(size=16, context=0, batch=300, **STILL | table), 0, 0).map_b6
        return maps[:, [0, 1, 3, 4]].reshape(-1, 2, 2)

    assert np.allclose(squares(), np.eye(2))
    area = np.linalg.det(squares(scale=0.2))
    assert 0.64 <= area.min() < 0.7
    assert 1.38 < area.max() <= 1.44
    assert np.linalg.det(squares(flips=True)).mean() == pytest.approx(0, abs=0.2)
    assert np.allclose(np.abs(np.linalg.det(squares(flips=True))), 1)
    angles = np.degrees(np.arctan2(squares(rotate_deg=25.0)[:, 1, 0], squares(rotate_deg=25.0)[:, 0, 0]))
    assert -25 <= angles.min() < -23
    assert 23 < angles.max() <= 25


def test_gain_is_common_to_bands_and_band_gain_is_not():
    bank = load_bank([make_scene()], {"F": 1, "C": 1}, CPU)
    still = {**STILL, "gain": 0.2}
    gains = draw_plan(bank, ChipTable(size=16, context=0, batch=5, **still), 0, 0).gains
    assert np.ptp(gains["F"], axis=1).max() == 0
    assert np.array_equal(gains["F"][:, 0], gains["C"][:, 0])
    assert np.ptp(gains["F"], axis=0).min() > 0.01
    gains = draw_plan(bank, ChipTable(size=16, context=0, batch=5, **STILL | {"band_gain": 0.2}), 0, 0).gains
    assert np.ptp(gains["F"], axis=1).min() > 0.01


def test_offsets_are_in_spreads_of_their_band():
    scene = make_scene()
    scene.images_chw["F"][1] //= 10
    bank = load_bank([scene], {"F": 1}, CPU)
    chips = ChipTable(size=16, context=0, batch=900, **STILL | {"band_offset": 0.5})
    plan = draw_plan(bank, chips, 0, 0)
    assert plan.offsets["F"].std(axis=0) == pytest.approx(0.5 * scene.images_chw["F"].std(axis=(1, 2)), rel=0.15)
    shifted = cut_chips(bank, chips, plan).images["F"]
    plain = cut_chips(bank, chips, dataclasses.replace(plan, offsets={"F": 0 * plan.offsets["F"]})).images["F"]
    assert np.allclose((shifted - plain)[:, :, 5, 5], plan.offsets["F"], atol=1e-2)


def test_an_epoch_covers_the_labelled_area_once():
    labelled = np.zeros((61, 83), bool)
    labelled[:, :40] = True
    bank = load_bank([make_scene(labelled=labelled)], {"F": 1}, CPU)
    assert steps_per_epoch(bank, ChipTable(size=20, context=5, batch=2)) == -(-61 * 40 // 200)


def test_scenes_that_differ_are_told_apart():
    other = make_scene("b", n_classes=3)
    with pytest.raises(DataError, match="scene 'b': classes, got 3, need 2"):
        load_bank([make_scene(), other], {"F": 1}, CPU)
    other = make_scene("b")
    other.images_chw["F"] = other.images_chw["F"][:2]
    with pytest.raises(DataError, match="scene 'b': bands of 'F', got 2, need 3 as in 'a'"):
        load_bank([make_scene(), other], {"F": 1}, CPU)


def test_scenes_of_different_types_keep_their_values():
    small, large = make_scene("a"), make_scene("b")
    small.images_chw["F"] = (small.images_chw["F"] % 200).astype(np.uint8)
    large.images_chw["F"] = large.images_chw["F"].astype(np.float32) + 0.5
    values = load_bank([small, large], {"F": 1}, CPU).sensors["F"].values_nc
    assert np.array_equal(values[: 61 * 83].T.reshape(3, 61, 83), small.images_chw["F"])
    assert np.array_equal(values[61 * 83 :].T.reshape(3, 61, 83), large.images_chw["F"])


def test_errors_name_the_scene():
    with pytest.raises(DataError, match=r"scene 'a': sensor missing, got X"):
        load_bank([make_scene()], {"X": 1}, CPU)
    with pytest.raises(DataError, match=r"no labelled pixel, got 1 scenes"):
        load_bank([make_scene(labelled=np.zeros((61, 83), bool))], {"F": 1}, CPU)


def test_sharp_chips_hold_the_numbers_of_the_scene() -> None:
    scene = make_scene()
    table = ChipTable(size=16, context=0, batch=40, sharp=1.0, gain=0.0, band_gain=0.0, oversample=0.3)
    plan = draw_plan(load_bank([scene], {"F": 1}, CPU), table, 0, 0)
    turns = plan.map_b6.reshape(-1, 2, 3)
    assert (turns == turns.round()).all()
    assert (np.abs(turns[:, :, :2]).sum(axis=2) == 1).all()
    assert len(np.unique(turns[:, :, :2].reshape(-1, 4), axis=0)) == 8
    chips = make_chips([scene], table, steps={"F": 1})
    known = set(np.unique(scene.images_chw["F"]).tolist())
    assert set(np.unique(chips.images["F"].numpy()).tolist()) <= known


@pytest.mark.parametrize(("balance", "expected"), [("scene", 0.5), ("area", 24 / (24 + 77))])
def test_small_scenes_get_their_share(balance: str, expected: float) -> None:
    def scene(name: str, h: int, w: int) -> SceneArrays:
        empty = np.zeros((1, h, w), np.uint8)
        return make_arrays({"F": empty}, coverage=empty, name=name)

    bank = load_bank([scene("small", 4, 6), scene("large", 7, 11)], {"F": 1}, CPU)
    plan = draw_plan(bank, ChipTable(size=16, context=0, batch=2000, balance=balance, oversample=0.0), 0, 0)
    assert (plan.scene_b == 0).mean() == pytest.approx(expected, abs=0.04)
