import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from landscribe.core.grid import Grid, Window
from landscribe.core.recipe import InputTable, NetworkTable, PredictTable
from landscribe.core.sensors import SensorSpec
from landscribe.errors import RecipeError
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.stem import BandStatistics
from landscribe.nn.network.unet import UNet
from landscribe.nn.predict.tiles import line_bytes, pixel_bytes, predict_logits, predict_tiles, tile_side, tile_windows

ENGINE = choose_engine("cpu", "float32")
SENSORS = (SensorSpec("F", "f", ("red", "green"), 8), SensorSpec("C", "c", ("nir",), 8))


def make_net(low="branch", depth=2, first_pool=2, context=6, classes=("a", "b"), seed=0):
    statistics = {
        s.name: BandStatistics(*(np.full(len(s.bands), v, np.float32) for v in (0, 255, 128, 40))) for s in SENSORS
    }
    network = NetworkTable(filters=2, depth=depth, first_pool=first_pool)
    spec = ModelSpec("m", classes, SENSORS, {"F": 1.0, "C": 2.0}, InputTable(low=low), network, context)
    net = build_network(spec, statistics, seed=seed)
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 1)
    # Logits of an untrained network are nearly constant; spread them so that a wrong pixel shows.
    torch.nn.init.normal_(net.unet.head.weight, 0, 2)
    return net


class Ground:
    """A `PixelSource` in memory that checks what is read of it."""

    id = "ground"
    absent = frozenset()
    sensors = {sensor.name: sensor for sensor in SENSORS}  # noqa: RUF012

    def __init__(self, shape, seed=0):
        rng = np.random.default_rng(seed)
        self.shape = shape
        sizes = {"F": shape, "C": (-(-shape[0] // 2), -(-shape[1] // 2))}
        self.images = {s.name: rng.integers(0, 255, (len(s.bands), *sizes[s.name])).astype(np.uint8) for s in SENSORS}
        self.maps = {"F": Affine.identity(), "C": Affine.translation(0.3, -0.2) @ Affine.scale(0.5)}
        self.shapes = {name: image.shape[1:] for name, image in self.images.items()}
        self.windows = []

    @property
    def grid(self):
        return Grid(*self.shape, Affine.identity())

    @property
    def grids(self):
        return {name: Grid(*self.shapes[name], ~to_sensor) for name, to_sensor in self.maps.items()}

    def read(self, name, window):
        height, width = self.shapes[name]
        assert 0 <= window.row < window.row_stop <= height
        assert 0 <= window.col < window.col_stop <= width
        self.windows.append((name, window))
        rows, cols = window.slices
        return self.images[name][:, rows, cols], np.ones(window.shape_hw, bool)

    def predict(self, nets, tile=4096, windows=None, **table):
        if isinstance(nets, torch.nn.Module):
            nets = [nets]
        predict = PredictTable(tile=tile, **{"symmetries": 1} | table)
        whole = np.full((sum(len(n.spec.classes) for n in nets), *self.shape), np.nan, np.float32)
        tiles = predict_tiles(nets, self, ENGINE, predict, windows)
        for window, p_khw in tiles:
            assert np.isnan(whole[:, *window.slices]).all()
            whole[:, *window.slices] = p_khw
        return whole


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    tile=st.sampled_from([32, 34, 64]),
    low=st.sampled_from(["upsample", "branch"]),
    shape=st.sampled_from([(1, 2), (2, 2), (3, 2), (2, 4)]),
    context=st.integers(0, 20),
    symmetries=st.sampled_from([1, 4, 8]),
)
def test_tiled_is_untiled(height, width, tile, low, shape, context, symmetries):
    net = make_net(low, depth=shape[0], first_pool=shape[1], context=context)
    ground = Ground((height, width))
    one, many = (ground.predict(net, side, symmetries=symmetries) for side in (4096, tile))
    assert np.isfinite(one).all()
    assert np.abs(one - many).max() < 1e-5


def test_the_picture_is_not_flat():
    p = Ground((61, 47)).predict(make_net())
    assert p.std(axis=(1, 2)).min() > 0.02


def test_the_inner_part_is_the_plain_forward_pass():
    """Against the network called by hand on the whole scene, away from the mirrored frame."""
    net = make_net("upsample", context=0).eval()
    ground = Ground((64, 48))
    ground.maps["C"] = Affine.scale(0.5)
    images = {name: torch.from_numpy(image)[None].float() for name, image in ground.images.items()}
    images["C"] = torch.nn.functional.interpolate(images["C"], (64, 48), mode="bilinear", align_corners=False)
    valid = {name: torch.ones(1, 1, 64, 48, dtype=torch.bool) for name in images}
    with torch.no_grad():
        expected = torch.sigmoid(net(images, valid))[0].numpy()
    assert np.abs(ground.predict(net) - expected).max() < 1e-5


@pytest.mark.parametrize("combine", ["arithmetic", "geometric"])
@pytest.mark.parametrize("symmetries", [4, 8])
def test_symmetries_are_undone(symmetries, combine):
    """Turning the scene turns the prediction, exactly, when all views are averaged."""
    net = make_net("upsample", context=8)
    ground = Ground((32, 48))
    ground.maps["C"] = Affine.scale(0.5)
    turned = Ground((48, 32))
    turned.maps["C"] = Affine.scale(0.5)
    turned.images = {name: np.ascontiguousarray(np.rot90(image, axes=(1, 2))) for name, image in ground.images.items()}
    p, q = (g.predict(net, symmetries=symmetries, combine=combine) for g in (ground, turned))
    assert np.abs(np.rot90(p, axes=(1, 2)) - q).max() < 1e-5
    alone = [g.predict(net) for g in (ground, turned)]
    assert np.abs(np.rot90(alone[0], axes=(1, 2)) - alone[1]).max() > 1e-2
    if symmetries == 8:
        flipped = Ground((32, 48))
        flipped.maps["C"] = Affine.scale(0.5)
        flipped.images = {name: image[:, :, ::-1].copy() for name, image in ground.images.items()}
        r = flipped.predict(net, symmetries=8, combine=combine)
        assert np.abs(p[:, :, ::-1] - r).max() < 1e-5


@pytest.mark.parametrize("combine", ["arithmetic", "geometric"])
@pytest.mark.parametrize("symmetries", [1, 4, 8])
def test_views_that_agree_are_their_mean(symmetries, combine):
    net = make_net()
    torch.nn.init.zeros_(net.unet.head.weight)
    torch.nn.init.constant_(net.unet.head.bias, -1.5)
    p = Ground((61, 47)).predict(net, symmetries=symmetries, combine=combine)
    assert np.allclose(p, 1 / (1 + np.exp(1.5)), atol=1e-6)


def test_the_geometric_mean_is_below_the_arithmetic():
    net, ground = make_net(), Ground((61, 47))
    a, g = (ground.predict(net, symmetries=8, combine=c) for c in ("arithmetic", "geometric"))
    assert (g <= a + 1e-6).all()
    assert (a - g).max() > 1e-3


def test_models_are_stacked_in_order_even_when_their_grids_differ():
    first, second = make_net("upsample", 3, classes=("a",)), make_net("branch", 2, classes=("b", "c"), seed=1)
    ground = Ground((61, 83))
    both = ground.predict([first, second], 32)
    assert both.shape == (3, 61, 83)
    assert np.abs(both[:1] - ground.predict(first)).max() < 1e-5
    assert np.abs(both[1:] - ground.predict(second)).max() < 1e-5


def test_some_windows_give_the_same_numbers_as_all():
    net, ground = make_net(), Ground((97, 83))
    whole = ground.predict(net, 32)
    chosen = tile_windows((97, 83), 32)[5:7]
    some = ground.predict(net, 32, windows=chosen)
    for window in chosen:
        assert np.array_equal(some[:, *window.slices], whole[:, *window.slices])
    assert np.isnan(some).sum() == 2 * (97 * 83 - sum(w.height * w.width for w in chosen))
    assert ground.predict(net, 32, windows=[]).shape == whole.shape


@pytest.mark.parametrize("corner", [0, 256, 576])
def test_a_tile_reads_no_more_than_reaches_it(corner):
    net, ground = make_net(), Ground((601, 601))
    ground.predict(net, 32, windows=[Window(corner, 256, min(32, 601 - corner), 32)])
    sizes = {name: window.shape_hw for name, window in ground.windows}
    reach = net.receptive_radius + net.divisor + 2
    assert max(sizes["F"]) <= 32 + 2 * reach
    assert max(sizes["C"]) <= 16 + reach + 2


@pytest.mark.parametrize("combine", ["arithmetic", "geometric"])
def test_each_class_averages_its_own_number_of_views(combine):
    net, ground = make_net(), Ground((37, 41))
    names = net.spec.classes
    mixed = ground.predict(net, symmetries=8, combine=combine, class_symmetries={names[0]: 1, names[1]: 4})
    for k, views in enumerate([1, 4, *[8] * (len(names) - 2)]):
        alone = ground.predict(net, symmetries=views, combine=combine)
        assert np.abs(mixed[k] - alone[k]).max() < 1e-6
    assert np.abs(ground.predict(net, symmetries=8)[0] - mixed[0]).max() > 1e-4


def test_windows_tile_the_scene_once():
    windows = tile_windows((61, 83), 32)
    count = np.zeros((61, 83), int)
    for window in windows:
        count[window.slices] += 1
    assert (count == 1).all()
    assert len(windows) == 6


def test_the_tile_is_rounded_up_to_the_largest_divisor():
    nets = [make_net(depth=2), make_net(depth=3, first_pool=4)]
    assert tile_side(nets, PredictTable(tile=33), (61, 83), ENGINE) == 40
    assert tile_side([], PredictTable(tile=33), (61, 83), ENGINE) == 33


def test_without_a_side_tiles_are_alike_and_as_large_as_memory_allows(monkeypatch):
    nets, table = [make_net(depth=3)], PredictTable()
    assert tile_side(nets, table, (301, 211), ENGINE) == 304
    reach, pixel, line = nets[0].receptive_radius, pixel_bytes(nets[0], ENGINE), line_bytes(nets[0], ENGINE)
    for side in (64, 101, 257):
        monkeypatch.setattr("landscribe.nn.predict.tiles.ROWS_BYTES", side**2 * pixel + side * line)
        tile = tile_side(nets, table, (301, 211), ENGINE)
        assert tile % nets[0].divisor == 0
        assert tile + 2 * reach <= side + nets[0].divisor * 2
        last = 301 - 301 // tile * tile
        assert last > tile - nets[0].divisor * (301 // tile + 1)


def test_prediction_leaves_the_model_as_it_was():
    net = make_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    Ground((37, 41)).predict(net)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_bf16_is_close_to_float32():
    net, ground = make_net(), Ground((61, 47))
    table = PredictTable(tile=64, symmetries=8)
    engine = choose_engine("cpu", "bf16")
    [(_, p)] = predict_tiles([net], ground, engine, table)
    assert p.dtype == np.float32
    assert np.abs(p - ground.predict(net, symmetries=8)).mean() < 0.01


@pytest.mark.parametrize("tile", [32, None])
def test_probabilities_are_the_sigmoid_of_logits(tile):
    net, ground = make_net(), Ground((61, 47))
    whole = np.full((2, 61, 47), np.nan, np.float32)
    for window, logits_khw in predict_logits(net, ground, ENGINE, tile):
        whole[:, *window.slices] = logits_khw
    assert np.ptp(whole) > 1
    assert np.abs(1 / (1 + np.exp(-whole)) - ground.predict(net)).max() < 1e-6


def test_a_failed_read_is_told():
    ground = Ground((61, 47))

    def broken(name, window):
        raise OSError(f"{name} is gone")

    ground.read = broken
    with pytest.raises(OSError, match="F is gone"):
        ground.predict(make_net())


def test_errors():
    ground = Ground((61, 47))
    with pytest.raises(RecipeError, match="off the pooling grid"):
        ground.predict(make_net(), 32, windows=[Window(3, 0, 32, 32)])
    del ground.maps["C"]
    with pytest.raises(RecipeError, match="scene 'ground': sensor missing, got C"):
        ground.predict(make_net())


@pytest.mark.parametrize("views", ["turns", "mirrors"])
@pytest.mark.parametrize("symmetries", [4, 8])
def test_views_that_go_together_give_what_they_give_alone(monkeypatch, views, symmetries):
    net, ground = make_net(), Ground((61, 47))
    calls = []
    forward = UNet.forward
    monkeypatch.setattr(UNet, "forward", lambda *a, **k: (calls.append(len(a[1][1])), forward(*a, **k))[1])
    table = {"tile": 32, "symmetries": symmetries, "views": views, "class_symmetries": {"a": 1}}
    together = ground.predict(net, **table)
    assert calls == ([4, 4] if symmetries == 8 else [2, 2] if views == "turns" else [3, 1]) * 4
    monkeypatch.setattr("landscribe.nn.predict.tiles.AT_ONCE_PX", 1)
    calls.clear()
    alone = ground.predict(net, **table)
    assert calls == [1] * symmetries * 4
    assert np.abs(together - alone).max() < 1e-6
    assert np.ptp(alone) > 0.1
