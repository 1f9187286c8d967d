"""`trace` on plain files: a class map, mask, share or probability raster -> polygons in any vector format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from landscribe.core.arrays import AnyArray
from landscribe.core.features import join_features, make_features
from landscribe.core.grid import Window
from landscribe.core.trace import Traced
from landscribe.core.trace.classes import trace_classes
from landscribe.core.trace.meaning import Meaning, default_mode
from landscribe.core.trace.partition import trace_partition
from landscribe.core.tracing import Tracing
from landscribe.io.atomic import sweep_beside
from landscribe.io.raster.rasters import open_raster
from landscribe.io.vector.vectors import MINIMUM, write_features
from landscribe.stages.files.compiling import quickly
from landscribe.stages.files.taken import SurpriseError, Taken, Wish, codes_of, field_of, read_pixels, take_raster
from landscribe.workers import usable_processors

COMPILES = "first use on this machine: Python traces it; loops are compiled in the background, for the next time"


def pixel_area_m2(raster: Path) -> float:
    """Return the area of a pixel in square metres; 1 where the raster has no CRS.

    Raises:
        DataError: If the raster cannot be read.
    """
    with open_raster(raster, palette=True) as opened:
        return opened.info.grid.pixel_area


def default_tracing(meaning: Meaning) -> Tracing:
    """Return the settings where none are given."""
    return Tracing(mode=default_mode(meaning))


def trace_file(
    raster: Path,
    out: Path,
    tracing_of: Callable[[Meaning], Tracing] = default_tracing,
    *,
    wish: Wish | None = None,
    exclusive: bool = False,
    shared_borders: bool = False,
    tell: Callable[[str], None] = lambda _line: None,
) -> dict[str, int]:
    """Trace a raster into polygons; probabilities as `vectorize` does with the same settings.

    Args:
        raster: A class map, or masks, shares or probabilities, a band per class, named by its description. What it is
            is told by its values (`landscribe.core.trace.meaning`). Nodata is outside.
        out: Vector file; its ending chooses the format.
        tracing_of: Settings of all classes for what the raster is taken for.
        wish: What the raster shall be taken for, names of its values, another nodata value.
        exclusive: Give each pixel to its most probable band; see `trace_classes`. A class map is so already.
        shared_borders: The same along pixel borders, which stay shared by neighbours when they are simplified.
        tell: Told in one line what the raster was taken for, and why there is no polygon.

    Returns:
        Polygons per class, and what was dropped by reason. Beside score and area, `minimum` is written: the smallest
        probability inside.

    Raises:
        DataError: If the raster cannot be read or its values fit nothing.
        RecipeError: If settings exclude each other.
        LimitError: If a class map or shared borders do not fit into memory.
    """
    wish = wish or Wish()
    taken = take_raster(raster, wish)
    tell(taken.words)
    try:
        traced_of, largest = _trace(taken, tracing_of(taken.meaning), exclusive, shared_borders, tell)
    except SurpriseError:
        taken = take_raster(raster, wish, whole=True)
        tell(taken.words)
        traced_of, largest = _trace(taken, tracing_of(taken.meaning), exclusive, shared_borders, tell)
    with taken.open() as opened:
        grid = opened.info.grid
    counts: Counter[str] = Counter()
    parts = []
    for land_class, traced in zip(taken.legend, traced_of, strict=True):
        counts[land_class.name] += len(traced.geometries)
        counts.update({f"{land_class.name}, {reason}": n for reason, n in traced.dropped.items() if n})
        ground = grid.pixels_to_ground(traced.geometries)
        area = traced.area_px * grid.pixel_area
        found = make_features(raster.stem, land_class, ground, score=traced.score, area=area, crs=grid.crs)
        parts.append(found.assign(**{MINIMUM: traced.minimum}))
    sweep_beside(out)
    write_features(out, join_features(parts, grid.crs), legend=taken.legend)
    if not any(len(traced) for traced in traced_of):
        tell(f"no polygons in {out.name}: {_why_none(taken, traced_of, largest, tracing_of(taken.meaning))}")
    return dict(counts)


def _trace(
    taken: Taken, tracing: Tracing, exclusive: bool, shared_borders: bool, tell: Callable[[str], None]
) -> tuple[list[Traced], float]:
    """Return the polygons of each class, and the largest value of any field; 0 for a class map without a pixel."""
    with taken.open() as opened:
        height, width = opened.info.grid.shape_hw
    with quickly(height * width * len(taken.legend), tracing.mode) as compiles:
        if compiles:
            tell(COMPILES)
        return _trace_now(taken, tracing, exclusive, shared_borders)


def _trace_now(taken: Taken, tracing: Tracing, exclusive: bool, shared_borders: bool) -> tuple[list[Traced], float]:
    largest = 0.0
    tracings = [tracing] * len(taken.legend)
    threads = max(1, min(len(tracings), usable_processors()))
    with taken.open() as opened:
        shape_hw = opened.info.grid.shape_hw
        if taken.meaning == "classes":
            return _trace_map(codes_of(taken, opened), tracings, shared_borders, threads)

        def read(window: Window, bands: Sequence[int]) -> AnyArray:
            nonlocal largest
            field_chw = field_of(taken, *read_pixels(taken, opened, window, bands))
            largest = max(largest, float(field_chw.max()) / (255 if field_chw.dtype == np.uint8 else 1))
            return field_chw

        traced_of = trace_classes(
            read, shape_hw, tracings, exclusive=exclusive, shared_borders=shared_borders, threads=threads
        )
    return traced_of, largest


def _trace_map(
    codes_hw: AnyArray, tracings: list[Tracing], shared_borders: bool, threads: int
) -> tuple[list[Traced], float]:
    def read(window: Window, bands: Sequence[int]) -> AnyArray:
        return codes_hw[window.slices] == np.array(bands, np.int16)[:, None, None]

    if shared_borders:
        shared = [tracing.with_shared_borders() for tracing in tracings]
        traced_of = trace_partition(codes_hw, range(len(tracings)), shared)
    else:
        shape_hw = (codes_hw.shape[0], codes_hw.shape[1])
        traced_of = trace_classes(read, shape_hw, tracings, threads=threads)
    return traced_of, float((codes_hw >= 0).any())


def _why_none(taken: Taken, traced_of: list[Traced], largest: float, tracing: Tracing) -> str:
    dropped = sum(sum(traced.dropped.values()) for traced in traced_of)
    seen = taken.numbers
    if dropped:
        return f"all {dropped} parts are too small (--min-area {tracing.min_area_px:g} px)"
    if seen is not None and not seen.pixels:
        return "no pixel holds data; --nodata none takes in those that the file declares empty"
    if taken.meaning == "classes":
        values = _values(taken)
        return f"no pixel has a value that is named{values}"
    if taken.meaning == "mask":
        nodata = "" if seen is None or not seen.invalid else f", and {seen.invalid} are nodata (--nodata none)"
        return f"every pixel with data is 0{nodata}"
    return f"no pixel reaches {tracing.threshold:g}; the largest value is {largest:.3g}"


def _values(taken: Taken) -> str:
    seen = taken.numbers
    if seen is None or not seen.values:
        return ""
    return f"; values are {', '.join(f'{value:g}' for value in seen.values[:12])}"
