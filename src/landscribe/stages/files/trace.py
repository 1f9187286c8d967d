"""`trace` on plain files: a mask, share or probability raster -> polygons in any vector format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from landscribe.core.arrays import AnyArray
from landscribe.core.features import join_features, make_features
from landscribe.core.grid import Window
from landscribe.core.legend import LandClass, Legend, default_colour
from landscribe.core.trace.classes import BLOCK_ROWS, trace_classes
from landscribe.core.tracing import Tracing
from landscribe.errors import DataError, problem
from landscribe.io.raster.rasters import Raster, open_raster
from landscribe.io.vector.vectors import MINIMUM, write_features
from landscribe.workers import usable_processors


def pixel_area_m2(raster: Path) -> float:
    """Return the area of a pixel in square metres; 1 where the raster has no CRS.

    Raises:
        DataError: If the raster cannot be read.
    """
    with open_raster(raster) as opened:
        return opened.info.grid.pixel_area


def trace_file(
    raster: Path, out: Path, tracing: Tracing | None = None, *, exclusive: bool = False, shared_borders: bool = False
) -> dict[str, int]:
    """Trace every band of a raster into polygons of its class, as `vectorize` does with the same settings.

    Args:
        raster: 0/1 mask, uint8 share (0..255) or float probability (0..1); a band per class, named by its description.
            A uint8 band without values above 1 is a mask. Nodata is outside.
        out: Vector file; its ending chooses the format.
        tracing: Settings of all classes; None takes the defaults.
        exclusive: Give each pixel to its most probable band; see `trace_classes`.
        shared_borders: The same along pixel borders, which stay shared by neighbours when they are simplified.

    Returns:
        Polygons per class, and what was dropped by reason. Beside score and area, `minimum` is written: the smallest
        probability inside.

    Raises:
        DataError: If the raster cannot be read or holds other numbers.
    """
    counts: Counter[str] = Counter()
    parts = []
    with open_raster(raster) as opened:
        info = opened.info
        bands = [k for k in range(1, info.count + 1) if k != info.alpha_band]
        if np.dtype(info.dtype) != np.uint8 and np.dtype(info.dtype).kind != "f":
            raise DataError(problem(str(raster), "type of the pixels", got=info.dtype, need="uint8 or float"))
        names = [info.descriptions[k - 1] or f"band{k}" for k in bands]
        legend = Legend(tuple(LandClass(i + 1, name, default_colour(i)) for i, name in enumerate(names)))
        is_mask = np.dtype(info.dtype) == np.uint8 and _largest(opened) <= 1

        def read(window: Window, wanted: Sequence[int]) -> AnyArray:
            image_chw, valid_hw = opened.read(window, bands=[band + 1 for band in wanted])
            inside = image_chw > 0 if is_mask else image_chw
            return np.where(valid_hw, inside, np.zeros((), inside.dtype))

        traced_of = trace_classes(
            read,
            info.grid.shape_hw,
            [tracing or Tracing()] * len(legend),
            exclusive=exclusive,
            shared_borders=shared_borders,
            threads=min(len(legend), usable_processors()),
        )
        for land_class, traced in zip(legend, traced_of, strict=True):
            counts[land_class.name] += len(traced.geometries)
            counts.update({f"{land_class.name}, {reason}": n for reason, n in traced.dropped.items() if n})
            ground = info.grid.pixels_to_ground(traced.geometries)
            area = traced.area_px * info.grid.pixel_area
            found = make_features(raster.stem, land_class, ground, score=traced.score, area=area, crs=info.grid.crs)
            parts.append(found.assign(**{MINIMUM: traced.minimum}))
    write_features(out, join_features(parts, info.grid.crs), legend=legend)
    return dict(counts)


def _largest(opened: Raster) -> int:
    height, width = opened.info.grid.shape_hw
    strips = (Window(row, 0, min(BLOCK_ROWS, height - row), width) for row in range(0, height, BLOCK_ROWS))
    return max(int(opened.read(strip)[0].max()) for strip in strips)
