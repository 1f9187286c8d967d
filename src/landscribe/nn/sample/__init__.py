"""Sampling between pixels: one affine map per chip, one gather per sensor; the same code cuts training chips and tiles.

Coordinates are continuous (col, row) from the top-left corner, the centre of the first pixel is (0.5, 0.5).
A chip's point goes by the chip's map to the reference grid, is mirrored at the scene's edges, and goes by the
sensor's map to the sensor's pixels; there the four neighbours are mixed. Invalid neighbours have no say: the mix is
divided by the weight of the valid ones, and is itself valid where they weigh a half or more. A bank may ask for the
sixteen neighbours instead; where one of them is invalid, four are taken all the same.

Three ways give one result: a numba kernel where the values are NumPy arrays, and where they are tensors torch, or a
kernel of Triton on GPUs that have it.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray, IntArray
from landscribe.nn.sample._torch_sampler import Gathered, cubic_weights
from landscribe.nn.sample.fused import find_sampler
from landscribe.nn.sample.pixels import HALF, Raster, RasterBank, pack_rasters
from landscribe.nn.sample.sending import send

__all__ = ["Raster", "RasterBank", "copy_pixels", "pack_rasters", "sample"]

SENT = {"raster": np.int64, "map": np.float64, "gain": np.float32, "offset": np.float32}
"""Types of what goes to a device."""


def sample(
    bank: RasterBank,
    raster_b: IntArray | Tensor,
    map_b6: FloatArray | Tensor,
    shape_hw: tuple[int, int],
    *,
    step: int = 1,
    gain_bc: FloatArray | Tensor | None = None,
    offset_bc: FloatArray | Tensor | None = None,
    mirror: bool = True,
) -> tuple[Tensor, Tensor]:
    """Sample a batch of chips.

    Args:
        bank: Where from. Where its values are tensors, the following may be tensors on the same device.
        raster_b: int64 (B,), the raster of each chip.
        map_b6: float64 (B, 6), chip (col, row) to reference (col, row): a, b, c, d, e, f of `Affine`.
        shape_hw: Size of the chips in samples.
        step: Distance of samples in chip pixels; sample (i, j) is the centre of a square of that side.
        gain_bc: float32 (B, C), factor on the values; None is 1.
        offset_bc: float32 (B, C), added after the factor, in raw units; None is 0.
        mirror: True mirrors points outside the reference grid, False makes them invalid.

    Returns:
        Values, float32 (B, C, h, w) channels-last, 0 where invalid, and validity, bool (B, 1, h, w), on the bank's
        device.

    Source:
        Sixteen neighbours: Keys (1981), doi:10.1109/TASSP.1981.1163711, with a = -3/4 as OpenCV and both DSTL methods.
    """
    if isinstance(bank.values_nc, Tensor):
        given = {"raster": raster_b, "map": map_b6, "gain": gain_bc, "offset": offset_bc}
        there = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        here = {
            name: np.asarray(value, SENT[name])
            for name, value in given.items()
            if value is not None and name not in there
        }
        sent = there | (send(here, bank.device) if here else {})
        places = Gathered(sent["raster"], sent["map"], shape_hw, step, sent.get("gain"), sent.get("offset"), mirror)
        return find_sampler(bank.device).take(bank, places)
    raster_b, n_bands = np.asarray(raster_b), bank.values_nc.shape[1]
    gain = np.ones((len(raster_b), n_bands), np.float32) if gain_bc is None else np.asarray(gain_bc, np.float32)
    offset = np.zeros((len(raster_b), n_bands), np.float32) if offset_bc is None else np.asarray(offset_bc, np.float32)
    image_bhwc = np.zeros((len(raster_b), *shape_hw, n_bands), np.float32)
    seen_bhw = np.zeros((len(raster_b), *shape_hw), np.bool_)
    _sample_numba(
        bank.values_nc,
        np.asarray(bank.valid_n),
        bank.origin_r[raster_b],
        bank.size_r2[raster_b],
        bank.scene_r2[raster_b],
        np.ascontiguousarray(bank.map_r6[raster_b]),
        np.ascontiguousarray(map_b6, dtype=np.float64),
        gain,
        offset,
        float(step),
        mirror,
        bank.cubic,
        image_bhwc,
        seen_bhw,
    )
    return torch.from_numpy(image_bhwc).permute(0, 3, 1, 2), torch.from_numpy(seen_bhw)[:, None]


def copy_pixels(image_chw: AnyArray, valid_hw: BoolArray, row_i: IntArray, col_j: IntArray) -> tuple[Tensor, Tensor]:
    """Copy whole pixels: what `sample` gives where every point is the centre of a pixel.

    Args:
        image_chw: Raw values (C, h, w).
        valid_hw: False where there is no data; values that are not finite are invalid too.
        row_i: int64 (H,), row of the raster for each row of the result.
        col_j: int64 (W,), likewise.

    Returns:
        Values, float32 (1, C, H, W) channels-last, 0 where invalid, and validity, bool (1, 1, H, W).
    """
    image_hwc = np.empty((len(row_i), len(col_j), len(image_chw)), np.float32)
    seen_hw = np.empty(image_hwc.shape[:2], np.bool_)
    _copy_numba(image_chw, valid_hw, row_i, col_j, image_hwc, seen_hw)
    return torch.from_numpy(image_hwc).permute(2, 0, 1)[None], torch.from_numpy(seen_hw)[None, None]


@njit(cache=True, nogil=True)
def _copy_numba(
    image_chw: AnyArray,
    valid_hw: BoolArray,
    row_i: IntArray,
    col_j: IntArray,
    image_hwc: FloatArray,
    seen_hw: BoolArray,
) -> None:
    height, width, n_bands = image_hwc.shape
    for i in range(height):
        for j in range(width):
            seen_hw[i, j] = valid_hw[row_i[i], col_j[j]]
        for c in range(n_bands):
            for j in range(width):
                value = np.float32(image_chw[c, row_i[i], col_j[j]])
                image_hwc[i, j, c] = value
                seen_hw[i, j] &= np.isfinite(value)
        for j in range(width):
            if not seen_hw[i, j]:
                image_hwc[i, j] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _mirror_point(x: float, size: int) -> float:
    x = x % (2.0 * size)
    return 2.0 * size - x if x > size else x


_cubic_weights = njit(cache=True, nogil=True)(cubic_weights)


@njit(cache=True, nogil=True)
def _mix_sixteen(
    values_nc: AnyArray,
    valid_n: ByteArray,
    origin: int,
    h: int,
    w: int,
    v: float,
    u: float,
    gain_c: FloatArray,
    offset_c: FloatArray,
    mixed_c: FloatArray,
) -> bool:
    """Write the mix at row v, column u of a raster; False where a neighbour is invalid. Edge pixels are repeated."""
    left, top = int(np.floor(u)), int(np.floor(v))
    across, down = _cubic_weights(u - left), _cubic_weights(v - top)
    mixed_c[:] = 0
    for i in range(4):
        row = origin + min(max(top - 1 + i, 0), h - 1) * w
        for j in range(4):
            n = row + min(max(left - 1 + j, 0), w - 1)
            if not valid_n[n]:
                mixed_c[:] = 0
                return False
            weight = np.float32(down[i] * across[j])
            for c in range(len(mixed_c)):
                mixed_c[c] += weight * np.float32(values_nc[n, c])
    for c in range(len(mixed_c)):
        mixed_c[c] = mixed_c[c] * gain_c[c] + offset_c[c]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _sample_numba(
    values_nc: AnyArray,
    valid_n: ByteArray,
    origin_b: IntArray,
    size_b2: IntArray,
    scene_b2: IntArray,
    map_b6: FloatArray,
    chip_b6: FloatArray,
    gain_bc: FloatArray,
    offset_bc: FloatArray,
    step: float,
    mirror: bool,
    cubic: bool,
    image_bhwc: FloatArray,
    seen_bhw: BoolArray,
) -> None:
    n_chips, height, width, n_bands = image_bhwc.shape
    for b in range(n_chips):
        h, w = size_b2[b]
        scene_h, scene_w = scene_b2[b]
        s, m = chip_b6[b], map_b6[b]
        for i in range(height):
            for j in range(width):
                x, y = (j + 0.5) * step, (i + 0.5) * step
                col, row = s[0] * x + s[1] * y + s[2], s[3] * x + s[4] * y + s[5]
                inside = 0 <= col <= scene_w and 0 <= row <= scene_h
                if not inside:
                    col, row = _mirror_point(col, scene_w), _mirror_point(row, scene_h)
                u, v = m[0] * col + m[1] * row + m[2] - 0.5, m[3] * col + m[4] * row + m[5] - 0.5
                # Less than half a pixel beyond the outermost edge is still called that pixel.
                if not (-1 < u < w and -1 < v < h) or not (inside or mirror):
                    continue
                left, top = int(np.floor(u)), int(np.floor(v))
                p, q = u - left, v - top
                if p == 0 and q == 0 and top >= 0 and left >= 0:
                    n_00 = origin_b[b] + top * w + left
                    if valid_n[n_00]:
                        seen_bhw[b, i, j] = True
                        for c in range(n_bands):
                            image_bhwc[b, i, j, c] = np.float32(values_nc[n_00, c]) * gain_bc[b, c] + offset_bc[b, c]
                    continue
                if cubic and _mix_sixteen(
                    values_nc, valid_n, origin_b[b], h, w, v, u, gain_bc[b], offset_bc[b], image_bhwc[b, i, j]
                ):
                    seen_bhw[b, i, j] = True
                    continue
                row_0, row_1 = origin_b[b] + max(top, 0) * w, origin_b[b] + min(top + 1, h - 1) * w
                col_0, col_1 = max(left, 0), min(left + 1, w - 1)
                n_00, n_01, n_10, n_11 = row_0 + col_0, row_0 + col_1, row_1 + col_0, row_1 + col_1
                w_00 = (1 - q) * (1 - p) * valid_n[n_00]
                w_01 = (1 - q) * p * valid_n[n_01]
                w_10 = q * (1 - p) * valid_n[n_10]
                w_11 = q * p * valid_n[n_11]
                total = w_00 + w_01 + w_10 + w_11
                if total < HALF:
                    continue
                a_00, a_01 = np.float32(w_00 / total), np.float32(w_01 / total)
                a_10, a_11 = np.float32(w_10 / total), np.float32(w_11 / total)
                seen_bhw[b, i, j] = True
                for c in range(n_bands):
                    mixed = (
                        a_00 * np.float32(values_nc[n_00, c])
                        + a_01 * np.float32(values_nc[n_01, c])
                        + a_10 * np.float32(values_nc[n_10, c])
                        + a_11 * np.float32(values_nc[n_11, c])
                    )
                    image_bhwc[b, i, j, c] = mixed * gain_bc[b, c] + offset_bc[b, c]
