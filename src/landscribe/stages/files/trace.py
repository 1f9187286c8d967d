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
from landscribe.core.trace import Connectivity, Traced, TraceMode, to_unit, trace_blocks
from landscribe.core.trace.partition import trace_partition
from landscribe.errors import DataError, problem
from landscribe.io.raster.rasters import Raster, open_raster
from landscribe.io.vector.vectors import MINIMUM, write_features

Unit = Literal["px", "m2"]
BLOCK_ROWS = 1024


def trace_file(
    raster: Path,
    out: Path,
    *,
    threshold: float = 0.5,
    mode: TraceMode = "contour",
    simplify: float = 0.5,
    min_area: float = 4.0,
    min_hole: float | None = None,
    unit: Unit = "px",
    connectivity: Connectivity = 4,
    smooth: int = 0,
    right_angles: bool = False,
    shared: bool = False,
) -> dict[str, int]:
    """Trace every band of a raster into polygons of its class.

    Args:
        raster: 0/1 mask, uint8 share (0..255) or float probability (0..1); a band per class, named by its description.
            A uint8 band without values above 1 is a mask. Nodata is outside.
        out: Vector file; its ending chooses the format.
        threshold: Share or probability where the line runs, above 0 and up to 1.
        mode: `contour` runs between pixels, `edge` along pixel borders, `opencv` through pixel centres.
        simplify: Largest distance in pixels that simplification moves a line.
        min_area: Smallest polygon, in `unit`.
        min_hole: Smallest hole; None takes `min_area`.
        unit: `px` for square pixels, `m2` for square metres (pixels where the raster has no CRS).
        connectivity: Whether pixels that meet at a corner only are two polygons (4), one (8), or as the mean of the
            four pixels says ("mean", contours only).
        smooth: How often vertices of a contour move halfway to the line of their neighbours.
        right_angles: Give polygons that are nearly so right angles.
        shared: Give each pixel that reaches the threshold to its highest band and follow pixel borders, which stay
            shared by neighbours when they are simplified. The raster is then held in memory, and holes stay.

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
        size = info.grid.pixel_area if unit == "m2" else 1.0
        partition = _trace_shared(opened, bands, threshold, simplify, min_area / size) if shared else {}
        for band, land_class in zip(bands, legend, strict=True):
            is_mask = np.dtype(info.dtype) == np.uint8 and _largest(opened, band) <= 1

            def read(window: Window, band: int = band, is_mask: bool = is_mask) -> AnyArray:
                image_chw, valid_hw = opened.read(window, bands=[band])
                inside = image_chw[0] > 0 if is_mask else image_chw[0]
                return np.where(valid_hw, inside, np.zeros((), inside.dtype))

            traced = (
                partition[band]
                if shared
                else trace_blocks(
                    read,
                    info.grid.shape_hw,
                    block=BLOCK_ROWS,
                    threshold=threshold,
                    mode=mode,
                    min_area_px=min_area / size,
                    min_hole_px=None if min_hole is None else min_hole / size,
                    simplify_px=simplify,
                    connectivity=connectivity,
                    smooth=smooth,
                    right_angles=right_angles,
                )
            )
            counts[land_class.name] += len(traced.geometries)
            counts.update({f"{land_class.name}, {reason}": n for reason, n in traced.dropped.items() if n})
            ground = info.grid.pixels_to_ground(traced.geometries)
            area = traced.area_px * info.grid.pixel_area
            found = make_features(raster.stem, land_class, ground, score=traced.score, area=area, crs=info.grid.crs)
            parts.append(found.assign(**{MINIMUM: traced.minimum}))
    write_features(out, join_features(parts, info.grid.crs), legend=legend)
    return dict(counts)


def _trace_shared(
    opened: Raster, bands: list[int], threshold: float, simplify: float, min_area_px: float
) -> dict[int, Traced]:
    image_khw, valid_hw = opened.read(bands=bands)
    is_mask_k = [image_hw.dtype == np.uint8 and image_hw.max() <= 1 for image_hw in image_khw]
    p_khw = np.stack([
        to_unit(image_hw > 0 if is_mask else image_hw) for image_hw, is_mask in zip(image_khw, is_mask_k, strict=True)
    ])  # fmt: skip
    top_hw = np.where(valid_hw, p_khw.max(axis=0), 0)
    classes_hw = np.where(top_hw >= threshold, p_khw.argmax(axis=0), -1)
    limits = [min_area_px] * len(bands)
    found = trace_partition(
        classes_hw, range(len(bands)), probability_hw=top_hw, min_area_px=limits, simplify_px=simplify
    )
    return dict(zip(bands, found, strict=True))


def _largest(opened: Raster, band: int) -> int:
    return max(int(opened.read(window, bands=[band])[0].max()) for window in _strips(opened.info.grid))


def _strips(grid: Grid) -> list[Window]:
    rows = range(0, grid.height, BLOCK_ROWS)
    return [Window(row, 0, min(BLOCK_ROWS, grid.height - row), grid.width) for row in rows]
