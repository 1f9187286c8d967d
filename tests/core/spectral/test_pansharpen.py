"""Pansharpening: what is sharpened must average to what it was sharpened from."""

import cv2
import numpy as np
import pytest
from affine import Affine

from landscribe.core.spectral.pansharpen import degrade, sharpen


def ground(seed=0, shape=(88, 124)):
    rng = np.random.default_rng(seed)
    base = cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), 3)
    bands = np.stack(
        [
            400 + 100 * base / base.std() * w + 40 * cv2.GaussianBlur(rng.normal(0, 9, shape), (0, 0), 5)
            for w in (1, 0.7, 0.3, -0.2)
        ]
    )
    return np.maximum(bands, 20).astype(np.float32)


def coarse_of(bands, to_coarse, shape):
    return np.stack([degrade(band, to_coarse, shape) for band in bands])


def ones(shape):
    return np.ones(shape, bool)


def test_averaging_is_exact_for_whole_and_broken_ratios():
    band = np.random.default_rng(1).normal(0, 1, (24, 36)).astype(np.float32)
    assert np.allclose(degrade(band, Affine.scale(1 / 4), (6, 9)), band.reshape(6, 4, 9, 4).mean((1, 3)), atol=1e-6)
    broken = degrade(band, Affine.scale(1 / 2.5), (9, 14))
    first = (band[:2, :2].sum() + 0.5 * (band[2, :2].sum() + band[:2, 2].sum()) + 0.25 * band[2, 2]) / 6.25
    assert broken[0, 0] == pytest.approx(first, abs=1e-6)
    moved = degrade(band, Affine.translation(0.25, 0) @ Affine.scale(1 / 4), (6, 9))
    assert moved[2, 3] == pytest.approx(band[8:12, 11:15].mean(), abs=1e-6)


@pytest.mark.parametrize("ratio", [4.0, 3.1])
def test_the_modulated_picture_averages_to_what_it_came_from(ratio):
    bands = ground()
    to_coarse = Affine.scale(1 / ratio)
    small = coarse_of(bands, to_coarse, (int(88 / ratio), int(124 / ratio)))
    pan = bands[:3].mean(axis=0)
    out, seen = sharpen(small, ones(small.shape[1:]), pan, ones(pan.shape), to_coarse, "modulation")
    back = coarse_of(out, to_coarse, small.shape[1:])
    assert seen.mean() > 0.9
    assert np.abs(back - small)[:, 1:-1, 1:-1].max() < 0.01 * small.std()
    cubic = np.stack([cv2.resize(b, pan.shape[::-1], interpolation=cv2.INTER_CUBIC) for b in small])
    if ratio == 4.0:
        assert np.abs(out - bands)[:2].mean() < 0.6 * np.abs(cubic - bands)[:2].mean(), "and is sharper than cubic"


def test_brovey_keeps_the_ratios_of_bands():
    bands = ground()
    to_coarse = Affine.scale(1 / 4)
    small = coarse_of(bands, to_coarse, (22, 31))
    pan = bands.mean(axis=0) * 3 + 10
    out, _ = sharpen(small, ones((22, 31)), pan, ones(pan.shape), to_coarse, "brovey")
    flat, _ = sharpen(small, ones((22, 31)), np.full_like(pan, 7), ones(pan.shape), to_coarse, "brovey")
    assert np.allclose(out[0] / out[1], flat[0] / flat[1], rtol=1e-4)
    assert np.corrcoef(out.mean(axis=0).ravel(), pan.ravel())[0, 1] > 0.999
    assert out.mean() == pytest.approx(small.mean(), rel=0.02)


@pytest.mark.parametrize("method", ["brovey", "modulation"])
def test_missing_pixels_stay_missing_and_spoil_nothing(method):
    bands = ground()
    to_coarse = Affine.scale(1 / 4)
    small = coarse_of(bands, to_coarse, (22, 31))
    pan = bands.mean(axis=0)
    valid, pan_valid = ones((22, 31)), ones(pan.shape)
    valid[:5], pan_valid[:, 100:] = False, False
    spoilt, spoilt_pan = np.where(valid, small, np.nan), np.where(pan_valid, pan, np.nan)
    out, seen = sharpen(spoilt, valid, spoilt_pan, pan_valid, to_coarse, method)
    assert np.isfinite(out).all()
    assert not seen[:, 100:].any()
    assert not seen[:18].any()
    assert seen[24:80, :90].all()
