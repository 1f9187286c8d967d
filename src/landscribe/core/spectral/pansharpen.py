"""Pansharpening: the colours of a coarse sensor with the detail of a fine one, for looking at.

Networks do not need it: they see each sensor at its own resolution.
"""

from __future__ import annotations

import numpy as np
from affine import Affine

from landscribe.core.arrays import BoolArray, FloatArray
from landscribe.core.register.ecc import resample

ROUNDS = 8
"""Rounds in which what is lacking of the coarse bands is put back."""
LEAST_SHARE = 0.5
SLIVER = 1e-3


def sharpen(
    bands_chw: FloatArray,
    valid_hw: BoolArray,
    pan_hw: FloatArray,
    pan_valid_hw: BoolArray,
    to_coarse: Affine,
    method: str,
) -> tuple[FloatArray, BoolArray]:
    """Bring coarse bands to the grid of a panchromatic one.

    Args:
        bands_chw: Bands of the coarse sensor, (C, h, w), raw numbers.
        valid_hw: Where they are valid.
        pan_hw: Panchromatic band, or another fine one, (H, W).
        pan_valid_hw: Where it is valid.
        to_coarse: Fine (col, row) to coarse (col, row).
        method: `brovey`: each band is multiplied by pan over the bands' mean, which keeps the ratios of bands and
            distorts brightness where pan sees other light than they do. `modulation`: each band is multiplied by pan
            over pan blurred to coarse pixels, and then corrected until it averages to the coarse band again.

    Returns:
        float32 (C, H, W), and where both are valid (H, W).

    Source:
        Brovey: Gillespie, Kahle & Walker (1987), doi:10.1016/0034-4257(87)90088-5. Modulation: Liu (2000),
        doi:10.1080/014311600750037499, with the back-projection of Irani & Peleg (1991).
    """
    shape_hw = pan_hw.shape
    coarse_chw = np.stack([_filled(band_hw, valid_hw) for band_hw in bands_chw])
    pan = _filled(pan_hw, pan_valid_hw)
    up_chw = np.stack([resample(band_hw, to_coarse, (shape_hw[0], shape_hw[1])) for band_hw in coarse_chw])
    share_hw = resample(valid_hw.astype(np.float32), to_coarse, (shape_hw[0], shape_hw[1]), fill=0.0)
    if method == "brovey":
        mean_hw = up_chw.mean(axis=0)
        # Pan counts in other units than the bands: its mean is brought to theirs.
        gain = float(mean_hw[pan_valid_hw].mean() / max(pan[pan_valid_hw].mean(), 1e-6)) if pan_valid_hw.any() else 1.0
        sharp_chw = up_chw * (gain * pan / np.maximum(mean_hw, 1e-6))
    else:
        low_hw = resample(degrade(pan, to_coarse, valid_hw.shape), to_coarse, (shape_hw[0], shape_hw[1]))
        sharp_chw = up_chw * (pan / np.maximum(low_hw, 1e-6))
        for k, wanted_hw in enumerate(coarse_chw):
            for _ in range(ROUNDS):
                lacking_hw = wanted_hw - degrade(sharp_chw[k], to_coarse, valid_hw.shape)
                sharp_chw[k] += resample(lacking_hw, to_coarse, (shape_hw[0], shape_hw[1]))
    return np.maximum(sharp_chw, 0).astype(np.float32), (share_hw > LEAST_SHARE) & pan_valid_hw


def degrade(band_hw: FloatArray, to_coarse: Affine, shape_hw: tuple[int, ...]) -> FloatArray:
    """Average a fine band over coarse pixels, each over the part that it covers: what the coarse sensor would see.

    A turn between the grids, which different CRS bring, is left out of account.

    Returns:
        float32 (h, w); pixels that the fine band does not reach repeat its edge.
    """
    height, width = band_hw.shape
    to_fine = ~to_coarse
    middle_col, middle_row = shape_hw[1] / 2, shape_hw[0] / 2
    cols = np.clip(to_fine.a * np.arange(shape_hw[1] + 1) + to_fine.b * middle_row + to_fine.c, 0, width)
    rows = np.clip(to_fine.e * np.arange(shape_hw[0] + 1) + to_fine.d * middle_col + to_fine.f, 0, height)
    # Pixels beyond the edge have no area to average over: they take a sliver of it.
    for edges, size in ((cols, width), (rows, height)):
        edges[:-1] = np.minimum(edges[:-1], size - SLIVER)
        edges[1:] = np.maximum(edges[1:], edges[:-1] + SLIVER)
    return _box(_box(band_hw.astype(np.float64), rows).T, cols).T.astype(np.float32)


def _box(band_hw: FloatArray, edges: FloatArray) -> FloatArray:
    """Average rows between edges, counting each by the part that lies between."""
    total = np.concatenate([np.zeros((1, band_hw.shape[1])), band_hw.cumsum(axis=0)])
    whole = np.minimum(edges.astype(int), len(band_hw) - 1)
    there = total[whole] + (edges - whole)[:, None] * band_hw[whole]
    return np.diff(there, axis=0) / np.diff(edges)[:, None]


def _filled(band_hw: FloatArray, valid_hw: BoolArray) -> FloatArray:
    mean = float(band_hw[valid_hw].mean()) if valid_hw.any() else 0.0
    return np.where(valid_hw, band_hw, mean).astype(np.float32)
