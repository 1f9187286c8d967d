"""Prediction of the two reference methods: `reference_methods.md` 2.10, 3.6 and 3.7."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from landscribe.core.grid import Window
from landscribe.core.recipe import InputTable, NetworkTable, PredictTable
from landscribe.core.sensors import SensorSpec
from landscribe.errors import RecipeError
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.stem import BandStatistics
from landscribe.nn.predict import reading
from landscribe.nn.predict.patches import patch_starts, predict_patches
from landscribe.nn.predict.tiles import VIEWS, predict_tiles
from landscribe.nn.train.snapshot import mean_of
from scenes import make_arrays

ENGINE = choose_engine("cpu", "float32")
PLAIN = {"symmetries": 1}


def make_net(context=4, seed=0, classes=("a", "b"), **network):
    sensor = SensorSpec("F", "f", ("red", "green"), 8)
    statistics = {"F": BandStatistics(*(np.full(2, v, np.float32) for v in (0, 255, 128, 40)))}
    table = NetworkTable(**{"filters": 3, "depth": 2} | network)
    spec = ModelSpec("m", classes, (sensor,), {"F": 1.0}, InputTable(), table, context)
    net = build_network(spec, statistics, seed=seed)
    torch.nn.init.normal_(net.unet.head.weight, 0, 2)
    return net.eval()


class Echo(torch.nn.Module):
    """In place of a network: each band again, as logit."""

    divisor, receptive_radius, width, has_strips = 1, 0, 2, False

    def forward(self, stacks, keep=None):
        return stacks[1] if keep is None else stacks[1][..., *keep.slices]


def echo_net(context=4):
    net = make_net(context)
    net.unet = Echo()
    return net


def make_image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (2, *shape)).astype(np.uint8)


def run(way, net, image, **table):
    whole = np.full(image.shape, np.nan, np.float32)
    predict = PredictTable(**{**PLAIN, **table})
    for window, p_khw in way([net], make_arrays({"F": image}), ENGINE, predict):
        assert np.isnan(whole[:, *window.slices]).all(), "each pixel once"
        whole[:, *window.slices] = p_khw
    return whole


def patches(net, image, **table):
    return run(predict_patches, net, image, **table)


def by_brute_force(net, image, starts, side, context):
    """Every patch cut out of the mirrored scene, alone, and the plain mean where they overlap."""
    height, width = image.shape[1:]
    around = context + side
    padded = np.pad(image, ((0, 0), (around, around), (around, around)), mode="symmetric").astype(np.float32)
    total, hits = np.zeros((2, height + side, width + side)), np.zeros((height + side, width + side))
    seen = side + 2 * context
    for row, col in itertools.product(*starts):
        cut = torch.from_numpy(padded[:, row + side : row + side + seen, col + side : col + side + seen].copy())[None]
        valid = torch.ones(1, 1, seen, seen, dtype=torch.bool)
        with torch.no_grad():
            p = torch.sigmoid(net({"F": cut}, {"F": valid}, Window(context, context, side, side)))[0]
        total[:, row : row + side, col : col + side] += p.numpy()
        hits[row : row + side, col : col + side] += 1
    return (total / np.maximum(hits, 1))[:, :height, :width]


def test_l19_steps_of_a_third_of_a_patch_make_nine_times_the_tiles():
    counts = []
    for step in (64 // 3, 64):
        predict = PredictTable(patch=64, step=step)
        rows, cols = (patch_starts(size, predict, 16) for size in (3349, 3391))
        counts.append(len(rows) * len(cols))
        assert (rows[-1], cols[-1]) == (3349 - 64, 3391 - 64)
        assert all(0 < b - a <= step for starts in (rows, cols) for a, b in itertools.pairwise(starts))
    assert counts == [25_280, 2_809]


@pytest.mark.parametrize("shape", [(53, 67), (301, 37)])
def test_l19_the_mean_over_shifts_is_that_of_brute_force(shape):
    net, image = make_net(), make_image(shape)
    predict = PredictTable(patch=24, step=7)
    starts = [patch_starts(size, predict, 4) for size in shape]
    found = patches(net, image, patch=24, step=7)
    expected = by_brute_force(net, image, starts, 24, 4)
    assert np.abs(found - expected).max() < 1e-5
    # The network is one whose result depends on where patches lie.
    assert np.abs(found - patches(net, image, patch=24)).max() > 1e-3


def test_l19_a_constant_network_gives_a_constant_map():
    net = make_net()
    torch.nn.init.zeros_(net.unet.head.weight)
    torch.nn.init.constant_(net.unet.head.bias, 0.7)
    for combine in ("arithmetic", "geometric"):
        found = patches(net, make_image((61, 83)), patch=16, step=5, combine=combine)
        assert found == pytest.approx(1 / (1 + np.exp(-0.7)), abs=1e-6)


def test_l20_edges_are_left_empty_and_nothing_beyond_them_is_looked_at(monkeypatch):
    net, image = make_net(), make_image((61, 71))
    inside = np.zeros((61, 71), bool)
    inside[4:-4, 4:-4] = True
    table = {"patch": 16, "step": 5}
    expected, mirrored = patches(net, image, **table, edges="empty"), patches(net, image, **table)
    assert (expected[:, ~inside] == 0).all()
    assert (expected[:, inside] > 0).all()
    assert np.abs(mirrored - expected)[:, inside].max() > 0
    # Not-a-number would not do here: ReLU and clipping make numbers of it. So another pixel lies beyond the edges.
    for beyond in (0, 40):

        def fill(start, stop, size, value=beyond):
            places = np.arange(start, stop)
            return np.where((places >= 0) & (places < size), places, value)

        monkeypatch.setattr(reading, "_mirrored_pixels", fill)
        assert np.array_equal(patches(net, image, **table, edges="empty"), expected)
        assert np.abs(patches(net, image, **table) - mirrored).max() > 1e-3


def test_l20_single_classes_can_have_empty_edges():
    net, image = make_net(), make_image((61, 71))
    normal = patches(net, image, patch=16, step=5)
    for way, table in ((predict_patches, {"patch": 16, "step": 5}), (predict_tiles, {"tile": 32})):
        found = run(way, net, image, empty_edges=("b",), **table)
        assert (found[1, :4] == 0).all()
        assert (found[1, :, -4:] == 0).all()
        assert (found[1, 4:-4, 4:-4] > 0).all()
        assert (found[0] > 0).all()
    assert np.array_equal(patches(net, image, patch=16, step=5, empty_edges=("b",))[0], normal[0])


def test_l36_turning_about_the_centre_is_exact():
    image = make_image((37, 53))
    expected = patches(echo_net(), image, patch=11)
    for symmetries in (4, 8):
        for views in ("turns", "mirrors"):
            found = patches(echo_net(), image, patch=11, symmetries=symmetries, views=views)
            assert np.abs(found - expected).max() < 1e-6


def test_l36_four_turns_are_the_mean_of_the_turned_scene():
    net, image = make_net(), make_image((40, 40))
    # One patch holds the whole scene, so that turns do not shift the grid of patches.
    turned = [patches(net, np.rot90(image, k, (1, 2)).copy(), patch=40) for k in range(4)]
    expected = np.mean([np.rot90(p_khw, -k, (1, 2)) for k, p_khw in enumerate(turned)], axis=0)
    assert patches(net, image, patch=40, symmetries=4) == pytest.approx(expected, abs=1e-6)
    assert np.abs(turned[0] - expected).max() > 1e-3


def test_l36_the_mean_of_snapshots_is_the_mean_of_their_weights():
    nets = [make_net(seed=seed) for seed in (1, 2, 3)]
    mean = mean_of(nets).state_dict()
    states = [net.state_dict() for net in nets]
    for name, value in mean.items():
        if value.is_floating_point():
            assert torch.allclose(value, sum(state[name] for state in states) / 3, atol=1e-7)
    assert torch.equal(mean_of(nets[:1]).state_dict()["unet.head.weight"], states[0]["unet.head.weight"])


def test_t08_tiles_of_112_with_a_stride_of_80():
    rows, cols = (patch_starts(size, PredictTable(patch=80), 16) for size in (3349, 3391))
    assert (len(rows), len(cols), len(rows) * len(cols)) == (42, 43, 1806)
    assert cols[:3] == [0, 80, 160]
    assert rows[-1] + 80 > 3349


@pytest.mark.parametrize("shape", [(61, 83), (80, 80), (79, 161), (257, 81), (5, 7)])
def test_t08_an_echo_gives_the_scene_again_up_to_its_borders(shape):
    image = make_image(shape)
    found = patches(echo_net(16), image, patch=80)
    assert found == pytest.approx(1 / (1 + np.exp(-(image - 128.0) / 40)), abs=1e-6)
    table = PredictTable(**{**PLAIN, "patch": 80})
    strips = [w for w, _ in predict_patches([echo_net(16)], make_arrays({"F": image}), ENGINE, table)]
    assert [w.height for w in strips] == [min(256, shape[0] - row) for row in range(0, shape[0], 256)]


def test_t08_patches_side_by_side_see_the_scene_mirrored_at_its_edges():
    net, image = make_net(), make_image((53, 67))
    starts = [patch_starts(size, PredictTable(patch=24), 4) for size in (53, 67)]
    assert starts == [[0, 24, 48], [0, 24, 48]]
    assert np.abs(patches(net, image, patch=24) - by_brute_force(net, image, starts, 24, 4)).max() < 1e-5


def test_t08_four_views_are_undone_and_combined_by_the_geometric_mean():
    net, image = make_net(), make_image((40, 40))
    views = {
        "identity": lambda a: a,
        "rows": lambda a: a[:, ::-1],
        "columns": lambda a: a[:, :, ::-1],
        "transpose": lambda a: a.transpose(0, 2, 1),
    }
    logs = 0.0
    for view in views.values():
        # One patch holds the whole scene, so that views do not shift the grid of patches.
        alone = patches(net, np.ascontiguousarray(view(image)), patch=40, combine="geometric")
        logs = logs + np.log(view(alone)) / 4
    found = patches(net, image, patch=40, symmetries=4, views="mirrors", combine="geometric")
    assert found == pytest.approx(np.exp(logs), abs=1e-6)
    arithmetic = patches(net, image, patch=40, symmetries=4, views="mirrors")
    assert (found <= arithmetic + 1e-6).all()
    assert {len(set(order)) for order in VIEWS.values()} == {8}


def test_t08_patches_and_tiles_agree_where_a_patch_sees_all_that_reaches_it():
    net = make_net(context=12)
    assert net.receptive_radius <= 12
    image = make_image((90, 70))
    # Away from the scene's edge: there a tile is mirrored by the context and zero beyond, and so is a patch.
    found, expected = patches(net, image, patch=8), run(predict_tiles, net, image, tile=32)
    assert np.abs(found - expected)[:, 12:-12, 12:-12].max() < 1e-5


def test_a_patch_that_does_not_divide_is_told():
    with pytest.raises(RecipeError, match=r"does not divide, got 25 \+ 2 x 4 = 33, need a multiple of 2"):
        patches(make_net(), make_image((61, 71)), patch=25)
