"""Weights that others have trained: what is taken of a file, how bands that no photograph has begin, and bad files."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from encoder_nets import NM, make_net
from known_networks import weights_file
from landscribe.core.recipe import InputTable
from landscribe.core.sensors import CATALOGUE, SensorSpec
from landscribe.core.spectral.colours import colour_shares
from landscribe.errors import DataError, RecipeError
from landscribe.nn.network.encoders import FIRST, widened
from landscribe.nn.network.pretrained import load_encoder, read_tensors

RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def test_a_band_stands_for_the_colour_nearest_in_wavelength():
    m = CATALOGUE["worldview3-m"]
    found = [colour_shares(band.name, band.wavelength_nm, m.kind) for band in m.bands]
    assert found == [BLUE, BLUE, GREEN, RED, RED, RED, RED, RED]
    assert {colour_shares(b.name, b.wavelength_nm) for b in CATALOGUE["worldview3-a"].bands} == {RED}
    assert colour_shares("x7", 510.0) == GREEN
    assert colour_shares("x7", 490.0) == BLUE
    assert [colour_shares(name, 0.0) for name in ("red", "G", "Band 1 (blue)", "NIR")] == [RED, GREEN, BLUE, RED]
    assert colour_shares("pan", 649.0) == colour_shares("grey", 0.0) == (1 / 3, 1 / 3, 1 / 3)
    assert colour_shares("height", 0.0) is None


def test_three_colours_keep_their_filters_in_any_order():
    weight = torch.randn(7, 3, 5, 5)
    assert torch.equal(widened(weight, [RED, GREEN, BLUE], 0), weight)
    assert torch.equal(widened(weight, [BLUE, RED, GREEN], 2)[:, :3], weight[:, [2, 0, 1]])


def test_bands_of_one_colour_share_its_filter_and_the_rest_begins_at_zero():
    weight = torch.randn(7, 3, 5, 5)
    made = widened(weight, [RED, GREEN, RED, BLUE, RED], 2)
    assert made.shape == (7, 7, 5, 5)
    assert made[:, 5:].abs().max() == 0
    for bands, colour in (((0, 2, 4), 0), ((1,), 1), ((3,), 2)):
        for band in bands:
            assert torch.allclose(made[:, band], weight[:, colour] / len(bands))
    # Of each filter, since no colour is missing.
    assert torch.allclose(made.abs().sum((1, 2, 3)), weight.abs().sum((1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("shares", [[RED], [RED, GREEN], [(1 / 3, 1 / 3, 1 / 3)], [RED, GREEN, BLUE, (1 / 3,) * 3]])
def test_the_sum_over_channels_is_that_of_the_original(shares):
    weight = torch.randn(7, 3, 5, 5)
    made = widened(weight, shares, 1)
    assert float(made.abs().sum()) == pytest.approx(float(weight.abs().sum()), rel=1e-5)


def test_several_sensors_indices_and_masks_enter_in_the_order_of_the_stack():
    sensors = (SensorSpec("N", "n", ("x1", "x2"), 8), SensorSpec("F", "rgb8", ("red", "green", "blue"), 8))
    inputs = InputTable(indices=("rei",), mask=True)
    sensors = (SensorSpec("N", "n", ("nir2", "x2"), 8), sensors[1])
    net = make_net("efficientnet-lite0", sensors, {"N": 1.0, "F": 1.0}, inputs=inputs)
    weights = weights_file("efficientnet-lite0")
    load_encoder(net, weights, "file", {"N": (842.0, 480.0), "F": (0.0, 0.0, 0.0)})
    first = net.unet.known.state_dict()[FIRST] / 0.45
    rgb = torch.from_numpy(weights["_conv_stem.weight"])
    expected = [rgb[:, 0] / 2, rgb[:, 2] / 2, rgb[:, 0] / 2, rgb[:, 1], rgb[:, 2] / 2]
    assert first.shape[1] == 8
    assert torch.allclose(first, torch.stack([*expected, *[torch.zeros(32, 3, 3)] * 3], dim=1), atol=1e-6)


def test_a_coarse_branch_needs_no_wavelengths():
    sensors = (SensorSpec("F", "rgb8", ("red", "green", "blue"), 8), SensorSpec("C", "c", ("height",), 8))
    scales, weights = {"F": 1.0, "C": 4.0}, weights_file("resnet18")
    net = make_net("resnet18", sensors, scales, inputs=InputTable(low="branch"))
    load_encoder(net, weights, "file", NM | {"C": (0.0,)})
    assert torch.equal(net.unet.known.state_dict()[FIRST], torch.from_numpy(weights["conv1.weight"]))
    with pytest.raises(RecipeError, match=r"band 'height' of 'C' has no wavelength; say it in wavelengths_nm"):
        load_encoder(make_net("resnet18", sensors, scales), weights, "file", NM | {"C": (0.0,)})


def as_tensors(name):
    return {key: torch.from_numpy(value) for key, value in weights_file(name).items()}


def test_files_of_all_kinds_say_the_same(tmp_path):
    tensors = as_tensors("resnet18")
    save_file(tensors, tmp_path / "a.safetensors")
    counters = {"bn1.num_batches_tracked": torch.tensor(7)}
    torch.save(tensors | counters, tmp_path / "b.pth")
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "c.pt")
    torch.save({name: value.half() for name, value in tensors.items()}, tmp_path / "d.pth")
    a, b, c, half = (read_tensors(tmp_path / n) for n in ("a.safetensors", "b.pth", "c.pt", "d.pth"))
    assert a.keys() == b.keys() == c.keys() == half.keys() == tensors.keys()
    for name, value in a.items():
        assert np.array_equal(value, tensors[name])
        assert np.array_equal(value, b[name])
        assert np.array_equal(value, c[name])
        assert half[name].dtype == np.float32
        assert np.allclose(value, half[name], atol=1e-2)
    without = {name: value for name, value in a.items() if not name.startswith("fc.")}
    load_encoder(make_net("resnet18"), without, "file", NM)


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def broken_files(folder):
    tensors = as_tensors("resnet18")
    good = folder / "good.pth"
    torch.save(tensors, good)
    (folder / "truncated.pth").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    save_file(tensors, folder / "whole.safetensors")
    (folder / "truncated.safetensors").write_bytes((folder / "whole.safetensors").read_bytes()[:5_000_000])
    (folder / "empty.pth").write_bytes(b"")
    (folder / "text.pt").write_text("no weights at all\n" * 99)
    torch.save({"conv1.weight": Canary(folder / "canary")}, folder / "code.pth")
    with (folder / "old_code.pth").open("wb") as file:
        pickle.dump({"conv1.weight": Canary(folder / "canary")}, file, protocol=2)
    with zipfile.ZipFile(folder / "zip.pth", "w") as file:
        file.writestr("archive/readme.txt", "hello")
    torch.save([torch.zeros(3)], folder / "list.pth")
    torch.save({"conv1.weight": 3}, folder / "number.pth")
    torch.save({"conv1.weight": torch.zeros(3, dtype=torch.int64)}, folder / "whole_numbers.pth")
    torch.save({"conv1.weight": torch.zeros(3, 3).to_sparse()}, folder / "sparse.pth")
    return sorted(path for path in folder.iterdir() if path.name not in {"good.pth", "whole.safetensors"})


def test_a_file_that_holds_anything_but_tensors_is_one_line_and_runs_nothing(tmp_path):
    paths = broken_files(tmp_path)
    assert len(paths) == 11
    for path in paths:
        with pytest.raises(DataError) as error:
            read_tensors(path)
        assert str(path) in str(error.value), path
        assert "\n" not in str(error.value)
    assert not (tmp_path / "canary").exists()


def changed(**values):
    found = weights_file("resnet18") | values
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (lambda: changed(**{"layer3.1.conv2.weight": None}), r"1 missing \(layer3.1.conv2.weight\)"),
        (lambda: changed(extra=np.zeros(3, np.float32)), r"1 of another network \(extra\)"),
        (lambda: changed(**{"bn1.bias": np.zeros(63, np.float32)}), r"shape of 'bn1.bias', got \(63,\), need \(64,\)"),
        (
            lambda: changed(**{"conv1.weight": np.zeros((64, 13, 7, 7), np.float32)}),
            r"shape of 'conv1.weight', got \(64, 13, 7, 7\), need \(64, 3, 7, 7\)",
        ),
        (lambda: changed(**{"bn1.bias": np.full(64, np.nan, np.float32)}), r"values of 'bn1.bias', got NaN"),
        (lambda: weights_file("resnet34"), r"\d+ of another network \(layer1.2.bn1.bias, .* more\)"),
        (lambda: weights_file("efficientnet-lite0"), r"100 missing .* of another network"),
    ],
)
def test_weights_of_another_network_are_one_line_and_change_nothing(tensors, said):
    net = make_net("resnet18")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(DataError, match=said):
        load_encoder(net, tensors(), "my.pth", NM)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
