import numpy as np
import pytest
import torch

from landscribe.core.sensors import SensorSpec
from landscribe.errors import DataError, RecipeError
from landscribe.nn.network.stem import BandStatistics, Stem, choose_steps, compute_statistics
from scenes import make_arrays

RGB = SensorSpec("F", "f", ("red", "green", "blue"), 11)
MULTI = SensorSpec("C", "c", ("red", "red_edge", "nir1"), 8)


def statistics(low=0.0, high=1e6, mean=0.0, std=1.0, n=3):
    return BandStatistics(*(np.full(n, v, np.float32) for v in (low, high, mean, std)))


def scene(image_chw, valid_hw):
    return make_arrays({"F": image_chw}, valid={"F": valid_hw}, labelled=valid_hw)


def test_statistics_by_hand():
    image = np.arange(100, dtype=np.uint16).reshape(1, 10, 10)
    valid = np.ones((10, 10), bool)
    valid[0] = False
    found = compute_statistics([scene(image, valid)], 10)["F"]
    values = np.arange(10, 100)
    low, high = np.percentile(values, [10, 90])
    clipped = np.clip(values, low, high)
    assert found.low == pytest.approx([low])
    assert found.high == pytest.approx([high])
    assert found.mean == pytest.approx([clipped.mean()])
    assert found.std == pytest.approx([clipped.std()])


def test_nodata_reaches_no_statistics():
    rng = np.random.default_rng(0)
    image = rng.normal(500, 20, (2, 61, 47)).astype(np.float32)
    valid = rng.random((61, 47)) > 0.4
    spoilt = np.where(valid, image, np.nan)
    a, b = (compute_statistics([scene(x, valid)], 0.5)["F"] for x in (image, spoilt))
    assert np.array_equal(a.mean, b.mean)
    assert np.array_equal(a.high, b.high)


def test_values_that_are_not_finite_reach_no_statistics():
    image = np.full((1, 5, 7), 3, np.float32)
    image[0, 0] = [np.nan, np.inf, -np.inf, 1, 1, 1, 1]
    found = compute_statistics([scene(image, np.ones((5, 7), bool))], 0)["F"]
    assert (found.low.tolist(), found.high.tolist()) == ([1], [3])


def test_statistics_of_several_scenes_are_those_of_all_pixels():
    parts = [np.full((1, 5, 7), v, np.uint8) for v in (0, 100)]
    ones = np.ones((5, 7), bool)
    assert compute_statistics([scene(p, ones) for p in parts], 0)["F"].mean == pytest.approx([50])


def test_a_constant_band_has_a_harmless_spread():
    found = compute_statistics([scene(np.full((1, 5, 7), 1234.5, np.float32), np.ones((5, 7), bool))], 0.1)["F"]
    assert found.std.tolist() == [1]


def test_a_sensor_without_a_valid_pixel_is_an_error():
    with pytest.raises(DataError, match="sensor 'F': no valid pixel"):
        compute_statistics([scene(np.ones((1, 5, 7), np.uint8), np.zeros((5, 7), bool))], 0.1)


def test_bands_are_clipped_standardised_and_masked():
    stem = Stem([RGB], {"F": statistics(100, 200, 150, 25)}, {"F": 1})
    image = torch.tensor([0.0, 125, 1000, 150]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2)
    valid = torch.tensor([True, True, True, False]).reshape(1, 1, 2, 2)
    stack = stem({"F": image}, {"F": valid})[1]
    assert stack[0, 1].flatten().tolist() == [-2, -1, 2, 0]
    assert stem.channels == {1: 3}


def test_invalid_pixels_are_zero_even_where_raw_is_nan():
    stem = Stem([RGB], {"F": statistics()}, {"F": 1})
    image = torch.full((1, 3, 2, 2), torch.nan)
    assert stem({"F": image}, {"F": torch.zeros(1, 1, 2, 2, dtype=torch.bool)})[1].abs().max() == 0


def test_masks_stand_behind_the_bands_and_indices_of_their_stack():
    known = {"F": statistics(), "C": statistics()}
    stem = Stem([RGB, MULTI], known, {"F": 1, "C": 2}, ["ndvi"], masks=True)
    assert stem.channels == {1: 4, 2: 5}
    assert Stem([RGB, MULTI], known, {"F": 1, "C": 1}, ["ndvi"], masks=True).channels == {1: 9}
    valid = {"F": torch.tensor([True, False, True, True]), "C": torch.tensor([False])}
    valid = {name: v.reshape(1, 1, side, side) for (name, v), side in zip(valid.items(), (2, 1), strict=True)}
    stacks = stem({"F": torch.ones(1, 3, 2, 2), "C": torch.full((1, 3, 1, 1), torch.nan)}, valid)
    assert stacks[1][0, 3].flatten().tolist() == [1, 0, 1, 1]
    assert stacks[2][0].flatten().tolist() == [0, 0, 0, 0, 0]


def test_an_index_joins_the_stack_and_needs_all_its_sensors():
    stem = Stem([RGB, MULTI], {"F": statistics(), "C": statistics()}, {"F": 1, "C": 1}, ["ndvi"])
    assert stem.channels == {1: 7}
    fine = torch.zeros(1, 3, 1, 2)
    fine[:, 0] = 0.2 * 2047
    coarse = torch.zeros(1, 3, 1, 2)
    coarse[:, 2] = 0.6 * 255
    valid = {"F": torch.ones(1, 1, 1, 2, dtype=torch.bool), "C": torch.tensor([True, False]).reshape(1, 1, 1, 2)}
    stack = stem({"F": fine, "C": coarse}, valid)[1]
    # The first sensor's red, each on its own full scale: (0.6 - 0.2) / (0.6 + 0.2), times 2.
    assert stack[0, 6, 0, 0].item() == pytest.approx(1.0, abs=1e-4)
    assert stack[0, 6, 0, 1].item() == 0


def test_with_branches_an_index_goes_to_the_finest_stack_that_has_its_bands():
    known = {"F": statistics(), "C": statistics()}
    stem = Stem([RGB, MULTI], known, {"F": 1, "C": 4}, ["ndvi"])
    assert stem.channels == {1: 3, 4: 4}
    with pytest.raises(RecipeError, match="'ndwi' lacks band 'nir'"):
        Stem([RGB, MULTI], known, {"F": 1, "C": 4}, ["ndwi"])


def test_a_model_of_other_bands_is_refused():
    with pytest.raises(DataError, match="sensor 'F': bands, got 2, need 3"):
        Stem([RGB], {"F": statistics(n=2)}, {"F": 1})


@pytest.mark.parametrize(
    ("scales", "strides", "low", "steps"),
    [
        ({"F": 1.0, "C": 4.0}, (1, 2, 4, 8), "upsample", {"F": 1, "C": 1}),
        ({"F": 1.0, "C": 3.9}, (1, 2, 4, 8), "branch", {"F": 1, "C": 4}),
        ({"F": 1.0, "C": 24.0}, (1, 2, 4, 8), "branch", {"F": 1, "C": 8}),
        ({"F": 1.0, "C": 2.0}, (1, 4, 8), "branch", {"F": 1, "C": 1}),
        ({"F": 0.25, "C": 1.0}, (1, 2, 4), "branch", {"F": 1, "C": 1}),
        ({"C": 4.0}, (1, 2, 4), "branch", {"C": 1}),
        ({"F": 1.0, "P": 1.0}, (1, 2), "branch", {"F": 1, "P": 1}),
        ({"F": 1.0, "P": 1.001, "M": 4.0, "A": 24.0}, (1, 2, 4), "second", {"F": 1, "P": 1, "M": 2, "A": 2}),
        ({"F": 1.0, "M": 4.0}, (1, 4, 8), "second", {"F": 1, "M": 4}),
        ({"F": 1.0, "M": 4.0}, (1,), "second", {"F": 1, "M": 1}),
    ],
)
def test_each_sensor_takes_the_level_of_its_resolution(scales, strides, low, steps):
    assert choose_steps(scales, strides, low) == steps
