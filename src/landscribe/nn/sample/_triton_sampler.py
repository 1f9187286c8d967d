"""The gather of `nn/sample` as one kernel of Triton, which comes with torch's packages for GPUs.

What is compiled has no annotations but those of constants: Triton would look these names up on the GPU.

A program has one block of a chip's pixels, all bands of each side by side in memory. Coordinates are float64 as
everywhere, or a chip far from the origin would be off by a part of a pixel.
"""

from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from landscribe.nn.sample._torch_sampler import Gathered
from landscribe.nn.sample.pixels import HALF, RasterBank

TILE = 1024
"""Numbers of a block: pixels times bands."""
MOST_BANDS = 64
"""Of a block; where a sensor has more, they come in turn."""
_HALF = tl.constexpr(HALF)


def gather_fused(bank: RasterBank, wanted: Gathered) -> tuple[Tensor, Tensor]:
    """Return what `gather_plainly` returns, within rounding."""
    assert isinstance(bank.values_nc, Tensor)  # noqa: S101 - told to the type checker; `sample` dispatches on it
    device, (height, width) = bank.values_nc.device, wanted.shape_hw
    n_chips, n_bands = len(wanted.raster_b), bank.values_nc.shape[1]
    image_bhwc = torch.empty((n_chips, height, width, n_bands), device=device)
    seen_bhw = torch.empty((n_chips, height, width), dtype=torch.uint8, device=device)
    bands = triton.next_power_of_2(min(n_bands, MOST_BANDS))
    pixels = TILE // bands
    whole_r5, map_r6 = bank.on_device
    gain, offset = (image_bhwc if some is None else some for some in (wanted.gain_bc, wanted.offset_bc))
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        _gather[(triton.cdiv(height * width, pixels), n_chips)](
            bank.values_nc, bank.valid_n, wanted.raster_b, wanted.map_b6, whole_r5, map_r6, gain, offset,
            image_bhwc, seen_bhw, height, width, N_BANDS=n_bands, STEP=wanted.step, MIRROR=wanted.mirror,
            CUBIC=bank.cubic, UNSIGNED=bank.unsigned, GAIN=wanted.gain_bc is not None,
            OFFSET=wanted.offset_bc is not None, PIXELS=pixels, BANDS=bands,
        )  # fmt: skip
    return image_bhwc.permute(0, 3, 1, 2), seen_bhw.view(torch.bool)[:, None]


@triton.jit
def _mirrored(x, size):
    x = x - tl.floor(x / (2 * size)) * (2 * size)
    return tl.minimum(x, 2 * size - x)


@triton.jit
def _cubic(part, K: tl.constexpr):
    """Weight of one of four neighbours, as `cubic_weights` has them."""
    rest = 1.0 - part
    near = (1.25 * part - 2.25) * part * part + 1.0
    near_2 = (1.25 * rest - 2.25) * rest * rest + 1.0
    far = ((-0.75 * (part + 1.0) + 3.75) * (part + 1.0) - 6.0) * (part + 1.0) + 3.0
    if K == 0:
        return far
    elif K == 1:
        return near
    elif K == 2:
        return near_2
    else:
        return 1.0 - far - near - near_2


@triton.jit
def _raw(values, place, mask, UNSIGNED: tl.constexpr):
    found = tl.load(values + place, mask=mask, other=0)
    if UNSIGNED:
        return (found.to(tl.int32) & 0xFFFF).to(tl.float32)
    else:
        return found.to(tl.float32)


@triton.jit
def _clip(place, size):
    return tl.minimum(tl.maximum(place, 0), size - 1)


@triton.jit
def _gather(
    values, valid, raster_b, map_b6, whole_r5, map_r6, gain_bc, offset_bc, image, seen_out, height, width,
    N_BANDS: tl.constexpr, STEP: tl.constexpr, MIRROR: tl.constexpr, CUBIC: tl.constexpr, UNSIGNED: tl.constexpr,
    GAIN: tl.constexpr, OFFSET: tl.constexpr, PIXELS: tl.constexpr, BANDS: tl.constexpr,
):  # fmt: skip
    b = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    in_chip = pixel < height * width
    x = ((pixel % width).to(tl.float64) + 0.5) * STEP
    y = ((pixel // width).to(tl.float64) + 0.5) * STEP
    s = map_b6 + b * 6
    col = tl.load(s) * x + tl.load(s + 1) * y + tl.load(s + 2)
    row = tl.load(s + 3) * x + tl.load(s + 4) * y + tl.load(s + 5)
    r = tl.load(raster_b + b)
    whole = whole_r5 + r * 5
    origin, h, w = tl.load(whole), tl.load(whole + 1), tl.load(whole + 2)
    scene_h, scene_w = tl.load(whole + 3).to(tl.float64), tl.load(whole + 4).to(tl.float64)
    inside = (col >= 0) & (col <= scene_w) & (row >= 0) & (row <= scene_h)
    col, row = _mirrored(col, scene_w), _mirrored(row, scene_h)
    m = map_r6 + r * 6
    u = tl.load(m) * col + tl.load(m + 1) * row + tl.load(m + 2) - 0.5
    v = tl.load(m + 3) * col + tl.load(m + 4) * row + tl.load(m + 5) - 0.5
    reached = in_chip & (u > -1) & (u < w.to(tl.float64)) & (v > -1) & (v < h.to(tl.float64))
    if not MIRROR:
        reached = reached & inside
    left_f, top_f = tl.floor(u), tl.floor(v)
    p, q = u - left_f, v - top_f
    left, top = left_f.to(tl.int64), top_f.to(tl.int64)
    above, below = origin + _clip(top, h) * w, origin + _clip(top + 1, h) * w
    before, after = _clip(left, w), _clip(left + 1, w)
    n_00, n_01, n_10, n_11 = above + before, above + after, below + before, below + after
    w_00 = (1 - q) * (1 - p) * tl.load(valid + n_00, mask=reached, other=0).to(tl.float64)
    w_01 = (1 - q) * p * tl.load(valid + n_01, mask=reached, other=0).to(tl.float64)
    w_10 = q * (1 - p) * tl.load(valid + n_10, mask=reached, other=0).to(tl.float64)
    w_11 = q * p * tl.load(valid + n_11, mask=reached, other=0).to(tl.float64)
    total = w_00 + w_01 + w_10 + w_11
    seen = reached & (total >= _HALF)
    total = tl.where(seen, total, 1.0)
    a_00, a_01 = (w_00 / total).to(tl.float32)[:, None], (w_01 / total).to(tl.float32)[:, None]
    a_10, a_11 = (w_10 / total).to(tl.float32)[:, None], (w_11 / total).to(tl.float32)[:, None]
    all_known = seen
    if CUBIC:
        for k in tl.static_range(16):
            n = origin + _clip(top + (k // 4 - 1), h) * w + _clip(left + (k % 4 - 1), w)
            all_known = all_known & (tl.load(valid + n, mask=reached, other=0) != 0)
    for first in tl.static_range(0, N_BANDS, BANDS):
        c = (first + tl.arange(0, BANDS))[None, :]
        has = seen[:, None] & (c < N_BANDS)
        mixed = a_00 * _raw(values, n_00[:, None] * N_BANDS + c, has, UNSIGNED)
        mixed += a_01 * _raw(values, n_01[:, None] * N_BANDS + c, has, UNSIGNED)
        mixed += a_10 * _raw(values, n_10[:, None] * N_BANDS + c, has, UNSIGNED)
        mixed += a_11 * _raw(values, n_11[:, None] * N_BANDS + c, has, UNSIGNED)
        if CUBIC:
            smooth = tl.zeros_like(mixed)
            for k in tl.static_range(16):
                n = origin + _clip(top + (k // 4 - 1), h) * w + _clip(left + (k % 4 - 1), w)
                weight = (_cubic(q, k // 4) * _cubic(p, k % 4)).to(tl.float32)[:, None]
                smooth += weight * _raw(values, n[:, None] * N_BANDS + c, has, UNSIGNED)
            mixed = tl.where(all_known[:, None], smooth, mixed)
        if GAIN:
            mixed = mixed * tl.load(gain_bc + b * N_BANDS + c, mask=c < N_BANDS, other=0)
        if OFFSET:
            mixed = mixed + tl.load(offset_bc + b * N_BANDS + c, mask=c < N_BANDS, other=0)
        place = (b * height * width + pixel)[:, None] * N_BANDS + c
        tl.store(image + place, tl.where(seen[:, None], mixed, 0.0), mask=in_chip[:, None] & (c < N_BANDS))
    tl.store(seen_out + b * height * width + pixel, seen.to(tl.uint8), mask=in_chip)
