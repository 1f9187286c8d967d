"""Bytes that a device makes: those of the plain way, on the processor by the same code."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_tiles import Ground, make_net

from landscribe.core.arrays import ByteArray
from landscribe.core.grid import Window
from landscribe.core.owners import average_owners
from landscribe.core.recipe import PredictTable
from landscribe.nn.device import choose_engine
from landscribe.nn.predict.in_flight import (
    BLOCK_ROWS,
    STRIP_ROWS,
    class_bytes,
    device_strips,
    land,
    predict_bytes,
)
from landscribe.nn.predict.prepare_network import make_ready_for
from landscribe.nn.predict.reading import scene_reader
from landscribe.nn.predict.tiles import predict_tiles
from landscribe.nn.predict.whole import are_kept, makes_bytes, to_bytes, windows_of, with_validity

ENGINE = choose_engine("cpu", "float32")
GPU = replace(ENGINE, device=torch.device("cuda"))
"""Of a machine that has one; nothing is run on it here."""
SHAPE = (61, 47)


def reader_of(nets, scene, engine=ENGINE):
    return replace(scene_reader(nets, scene, engine), sends=True)


def both_ways(nets, scene, owners, windows, **settings):
    table = PredictTable(**settings)
    ours: list[ByteArray] = []
    with closing(predict_bytes(nets, reader_of(nets, scene), table, owners, windows)) as strips:
        ours += strips
    theirs = []
    whole = PredictTable(**settings | {"tile": 4096})
    with closing(predict_tiles(nets, scene, ENGINE, whole)) as tiles:
        [(window, p_khw)] = tiles
        theirs = to_bytes(list(p_khw), np.ones(window.shape_hw, bool), owners, whole)[:-1]
    found = np.zeros_like(theirs)
    for window, strip in zip(windows, ours, strict=True):
        found[:, *window.slices] = strip
    return found, theirs


@pytest.mark.parametrize("low", ["upsample", "branch"])
@pytest.mark.parametrize("settings", [{"symmetries": 1}, {"symmetries": 8, "combine": "geometric"}])
def test_a_scene_in_strips_has_the_bytes_of_the_whole_of_it(low, settings):
    net, scene = make_net(low), Ground(SHAPE)
    windows = Window(0, 0, *SHAPE).strips(16)
    assert len(windows) == 4
    ours, theirs = both_ways([net], scene, (((1, 1.0),), (), ((0, 1.0),)), windows, **settings)
    apart = np.abs(ours.astype(int) - theirs)
    # A strip is summed in another order than the whole.
    assert apart.max() <= 1
    assert (apart > 0).mean() < 2e-3
    assert ours[0].std() > 4
    assert (ours[1] == 0).all()


def test_the_same_window_has_the_same_bytes():
    net, scene = make_net(), Ground(SHAPE)
    ours, theirs = both_ways([net], scene, (((0, 1.0),), ((1, 1.0),)), [Window(0, 0, *SHAPE)], symmetries=4)
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("combine", ["arithmetic", "geometric"])
def test_several_networks_are_averaged_by_their_weights(combine):
    nets, scene = [make_net(seed=0), make_net(seed=1)], Ground(SHAPE)
    owners = (((0, 0.25), (2, 0.75)), ((1, 1.0),), ())
    ours, theirs = both_ways(nets, scene, owners, [Window(0, 0, *SHAPE)], symmetries=1, combine=combine)
    apart = np.abs(ours.astype(int) - theirs)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3
    assert np.array_equal(ours[1], theirs[1])


def test_bytes_of_classes_are_rounded_as_on_the_processor():
    p_ohw = np.concatenate([np.linspace(0, 1, 511), (np.arange(255) + 0.5) / 255]).astype(np.float32).reshape(1, 2, -1)
    p_ohw = np.concatenate([p_ohw, p_ohw[:, :, ::-1]])
    owners = (((0, 1.0),), ((1, 1.0),), ((0, 0.5), (1, 0.5)), ())
    expected = [
        np.rint(p * np.float32(255)).astype(np.uint8) for p in average_owners(list(p_ohw), owners, "arithmetic")
    ]
    assert np.array_equal(class_bytes(torch.from_numpy(p_ohw.copy()), owners, "arithmetic").numpy(), np.stack(expected))


def test_empty_edges_are_empty_in_every_strip():
    net, scene = make_net(context=6), Ground(SHAPE)
    windows = Window(0, 0, *SHAPE).strips(16)
    owners = (((0, 1.0),), ((1, 1.0),))
    ours, theirs = both_ways([net], scene, owners, windows, symmetries=1, empty_edges=("a",))
    assert (ours[0, :6] == 0).all()
    assert (ours[0, :, -6:] == 0).all()
    assert (ours[0, 6:-6, 6:-6] > 0).any()
    assert np.array_equal(ours == 0, theirs == 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_a_device_that_gets_raw_numbers_makes_the_same_stacks(dtype):
    net, scene = make_net("upsample"), Ground(SHAPE, 3)
    scene.images = {name: image.astype(dtype) * dtype(3) for name, image in scene.images.items()}
    if dtype == np.uint16:
        scene.images["F"][0, :9] = 65_535
    if np.dtype(dtype).kind == "f":
        scene.images["F"][1, 20:23, 7] = np.nan
    ready = make_ready_for(net, scene_reader([net], scene, ENGINE), ENGINE)
    windows = [Window(-4, 8, 24, 16), Window(-4, 24, 24, 16)]
    plain, sent = (
        reader.load_many(ready, windows) for reader in (scene_reader([net], scene, ENGINE), reader_of([net], scene))
    )
    assert plain.keys() == sent.keys()
    for stride, stack in plain.items():
        assert sent[stride].shape == stack.shape
        assert torch.allclose(sent[stride], stack, atol=1e-5)
        assert sent[stride].is_contiguous(memory_format=torch.channels_last)


def test_strips_lie_on_the_blocks_of_rasters_and_cover_the_scene(monkeypatch):
    from landscribe.nn.predict import in_flight

    net, table = make_net(), PredictTable(symmetries=1)
    for budget, rows in ((1 << 40, STRIP_ROWS), (7 << 26, BLOCK_ROWS), (1 << 20, 0)):
        monkeypatch.setattr(in_flight, "tile_budget_bytes", lambda _engine, b=budget: b)
        shape = (2311, 5003)
        strips = device_strips([net], table, shape, GPU)
        if budget == 1 << 20:
            assert strips == []
            continue
        assert {strip.height for strip in strips[:-1]} == {rows}, budget
        assert sum(strip.height for strip in strips) == 2311
        assert all(strip.col == 0 and strip.width == 5003 for strip in strips)
    assert device_strips([net], PredictTable(symmetries=1, tile=256), (2311, 5003), GPU) == []


def test_quick_scenes_of_a_device_are_not_kept_and_others_are(monkeypatch):
    from landscribe.nn.predict import in_flight

    monkeypatch.setattr(in_flight, "tile_budget_bytes", lambda _engine: 1 << 40)
    nets, table = [make_net()], PredictTable(symmetries=1)
    assert makes_bytes(nets, table, GPU)
    assert not makes_bytes(nets, table, ENGINE)
    assert not makes_bytes([], table, GPU)
    for shape, kept in (((3349, 3391), False), ((20_011, 20_021), True)):
        windows = windows_of(nets, table, shape, GPU)
        assert len(windows) > 1
        assert are_kept(windows, nets, table, GPU) == kept
    assert are_kept([Window(0, 0, 8, 8), Window(0, 8, 8, 8)], nets, table, ENGINE)
    assert not are_kept([Window(0, 0, 8, 8)], nets, table, ENGINE)


def test_what_is_kept_of_a_window_is_masked_and_says_where_there_is_data():
    classes = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5) + 1
    valid = np.random.default_rng(0).random((3, 5)) > 0.4
    stack = with_validity(classes, valid)
    assert stack.dtype == np.uint8
    assert np.array_equal(stack[:-1], classes * valid)
    assert np.array_equal(stack[-1], valid)


def test_a_window_that_is_given_up_leaves_no_thread_behind():
    nets, scene = [make_net()], Ground(SHAPE)
    strips = predict_bytes(
        nets, reader_of(nets, scene), PredictTable(symmetries=1), (((0, 1.0),),), Window(0, 0, *SHAPE).strips(8)
    )
    next(strips)
    strips.close()
    assert list(strips) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_bytes_of_the_processor():
    engine = choose_engine("cuda", "float32")
    nets, scene, table = [make_net()], Ground(SHAPE), PredictTable(symmetries=8)
    owners, windows = (((0, 1.0),), ((1, 1.0),)), Window(0, 0, *SHAPE).strips(16)
    ours, theirs = (
        np.concatenate(list(predict_bytes(nets, reader_of(nets, scene, e), table, owners, windows)), axis=1)
        for e in (engine, ENGINE)
    )
    apart = np.abs(ours.astype(int) - theirs)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


def test_bytes_that_are_here_are_not_waited_for():
    landing = land(torch.arange(6, dtype=torch.uint8).reshape(1, 2, 3))
    assert landing.landed is None
    assert landing.wait().tolist() == [[[0, 1, 2], [3, 4, 5]]]
