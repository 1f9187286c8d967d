"""A scene as a small picture: three bands by name, stretched on its valid pixels, hatched where nothing is scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray
from landscribe.errors import LandscribeError, problem

COLOURS = ("red", "green", "blue")
GREYS = ("pan", "grey", "gray", "nir", "nir1", "nir2")
LOW_PERCENT, HIGH_PERCENT = 2.0, 98.0
MOST_PX = 1 << 18
"""Pixels of a band that the ends of its stretch are taken from; of more, every so many-th."""
SIDES = (1600, 1200, 900, 700, 500, 350, 250)
"""Longest sides that are tried until a picture fits into its bytes."""
QUALITY = 82
HATCH_PX = 9


def choose_bands(bands: Mapping[str, Sequence[str]]) -> tuple[str, tuple[int, int, int]]:
    """Choose what is shown as red, green and blue, by name.

    Args:
        bands: Sensor -> names of its bands, the reference sensor first.

    Returns:
        Sensor, and the positions of three bands from 0: true colours if a sensor has them, else one grey band three
        times, else the first bands there are.
    """
    for sensor, names in bands.items():
        if all(colour in names for colour in COLOURS):
            red, green, blue = (list(names).index(colour) for colour in COLOURS)
            return sensor, (red, green, blue)
    sensor, names = next(iter(bands.items()))
    for grey in GREYS:
        if grey in names:
            return sensor, (list(names).index(grey),) * 3
    last = len(names) - 1
    return sensor, (0, min(1, last), min(2, last)) if last > 1 else (0, 0, 0)


def shrink_factor(shape_hw: tuple[int, int], side: int = SIDES[0]) -> int:
    """Return the whole number by which both sides are divided so that the longer one is at most `side`."""
    return max(1, -(-max(shape_hw) // side))


def shrink(
    read: Callable[[int, int], tuple[AnyArray, BoolArray]], shape_hw: tuple[int, int], factor: int
) -> tuple[FloatArray, BoolArray]:
    """Average blocks of pixels over a raster of any size, a strip at a time.

    Args:
        read: Takes first row and number of rows; returns pixels (C, h, W) and valid (h, W).
        shape_hw: Height and width of the raster.
        factor: Side of a block; blocks at the far edges may be smaller.

    Returns:
        Means over the valid pixels, float32 (C, ceil(H / factor), ceil(W / factor)), 0 where there are none, and where
        there are any. With a factor of 1 pixels stay as they are, in their own type.
    """
    height = shape_hw[0]
    images, masks = [], []
    rows_at_once = factor * max(1, 512 // factor)
    for row in range(0, height, rows_at_once):
        image_chw, valid_hw = read(row, min(rows_at_once, height - row))
        whole = bool(valid_hw.all())
        filled_chw = image_chw if whole else np.where(valid_hw, image_chw, np.zeros(1, image_chw.dtype))
        if factor > 1:
            filled_chw = np.stack([_block_mean(band_hw, factor) for band_hw in filled_chw])
            share_hw = np.ones(filled_chw.shape[1:], np.float32) if whole else _block_mean(valid_hw, factor)
            valid_hw = share_hw > 0
            if not whole:
                np.divide(filled_chw, share_hw, out=filled_chw, where=valid_hw)
        images.append(filled_chw)
        masks.append(valid_hw)
    return np.concatenate(images, axis=1), np.concatenate(masks, axis=0)


def known_of(band_hw: AnyArray, valid_hw: BoolArray) -> AnyArray:
    """Return the valid pixels of a band in one row."""
    return band_hw.ravel() if valid_hw.all() else band_hw[valid_hw]


def ends_of(known: AnyArray, width: int) -> tuple[float, float]:
    """Return the 2nd and the 98th percentile of a band.

    Args:
        known: (N,) valid pixels, at least one; of more than `MOST_PX` every so many-th is taken.
        width: Of the picture: the same columns of all rows are not what is taken.
    """
    step = max(1, -(-len(known) // MOST_PX))
    while math.gcd(step, width) > 1 and step > 1:
        step += 1
    low, high = np.percentile(known[::step], (LOW_PERCENT, HIGH_PERCENT))
    return float(low), float(high)


def stretch(image_chw: FloatArray, valid_hw: BoolArray) -> ByteArray:
    """Spread the 2nd to 98th percentile of each band's valid pixels over 0..255.

    Args:
        image_chw: Any numbers (3, H, W).
        valid_hw: Bool (H, W); other pixels come out grey.

    Returns:
        Uint8 (H, W, 3), red, green, blue.
    """
    out_hwc = np.full((*valid_hw.shape, 3), 128, np.uint8)
    for k, band_hw in enumerate(image_chw):
        known = known_of(band_hw, valid_hw)
        if known.size:
            low, high = ends_of(known, band_hw.shape[1])
            span = (high - low) or 1.0
            codes = np.clip((known - np.float64(low)) / span * 255, 0, 255).astype(np.uint8)
            if known.size == band_hw.size:
                out_hwc[..., k] = codes.reshape(band_hw.shape)
            else:
                out_hwc[valid_hw, k] = codes
    return out_hwc


def hatch(image_hwc: ByteArray, scored_hw: BoolArray) -> ByteArray:
    """Fade and hatch what does not count.

    Args:
        image_hwc: Uint8 (H, W, 3).
        scored_hw: Bool (H, W).

    Returns:
        A new picture, or the same one where all of it counts.
    """
    if scored_hw.all():
        return image_hwc
    rows, cols = np.indices(scored_hw.shape)
    stripe_hw = (rows + cols) % HATCH_PX < 2
    faded_hwc = (image_hwc.astype(np.float32) * 0.35 + 128 * 0.65).astype(np.uint8)
    faded_hwc[stripe_hw] = 96
    return np.where(scored_hw[..., None], image_hwc, faded_hwc)


def encode(image_hwc: ByteArray, limit_bytes: int) -> tuple[bytes, tuple[int, int]]:
    """Write a picture as WebP, smaller until it fits.

    Args:
        image_hwc: Uint8 (H, W, 3), red, green, blue.
        limit_bytes: Largest file.

    Returns:
        The file, and height and width it was written with.

    Raises:
        LandscribeError: If OpenCV was built without WebP.
    """
    height, width = image_hwc.shape[:2]
    for side in SIDES:
        scale = min(1.0, side / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small_hwc = image_hwc if scale == 1 else cv2.resize(image_hwc, size, interpolation=cv2.INTER_AREA)
        fine, content = cv2.imencode(".webp", small_hwc[..., ::-1], (cv2.IMWRITE_WEBP_QUALITY, QUALITY))
        if not fine:
            raise LandscribeError(problem("report", "OpenCV cannot write WebP", do="install opencv-python-headless"))
        if content.nbytes <= limit_bytes:
            break
    return content.tobytes(), (size[1], size[0])


def _block_mean(band_hw: AnyArray, factor: int) -> FloatArray:
    height, width = band_hw.shape
    means_hw = np.empty((-(-height // factor), -(-width // factor)), np.float32)
    # Blocks at the far edges may be smaller: rows and columns of whole blocks, then those of what is left.
    for rows in _runs(height, factor):
        for cols in _runs(width, factor):
            part_hw = np.ascontiguousarray(band_hw[rows[0] : rows[1], cols[0] : cols[1]], np.float32)
            size = -(-part_hw.shape[1] // factor), -(-part_hw.shape[0] // factor)
            to = (
                slice(rows[0] // factor, rows[0] // factor + size[1]),
                slice(cols[0] // factor, cols[0] // factor + size[0]),
            )
            means_hw[to] = cv2.resize(part_hw, size, interpolation=cv2.INTER_AREA)
    return means_hw


def _runs(length: int, factor: int) -> list[tuple[int, int]]:
    whole = length // factor * factor
    return [(a, b) for a, b in ((0, whole), (whole, length)) if b > a]
