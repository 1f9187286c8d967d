"""Windows of rasters with fewer pixels than they have, out of overviews, for looking at."""

from __future__ import annotations

from collections.abc import Sequence

from rasterio.enums import Resampling

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Window
from landscribe.errors import DataError, problem
from landscribe.io.raster.gdal import gdal
from landscribe.io.raster.geotiff import to_rasterio_window
from landscribe.io.raster.nodata import is_data
from landscribe.io.raster.odd import refusing_odd_files
from landscribe.io.raster.rasters import Raster
from landscribe.workers import stop_if_asked

MOST_SIDE = 4096
"""Pixels of a side that may be asked for: this is for looking, not for computing."""


def read_reduced(
    raster: Raster, window: Window, shape_hw: tuple[int, int], bands: Sequence[int] | None = None
) -> tuple[AnyArray, BoolArray]:
    """Read a window with another number of pixels, out of the overview that is just finer.

    Values are means of the valid pixels, as overviews hold them; where pixels are asked for that lie closer than the
    raster's own, each of those is repeated.

    Args:
        raster: Open, and one of ours: with nodata, or a mask inside the file, or neither.
        window: Part inside the raster.
        shape_hw: Height and width of what is returned.
        bands: Numbers from 1; None takes all but alpha.

    Returns:
        Pixels (C, h, w) in the file's own type, and valid (h, w).

    Raises:
        DataError: If the window reaches over the edge, a band does not exist, more than `MOST_SIDE` pixels a side are
            asked for, or the file is damaged.
    """
    stop_if_asked()
    info = raster.info
    if max(shape_hw) > MOST_SIDE or min(shape_hw) < 1:
        raise DataError(problem(str(info.path), "cannot be shown so large", got=shape_hw, need=f"1 to {MOST_SIDE}"))
    wanted = list(range(1, len(raster._numbers) + 1)) if bands is None else list(bands)
    raster._check_request(window, wanted, len(raster._numbers))
    numbers = [raster._numbers[k - 1] for k in wanted]
    shrinks = shape_hw[0] < window.height or shape_hw[1] < window.width
    how = Resampling.average if shrinks else Resampling.nearest
    part = to_rasterio_window(window)
    with refusing_odd_files(info.path), gdal():
        image_chw: AnyArray = raster._dataset.read(
            numbers, window=part, out_shape=(len(numbers), *shape_hw), resampling=how
        )
        # Masks of a TIFF have overviews beside those of the bands.
        valid_hw: BoolArray = raster._dataset.read_masks(numbers[0], window=part, out_shape=shape_hw) != 0
    own = [raster._nodata[k - 1] for k in wanted]
    valid_hw &= is_data(image_chw, own, in_any=raster._nodata_in_any)
    return image_chw, valid_hw
