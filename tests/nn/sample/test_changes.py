"""Changes of colour: each alone against what it says it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from landscribe.core.quantiles import LEVELS, quantiles_of
from landscribe.core.recipe import ChipTable
from landscribe.nn.sample.changes import KNOTS, change
from landscribe.nn.sample.tones import Bands, Colours, colours_of, draw_changes
from scenes import make_arrays

LOW, HIGH = np.float32([100, 5]), np.float32([900, 45])
BANDS = {"F": Bands(LOW, HIGH, np.float32([400, 20]), np.float32([150, 8]))}
BACKENDS = pytest.mark.parametrize("compiled", [True, False], ids=["numba", "torch"])
N, H, W = 5, 41, 29


def drawn(n=N, colours=None, scene=0, step=1, seed=3, linear=None, bands=BANDS, **settings):
    own = linear or (np.ones((n, 2), np.float32), np.zeros((n, 2), np.float32))
    rng = np.random.default_rng(seed)
    table = ChipTable(**settings)
    return draw_changes(table, bands, colours or {}, np.full(n, scene), {"F": own}, {"F": step}, rng)["F"]


def pixels(seed=0, n=N, holes=0.0):
    rng = np.random.default_rng(seed)
    image_bhwc = rng.uniform(0, 1, (n, H, W, 2)).astype(np.float32) * [1000, 50]
    seen_bhw = rng.random((n, H, W)) >= holes
    image_bhwc[~seen_bhw] = 0
    return torch.from_numpy(image_bhwc.astype(np.float32)).permute(0, 3, 1, 2), torch.from_numpy(seen_bhw)[:, None]


def changed(changes, compiled, seed=0, holes=0.0):
    images, valid = pixels(seed, len(changes.blur_b), holes)
    return images.clone(), change(images, valid, changes, compiled=compiled), valid


def test_without_such_settings_nothing_is_drawn():
    ones = np.ones((2, 2), np.float32)
    table = ChipTable(gain=0.5, band_contrast=0.4)
    assert draw_changes(table, BANDS, {}, np.zeros(2), {"F": (ones, ones)}, {"F": 1}, np.random.default_rng(0)) == {}


@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_both_backends_give_one_result(holes):
    changes = drawn(gamma=0.4, saturation=0.5, haze=0.3, blur=2.0, noise=0.2)
    (_, ours, valid), (_, theirs, _) = (changed(changes, compiled, holes=holes) for compiled in (True, False))
    assert (ours - theirs).abs().max() < 1e-4 * ours.abs().max()
    assert (ours[~valid.expand_as(ours)] == 0).all()
    assert (changes.blur_b == 0).any()
    assert (changes.blur_b > 1).any()


@BACKENDS
def test_gamma_bends_between_the_ends_and_leaves_these_and_what_lies_beyond(compiled):
    changes = drawn(gamma=0.4)
    before, after, _ = changed(changes, compiled)
    low, high = (torch.from_numpy(a)[None, :, None, None] for a in (LOW, HIGH))
    part = (before - low) / (high - low)
    outside = (part < 0) | (part > 1)
    assert outside.float().mean() > 0.1
    assert torch.allclose(after[outside], before[outside], atol=1e-2)
    for b in range(N):
        for c in range(2):
            # One exponent for all pixels of a chip and band: it is found at one place, and holds at the others.
            middle = part[b, c].clamp(0.02, 0.98)
            bent = ((after[b, c] - LOW[c]) / (HIGH[c] - LOW[c])).clamp(1e-6, 1)
            exponents = (bent.log() / middle.log())[(part[b, c] > 0.05) & (part[b, c] < 0.95)]
            assert exponents.std() < 0.01
            assert abs(exponents.mean() - 1) > 1e-3


@BACKENDS
def test_a_table_is_exact_for_what_is_linear(compiled):
    gain, offset = np.float32([[1.3, 0.8]] * N), np.float32([[-40, 3]] * N)
    before, after, _ = changed(drawn(linear=(gain, offset), blur=1e-9), compiled)
    expected = before * torch.from_numpy(gain)[:, :, None, None] + torch.from_numpy(offset)[:, :, None, None]
    assert torch.allclose(after, expected.clamp(min=0) if (LOW >= 0).all() else expected, atol=1e-2)
    signed = {"F": replace(BANDS["F"], low=np.float32([-100, -5]))}
    _, after, _ = changed(drawn(linear=(gain, offset), blur=1e-9, bands=signed), compiled)
    assert torch.allclose(after, expected, atol=1e-2)
    assert after.min() < 0


@BACKENDS
def test_haze_is_a_share_of_what_is_brightest(compiled):
    before, after, _ = changed(drawn(haze=0.5), compiled)
    high = torch.from_numpy(HIGH)[None, :, None, None]
    share = ((after - before) / (high - before)).flatten(1).median(dim=1).values
    assert torch.allclose(after, before + share[:, None, None, None] * (high - before), atol=1e-1)
    assert 0 <= share.min() < share.max() <= 0.5


@BACKENDS
def test_saturation_moves_bands_apart_and_grey_stays_grey(compiled):
    changes = replace(drawn(saturation=0.3), saturate_b=np.float32([0, 0.5, 1, 1.5, 2]))
    before, after, _ = changed(changes, compiled)
    mean, spread = (torch.from_numpy(a)[None, :, None, None] for a in (BANDS["F"].mean, BANDS["F"].spread))

    def apart(values):
        scaled = (values - mean) / spread
        return scaled[:, 0] - scaled[:, 1]

    for b, factor in enumerate(changes.saturate_b[:3]):
        assert torch.allclose(apart(after)[b], factor * apart(before)[b], atol=1e-3)
    grey = (mean + spread * torch.linspace(-1, 2, H * W).reshape(1, 1, H, W)).repeat(N, 1, 1, 1)
    grey = grey.to(memory_format=torch.channels_last)
    result = change(
        grey.clone(memory_format=torch.channels_last), torch.ones(N, 1, H, W) > 0, changes, compiled=compiled
    )
    assert torch.allclose(result, grey, atol=1e-2)


@BACKENDS
def test_a_blur_is_gaussian_and_invalid_pixels_have_no_say(compiled):
    changes = replace(drawn(blur=2.0), blur_b=np.float32([0, 0.1, 0.7, 1.5, 3]))
    images, valid = torch.zeros(N, H, W, 2).permute(0, 3, 1, 2), torch.ones(N, 1, H, W, dtype=torch.bool)
    images[:, :, 20, 14] = 100
    after = change(images, valid, changes, compiled=compiled)
    for b, sigma in enumerate(changes.blur_b):
        assert after[b, 0].sum() == pytest.approx(100, rel=0.02)
        spread = (after[b, 0].sum(dim=1) * (torch.arange(H) - 20.0) ** 2).sum() / 100
        assert spread**0.5 == pytest.approx(0 if sigma < 0.2 else sigma, abs=0.06)
    flat, holes = pixels(holes=0.3)
    flat = torch.where(holes, torch.full_like(flat, 40.0), torch.zeros(1)).permute(0, 2, 3, 1).contiguous()
    after = change(flat.permute(0, 3, 1, 2), holes, changes, compiled=compiled)
    assert torch.allclose(after, torch.where(holes, 40.0, 0.0).expand_as(after), atol=1e-3)


def test_a_blur_is_in_pixels_of_the_chip():
    assert np.allclose(drawn(blur=2.0, step=4).blur_b * 4, drawn(blur=2.0).blur_b)


@BACKENDS
def test_noise_has_its_spread_and_no_pattern(compiled):
    changes = replace(drawn(noise=0.3), noise_b=np.float32([0, 0.1, 0.2, 0.2, 0.3]))
    before, after, _ = changed(changes, compiled)
    noise = (after - before).permute(0, 2, 3, 1) / torch.from_numpy(BANDS["F"].spread)
    kept = before.permute(0, 2, 3, 1) > 4 * 0.3 * torch.from_numpy(BANDS["F"].spread)  # where none falls below 0
    assert noise[0].abs().max() < 1e-4
    for b, spread in enumerate(changes.noise_b[1:], start=1):
        own = noise[b][kept[b]]
        assert own.std() == pytest.approx(spread, rel=0.06)
        assert own.mean() == pytest.approx(0, abs=float(0.06 * spread))
    whole = torch.where(kept, noise, torch.zeros(1))
    for other in (whole[2].roll(1, 0), whole[2].roll(1, 1), whole[2].flip(2), whole[3]):
        assert abs(float((whole[2] * other).mean() / 0.2**2)) < 0.06


def scene_like(name, seed, shift, factor=1.0):
    values = np.random.default_rng(seed).gamma(3, 40, (2, 83, 71)) * factor + shift
    return make_arrays({"F": values.astype(np.uint16)}, name=name)


@BACKENDS
def test_a_chip_that_takes_another_scenes_colours_has_its_quantiles(compiled):
    own, other = scene_like("own", 0, 100), scene_like("other", 1, 400, 2.0)
    known = {s.id: {"F": quantiles_of(s.images_chw["F"], s.valid_hw["F"])} for s in (own, other)}
    colours = colours_of([own], ["F"], known)
    assert colours["F"].own_scq.shape == (1, 2, len(LEVELS))
    only = {"F": Colours(colours["F"].own_scq, colours["F"].others_scq[1:])}
    image = own.images_chw["F"].astype(np.float32)
    low, high = np.percentile(image, (1, 99), axis=(1, 2)).astype(np.float32)
    bands = {"F": Bands(low, high, image.mean((1, 2)), image.std((1, 2)))}
    shares = []
    for seed in range(4):
        changes = drawn(1, only, seed=seed, bands=bands, match=1.0)
        chip = torch.from_numpy(image.transpose(1, 2, 0).copy())[None].permute(0, 3, 1, 2)
        after = change(chip, torch.ones(1, 1, 83, 71, dtype=torch.bool), changes, compiled=compiled)[0].numpy()
        moved = np.percentile(after, (10, 50, 90), axis=(1, 2)).T
        first, last = (np.percentile(s.images_chw["F"], (10, 50, 90), axis=(1, 2)).T for s in (own, other))
        share = (moved - first) / (last - first)
        assert np.ptp(share) < 0.05
        shares.append(share.mean())
        order = np.argsort(image[0].ravel(), kind="stable")
        assert (np.diff(after[0].ravel()[order]) > -1e-2).all()
    assert 0 <= min(shares) < 0.5 < max(shares) <= 1


def test_what_a_scene_lacks_stays_as_it_is():
    scene = scene_like("own", 0, 100)
    quantiles = quantiles_of(scene.images_chw["F"], np.zeros((83, 71), bool))
    assert np.isnan(quantiles).all()
    known = {"own": {"F": quantiles_of(scene.images_chw["F"], scene.valid_hw["F"])}, "lacks": {"F": quantiles}}
    colours = colours_of([scene], ["F"], known)
    only = {"F": Colours(colours["F"].own_scq, colours["F"].others_scq[1:])}
    plain = drawn(3, blur=1e-9).tone_bct
    assert np.array_equal(drawn(3, only, match=1.0).tone_bct, plain)
    assert plain.shape == (3, 2, KNOTS)


def test_quantiles_are_those_of_the_valid_pixels():
    rng = np.random.default_rng(0)
    image, valid = rng.normal(5, 2, (2, 311, 307)).astype(np.float32), rng.random((311, 307)) < 0.9
    image[:, ~valid] = 1e6
    image[1, 7, 9] = np.nan
    found = quantiles_of(image, valid)
    expected = np.nanpercentile(image[:, valid], LEVELS, axis=1).T
    assert np.abs(found - expected).max() < 0.15
    assert (np.diff(found) >= 0).all()


def test_a_scene_of_one_colour_takes_the_light_of_another_but_not_its_contrast():
    water, town = scene_like("water", 0, 300, 0.05), scene_like("town", 1, 100, 4.0)
    known = {s.id: {"F": quantiles_of(s.images_chw["F"], s.valid_hw["F"])} for s in (water, town)}
    colours = colours_of([water], ["F"], known)
    only = {"F": Colours(colours["F"].own_scq, colours["F"].others_scq[1:])}
    image = water.images_chw["F"].astype(np.float32)
    low, high = np.percentile(image, (1, 99), axis=(1, 2)).astype(np.float32)
    bands = {"F": Bands(low, high, image.mean((1, 2)), image.std((1, 2)))}
    changes = drawn(20, only, bands=bands, match=1.0)
    rises = np.diff(changes.tone_bct, axis=2) / ((high - low) / (KNOTS - 1))[:, None]
    assert rises.max() == pytest.approx(3, rel=1e-3)
    middles = changes.tone_bct[:, :, KNOTS // 2]
    assert middles.max() > 500
