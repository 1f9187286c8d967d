"""Rasters of one sensor in one piece of memory, pixel-interleaved, as the gathers of `nn/sample` take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from affine import Affine
from torch import Tensor

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray, IntArray
from landscribe.nn.sample.sending import send

HALF = 0.5 - 1e-6
"""What the valid neighbours of a point have to weigh: a half must not depend on rounding."""
NATIVE_TYPES = frozenset({"uint8", "uint16", "int16", "float32"})
"""Kept as they are; other types become float32."""


@dataclass(frozen=True)
class Raster:
    """One sensor's pixels in one scene, or in a window of it."""

    image_chw: AnyArray
    """Raw values (C, h, w)."""
    valid_hw: BoolArray
    """False where there is no data."""
    from_reference: Affine
    """Reference (col, row) to (col, row) of `image_chw`."""
    scene_hw: tuple[int, int]
    """Size of the reference grid, at whose edges coordinates are mirrored."""


@dataclass(frozen=True)
class RasterBank:
    """Many rasters of one sensor in one piece of memory, pixel-interleaved: one row has all bands of a pixel."""

    values_nc: AnyArray | Tensor
    """(pixels of all rasters, C); uint16 lies in a tensor as int16, see `unsigned`."""
    valid_n: AnyArray | Tensor
    """uint8 (pixels of all rasters,), 1 where valid."""
    unsigned: bool
    """True where an int16 tensor stands for uint16."""
    origin_r: IntArray
    """int64: first row of each raster in `values_nc`."""
    size_r2: IntArray
    """int64: height and width of each raster."""
    scene_r2: IntArray
    """int64: height and width of each reference grid."""
    map_r6: FloatArray
    """float64: reference pixel to raster pixel."""
    cubic: bool = False
    """Mix sixteen neighbours in place of four."""

    @property
    def device(self) -> torch.device:
        """Where the values are."""
        return self.values_nc.device if isinstance(self.values_nc, Tensor) else torch.device("cpu")

    @cached_property
    def on_device(self) -> tuple[Tensor, Tensor]:
        """There: origin, height and width of each raster, those of its reference, int64 (R, 5); map, float64 (R, 6)."""
        whole_r5 = np.column_stack([self.origin_r, self.size_r2, self.scene_r2])
        sent = send({"whole": whole_r5, "map": self.map_r6}, self.device)
        return sent["whole"], sent["map"]


def pack_rasters(rasters: Sequence[Raster], device: torch.device | None = None, *, cubic: bool = False) -> RasterBank:
    """Lay rasters of one sensor side by side.

    Values that are not finite become invalid.

    Args:
        rasters: At least one; all with the same number of bands. Where types differ, float32 holds them all.
        device: None keeps NumPy arrays for the numba backend, else tensors on that device.
        cubic: Mix sixteen neighbours in place of four.
    """
    dtype = rasters[0].image_chw.dtype
    if dtype.name not in NATIVE_TYPES or any(r.image_chw.dtype != dtype for r in rasters):
        dtype = np.dtype(np.float32)
    sizes = [r.valid_hw.shape for r in rasters]
    starts = np.concatenate([[0], np.cumsum([h * w for h, w in sizes])]).astype(np.int64)
    values_nc = np.empty((starts[-1], len(rasters[0].image_chw)), dtype)
    valid_n = np.empty(starts[-1], np.uint8)
    for raster, start, stop in zip(rasters, starts, starts[1:], strict=False):
        lay_pixels(raster.image_chw, raster.valid_hw, values_nc[start:stop], valid_n[start:stop])
    return bank_of(values_nc, valid_n, rasters, device, cubic=cubic)


def lay_pixels(image_chw: AnyArray, valid_hw: BoolArray, values_nc: AnyArray, valid_n: ByteArray) -> None:
    """Write pixels into their place in a bank; values that are not finite become invalid.

    Args:
        image_chw: Raw values (C, h, w).
        valid_hw: False where there is no data.
        values_nc: (h * w, C), written to.
        valid_n: uint8 (h * w,), written to.
    """
    valid_n[:] = valid_hw.ravel()
    values_nc[:] = image_chw.reshape(len(image_chw), -1).T
    if values_nc.dtype.kind == "f":
        valid_n &= np.isfinite(values_nc).all(axis=1)
        values_nc[valid_n == 0] = 0  # NaN times weight 0 would still be NaN


def bank_of(
    values_nc: AnyArray,
    valid_n: ByteArray,
    rasters: Sequence[Raster],
    device: torch.device | None = None,
    *,
    cubic: bool = False,
) -> RasterBank:
    """Return a bank of pixels that `lay_pixels` wrote, one raster behind the other; see `pack_rasters`."""
    sizes = [r.valid_hw.shape for r in rasters]
    starts = np.concatenate([[0], np.cumsum([h * w for h, w in sizes])]).astype(np.int64)
    unsigned = values_nc.dtype == np.uint16
    flat: AnyArray | Tensor = values_nc
    mask: AnyArray | Tensor = valid_n
    if device is not None:
        flat = torch.from_numpy(values_nc.view(np.int16) if unsigned else values_nc).to(device)
        mask = torch.from_numpy(valid_n).to(device)
    return RasterBank(
        flat,
        mask,
        unsigned,
        starts[:-1],
        np.array(sizes, np.int64).reshape(-1, 2),
        np.array([r.scene_hw for r in rasters], np.int64).reshape(-1, 2),
        np.array([tuple(r.from_reference)[:6] for r in rasters], np.float64),
        cubic,
    )
