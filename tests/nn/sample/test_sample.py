import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from landscribe.nn.sample import Raster, pack_rasters, sample

CPU = torch.device("cpu")
H, W = 61, 47


def identity(n=1):
    return np.tile(np.array(tuple(Affine.identity())[:6]), (n, 1))


def as_row(affine):
    return np.array([tuple(affine)[:6]])


def raster(image_chw, valid_hw=None, from_reference=None, scene_hw=None):
    valid = np.ones(image_chw.shape[1:], bool) if valid_hw is None else valid_hw
    return Raster(image_chw, valid, from_reference or Affine.identity(), scene_hw or image_chw.shape[1:])


def take(rasters, maps, shape, backend=None, which=None, cubic=False, **kw):
    bank = pack_rasters(rasters, None if backend is None else CPU, cubic=cubic)
    chosen = np.zeros(len(maps), np.int64) if which is None else np.asarray(which)
    image, seen = sample(bank, chosen, maps, shape, **kw)
    return image.numpy(), seen.numpy()


@pytest.mark.parametrize("backend", [None, "torch"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.int32, np.float64])
def test_the_identity_returns_every_pixel(dtype, backend):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 250 if dtype == np.uint8 else 30_000, (3, H, W)).astype(dtype)
    if dtype == np.uint16:
        image[0, 0, 0] = 65_535
    found, seen = take([raster(image)], identity(), (H, W), backend)
    assert np.array_equal(found[0], image.astype(np.float32))
    assert seen.all()


@pytest.mark.parametrize("backend", [None, "torch"])
def test_mirroring_repeats_the_edge_pixel(backend):
    image = np.arange(7 * 5, dtype=np.float32).reshape(1, 7, 5)
    found, seen = take([raster(image)], as_row(Affine.translation(-11, -9)), (7 + 18, 5 + 22), backend)
    assert np.allclose(found[0, 0], np.pad(image[0], ((9, 9), (11, 11)), mode="symmetric"), atol=1e-5)
    assert seen.all()


@pytest.mark.parametrize("backend", [None, "torch"])
def test_without_mirroring_the_outside_is_invalid(backend):
    image = np.ones((1, 7, 5), np.float32)
    found, seen = take([raster(image)], as_row(Affine.translation(-2, -3)), (13, 9), backend, mirror=False)
    expected = np.pad(np.ones((7, 5), bool), ((3, 3), (2, 2)))
    assert np.array_equal(seen[0, 0], expected)
    assert np.array_equal(found[0, 0], expected.astype(np.float32))


@pytest.mark.parametrize("backend", [None, "torch"])
def test_invalid_pixels_have_no_say(backend):
    image = np.full((2, 9, 9), 5, np.float32)
    valid = np.ones((9, 9), bool)
    image[:, 4, 4], valid[4, 4] = np.nan, False
    found, seen = take([raster(image, valid)], as_row(Affine.translation(0.25, 0.25)), (8, 8), backend)
    assert np.allclose(found[:, :, seen[0, 0]], 5)
    assert np.argwhere(~seen[0, 0]).tolist() == [[4, 4]]
    assert (found[0, :, 4, 4] == 0).all()


@pytest.mark.parametrize("backend", [None, "torch"])
def test_sixteen_neighbours_where_all_are_valid_and_four_elsewhere(backend):
    rng = np.random.default_rng(2)
    image, valid = rng.uniform(0, 9, (2, 17, 13)).astype(np.float32), np.ones((17, 13), bool)
    valid[8, 6] = False
    chip = as_row(Affine.translation(0.3, 0.4))
    cubic, seen = take([raster(image, valid)], chip, (16, 12), backend, cubic=True)
    linear, seen_too = take([raster(image, valid)], chip, (16, 12), backend)
    assert np.array_equal(seen, seen_too)
    # The pixel is one of the four rows and columns around points from 2 above to 1 below it.
    near = np.zeros((16, 12), bool)
    near[6:10, 4:8] = True
    assert np.allclose(cubic[0][:, near], linear[0][:, near], atol=1e-5)
    assert (np.abs(cubic - linear)[0][:, ~near] > 1e-4).mean() > 0.95


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_invalid(bad):
    image = np.full((2, 5, 7), 3, np.float32)
    image[1, 2, 3] = bad
    found, seen = take([raster(image)], identity(), (5, 7))
    assert np.argwhere(~seen[0, 0]).tolist() == [[2, 3]]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("backend", [None, "torch"])
def test_a_sensor_that_does_not_reach_is_invalid_there(backend):
    image = np.ones((1, 10, 10), np.float32)
    beyond = raster(image, from_reference=Affine.translation(-4, 0), scene_hw=(10, 20))
    _, seen = take([beyond], identity(), (10, 20), backend)
    assert seen[0, 0, 3].tolist() == [False] * 4 + [True] * 10 + [False] * 6


def test_steps_sample_the_centres_of_squares():
    cols = np.arange(24, dtype=np.float32)[None, None].repeat(16, axis=1)
    found, _ = take([raster(cols)], identity(), (4, 6), step=4)
    assert found[0, 0, 0].tolist() == [1.5, 5.5, 9.5, 13.5, 17.5, 21.5]


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(-180, 180),
    zoom=st.floats(0.3, 3),
    shift=st.tuples(st.floats(-90, 90), st.floats(-90, 90)),
    sensor_scale=st.floats(0.2, 2),
    dtype=st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]),
    step=st.sampled_from([1, 2]),
    mirror=st.booleans(),
    cubic=st.booleans(),
    seed=st.integers(0, 99),
)
def test_both_backends_give_one_result(angle, zoom, shift, sensor_scale, dtype, step, mirror, cubic, seed):
    rng = np.random.default_rng(seed)
    sizes = [(31, 23), (17, 41)]
    rasters = [
        raster(
            rng.integers(0, 250, (3, *hw)).astype(dtype),
            rng.random(hw) > (0.02 if cubic else 0.2),
            Affine.scale(sensor_scale) @ Affine.translation(0.3, -0.7),
            (37, 29 + i),
        )
        for i, hw in enumerate(sizes)
    ]
    chip = Affine.translation(*shift) @ Affine.rotation(angle) @ Affine.scale(zoom, -zoom)
    maps = np.concatenate([as_row(chip), as_row(Affine.translation(3, 4) @ chip), identity()])
    gain, offset = rng.normal(1, 0.1, (2, 3, 3)).astype(np.float32)
    kw = {"which": [0, 1, 1], "step": step, "mirror": mirror, "cubic": cubic, "gain_bc": gain, "offset_bc": offset}
    ours, ours_seen = take(rasters, maps, (19, 13), **kw)
    theirs, theirs_seen = take(rasters, maps, (19, 13), "torch", **kw)
    # Rounding may decide differently for the odd pixel whose valid neighbours weigh exactly a half.
    assert (ours_seen != theirs_seen).mean() < 0.01
    both = np.broadcast_to(ours_seen & theirs_seen, ours.shape)
    assert np.abs(ours - theirs)[both].max(initial=0) < 1e-4 * 255
    assert (ours[~np.broadcast_to(ours_seen, ours.shape)] == 0).all()


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(-180, 180),
    zoom=st.floats(0.8, 1.25),
    flip=st.booleans(),
    centre=st.tuples(st.floats(28, 32), st.floats(28, 32)),
    scale=st.sampled_from([1.0, 0.25, 2.0, 0.3]),
)
def test_sensors_of_any_resolution_stay_registered(angle, zoom, flip, centre, scale):
    """A plane over the ground, seen by two sensors through one chip map, is the same plane in both."""
    to_sensor = Affine.translation(1.3, -0.8) @ Affine.scale(scale)
    size = round(60 * scale) + 4

    def plane(to_reference, hw):
        rows, cols = np.mgrid[: hw[0], : hw[1]] + 0.5
        x, y = to_reference @ (cols, rows)
        return (100 + 2 * x - y)[None].astype(np.float32)

    reference = raster(plane(Affine.identity(), (60, 60)))
    coarse = raster(plane(~to_sensor, (size, size)), from_reference=to_sensor, scene_hw=(60, 60))
    turn = Affine.rotation(angle) @ Affine.scale(-zoom if flip else zoom, zoom)
    chip = as_row(Affine.translation(*centre) @ turn @ Affine.translation(-8, -8))
    found = [take([r], chip, (16, 16)) for r in (reference, coarse)]
    assert all(seen.all() for _, seen in found)
    assert np.allclose(found[0][0], found[1][0], atol=1e-3)
