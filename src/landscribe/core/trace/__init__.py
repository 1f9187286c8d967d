"""Trace: a raster of probabilities, covered shares or 0/1 to polygons. The inverse of `landscribe.core.burn`.

Polygons are in pixel coordinates: x = col, y = row, counted from the top-left corner of the top-left pixel. The raster
is read in strips of rows and a polygon is finished as soon as its last row has passed, so the result does not depend on
the strips, and memory depends on them and on the polygons only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, Floats, GeometryArray
from landscribe.core.grid import Window
from landscribe.core.trace._chains import Closed
from landscribe.core.trace._contour_loop import JOIN, MEAN, SEPARATE, contour_rows
from landscribe.core.trace._edge_loop import edge_rows
from landscribe.core.trace._strips import Reader, trace_contours, trace_edges
from landscribe.core.trace._strips import to_unit as to_unit
from landscribe.core.trace.outlines import Outlines, count_from_centres, join, shape_outlines
from landscribe.core.tracing import EXACT, TraceMode, Tracing, TracingOptions
from landscribe.errors import DataError, problem
from landscribe.workers import result_of, thread_pool

LOOPS: Mapping[TraceMode, Callable[..., object]] = {
    "contour": contour_rows,
    "edge": edge_rows,
    "opencv": contour_rows,
}
"""Where each mode begins: whether numba has compiled it is asked of this one."""
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


def trace(
    field_hw: AnyArray,
    tracing: Tracing = EXACT,
    *,
    valid_hw: BoolArray | None = None,
    **options: Unpack[TracingOptions],
) -> Traced:
    """Turn a raster into polygons.

    Args:
        field_hw: Field (H, W): bool, uint8 (0..255 stands for 0..1) or float (0..1, NaN where invalid).
        tracing: What to do; without it nothing is left out. `Tracing()` is what a run does.
        valid_hw: False where the field means nothing, (H, W); such pixels are outside and the contour keeps to
            their border. None takes all (but NaN).
        options: Settings of `Tracing` that shall be others than those of `tracing`, such as `threshold` and `mode`.

    Returns:
        Polygons with score, minimum and area, and the count of what was left out.

    Raises:
        DataError: If the field is not two-dimensional, of another type or outside of 0..1.
        RecipeError: If an option is out of range.

    Examples:
        >>> import landscribe as ls, numpy as np
        >>> mask = np.zeros((7, 11), bool)
        >>> mask[2:5, 3:9] = True
        >>> traced = ls.trace_pixels(mask, mode="edge")
        >>> traced.area_px.tolist(), traced.geometries[0].bounds
        ([18.0], (3.0, 2.0, 9.0, 5.0))
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

    height, width = field_hw.shape
    return trace_blocks(read, (height, width), replace(tracing, **options), block=STRIP_ROWS)


def trace_blocks(read: Reader, shape_hw: tuple[int, int], tracing: Tracing, *, block: int) -> Traced:
    """Turn a raster into polygons without holding it in memory; the result is that of `trace`, whatever the block.

    Args:
        read: Gives the field of a window that lies inside the scene, as in `trace`; invalid pixels are NaN. It is
            called with windows of the scene's full width from top to bottom, each row once.
        shape_hw: Height and width of the scene.
        tracing: What to do.
        block: Rows to read at a time.

    Returns:
        Polygons with score, minimum and area, and the count of what was left out.

    Raises:
        DataError: If the field is of another type or outside of 0..1, or the scene is empty.
    """
    if block < 1 or min(shape_hw) < 1:
        raise DataError(problem("trace", "empty block or scene", got=(block, *shape_hw), need="at least 1"))
    if tracing.mode == "edge":
        pieces = trace_edges(read, shape_hw, block, tracing.threshold)
    else:
        saddle = {4: SEPARATE, 8: JOIN, "mean": MEAN}[tracing.connectivity]
        pieces = trace_contours(
            read,
            shape_hw,
            block,
            tracing.threshold,
            level=tracing.level,
            sharp=tracing.is_sharp,
            saddle=saddle,
            at_centres=tracing.mode == "opencv",
        )
    by_corners = tracing.mode == "edge" and tracing.connectivity == 8
    outlines = join(_shape_beside(pieces, shape_hw, tracing), by_corners=by_corners)
    if tracing.mode == "opencv":
        outlines = count_from_centres(outlines, tracing.min_area_px)
    return Traced(
        outlines.geometries,
        outlines.total / outlines.pixels,
        outlines.low,
        outlines.area,
        outlines.dropped,
    )


def _shape_beside(pieces: Iterable[Closed], shape_hw: tuple[int, int], tracing: Tracing) -> list[Outlines]:
    """Build the polygons of one strip while the next one is read and traced; in the order of the strips."""
    done: list[Outlines] = []
    waiting: deque[Future[Outlines]] = deque()
    with thread_pool(1, "outlines") as pool:
        for piece in pieces:
            waiting.append(pool.submit(shape_outlines, piece, shape_hw, tracing))
            if len(waiting) > WAITING:
                done.append(result_of(waiting.popleft()))
        return done + [result_of(future) for future in waiting]
