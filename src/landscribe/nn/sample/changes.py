"""What is done to the colours of chips after they were cut, one sensor at a time, in place of other bytes.

Whatever depends on the number of a pixel alone (other colours, gamma, gain, offset, haze) is one table for each chip
and band, looked up between its knots. Then bands are moved apart or together, the chip is blurred, noise is added.
Invalid pixels stay 0 and have no say in a blur.

Noise is a hash of the chip's own number and the pixel's, so that a chip is the same whoever cuts it.

Two backends give one result: a numba kernel where chips were cut by one, torch where a device cut them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numba import njit
from torch import Tensor

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray, IntArray
from landscribe.nn.sample._on_device import GOLDEN, MIX, NOISE_MEAN, NOISE_SPREAD, change_on_device
from landscribe.nn.sample.sending import send

__all__ = ["KNOTS", "LEAST_BLUR", "REACH", "Changes", "change", "change_on_device"]

KNOTS = 256
"""Of a table: enough for a curve to be smooth in 8 bits."""
LEAST_BLUR = 0.2
"""Standard deviation in samples below which a blur cannot be seen, and is none."""
REACH = 3.0
"""Standard deviations of a blur that are looked at."""
_GOLDEN, _MIX_1, _MIX_2, _FIELD = np.uint64(GOLDEN), np.uint64(MIX[0]), np.uint64(MIX[1]), np.uint64(0xFFFF)
_16, _27, _30, _31, _32, _48 = (np.uint64(bits) for bits in (16, 27, 30, 31, 32, 48))
_MEAN, _SCALE = np.float32(NOISE_MEAN), np.float32(1 / NOISE_SPREAD)


@dataclass(frozen=True)
class Changes:
    """How the chips of a batch are changed in the bands of one sensor."""

    tone_bct: FloatArray
    """New number at each knot, float32 (B, C, KNOTS)."""
    slope_bc: FloatArray
    """Of the tone beyond its knots, float32 (B, C)."""
    saturate_b: FloatArray
    """Factor on what sets the bands apart, float32 (B,)."""
    blur_b: FloatArray
    """Standard deviation of the blur in samples, float32 (B,); 0 is none."""
    noise_b: FloatArray
    """Standard deviation of the noise in those of the band, float32 (B,)."""
    key_b: IntArray
    """What noise is a hash of, int64 (B,)."""
    low_c: FloatArray
    """Number at the first knot, float32 (C,)."""
    high_c: FloatArray
    """Number at the last knot, float32 (C,)."""
    mean_c: FloatArray
    """Of the band, float32 (C,)."""
    spread_c: FloatArray
    """Standard deviation of the band, float32 (C,)."""
    floor_c: FloatArray
    """Below which no number falls, float32 (C,): 0 where a band has no negative ones, else minus infinity."""

    def rows(self, chosen: IntArray | slice) -> Changes:
        """Return the changes of some of the chips."""
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self) if "_b" in f.name})

    def arrays(self) -> dict[str, AnyArray]:
        """Return what a device needs of this, by the names that `change_on_device` has."""
        names = {f.name: f.name.rpartition("_")[0] for f in fields(self) if f.name != "blur_b"}
        return {short: getattr(self, name) for name, short in names.items()} | {"taps": self.taps_bk}

    @property
    def taps_bk(self) -> FloatArray:
        """Weights of a blur at its middle and to one side of it, float32 (B, reach + 1), the same for both sides."""
        blur_b = np.where(self.blur_b < LEAST_BLUR, 0.0, self.blur_b).astype(np.float64)
        places = np.arange(int(np.ceil(REACH * blur_b.max(initial=0))) + 1)
        taps = np.exp(-0.5 * (places / np.maximum(blur_b, 1e-3)[:, None]) ** 2)
        taps[places[None] > np.ceil(REACH * blur_b)[:, None]] = 0
        return (taps / (2 * taps.sum(axis=1, keepdims=True) - taps[:, :1])).astype(np.float32)


def change(images: Tensor, valid: Tensor, changes: Changes, *, compiled: bool) -> Tensor:
    """Return chips with their colours changed; on a processor these are changed in place.

    Args:
        images: Raw values, float32 (B, C, h, w) channels-last, 0 where invalid.
        valid: bool (B, 1, h, w).
        changes: Of each of them.
        compiled: Take the numba kernel, in place of torch.
    """
    table = changes
    if not compiled:
        return change_on_device(images, valid, send(changes.arrays(), images.device))
    _change(
        images.permute(0, 2, 3, 1).numpy(), valid[:, 0].numpy(),
        table.tone_bct, table.slope_bc, table.saturate_b, table.taps_bk, table.noise_b, table.key_b.view(np.uint64),
        table.low_c, table.high_c, table.mean_c, table.spread_c, table.floor_c,
    )  # fmt: skip
    return images


@njit(cache=True, nogil=True, error_model="numpy")
def _change(
    image_bhwc: FloatArray,
    seen_bhw: BoolArray,
    tone_bct: FloatArray,
    slope_bc: FloatArray,
    saturate_b: FloatArray,
    taps_bk: FloatArray,
    noise_b: FloatArray,
    key_b: IntArray,
    low_c: FloatArray,
    high_c: FloatArray,
    mean_c: FloatArray,
    spread_c: FloatArray,
    floor_c: FloatArray,
) -> None:
    n_chips, height, width, n_bands = image_bhwc.shape
    for b in range(n_chips):
        image_hwc, seen_hw = image_bhwc[b], seen_bhw[b]
        image_hx = image_hwc.reshape(height, width * n_bands)
        _tone(image_hx, seen_hw, tone_bct[b], slope_bc[b], saturate_b[b], low_c, high_c, mean_c, spread_c, floor_c)
        if taps_bk[b, 0] < 1:
            _blur(image_hx, seen_hw, n_bands, taps_bk[b])
        if noise_b[b] > 0:
            _add_noise(image_hwc, seen_hw, noise_b[b] * spread_c, key_b[b], floor_c)


@njit(cache=True, nogil=True, error_model="numpy")
def _tone(
    image_hx: FloatArray,
    seen_hw: BoolArray,
    tone_ct: FloatArray,
    slope_c: FloatArray,
    saturate: float,
    low_c: FloatArray,
    high_c: FloatArray,
    mean_c: FloatArray,
    spread_c: FloatArray,
    floor_c: FloatArray,
) -> None:
    """Look numbers up in their tables and move bands apart, a row at a time, in loops that compilers can widen."""
    height, width = seen_hw.shape
    n_bands, knots = tone_ct.shape
    last, zero = np.float32(knots - 1), np.float32(0)
    apart, share_c = np.float32(saturate - 1), np.float32(1 / n_bands) / spread_c
    low_x, mean_x = _repeated(low_c, width), _repeated(mean_c, width)
    spread_x, floor_x = _repeated(spread_c, width), _repeated(floor_c, width)
    per_step_x = last / (_repeated(high_c, width) - low_x)
    slope_x = _repeated(slope_c, width) / per_step_x
    first_x = (np.arange(width * n_bands) % n_bands * knots).astype(np.int32)
    tone_n = tone_ct.ravel()
    rise_n = np.zeros_like(tone_n)
    rise_n[:-1] = tone_n[1:] - tone_n[:-1]
    n = width * n_bands
    knot_x, part_x, beyond_x = np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32)
    for i in range(height):
        row_x = image_hx[i]
        for x in range(n):
            place = (row_x[x] - low_x[x]) * per_step_x[x]
            within = place if place > zero else zero
            within = within if within < last else last
            # At the last knot the way to the next is nought.
            knot = np.int32(within)
            knot_x[x], part_x[x] = first_x[x] + knot, within - np.float32(knot)
            beyond_x[x] = (place - within) * slope_x[x]
        for x in range(n):
            k = np.uint32(knot_x[x])
            row_x[x] = tone_n[k] + part_x[x] * rise_n[k] + beyond_x[x]
        if apart != zero:
            for j in range(width):
                middle = zero
                for x in range(j * n_bands, (j + 1) * n_bands):
                    middle += (row_x[x] - mean_x[x]) * share_c[x - j * n_bands]
                part_x[j * n_bands : (j + 1) * n_bands] = middle
            for x in range(n):
                row_x[x] += apart * (row_x[x] - mean_x[x] - spread_x[x] * part_x[x])
        for x in range(n):
            row_x[x] = row_x[x] if row_x[x] > floor_x[x] else floor_x[x]
        for j in range(width):
            if not seen_hw[i, j]:
                row_x[j * n_bands : (j + 1) * n_bands] = zero


@njit(cache=True, nogil=True)
def _repeated(values_c: FloatArray, count: int) -> FloatArray:
    """Return the numbers of the bands for each pixel of a row."""
    repeated = np.empty((count, len(values_c)), np.float32)
    repeated[:] = values_c
    return repeated.ravel()


@njit(cache=True, nogil=True, error_model="numpy")
def _blur(image_hx: FloatArray, seen_hw: BoolArray, n_bands: int, taps_k: FloatArray) -> None:
    """Blur the rows, then the columns; the bands of a pixel lie side by side in a row."""
    height, width = seen_hw.shape
    reach = len(taps_k) - 1
    across_hx = np.zeros_like(image_hx)
    mass_hw = np.zeros((height, width), np.float32)
    for i in range(height):
        for k in range(-reach, reach + 1):
            tap = taps_k[abs(k)]
            first, stop = max(0, -k), min(width, width - k)
            if tap == 0 or first >= stop:
                continue
            into, out = across_hx[i, first * n_bands : stop * n_bands], image_hx[i, (first + k) * n_bands :]
            for x in range(len(into)):
                into[x] += tap * out[x]
            mass, seen = mass_hw[i, first:stop], seen_hw[i, first + k :]
            for x in range(len(mass)):
                mass[x] += tap * np.float32(seen[x])
    total_x, total = np.empty(width * n_bands, np.float32), np.empty(width, np.float32)
    for i in range(height):
        total_x[:], total[:] = 0, 0
        for k in range(max(-reach, -i), min(reach, height - 1 - i) + 1):
            tap = taps_k[abs(k)]
            row_x, row = across_hx[i + k], mass_hw[i + k]
            for x in range(len(total_x)):
                total_x[x] += tap * row_x[x]
            for x in range(width):
                total[x] += tap * row[x]
        for j in range(width):
            if seen_hw[i, j]:
                for x in range(j * n_bands, (j + 1) * n_bands):
                    image_hx[i, x] = total_x[x] / total[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_noise(image_hwc: FloatArray, seen_hw: BoolArray, spread_c: FloatArray, key: int, floor_c: FloatArray) -> None:
    """Add the sum of four parts of a hash, which is all but normal: 3.4 standard deviations at most."""
    height, width, n_bands = image_hwc.shape
    for i in range(height):
        for j in range(width):
            if not seen_hw[i, j]:
                continue
            for c in range(n_bands):
                x = np.uint64(key) + np.uint64((i * width + j) * n_bands + c) * _GOLDEN
                x = (x ^ (x >> _30)) * _MIX_1
                x = (x ^ (x >> _27)) * _MIX_2
                x ^= x >> _31
                four = (x & _FIELD) + ((x >> _16) & _FIELD) + ((x >> _32) & _FIELD) + (x >> _48)
                noise = (np.float32(four) - _MEAN) * _SCALE
                image_hwc[i, j, c] = max(image_hwc[i, j, c] + noise * spread_c[c], floor_c[c])
