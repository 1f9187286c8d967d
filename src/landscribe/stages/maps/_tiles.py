"""Tiles of 256 pixels, cut from prepared rasters and probabilities.

Level z of Z has 2^(Z-z) pixels of the reference grid for each of its own; level 0 is the whole scene in one tile.
Overviews halve in the same way and from the same corner, so a tile of the reference sensor lies inside of one block of
an overview and is not resampled.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray
from landscribe.core.grid import Grid, Window
from landscribe.errors import LandscribeError, problem
from landscribe.io.raster.rasters import Raster
from landscribe.io.raster.reduced import read_reduced
from landscribe.report.pictures import HIGH_PERCENT, LOW_PERCENT
from landscribe.stages.maps._handles import Handles
from landscribe.workers import usable_processors

SIDE = 256
LOW_CODE, HIGH_CODE = 32, 223
KEPT_BYTES = 192 << 20
LOOK_PX = 256
"""Pixels of the longer side from which a stretch is taken."""
QUALITY = 85
MARGIN = 2
JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"


@dataclass(frozen=True)
class Source:
    """A raster to cut from."""

    path: Path
    stamp: tuple[int, ...]
    grid: Grid
    reference: Grid
    """The grid that tiles are counted on."""


@dataclass(frozen=True)
class Tiler:
    """Cuts tiles and keeps those that were asked for last."""

    handles: Handles = field(default_factory=Handles)
    _kept: OrderedDict[tuple[object, ...], tuple[bytes, str]] = field(default_factory=OrderedDict)
    _ranges: dict[tuple[object, ...], FloatArray] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _room: list[int] = field(default_factory=lambda: [0])
    _cutting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(usable_processors()))
    """More threads than processors would only unpack the same blocks in more open files."""

    def picture(self, bands: Sequence[tuple[Source, int]], zxy: tuple[int, int, int]) -> tuple[bytes, str]:
        """Return a tile of three bands as codes, and its type.

        A code is `LOW_CODE` where a band has its 2nd percentile over the whole raster and `HIGH_CODE` at its 98th, so
        that a browser can stretch it anew without asking for another tile.

        Args:
            bands: Raster and number of the band from 1, for red, green and blue.
            zxy: Level, column, row.

        Raises:
            DataError: If a raster is damaged.
        """

        def cut() -> tuple[bytes, str]:
            codes = np.zeros((len(bands), SIDE, SIDE), np.uint8)
            valid_hw = np.ones((SIDE, SIDE), np.bool_)
            for source in dict.fromkeys(source for source, _ in bands):
                own = [k for k, (one, _) in enumerate(bands) if one == source]
                numbers = list(dict.fromkeys(bands[k][1] for k in own))
                low, span = (part[:, None, None] for part in self._ends(source, numbers))
                with self.handles.borrow(source.path, source.stamp) as raster:
                    image_chw, seen_hw = cut_tile(raster, source, zxy, numbers)
                scaled_chw = (image_chw.astype(np.float32) - low) * ((HIGH_CODE - LOW_CODE) / span) + LOW_CODE
                coded_chw = np.clip(np.rint(scaled_chw), 0, 255).astype(np.uint8)
                valid_hw &= seen_hw
                for k in own:
                    codes[k] = coded_chw[numbers.index(bands[k][1])]
            return _encode(codes, valid_hw)

        return self._once((*((s.path, s.stamp, number) for s, number in bands), zxy), cut)

    def probability(self, source: Source, zxy: tuple[int, int, int], band: int) -> tuple[bytes, str]:
        """Return a tile of the probability of one class as grey, 0..255 for 0..1, and its type.

        Args:
            source: The raster.
            zxy: Level, column, row.
            band: Number from 1.

        Raises:
            DataError: If the raster is damaged.
        """

        def cut() -> tuple[bytes, str]:
            with self.handles.borrow(source.path, source.stamp) as raster:
                image_chw, valid_hw = cut_tile(raster, source, zxy, [band])
            grey_hw = np.where(valid_hw, image_chw[0], 0).astype(np.uint8)
            return _file(".png", grey_hw, (cv2.IMWRITE_PNG_COMPRESSION, 1)), PNG

        return self._once((source.path, source.stamp, zxy, band), cut)

    def _once(self, key: tuple[object, ...], cut: Callable[[], tuple[bytes, str]]) -> tuple[bytes, str]:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._cutting:
            made = cut()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._room[0] += len(made[0])
            while self._room[0] > KEPT_BYTES:
                self._room[0] -= len(self._kept.popitem(last=False)[1][0])
        return made

    def _ends(self, source: Source, bands: Sequence[int]) -> FloatArray:
        """Return the low ends and spans of the bands, (2, C)."""
        key = (source.path, source.stamp, tuple(bands))
        if key not in self._ranges:
            height, width = source.grid.shape_hw
            shrink = min(1.0, LOOK_PX / max(height, width))
            small = max(1, round(height * shrink)), max(1, round(width * shrink))
            with self.handles.borrow(source.path, source.stamp) as raster:
                image_chw, valid_hw = read_reduced(raster, source.grid.window, small, bands)
            known = image_chw[:, valid_hw].astype(np.float32)
            ends = np.zeros((2, len(bands)), np.float32)
            if known.size:
                ends[:] = np.percentile(known, (LOW_PERCENT, HIGH_PERCENT), axis=1)
            ends[1] = np.maximum(ends[1] - ends[0], 1e-6 if image_chw.dtype.kind == "f" else 1)
            self._ranges[key] = ends
        return self._ranges[key]


def finest_level(shape_hw: tuple[int, int]) -> int:
    """Return Z, the level whose tiles have the pixels of the reference grid."""
    return max(0, math.ceil(math.log2(max(shape_hw) / SIDE)))


def tile_window(shape_hw: tuple[int, int], zxy: tuple[int, int, int]) -> tuple[Window, int] | None:
    """Return the part of the reference grid under a tile, cut at its edge, and pixels of it for each of the tile's.

    Returns:
        None where there is no such tile.
    """
    z, x, y = zxy
    if not 0 <= z <= finest_level(shape_hw) or min(x, y) < 0:
        return None
    factor = 1 << (finest_level(shape_hw) - z)
    whole = Window(0, 0, *shape_hw)
    window = Window(y * SIDE * factor, x * SIDE * factor, SIDE * factor, SIDE * factor).intersection(whole)
    return None if window is None else (window, factor)


def cut_tile(
    raster: Raster, source: Source, zxy: tuple[int, int, int], bands: Sequence[int]
) -> tuple[AnyArray, BoolArray]:
    """Return the pixels (C, 256, 256) of a tile and which are valid (256, 256); there must be such a tile."""
    found = tile_window(source.reference.shape_hw, zxy)
    if found is None:
        raise LandscribeError(problem(str(source.path), "no such tile", got=zxy))
    window, factor = found
    if source.grid.shape_hw == source.reference.shape_hw and source.grid.transform == source.reference.transform:
        height, width = math.ceil(window.height / factor), math.ceil(window.width / factor)
        part_chw, part_hw = read_reduced(raster, window, (height, width), bands)
        if (height, width) == (SIDE, SIDE):
            return part_chw, part_hw
        image_chw = np.zeros((len(bands), SIDE, SIDE), part_chw.dtype)
        valid_hw = np.zeros((SIDE, SIDE), np.bool_)
        image_chw[:, :height, :width], valid_hw[:height, :width] = part_chw, part_hw
        return image_chw, valid_hw
    return _warp(raster, source, zxy, factor, bands)


def _warp(
    raster: Raster, source: Source, zxy: tuple[int, int, int], factor: int, bands: Sequence[int]
) -> tuple[AnyArray, BoolArray]:
    """Cut from a grid of another size or place: read what lies under the tile, then move it by one affine map."""
    _, x, y = zxy
    to_source = source.reference.pixel_map(source.grid)
    tile_to_source = to_source @ Affine.scale(factor) @ Affine.translation(x * SIDE, y * SIDE)
    corners = [tile_to_source @ corner for corner in ((0, 0), (SIDE, 0), (0, SIDE), (SIDE, SIDE))]
    (left, right), (top, bottom) = ((min(axis), max(axis)) for axis in zip(*corners, strict=True))
    per_px = math.sqrt(abs(tile_to_source.determinant))
    step = max(1.0, per_px)
    pad = math.ceil(MARGIN * step)
    reach = Window(math.floor(top) - pad, math.floor(left) - pad, math.ceil(bottom - top) + 2 * pad + 1,
                   math.ceil(right - left) + 2 * pad + 1)  # fmt: skip
    part = reach.intersection(source.grid.window)
    if part is None:
        return np.zeros((len(bands), SIDE, SIDE), raster.info.dtype), np.zeros((SIDE, SIDE), np.bool_)
    height, width = max(1, round(part.height / step)), max(1, round(part.width / step))
    image_chw, valid_hw = read_reduced(raster, part, (height, width), bands)
    to_small = Affine.scale(width / part.width, height / part.height) @ Affine.translation(-part.col, -part.row)
    # OpenCV counts from the middle of a pixel.
    move = Affine.translation(-0.5, -0.5) @ to_small @ tile_to_source @ Affine.translation(0.5, 0.5)
    matrix = np.array(tuple(move)[:6], np.float64).reshape(2, 3)
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_NEAREST if per_px < 0.5 else cv2.INTER_LINEAR)

    def moved(band_hw: AnyArray, how: int) -> AnyArray:
        moved_hw: AnyArray = cv2.warpAffine(band_hw, matrix, (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_REPLICATE)
        return moved_hw

    out_chw = np.stack([moved(band_hw.astype(np.float32), flags) for band_hw in image_chw])
    nearest = cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST
    seen_hw = cv2.warpAffine(valid_hw.astype(np.uint8), matrix, (SIDE, SIDE), flags=nearest) != 0
    return out_chw, seen_hw


def _encode(image_chw: ByteArray, valid_hw: BoolArray) -> tuple[bytes, str]:
    bgr_hwc = np.ascontiguousarray(image_chw[::-1].transpose(1, 2, 0))
    if valid_hw.all():
        return _file(".jpg", bgr_hwc, (cv2.IMWRITE_JPEG_QUALITY, QUALITY)), JPEG
    alpha_hw = valid_hw.astype(np.uint8) * np.uint8(255)
    bgra_hwc = np.dstack((np.where(valid_hw[..., None], bgr_hwc, 0), alpha_hw))
    return _file(".webp", bgra_hwc, (cv2.IMWRITE_WEBP_QUALITY, QUALITY)), WEBP


def _file(ending: str, image_hwc: ByteArray, options: tuple[int, int]) -> bytes:
    fine, content = cv2.imencode(ending, image_hwc, options)
    if not fine:
        do = "install opencv-python-headless"
        raise LandscribeError(problem("view", f"OpenCV cannot write {ending}", do=do))
    return content.tobytes()
