"""Encoders against their papers written anew, and the promises that prediction rests on."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine

from encoder_nets import NM, TWO, lively, make_net, randomise, table_of
from known_networks import BLOCKS, features_of, weights_file
from landscribe.core.grid import Window
from landscribe.core.recipe import InputTable, PredictTable
from landscribe.io.models.known_weights import PACKAGES
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import from_files, to_files
from landscribe.nn.network.pretrained import load_encoder, read_tensors
from landscribe.nn.network.unet import UNet, count_parameters, fold_batch_norm
from landscribe.nn.predict.fused import make_ready
from landscribe.nn.predict.tiles import predict_tiles
from scenes import make_arrays

# Whole networks with 1,000 classes, as published, and what of that is the classifier.
PARAMETERS = {
    "efficientnet-lite0": (4_652_008, 1_693_160),
    "efficientnet-lite1": (5_416_680, 1_693_160),
    "efficientnet-lite2": (6_092_072, 352 * 1280 + 2 * 1280 + 1281 * 1000),
    "resnet18": (11_689_512, 513_000),
    "resnet34": (21_797_672, 513_000),
}
SMALL = ("efficientnet-lite0", "resnet18")
each = pytest.mark.parametrize("name", SMALL)


def assert_paper(name, tensors):
    net = make_net(name).eval()
    load_encoder(net, tensors, "file", NM)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        found = net.unet.known({1: x})
        expected = features_of(name, tensors, x * (0.45 if name in BLOCKS else 1.0))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert theirs.std() > 1e-3
        assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()


@pytest.mark.parametrize("name", PARAMETERS)
def test_as_many_parameters_as_published(name):
    whole, classifier = PARAMETERS[name]
    with torch.device("meta"):
        net = UNet({1: 3}, 1, table_of(name))
    assert count_parameters(net.known) == whole - classifier


@pytest.mark.parametrize("name", [*BLOCKS, "resnet18", "resnet34"])
def test_forward_is_the_paper_written_anew(name):
    assert_paper(name, weights_file(name))


@pytest.mark.parametrize("name", PACKAGES)
def test_forward_with_the_weights_of_the_extra(name):
    package = PACKAGES[name]
    found = importlib.util.find_spec(package.module)
    if found is None:
        pytest.skip(f"landscribe[pretrained] is not installed: {package.module}")
    tensors = read_tensors(Path(found.submodule_search_locations[0]) / package.file)
    assert sum(v.size for k, v in tensors.items() if "running" not in k) == PARAMETERS[name][0]
    assert_paper(name, tensors)


def test_both_paths_of_the_input_have_a_say():
    net = lively(make_net("efficientnet-lite0", init="he")).eval().unet
    x = {1: torch.randn(1, 3, 64, 64)}
    before = net(x)
    for part in (net.down[0].body[0], net.known.levels[0][0][0]):
        kept = part.weight.detach().clone()
        torch.nn.init.zeros_(part.weight)
        assert (net(x) - before).abs().max() > 0.1
        part.weight.data.copy_(kept)
    assert torch.equal(net(x), before)


@each
def test_a_kept_part_is_cut_out_of_the_whole(name):
    net = lively(make_net(name, init="he")).eval().unet
    x = {1: torch.randn(1, 3, 96, 128)}
    with torch.no_grad():
        whole = net(x)
        for keep in (Window(0, 0, 5, 7), Window(37, 61, 13, 11), Window(91, 125, 5, 3), Window(0, 0, 96, 128)):
            for net.strip_rows in (0, 7):
                assert torch.allclose(net(x, keep), whole[..., *keep.slices], atol=1e-4), (keep, net.strip_rows)
    assert whole.std() > 0.1


@each
def test_nothing_beyond_the_receptive_radius_has_a_say_and_what_is_at_it_has(name):
    torch.manual_seed(0)
    net = UNet({1: 1}, 1, table_of(name, activation="elu", filters=2, batch_norm=False)).double().eval()
    randomise(net)
    for module in list(net.known.modules()):
        for child, part in module.named_children():
            # Gradients of all pixels in reach, as no bend and no largest value would give.
            if isinstance(part, torch.nn.ReLU | torch.nn.ReLU6):
                setattr(module, child, torch.nn.Identity())
            if isinstance(part, torch.nn.MaxPool2d):
                setattr(module, child, torch.nn.AvgPool2d(3, 2, 1))
    radius, far = net.receptive_radius, [net._reach(position) for position in range(32)]
    assert radius == max(max(i - low, high - i) for i, (low, high) in enumerate(far))
    length = (2 * radius // 32 + 3) * 32
    middle = length // 2 // 32 * 32
    for i in (0, 13, 31):
        x = torch.randn(1, 1, length, 32, dtype=torch.float64, requires_grad=True)
        net({1: x})[0, 0, middle + i, 16].backward()
        rows = torch.nonzero(x.grad[0, 0].abs().amax(dim=1))[:, 0] - middle
        assert (int(rows.min()), int(rows.max())) == far[i]


@each
def test_folding_and_fusing_change_no_result(name):
    net = lively(make_net(name, init="he")).eval()
    image = {"F": torch.rand(2, 3, 64, 96) * 255}
    valid = {"F": torch.ones(2, 1, 64, 96, dtype=torch.bool)}
    expected = net(image, valid).detach()
    ready = make_ready(net, choose_engine("cpu", "float32"))
    assert not any(isinstance(m, torch.nn.BatchNorm2d | torch.nn.ReLU6) for m in ready.unet.modules())
    assert torch.allclose(ready.unet({1: ready.stem(image, valid)[1]}), expected, atol=1e-3 * expected.abs().max())
    half = make_ready(net, choose_engine("cpu", "bf16"))
    found = half.unet({1: half.stem(image, valid)[1].to(torch.bfloat16)}).float()
    assert (found - expected).abs().mean() < 0.1 * expected.std()
    fold_batch_norm(net.unet)
    assert torch.allclose(net(image, valid), expected, atol=1e-3 * expected.abs().max())


@each
def test_a_model_on_disk_predicts_what_it_did_without_the_file_that_it_began_with(name, tmp_path):
    net = make_net(name, weights=str(tmp_path / "gone.safetensors"))
    load_encoder(net, weights_file(name), "file", NM)
    again, spec, _ = from_files(to_files(net))
    assert spec.network == net.spec.network
    image, valid = {"F": torch.rand(1, 3, 64, 32) * 255}, {"F": torch.ones(1, 1, 64, 32, dtype=torch.bool)}
    assert torch.equal(again(image, valid), net.eval()(image, valid))


def predict_sides(net, shape, tiles, **predict):
    rng = np.random.default_rng(0)
    images = {"F": rng.integers(0, 255, (3, *shape))}
    if len(net.spec.sensors) > 1:
        images["C"] = rng.integers(0, 255, (2, shape[0] // 4 + 1, shape[1] // 4 + 1))
    images = {sensor: image.astype(np.uint8) for sensor, image in images.items()}
    scene = make_arrays(images, maps={"C": Affine.translation(0.3, -0.2) @ Affine.scale(0.25)})
    for tile in tiles:
        whole = np.full((2, *shape), np.nan, np.float32)
        table = PredictTable(tile=tile, **{"symmetries": 1} | predict)
        for window, p_khw in predict_tiles([net], scene, choose_engine("cpu", "float32"), table):
            whole[:, *window.slices] = p_khw
        assert np.isfinite(whole).all()
        yield whole


@pytest.mark.parametrize(("name", "low"), [("efficientnet-lite0", "branch"), ("resnet18", "upsample")])
def test_tiled_is_untiled_also_where_a_tile_sees_a_part_of_the_scene(name, low):
    # The scene is longer than the receptive field, in one direction: that is as good and quick.
    net = lively(make_net(name, TWO, {"F": 1.0, "C": 4.0}, inputs=InputTable(low=low), init="he"))
    assert net.unet.known.entrances.keys() == ({"4"} if low == "branch" else set())
    length = 2 * net.receptive_radius + 211
    one, many = predict_sides(net, (length, 23), (4096, 160))
    assert one.std(axis=(1, 2)).min() > 0.01  # against 1e-4 below
    assert np.abs(one - many).max() < 1e-4


def test_views_are_undone_across_tiles():
    net = lively(make_net("efficientnet-lite0", init="he"))
    one, many = predict_sides(net, (61, 149), (4096, 64), symmetries=8)
    assert np.abs(one - many).max() < 1e-4
    [alone] = predict_sides(net, (61, 149), (64,))
    assert np.abs(one - alone).max() > 1e-2


@each
def test_every_weight_is_learned(name):
    net = UNet({1: 3, 8: 2}, 2, table_of(name)).train()
    net({1: torch.randn(2, 3, 64, 64), 8: torch.randn(2, 2, 8, 8)}).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@each
def test_coarse_sensors_change_nothing_before_they_are_learned(name):
    torch.manual_seed(0)
    net = UNet({1: 3, 32: 2, 2: 1}, 1, table_of(name)).eval()
    stacks = {1: torch.randn(1, 3, 64, 64), 32: torch.zeros(1, 2, 2, 2), 2: torch.zeros(1, 1, 32, 32)}
    before = net(stacks)
    stacks |= {32: torch.ones(1, 2, 2, 2), 2: torch.ones(1, 1, 32, 32)}
    assert torch.equal(net(stacks), before)
    for entrance in net.known.entrances.values():
        torch.nn.init.ones_(entrance.weight)
    assert not torch.allclose(net(stacks), before)
