"""`trace` on plain files: a mask, share or probability raster -> polygons in any vector format."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np

from landscribe.core.arrays import AnyArray
from landscribe.core.features import join_features, make_features
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import LandClass, Legend, default_colour
from landscribe.core.trace import trace_blocks
from landscribe.errors import DataError, problem
from landscribe.io.rasters import Raster, open_raster
from landscribe.io.vectors import write_features

BLOCK_ROWS = 1024


def trace_file(
    raster: Path,
    out: Path,
    *,
    threshold: float = 0.5,
    mode: Literal["contour", "edge"] = "contour",
    simplify: float = 0.5,
    min_area: float = 4.0,
) -> dict[str, int]:
    """Trace every band of a raster into polygons of its class.

    Args:
        raster: 0/1 mask, uint8 share (0..255) or float probability (0..1); a band per class, named by its description.
            A uint8 band without values above 1 is a mask. Nodata is outside.
        out: Vector file; its ending chooses the format.
        threshold: Share or probability where the line runs, above 0 and up to 1.
        mode: `contour` runs between pixels, `edge` along pixel borders.
        simplify: Largest distance in pixels that simplification moves a line.
        min_area: Smallest polygon and smallest hole in square pixels.

    Returns:
        Polygons per class, and what was dropped by reason.

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
        for band, land_class in zip(bands, legend, strict=True):
            is_mask = np.dtype(info.dtype) == np.uint8 and _largest(opened, band) <= 1

            def read(window: Window, band: int = band, is_mask: bool = is_mask) -> AnyArray:
                image_chw, valid_hw = opened.read(window, bands=[band])
                inside = image_chw[0] > 0 if is_mask else image_chw[0]
                return np.where(valid_hw, inside, np.zeros((), inside.dtype))

            traced = trace_blocks(
                read,
                info.grid.shape_hw,
                block=BLOCK_ROWS,
                threshold=threshold,
                mode=mode,
                min_area_px=min_area,
                simplify_px=simplify,
            )
            counts[land_class.name] += len(traced.geometries)
            counts.update({f"{land_class.name}, {reason}": n for reason, n in traced.dropped.items() if n})
            ground = info.grid.pixels_to_ground(traced.geometries)
            area = traced.area_px * info.grid.pixel_area
            parts.append(
                make_features(raster.stem, land_class, ground, score=traced.score, area=area, crs=info.grid.crs)
            )
    write_features(out, join_features(parts, info.grid.crs), legend=legend)
    return dict(counts)


def _largest(opened: Raster, band: int) -> int:
    return max(int(opened.read(window, bands=[band])[0].max()) for window in _strips(opened.info.grid))


def _strips(grid: Grid) -> list[Window]:
    rows = range(0, grid.height, BLOCK_ROWS)
    return [Window(row, 0, min(BLOCK_ROWS, grid.height - row), grid.width) for row in rows]
