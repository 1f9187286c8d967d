"""Trace: a raster of probabilities, covered shares or 0/1 to polygons. The inverse of `landscribe.core.burn`.

Polygons are in pixel coordinates: x = col, y = row, counted from the top-left corner of the top-left pixel. The raster
is read in strips of rows and a polygon is finished as soon as its last row has passed, so the result does not depend on
the strips, and memory depends on them and on the polygons only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, GeometryArray
from landscribe.core.grid import Window
from landscribe.core.polygons.rings import Floats
from landscribe.core.trace._contour_loop import JOIN, MEAN, SEPARATE
from landscribe.core.trace._strips import Closed, Reader, trace_contours, trace_edges
from landscribe.core.trace._strips import to_unit as to_unit
from landscribe.core.trace.outlines import Outlines, Shaping, count_from_centres, join, shape_outlines
from landscribe.errors import DataError, problem

TraceMode: TypeAlias = Literal["contour", "edge", "opencv"]
Connectivity: TypeAlias = Literal[4, 8, "mean"]

STRIP_ROWS = 256
"""Rows per strip where the raster is in memory already."""
WAITING = 4
"""Lots of closed rings that may wait for their polygons, so that memory stays bounded by them."""


@dataclass(frozen=True)
class Traced:
    """Polygons with what is known about them, in scan order of their first pixels."""

    geometries: GeometryArray
    """Valid Polygons in pixel coordinates, object (P,); also MultiPolygons in opencv mode, and in edge mode with
    connectivity 8."""
    score: Floats
    """Mean of the field over the polygon's pixels, float64 (P,), 0..1."""
    minimum: Floats
    """Smallest value of the field among them, float64 (P,), 0..1."""
    area_px: Floats
    """Area of the polygon in pixels, float64 (P,)."""
    dropped: dict[str, int]
    """How many polygons and holes were left out, by reason."""

    def __len__(self) -> int:
        return len(self.geometries)


def trace(field_hw: AnyArray, *, valid_hw: BoolArray | None = None, **options: Any) -> Traced:
    """Turn a raster into polygons.

    Args:
        field_hw: Field (H, W): bool, uint8 (0..255 stands for 0..1) or float (0..1, NaN where invalid).
        valid_hw: False where the field means nothing, (H, W); such pixels are outside and the contour keeps to
            their border. None takes all (but NaN).
        options: `threshold`, `mode` and all others of `trace_blocks`.

    Returns:
        Polygons with score, minimum and area, and the count of what was left out.

    Raises:
        DataError: If the field is not two-dimensional, of another type or outside of 0..1.
    """
    if field_hw.ndim != 2 or 0 in field_hw.shape:
        raise DataError(problem("trace", "not a raster", got=f"shape {field_hw.shape}", need="(rows, columns)"))
    if valid_hw is not None and valid_hw.shape != field_hw.shape:
        raise DataError(problem("trace", "valid_hw of another shape", got=valid_hw.shape, need=field_hw.shape))

    def read(window: Window) -> AnyArray:
        rows = field_hw[window.slices]
        if valid_hw is None:
            return rows
        return np.where(valid_hw[window.slices], to_unit(rows), np.float32(np.nan))

    return trace_blocks(read, (field_hw.shape[0], field_hw.shape[1]), block=STRIP_ROWS, **options)


def trace_blocks(
    read: Reader,
    shape_hw: tuple[int, int],
    *,
    block: int,
    threshold: float = 0.5,
    mode: TraceMode = "contour",
    min_area_px: float = 0.0,
    min_hole_px: float | None = None,
    simplify_px: float = 0.0,
    connectivity: Connectivity = 4,
    sharp: bool = True,
    smooth: int = 0,
    right_angles: bool = False,
) -> Traced:
    """Turn a raster into polygons without holding it in memory; the result is that of `trace`, whatever the block.

    Args:
        read: Gives the field of a window that lies inside the scene, as in `trace`; invalid pixels are NaN. It is
            called with windows of the scene's full width from top to bottom, each row once.
        shape_hw: Height and width of the scene.
        block: Rows to read at a time.
        threshold: A pixel is inside where the field is at or above it, above 0 and up to 1.
        mode: `contour` runs between pixel centres where the field crosses the threshold; `edge` follows pixel borders;
            `opencv` runs through the centres of the outermost pixels and gives them whole numbers, which takes back
            what `burn_mask(..., mode="opencv")` does: half a pixel less on every side of other masks, and half a
            pixel up and to the left.
        min_area_px: Polygons with a smaller area, in pixels, are left out.
        min_hole_px: Holes with a smaller area are filled; None takes `min_area_px`.
        simplify_px: Vertices are left out as long as no boundary moves by more than this many pixels, and none moves
            over a pixel centre, so more than 1 gains little.
        connectivity: Whether pixels that meet at a corner only are two polygons (4) or one (8), or whatever the mean of
            the four pixels says ("mean", contour mode only). OpenCV's own is 8.
        sharp: In contour mode at threshold 0.5, place vertices and corners as covered shares demand, where the field is
            as sharp as they are. A smooth field is not changed by it.
        smooth: In contour mode, how often vertices move halfway to the line of their neighbours; none moves over a
            pixel centre.
        right_angles: Give polygons that are nearly so right angles, for buildings.

    Returns:
        Polygons with score, minimum and area, and the count of what was left out.

    Raises:
        DataError: If an option is out of range, or the field is of another type or outside of 0..1.
    """
    if not 0 < threshold <= 1:
        raise DataError(problem("trace", "threshold out of range", got=threshold, need="above 0, at most 1"))
    if mode not in ("contour", "edge", "opencv"):
        raise DataError(problem("trace", "unknown mode", got=repr(mode), need="'contour' | 'edge' | 'opencv'"))
    if mode == "opencv" and right_angles:
        raise DataError(problem("trace", "right angles", got="mode 'opencv'", need="'contour' | 'edge'"))
    if connectivity not in (4, 8, "mean") or (mode != "contour" and connectivity == "mean"):
        raise DataError(problem("trace", "connectivity", got=repr(connectivity), need="4 | 8, or 'mean' for contours"))
    if block < 1 or min(shape_hw) < 1:
        raise DataError(problem("trace", "empty block or scene", got=(block, *shape_hw), need="at least 1"))
    sharp = sharp and mode == "contour" and threshold == 0.5
    if mode == "edge":
        pieces = trace_edges(read, shape_hw, block, threshold)
    else:
        saddle = {4: SEPARATE, 8: JOIN, "mean": MEAN}[connectivity]
        pieces = trace_contours(read, shape_hw, block, threshold, sharp, saddle, at_centres=mode == "opencv")
    hole_px = min_area_px if min_hole_px is None else min_hole_px
    kind: Literal["contour", "edge"] = "edge" if mode == "edge" else "contour"
    rounds = 0 if mode == "opencv" else smooth
    shaping = Shaping(shape_hw, kind, min_area_px, hole_px, simplify_px, sharp, rounds, right_angles)
    outlines = join(_shape_beside(pieces, shaping), by_corners=mode == "edge" and connectivity == 8)
    if mode == "opencv":
        outlines = count_from_centres(outlines, min_area_px)
    return Traced(
        outlines.geometries,
        outlines.total / outlines.pixels,
        outlines.low,
        outlines.area,
        outlines.dropped,
    )


def _shape_beside(pieces: Iterable[Closed], shaping: Shaping) -> list[Outlines]:
    """Build the polygons of one strip while the next one is read and traced; in the order of the strips."""
    done: list[Outlines] = []
    waiting: deque[Future[Outlines]] = deque()
    with ThreadPoolExecutor(1, "outlines") as pool:
        for piece in pieces:
            waiting.append(pool.submit(shape_outlines, piece, shaping))
            if len(waiting) > WAITING:
                done.append(waiting.popleft().result())
        return done + [future.result() for future in waiting]
