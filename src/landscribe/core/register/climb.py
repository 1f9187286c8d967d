"""The iterations of the enhanced correlation coefficient for a translation, with the same result on every OpenCV."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import cv2
import numpy as np

from landscribe.core.arrays import AnyArray, FloatArray
from landscribe.workers import stop_if_asked

PLACES = 32
"""Places between two pixels that OpenCV's warp knew up to version 4: a shift is rounded to them first."""
FIXED_POINT = 1024
"""What it rounded a shift to before that."""
FILTER_PX = 5
"""OpenCV's own Gaussian filter, the default when both solutions were written."""
STRIP_ROWS = 256


@dataclass(frozen=True)
class Climb:
    """Where the iterations ended."""

    row: float
    col: float
    """What of the picture lies under pixel (0, 0) of the template, in pixels."""
    is_late: bool = False
    """Whether they were cut off by the clock."""


@dataclass(frozen=True)
class _Step:
    """What is found at one place: the correlation there and the move that it asks for."""

    rho: float
    row: float
    col: float


@dataclass(frozen=True)
class _Pictures:
    template_hw: FloatArray
    image_hw: FloatArray
    slope_x_hw: FloatArray
    slope_y_hw: FloatArray
    mask_hw: AnyArray


def climb(
    template_hw: FloatArray,
    image_hw: FloatArray,
    mask_hw: AnyArray,
    iterations: int,
    epsilon: float,
    limit_s: float,
) -> Climb | None:
    """Find the translation of an image that correlates best with a template, from none on.

    The steps are those of `cv2.findTransformECC` of OpenCV up to 4, whose warp rounds a shift to 32nds of a pixel.
    Where two steps come to the same place, the correlation repeats itself and the method's stop is met; what was found
    at a place is kept, so that steps to and fro cost nothing. OpenCV 5 warps exactly: its correlation goes on changing
    in the last digit and a stop at 1e-8 is never met.

    Args:
        template_hw: float32 (H, W).
        image_hw: float32 (H, W), another picture of the same ground.
        mask_hw: uint8 (H, W), 1 where the image counts.
        iterations: Most steps.
        epsilon: Stop where the correlation changes by less.
        limit_s: Most seconds, for all steps together.

    Returns:
        Where it ended; None where the pictures lost each other.

    Source:
        Evangelidis & Psarakis (2008), doi:10.1109/TPAMI.2008.113, forward additive.
    """
    until = time.monotonic() + limit_s
    pictures = _smooth(template_hw, image_hw, mask_hw)
    known: dict[tuple[int, int], _Step] = {}
    row = col = 0.0
    rho, last = -1.0, -math.inf
    for _ in range(iterations):
        if abs(rho - last) < epsilon:
            break
        place = _place(row), _place(col)
        if place not in known:
            if time.monotonic() > until:
                return Climb(row, col, is_late=True)
            step = _look(pictures, *place)
            if step is None:
                return None
            known[place] = step
        step = known[place]
        row, col, rho, last = row + step.row, col + step.col, step.rho, rho
    return Climb(row, col)


def _smooth(template_hw: FloatArray, image_hw: FloatArray, mask_hw: AnyArray) -> _Pictures:
    size = (FILTER_PX, FILTER_PX)
    # A pixel counts when the filter saw nearly nothing but what counts.
    share_hw = cv2.GaussianBlur((mask_hw > 0).astype(np.float32), size, 0) * (0.5 / 0.95)
    sure_hw = np.rint(share_hw).astype(np.uint8)
    smooth_hw = np.asarray(cv2.GaussianBlur(image_hw, size, 0), np.float32)
    difference = np.array([[-0.5, 0.0, 0.5]], np.float32)
    return _Pictures(
        template_hw=np.asarray(cv2.GaussianBlur(template_hw, size, 0), np.float32),
        image_hw=smooth_hw,
        slope_x_hw=np.asarray(cv2.filter2D(smooth_hw, -1, difference) * sure_hw, np.float32),
        slope_y_hw=np.asarray(cv2.filter2D(smooth_hw, -1, difference.T) * sure_hw, np.float32),
        mask_hw=sure_hw,
    )


def _place(shift: float) -> int:
    """Round a shift to the 32nds of a pixel that it is carried out in."""
    return math.floor((round(shift * FIXED_POINT) + FIXED_POINT // PLACES // 2) / (FIXED_POINT // PLACES))


def _look(pictures: _Pictures, row: int, col: int) -> _Step | None:
    """Measure the pictures at a place in 32nds of a pixel; None where they have no correlation to climb."""
    height, width = pictures.template_hw.shape
    warp = np.array([[1, 0, col / PLACES], [0, 1, row / PLACES]])

    def move(picture_hw: AnyArray, how: int) -> AnyArray:
        return np.asarray(cv2.warpAffine(picture_hw, warp, (width, height), flags=how | cv2.WARP_INVERSE_MAP))

    image_hw, slope_x_hw, slope_y_hw = (
        move(p, cv2.INTER_LINEAR) for p in (pictures.image_hw, pictures.slope_x_hw, pictures.slope_y_hw)
    )
    mask_hw = move(pictures.mask_hw, cv2.INTER_NEAREST)
    gram = np.zeros((6, 6))
    for top in range(0, height, STRIP_ROWS):
        stop_if_asked()
        rows = slice(top, top + STRIP_ROWS)
        mask, image = mask_hw[rows].astype(np.float64), image_hw[rows].astype(np.float64)
        parts = (mask, mask * image, mask * pictures.template_hw[rows], image, slope_x_hw[rows], slope_y_hw[rows])
        flat = np.stack([part.ravel() for part in parts])
        gram += flat @ flat.T
    return _solve(gram)


def _solve(gram: FloatArray) -> _Step | None:
    """Take the step from the products of mask, image, template (both under the mask), image, and slopes in x and y."""
    count = gram[0, 0]
    if count == 0:
        return None
    image_mean, template_mean = gram[0, 1] / count, gram[0, 2] / count
    image_norm = gram[1, 1] - count * image_mean**2
    template_norm = gram[2, 2] - count * template_mean**2
    correlation = gram[1, 2] - count * image_mean * template_mean
    hessian = gram[4:, 4:]
    of_image = gram[3, 4:] - image_mean * gram[0, 4:]
    of_template = gram[2, 4:] - template_mean * gram[0, 4:]
    if not (image_norm > 0 and template_norm > 0 and np.linalg.det(hessian) > 0):
        return None
    back = np.linalg.solve(hessian, of_image)
    above, below = image_norm - of_image @ back, correlation - of_template @ back
    if not below > 0:
        return None
    col, row = np.linalg.solve(hessian, above / below * of_template - of_image)
    return _Step(float(correlation / math.sqrt(image_norm * template_norm)), float(row), float(col))
