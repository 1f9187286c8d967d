"""The gather of `nn/sample` in torch, operation by operation: it runs anywhere and says what faster ones must give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscribe.nn.sample.pixels import HALF, RasterBank


@dataclass(frozen=True)
class Gathered:
    """What is gathered from a bank whose values are tensors, all of it on their device; see `sample`."""

    raster_b: Tensor
    map_b6: Tensor
    shape_hw: tuple[int, int]
    step: int
    gain_bc: Tensor | None
    offset_bc: Tensor | None
    mirror: bool


def cubic_weights(part: Any) -> tuple[Any, Any, Any, Any]:
    """Weights of the two neighbours before and the two after a point that lies `part` of the way between the inner."""
    a, rest = -0.75, 1.0 - part
    near = ((a + 2) * part - (a + 3)) * part * part + 1
    far = ((a * (part + 1) - 5 * a) * (part + 1) + 8 * a) * (part + 1) - 4 * a
    near_2 = ((a + 2) * rest - (a + 3)) * rest * rest + 1
    return far, near, near_2, 1.0 - far - near - near_2


def gather_plainly(bank: RasterBank, wanted: Gathered) -> tuple[Tensor, Tensor]:
    """Return values, float32 (B, C, h, w) channels-last, and validity, bool (B, 1, h, w). Nothing is waited for."""
    assert isinstance(bank.values_nc, Tensor)  # noqa: S101 - told to the type checker; `sample` dispatches on it
    assert isinstance(bank.valid_n, Tensor)  # noqa: S101
    values_nc, valid_n, device = bank.values_nc, bank.valid_n, bank.values_nc.device
    whole_r5, map_r6 = bank.on_device

    def per_chip(rows: Tensor) -> tuple[Tensor, ...]:
        # (B, k) to k times (B, 1, 1), which broadcast over pixels.
        return rows.T[..., None, None].unbind()

    a, b, c, d, e, f = per_chip(wanted.map_b6)
    x = (torch.arange(wanted.shape_hw[1], device=device, dtype=torch.float64) + 0.5) * wanted.step
    y = (torch.arange(wanted.shape_hw[0], device=device, dtype=torch.float64)[:, None] + 0.5) * wanted.step
    col, row = a * x + b * y + c, d * x + e * y + f
    origin, h, w, scene_h, scene_w = per_chip(whole_r5.index_select(0, wanted.raster_b))
    inside = (col >= 0) & (col <= scene_w) & (row >= 0) & (row <= scene_h)
    col, row = (torch.remainder(t, 2 * size) for t, size in ((col, scene_w), (row, scene_h)))
    col, row = torch.minimum(col, 2 * scene_w - col), torch.minimum(row, 2 * scene_h - row)
    a, b, c, d, e, f = per_chip(map_r6.index_select(0, wanted.raster_b))
    u, v = a * col + b * row + c - 0.5, d * col + e * row + f - 0.5
    reached = (u > -1) & (u < w) & (v > -1) & (v < h)
    if not wanted.mirror:
        reached &= inside
    left, top = u.floor(), v.floor()
    right_share, below_share = (u - left), (v - top)
    total = torch.zeros_like(u)
    image_bhwc = torch.zeros((*u.shape, values_nc.shape[1]), device=device)

    def neighbour(down: int, right: int) -> tuple[Tensor, Tensor]:
        rows = (top.long() + down).clamp(min=0).minimum(h - 1)
        cols = (left.long() + right).clamp(min=0).minimum(w - 1)
        n = (origin + rows * w + cols).flatten()
        values = values_nc.index_select(0, n).reshape(image_bhwc.shape)
        raw = (values.int() & 0xFFFF) if bank.unsigned else values
        return raw.float(), valid_n.index_select(0, n).reshape(u.shape)

    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        raw, known = neighbour(down, right)
        share = (below_share if down else 1 - below_share) * (right_share if right else 1 - right_share) * known
        total += share
        image_bhwc += share[..., None].float() * raw
    seen = reached & (total >= HALF)
    mixed = image_bhwc / total.clamp(min=HALF)[..., None].float()
    if bank.cubic:
        below, beside = (torch.stack(cubic_weights(part)) for part in (below_share, right_share))
        whole, smooth = torch.ones_like(seen), torch.zeros_like(mixed)
        for k in range(16):
            raw, known = neighbour(k // 4 - 1, k % 4 - 1)
            whole &= known > 0
            smooth += (below[k // 4] * beside[k % 4])[..., None].float() * raw
        mixed = torch.where(whole[..., None], smooth, mixed)
    if wanted.gain_bc is not None:
        mixed = mixed * wanted.gain_bc[:, None, None]
    if wanted.offset_bc is not None:
        mixed = mixed + wanted.offset_bc[:, None, None]
    image_bhwc = torch.where(seen[..., None], mixed, 0.0)
    return image_bhwc.permute(0, 3, 1, 2), seen[:, None]
