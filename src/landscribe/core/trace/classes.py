"""Classes: a raster of several classes to the polygons of each, for `[vectorize]` and `landscribe trace` alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeAlias

import numpy as np

from landscribe.core.arrays import AnyArray
from landscribe.core.grid import Window
from landscribe.core.owners import against_the_best_other, one_against_the_best_other
from landscribe.core.trace import Traced, to_unit, trace_blocks
from landscribe.core.trace.partition import trace_partition
from landscribe.core.tracing import Tracing
from landscribe.workers import thread_pool

BandReader: TypeAlias = Callable[[Window, Sequence[int]], AnyArray]

BLOCK_ROWS = 4096
"""Rows of a scene that are read at a time."""


def trace_classes(
    read: BandReader,
    shape_hw: tuple[int, int],
    tracings: Sequence[Tracing],
    *,
    exclusive: bool = False,
    shared_borders: bool = False,
    threads: int = 1,
) -> list[Traced]:
    """Turn the classes of a raster into polygons.

    Args:
        read: Gives some bands, numbered from 0, of a window, (C, h, w), in the types of `trace`; invalid pixels are 0.
            It is called by one thread at a time.
        shape_hw: Height and width of the scene.
        tracings: Of each class, in band order.
        exclusive: Give each pixel to its most probable class. Thresholds are then on the share of a class in itself and
            the best other one, and 0.5 means the most probable.
        shared_borders: Give each pixel to its most probable class, follow pixel borders and simplify neighbours
            together; see `trace_partition` for the settings that hold. The scene is then held in memory.
        threads: Classes that are traced at once.

    Returns:
        Polygons of each class.

    Raises:
        DataError: If a field is of another type or outside of 0..1.
        RecipeError: If a class with shared borders shall be smoothed or get right angles.
    """
    bands = range(len(tracings))
    if shared_borders:
        shared = [tracing.with_shared_borders() for tracing in tracings]
        return _trace_shared(read(Window(0, 0, *shape_hw), bands), shared)
    one_reads = Lock()

    def read_one(window: Window, wanted: Sequence[int]) -> AnyArray:
        with one_reads:
            return read(window, wanted)

    def trace(band: int) -> Traced:
        field = field_of(read_one, band, len(tracings), exclusive=exclusive)
        return trace_blocks(field, shape_hw, tracings[band], block=BLOCK_ROWS)

    # Compiled loops and GEOS let other threads run.
    with thread_pool(threads, "trace") as pool:
        return list(pool.map(trace, bands))


def field_of(read: BandReader, band: int, count: int, *, exclusive: bool) -> Callable[[Window], AnyArray]:
    """Return a function from a window to the field of one class that is traced, (h, w).

    Args:
        read: As in `trace_classes`.
        band: Of the class.
        count: Bands.
        exclusive: As in `trace_classes`.
    """

    def field(window: Window) -> AnyArray:
        image_chw = read(window, range(count) if exclusive else [band])
        return one_against_the_best_other(image_chw, band) if exclusive else image_chw[0]

    return field


def _trace_shared(image_khw: AnyArray, tracings: Sequence[Tracing]) -> list[Traced]:
    best_hw, top_hw = image_khw.argmax(axis=0).astype(np.int16), image_khw.max(axis=0)
    share_hw = against_the_best_other(image_khw).max(axis=0)
    least_k = np.array([tracing.threshold for tracing in tracings], np.float32)
    wanted_hw = (top_hw > 0) & (share_hw >= least_k[best_hw])
    classes_hw = np.where(wanted_hw, best_hw, np.int16(-1))
    probability_hw = top_hw / np.float32(255) if top_hw.dtype == np.uint8 else to_unit(top_hw)
    return trace_partition(classes_hw, range(len(tracings)), tracings, probability_hw=probability_hw)
