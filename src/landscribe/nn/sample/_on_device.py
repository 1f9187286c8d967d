"""Changes of colour in torch, for chips that a device has cut; what they are is said in `changes`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

GOLDEN, MIX = 0x9E3779B97F4A7C15, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Of the hash that noise comes from: SplitMix64, Steele, Lea & Flood (2014), doi:10.1145/2660193.2660195."""
NOISE_MEAN, NOISE_SPREAD = 2 * 65535.0, (4 * (65536.0**2 - 1) / 12) ** 0.5
"""Of the sum of the four 16-bit parts of a hash."""


def change_on_device(images: Tensor, valid: Tensor, table: Mapping[str, Tensor]) -> Tensor:
    """Return changed chips.

    Args:
        images: Raw values, float32 (B, C, h, w) channels-last, 0 where invalid.
        valid: bool (B, 1, h, w).
        table: On their device, by the names of `Changes.arrays`: tone (B, C, T), slope (B, C), saturate (B,), taps
            (B, K), noise (B,), key (B,), and for each band low, high, mean, spread and floor, (C,) each.
    """
    device = images.device
    tone_bct, slope_bc, saturate_b = (table[name] for name in ("tone", "slope", "saturate"))
    taps_bk, noise_b, key_b = (table[name] for name in ("taps", "noise", "key"))
    low_c, high_c, mean_c, spread_c, floor_c = (table[name] for name in ("low", "high", "mean", "spread", "floor"))
    image_bhwc, seen = images.permute(0, 2, 3, 1), valid.permute(0, 2, 3, 1)
    n_chips, _, _, n_bands = image_bhwc.shape
    last = tone_bct.shape[2] - 1
    place = (image_bhwc - low_c) * (last / (high_c - low_c))
    within = place.clamp(0, last)
    k = within.floor().clamp(max=last - 1).long()
    place_of = torch.arange(n_chips * n_bands, device=device).reshape(n_chips, 1, 1, n_bands) * (last + 1) + k
    before, after = tone_bct.flatten()[place_of], tone_bct.flatten()[place_of + 1]
    slope = slope_bc[:, None, None] * ((high_c - low_c) / last)
    toned = before + (within - k) * (after - before) + (place - within) * slope
    middle = ((toned - mean_c) / spread_c).mean(dim=3, keepdim=True)
    toned = toned + (saturate_b - 1)[:, None, None, None] * (toned - mean_c - spread_c * middle)
    image_bhwc = torch.where(seen, toned.maximum(floor_c), 0.0)
    if taps_bk.shape[1] > 1:
        image_bhwc = _blurred(image_bhwc, seen, taps_bk)
    noise = _noise(image_bhwc.shape, key_b) * (noise_b[:, None] * spread_c)[:, None, None]
    image_bhwc = torch.where(
        seen & (noise_b > 0)[:, None, None, None], (image_bhwc + noise).maximum(floor_c), image_bhwc
    )
    return image_bhwc.permute(0, 3, 1, 2)


def _blurred(image_bhwc: Tensor, seen: Tensor, taps_bk: Tensor) -> Tensor:
    both = torch.cat([image_bhwc, seen.float()], dim=3)
    for axis in (2, 1):
        both = _along(both, axis, taps_bk)
    blurred = torch.where(seen, both[..., :-1] / both[..., -1:], 0.0)
    return torch.where((taps_bk[:, 0] < 1)[:, None, None, None], blurred, image_bhwc)


def _along(values: Tensor, axis: int, taps_bk: Tensor) -> Tensor:
    """Return the sum of a chip's neighbours along an axis, each times its tap; beyond the chip are zeros."""
    size, total = values.shape[axis], torch.zeros_like(values)
    for k in range(1 - taps_bk.shape[1], taps_bk.shape[1]):
        first, count = max(0, -k), size - abs(k)
        if count > 0:
            tap = taps_bk[:, abs(k), None, None, None]
            total.narrow(axis, first, count).add_(tap * values.narrow(axis, first + k, count))
    return total


def _noise(shape: torch.Size, key_b: Tensor) -> Tensor:
    """Return the sum of four parts of a hash of each number of each chip, with mean 0 and spread 1."""
    count = torch.arange(shape[1] * shape[2] * shape[3], device=key_b.device).reshape(1, *shape[1:])
    x = key_b[:, None, None, None] + count * _signed(GOLDEN)
    x = (x ^ _right(x, 30)) * _signed(MIX[0])
    x = (x ^ _right(x, 27)) * _signed(MIX[1])
    x = x ^ _right(x, 31)
    four = (x & 0xFFFF) + (_right(x, 16) & 0xFFFF) + (_right(x, 32) & 0xFFFF) + _right(x, 48)
    return (four.float() - NOISE_MEAN) * (1 / NOISE_SPREAD)


def _signed(value: int) -> int:
    """Return the 64-bit number with the same bits that has a sign."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _right(x: Tensor, bits: int) -> Tensor:
    """Shift bits to the right as if there were no sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
