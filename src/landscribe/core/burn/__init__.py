"""Burn: polygons to the covered share of each pixel, or to a 0/1 mask.

Polygons are in pixel coordinates: x = col, y = row, counted from the top-left corner of the top-left pixel, so pixel
(r, c) is the square from (c, r) to (c + 1, r + 1). `landscribe.core.trace` is the inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from landscribe.core.arrays import ByteArray, GeometryArray
from landscribe.core.burn._centres import fill_centres
from landscribe.core.burn._shared_pixels import resolve_shared
from landscribe.core.burn._shares import SHARE, TOUCHED, add_shares
from landscribe.core.grid import Window
from landscribe.core.polygons.rings import Rings, to_rings
from landscribe.errors import DataError, problem

MaskMode: TypeAlias = Literal["gdal", "touched", "opencv"]


def burn_share(geometries: GeometryArray, shape_hw: tuple[int, int], *, window: Window | None = None) -> ByteArray:
    """Give each pixel the share of it that the polygons cover, exactly, rounded to 1/255.

    Args:
        geometries: Valid Polygons, MultiPolygons or collections in pixel coordinates; None, points and lines cover
            nothing. They may overlap or touch: what counts is their union.
        shape_hw: Height and width of the scene.
        window: Part of the scene to burn; it may reach over the edge. None burns the whole scene.

    Returns:
        uint8 (H, W) of the window, 0..255 = covered share of the pixel.

    Raises:
        DataError: If a coordinate is NaN, infinite or absurdly large.

    Examples:
        >>> import landscribe as ls, numpy as np
        >>> from shapely.geometry import box
        >>> ls.burn_share(np.array([box(1, 0, 2.5, 1)], dtype=object), (1, 4)).tolist()
        [[0, 255, 128, 0]]
    """
    frame = _frame(shape_hw, window)
    out_hw = np.zeros(frame.shape_hw, dtype=np.uint8)
    _burn_share(geometries, out_hw, 255.0, frame)
    return out_hw


def burn_share_float(
    geometries: GeometryArray, shape_hw: tuple[int, int], *, window: Window | None = None
) -> NDArray[np.float32]:
    """Give each pixel the share of it that the polygons cover, as float32 0..1.

    Arguments and errors are those of `burn_share`.

    Returns:
        float32 (H, W) of the window, exact to the type's last digits.
    """
    frame = _frame(shape_hw, window)
    out_hw = np.zeros(frame.shape_hw, dtype=np.float32)
    _burn_share(geometries, out_hw, 1.0, frame)
    return out_hw


def burn_mask(
    geometries: GeometryArray, shape_hw: tuple[int, int], *, mode: MaskMode = "gdal", window: Window | None = None
) -> ByteArray:
    """Give each pixel 1 where the polygons are, else 0.

    Args:
        geometries: Valid Polygons, MultiPolygons or collections in pixel coordinates; None, points and lines mark
            nothing. They may overlap or touch: what counts is their union.
        shape_hw: Height and width of the scene.
        mode: `gdal` marks pixels whose centre is inside, with GDAL's ties; `touched` marks pixels of which any part
            is covered; `opencv` rounds vertices to whole numbers, takes them for pixel centres and paints outlines
            too: shell first, own holes erased next, each polygon by itself, all of them joined.
        window: Part of the scene to burn; it may reach over the edge. None burns the whole scene.

    Returns:
        uint8 (H, W) of the window, 0 or 1.

    Raises:
        DataError: If a coordinate is NaN, infinite or absurdly large.

    Source:
        `gdal`: the rule of GDALdllImageFilledPolygon in GDAL's alg/llrasterize.cpp. `opencv`: the masks of the DSTL
        solutions, with the two accidents of their joint fillPoly calls (overlapping shells cancel, islands in holes
        vanish) left out.

    Examples:
        >>> import landscribe as ls, numpy as np
        >>> from shapely.geometry import box
        >>> ls.burn_mask(np.array([box(1, 0, 2.4, 1)], dtype=object), (1, 4), mode="touched").tolist()
        [[0, 1, 1, 0]]
    """
    frame = _frame(shape_hw, window)
    out_hw = np.zeros(frame.shape_hw, dtype=np.uint8)
    rings = to_rings(geometries)
    arrays = (rings.xy, rings.ring_start, rings.polygon_start)
    match mode:
        case "gdal":
            fill_centres(out_hw, 1, *arrays, frame.row, frame.col)
        case "touched":
            add_shares(out_hw, 1.0, TOUCHED, *arrays, frame.row, frame.col)
        case "opencv":
            _fill_opencv(out_hw, rings, shape_hw, frame)
    return out_hw


def burn_bits(
    layers: Sequence[GeometryArray], shape_hw: tuple[int, int], *, window: Window | None = None
) -> NDArray[np.unsignedinteger[Any]]:
    """Burn up to 32 layers into one array, with the pixels of `burn_mask(..., mode="gdal")`.

    Args:
        layers: Geometries of each layer, such as the classes of a legend, in pixel coordinates.
        shape_hw: Height and width of the scene.
        window: Part of the scene to burn; None burns the whole scene.

    Returns:
        The smallest unsigned type with a bit for each layer, (H, W): bit k is set where layer k is.

    Raises:
        DataError: If there are more than 32 layers, or a coordinate is out of range.
    """
    if len(layers) > 32:
        raise DataError(problem("layers", "too many for one array of bits", got=len(layers), need="at most 32"))
    frame = _frame(shape_hw, window)
    out_hw = np.zeros(frame.shape_hw, dtype=np.min_scalar_type((1 << len(layers)) - 1))
    for bit, geometries in enumerate(layers):
        rings = to_rings(geometries)
        fill_centres(out_hw, 1 << bit, rings.xy, rings.ring_start, rings.polygon_start, frame.row, frame.col)
    return out_hw


def _frame(shape_hw: tuple[int, int], window: Window | None) -> Window:
    frame = Window(0, 0, *shape_hw) if window is None else window
    if min(frame.shape_hw) < 1 or min(shape_hw) < 1:
        raise DataError(problem("burn", "empty frame", got=f"{frame.height} x {frame.width}", need="at least 1 x 1"))
    return frame


def _burn_share(
    geometries: GeometryArray, out_hw: NDArray[np.uint8] | NDArray[np.float32], full: float, at: Window
) -> None:
    rings = to_rings(geometries)
    arrays = (rings.xy, rings.ring_start, rings.polygon_start)
    shared = add_shares(out_hw, full, SHARE, *arrays, at.row, at.col)
    if len(shared):
        resolve_shared(out_hw, full, rings, shared, at.row, at.col)


def _fill_opencv(out_hw: ByteArray, rings: Rings, shape_hw: tuple[int, int], frame: Window) -> None:
    """Paint polygon by polygon on a canvas of its own; the canvas is cut at the scene, never at the window."""
    points = np.rint(rings.xy)
    for p in range(len(rings)):
        ring_ids = range(rings.polygon_start[p], rings.polygon_start[p + 1])
        parts = [points[rings.ring_start[k] : rings.ring_start[k + 1]] for k in ring_ids]
        low, high = parts[0].min(axis=0), parts[0].max(axis=0)
        left, top = (int(v) for v in np.maximum(low, 0))
        right, bottom = (int(v) for v in np.minimum(high + 1, shape_hw[::-1]))
        box = Window(top, left, bottom - top, right - left)
        seen = box.intersection(frame)
        if box.height <= 0 or box.width <= 0 or seen is None:
            continue
        canvas = np.zeros(box.shape_hw, dtype=np.uint8)
        moved = [np.clip(part - (left, top), -(2**30), 2**30).astype(np.int32) for part in parts]
        cv2.fillPoly(canvas, moved[:1], 1)
        for hole in moved[1:]:
            cv2.fillPoly(canvas, [hole], 0)
        inner = Window(seen.row - box.row, seen.col - box.col, seen.height, seen.width)
        outer = Window(seen.row - frame.row, seen.col - frame.col, seen.height, seen.width)
        out_hw[outer.slices] |= canvas[inner.slices]
