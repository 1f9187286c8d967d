"""Strips: a raster read from top to bottom, traced on the way, and handed out as closed rings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from landscribe.core.arrays import AnyArray, BoolArray, Int32s
from landscribe.core.grid import Window
from landscribe.core.trace._chains import Chains, Closed, Parts, no_chains, no_parts, take_closed
from landscribe.core.trace._contour_loop import Field, contour_rows
from landscribe.core.trace._edge_loop import edge_rows
from landscribe.core.trace._rows import LABEL, Row, empty_row
from landscribe.core.tracing import smallest_byte
from landscribe.errors import DataError, problem
from landscribe.workers import stop_if_asked

Reader: TypeAlias = Callable[[Window], AnyArray]

KERNEL_ROWS = 64
"""Rows brought to float32 at a time."""
FEW_VERTICES = 1 << 13
"""Closed polygons are taken out when this many vertices have come since the last time, or as many as were left: few,
so that the vertices to follow are still in the processor's cache."""


def to_unit(field: AnyArray) -> NDArray[np.float32]:
    """Bring a field to float32 0..1.

    Raises:
        DataError: If it is of another type than bool, uint8 or float, or outside of 0..1.
    """
    if field.dtype == np.bool_:
        return field.astype(np.float32)
    if field.dtype == np.uint8:
        return field * np.float32(1 / 255)
    if not np.issubdtype(field.dtype, np.floating):
        raise DataError(problem("trace", "type of the field", got=field.dtype, need="bool, uint8 or float"))
    unit: NDArray[np.float32] = field.astype(np.float32, copy=False)
    low, high = unit.min(), unit.max()
    if np.isnan(low):
        low, high = np.fmin.reduce(unit, axis=None), np.fmax.reduce(unit, axis=None)
    if low < 0 or high > 1:
        raise DataError(problem("trace", "field out of range", got=f"{low} to {high}", need="0 to 1"))
    return unit


@dataclass(slots=True)
class _Open:
    """What is open between two strips."""

    row: Row
    """The last row."""
    links: Int32s
    """Vertices that the next row will link to."""
    chains: Chains
    n: int
    parts: Parts
    n_parts: int
    kept: int = 0
    """Vertices that were left when closed ones were last taken out."""


def trace_contours(
    read: Reader,
    shape_hw: tuple[int, int],
    block: int,
    threshold: float,
    *,
    level: float,
    sharp: bool,
    saddle: int,
    at_centres: bool = False,
) -> Iterator[Closed]:
    """Contour a scene; `_contour_loop` says what the frame of samples around it is and what the last arguments do.

    Args:
        read: Gives the field of a window of full width.
        shape_hw: Height and width of the scene.
        block: Rows to read at a time.
        threshold: Smallest value inside, 0..1.
        level: Value at which lines run between samples, 0..1.
        sharp: Whether covered shares may be told from smooth fields.
        saddle: SEPARATE or JOIN, or MEAN where contours run between centres.
        at_centres: Run right beside the centres of inside pixels, also at the scene's border.
    """
    height, width = shape_hw
    at_y = np.clip(np.arange(height + 4) - 1.5, 0.0, height)
    at_x = np.clip(np.arange(width + 4) - 1.5, 0.0, width)
    now = _Open(empty_row(width + 4), np.full(width + 4, -1, np.int32), no_chains(), 0, no_parts(), 0)
    room = empty_row(width + 4)
    begin = first = 0
    held: AnyArray | None = None
    for piece, scale, smallest in _pieces(read, shape_hw, block, threshold):
        held = piece if held is None else np.concatenate((held, piece))
        stop = first + len(held)
        end = height + 4 if stop == height else stop + 1
        field = Field(held, scale, first, at_y, at_x)
        now.chains, now.n, now.parts, now.n_parts = contour_rows(
            now.chains,
            now.n,
            now.parts,
            now.n_parts,
            field,
            begin,
            end,
            smallest,
            math.inf if at_centres else level,
            sharp,
            saddle,
            now.row,
            room,
            now.links,
        )
        yield from _take(now, everything=stop == height)
        begin = end
        keep = max(begin - 4, 0)
        held, first = held[keep - first :], keep


def trace_edges(
    read: Reader, shape_hw: tuple[int, int], block: int, level: float, nodes: BoolArray | None = None
) -> Iterator[Closed]:
    """Trace the pixel borders of a scene.

    Args:
        read: Gives the field of a window of full width.
        shape_hw: Height and width of the scene.
        block: Rows to read at a time.
        level: Threshold, 0..1.
        nodes: Pixel corners that get a vertex wherever a border passes, bool (H + 1, W + 1); None for none.
    """
    height, width = shape_hw
    no_nodes = np.empty((0, 0), dtype=np.bool_)
    now = _Open(empty_row(width + 1), np.full(width + 1, -1, np.int32), no_chains(), 0, no_parts(), 0)
    room = empty_row(width + 1)
    begin = 0
    for piece, scale, threshold in _pieces(read, shape_hw, block, level):
        stop = begin + len(piece)
        end = height + 1 if stop == height else stop
        now.chains, now.n, now.parts, now.n_parts = edge_rows(
            now.chains,
            now.n,
            now.parts,
            now.n_parts,
            piece,
            no_nodes if nodes is None else nodes[begin:end],
            scale,
            threshold,
            begin,
            end,
            now.row,
            room,
            now.links,
        )
        yield from _take(now, everything=stop == height)
        begin = end


def _pieces(
    read: Reader, shape_hw: tuple[int, int], block: int, level: float
) -> Iterator[tuple[AnyArray, float, np.uint8 | np.float32]]:
    """Read the scene once from top to bottom.

    Yields:
        Rows as uint8 or float32, what brings them to 0..1, and the smallest inside value in their type.
    """
    height, width = shape_hw
    kinds = set()
    for top in range(0, height, block):
        rows = min(block, height - top)
        field = read(Window(top, 0, rows, width))
        if field.shape != (rows, width):
            raise DataError(problem("trace", "field of another shape", got=field.shape, need=(rows, width)))
        kinds.add(str(field.dtype))
        if len(kinds) > 1:
            raise DataError(problem("trace", "the type of the field changes", got=" and ".join(sorted(kinds))))
        values, scale, threshold = native(field, level)
        for begin in range(0, rows, KERNEL_ROWS):
            stop_if_asked()
            yield values[begin : begin + KERNEL_ROWS], scale, threshold


def native(field: AnyArray, level: float) -> tuple[AnyArray, float, np.uint8 | np.float32]:
    """Say how to compare a field with a threshold in its own type.

    Returns:
        The field as uint8 or float32, what brings it to 0..1, and its smallest value at or above `level`.

    Raises:
        DataError: If it is of another type than bool, uint8 or float, or outside of 0..1.
    """
    if field.dtype == np.bool_:
        return np.ascontiguousarray(field).view(np.uint8), 1.0, np.uint8(1)
    if field.dtype == np.uint8:
        return field, 1 / 255, np.uint8(smallest_byte(level))
    unit = to_unit(field)
    threshold = np.float32(level)
    return unit, 1.0, threshold if threshold >= level else np.nextafter(threshold, np.float32(2))


def _take(now: _Open, *, everything: bool) -> Iterator[Closed]:
    """Hand out what is closed, where enough has come together or nothing will follow."""
    if not everything and now.n <= 2 * now.kept + FEW_VERTICES:
        return
    taken = take_closed(now.chains, now.n, now.parts, now.n_parts, now.row.labels)
    vertex_map, label_map = taken[-2:]
    now.n = now.kept = int(np.count_nonzero(vertex_map >= 0))
    now.n_parts = int(label_map.max(initial=-1)) + 1
    now.links[:] = _renumber(now.links, vertex_map)
    now.row.labels[:] = _renumber(now.row.labels, label_map)
    runs = now.row.runs[: now.row.n_runs[0]]
    runs[:, LABEL] = _renumber(runs[:, LABEL], label_map)
    yield Closed(*taken[:-2])


def _renumber(numbers: Int32s, new: Int32s) -> Int32s:
    out = np.full(len(numbers), -1, np.int32)
    known = numbers >= 0
    out[known] = new[numbers[known]]
    return out
