"""A scene as a small picture: three bands by name, stretched on its valid pixels, hatched where nothing is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray
from landscribe.errors import LandscribeError, problem

COLOURS = ("red", "green", "blue")
GREYS = ("pan", "grey", "gray", "nir", "nir1", "nir2")
LOW_PERCENT, HIGH_PERCENT = 2.0, 98.0
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
        Means over the valid pixels, float32 (C, ceil(H / factor), ceil(W / factor)), and where there are any.
    """
    height = shape_hw[0]
    images, masks = [], []
    rows_at_once = factor * max(1, 512 // factor)
    for row in range(0, height, rows_at_once):
        image_chw, valid_hw = read(row, min(rows_at_once, height - row))
        filled_chw = np.where(valid_hw, image_chw, 0).astype(np.float32)
        share_hw = _block_mean(valid_hw.astype(np.float32)[None], factor)[0]
        means_chw = _block_mean(filled_chw, factor)
        images.append(np.divide(means_chw, share_hw, out=np.zeros_like(means_chw), where=share_hw > 0))
        masks.append(share_hw > 0)
    return np.concatenate(images, axis=1), np.concatenate(masks, axis=0)


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
        known = band_hw[valid_hw]
        if known.size:
            low, high = np.percentile(known, (LOW_PERCENT, HIGH_PERCENT))
            span = (high - low) or 1.0
            out_hwc[valid_hw, k] = np.clip((known - low) / span * 255, 0, 255).astype(np.uint8)
    return out_hwc


def hatch(image_hwc: ByteArray, scored_hw: BoolArray) -> ByteArray:
    """Fade and hatch what does not count.

    Args:
        image_hwc: Uint8 (H, W, 3).
        scored_hw: Bool (H, W).

    Returns:
        A new picture.
    """
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


def _block_mean(image_chw: FloatArray, factor: int) -> FloatArray:
    if factor == 1:
        return image_chw
    _, height, width = image_chw.shape
    rows, cols = np.arange(0, height, factor), np.arange(0, width, factor)
    sums = np.add.reduceat(np.add.reduceat(image_chw, rows, axis=1), cols, axis=2)
    counts = np.outer(np.diff(np.append(rows, height)), np.diff(np.append(cols, width)))
    means: FloatArray = (sums / counts).astype(np.float32)
    return means
