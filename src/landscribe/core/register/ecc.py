"""Alignment by the enhanced correlation coefficient, as both DSTL solutions did it."""

from __future__ import annotations

import math

import cv2
import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray
from landscribe.core.grid import Grid
from landscribe.core.register.climb import climb
from landscribe.core.register.move import FEATURELESS, LOST, NO_BAND, NO_OVERLAP, TOO_LATE, Move, Source

ITERATIONS, EPSILON = 5000, 1e-8
GREEN_ITERATIONS, GREEN_EPSILON = 200, 1e-7
SILICON_NM = 1000.0
"""Longer waves are seen by other detectors: such a sensor shares no band with RGB."""
LEAST_VALID = 0.05


def estimate_ecc(moved: Source, aligned: list[Source], limit_s: float) -> Move:
    """Estimate a translation as method L does.

    A sensor that sees what silicon sees is compared in grey with the grey reference; any other (SWIR) by its first
    band with the band nearest in wavelength among the sensors that are aligned already. The reference is brought to the
    moved sensor's own pixels by bicubic interpolation.

    Args:
        moved: The sensor to align.
        aligned: The reference first, then sensors whose grids are corrected already.
        limit_s: Most seconds; an estimate that takes longer is refused.

    Returns:
        The estimate; its decision says why there is none.

    Source:
        `reference_methods.md` 2.2; Evangelidis & Psarakis (2008), doi:10.1109/TPAMI.2008.113.
    """
    if moved.wavelengths_nm[0] > SILICON_NM:
        template, band = _nearest_band(aligned, moved.wavelengths_nm[0])
        fixed_hw, fixed_valid = _single(template, band)
        image_hw, valid_hw = _single(moved, 0)
    else:
        template = aligned[0]
        fixed_hw, fixed_valid = _grey(template)
        image_hw, valid_hw = _grey(moved)
    stop = (ITERATIONS, EPSILON, limit_s)
    return _estimate(fixed_hw, fixed_valid, template, image_hw, valid_hw, moved, aligned[0].grid, stop)


def estimate_ecc_green(moved: Source, aligned: list[Source], limit_s: float) -> Move:
    """Estimate a translation from the green bands of sensor and reference, as the water script of method T does.

    Source:
        `reference_methods.md` 3.11.
    """
    reference = aligned[0]
    if "green" not in moved.bands or "green" not in reference.bands:
        return Move(decision=NO_BAND)
    pictures = [_raw(source, source.bands.index("green")) for source in (reference, moved)]
    stop = (GREEN_ITERATIONS, GREEN_EPSILON, limit_s)
    return _estimate(*pictures[0], reference, *pictures[1], moved, reference.grid, stop)


def _estimate(
    fixed_hw: FloatArray,
    fixed_valid_hw: BoolArray,
    fixed: Source,
    image_hw: FloatArray,
    valid_hw: BoolArray,
    moved: Source,
    reference: Grid,
    stop: tuple[int, float, float],
) -> Move:
    to_fixed = moved.grid.pixel_map(fixed.grid)
    template_hw = resample(fixed_hw, to_fixed, moved.grid.shape_hw)
    known_hw = valid_hw & (resample(fixed_valid_hw.astype(np.float32), to_fixed, moved.grid.shape_hw, fill=0.0) > 0.5)
    if known_hw.mean() < LEAST_VALID:
        return Move(decision=NO_OVERLAP)
    for picture_hw in (template_hw, image_hw):
        # What is unknown must not look like an edge.
        picture_hw[~known_hw] = picture_hw[known_hw].mean()
    if template_hw.std() == 0 or image_hw.std() == 0:
        return Move(decision=FEATURELESS)
    mask_hw = known_hw.astype(np.uint8)
    before = cv2.computeECC(template_hw, image_hw, mask_hw)
    found = climb(template_hw, image_hw, mask_hw, *stop)
    if found is None or not (math.isfinite(found.row) and math.isfinite(found.col)):
        return Move(before=before, decision=LOST)
    if found.is_late:
        return Move(before=before, decision=TOO_LATE)
    row, col = found.row, found.col
    after = _similarity(template_hw, image_hw, mask_hw, row, col)
    # The warp leads from the template to where the image has its content; the content has to go the other way.
    to_reference = moved.grid.pixel_map(reference)
    rows = -(to_reference.d * col + to_reference.e * row)
    cols = -(to_reference.a * col + to_reference.b * row)
    return Move(rows, cols, score=after if math.isfinite(after) else None, before=float(before))


def _similarity(template_hw: FloatArray, image_hw: FloatArray, mask_hw: AnyArray, row: float, col: float) -> float:
    warp = np.array([[1, 0, col], [0, 1, row]], np.float32)
    size, flags = (image_hw.shape[1], image_hw.shape[0]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    back_hw = cv2.warpAffine(image_hw, warp, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside_hw = cv2.warpAffine(mask_hw, warp, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    return float(cv2.computeECC(template_hw, back_hw, inside_hw & mask_hw))


def resample(
    band_hw: FloatArray, from_target: Affine, shape_hw: tuple[int, int], fill: float | None = None
) -> FloatArray:
    """Bring a band to another grid by bicubic interpolation at the centres of the new pixels.

    Args:
        band_hw: float32 (H, W).
        from_target: Target (col, row) to the band's (col, row), both counted from the corner of the first pixel.
        shape_hw: Size of the target.
        fill: Value outside of the band; None repeats its edge.

    Returns:
        float32 of that size.
    """
    centre = Affine.translation(-0.5, -0.5) @ from_target @ Affine.translation(0.5, 0.5)
    warp = np.array([[centre.a, centre.b, centre.c], [centre.d, centre.e, centre.f]])
    mode = cv2.BORDER_REPLICATE if fill is None else cv2.BORDER_CONSTANT
    return np.asarray(
        cv2.warpAffine(
            band_hw,
            warp,
            (shape_hw[1], shape_hw[0]),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=mode,
            borderValue=0.0 if fill is None else fill,
        ),
        np.float32,
    )


def _nearest_band(aligned: list[Source], wavelength_nm: float) -> tuple[Source, int]:
    choices = [
        (abs(nm - wavelength_nm), source, band)
        for source in aligned
        for band, nm in enumerate(source.wavelengths_nm)
        if nm <= SILICON_NM
    ]
    if not choices:
        return aligned[0], 0
    _, source, band = min(choices, key=lambda choice: choice[0])
    return source, band


def _grey(source: Source) -> tuple[FloatArray, BoolArray]:
    if len(source.bands) < 3:
        return _single(source, 0)
    image_chw, valid_hw = source.read(source.grid.window)
    image_chw = np.where(valid_hw, image_chw, 0)
    # OpenCV's weights for blue, green, red, on bands as they stand: the method's own accident, kept.
    blue, green, red = (image_chw[band].astype(np.float32) for band in range(3))
    grey_hw: FloatArray = np.float32(0.114) * blue + np.float32(0.587) * green + np.float32(0.299) * red
    return grey_hw, valid_hw


def _single(source: Source, band: int) -> tuple[FloatArray, BoolArray]:
    band_hw, valid_hw = _raw(source, band)
    if valid_hw.any():
        low, high = np.percentile(band_hw[valid_hw], (1, 99))
        band_hw = np.clip((band_hw - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)
    return band_hw, valid_hw


def _raw(source: Source, band: int) -> tuple[FloatArray, BoolArray]:
    image_chw, valid_hw = source.read(source.grid.window)
    return np.where(valid_hw, image_chw[band], 0).astype(np.float32), valid_hw
