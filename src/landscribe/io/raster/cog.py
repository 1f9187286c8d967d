"""A raster as a cloud-optimised GeoTIFF: the same pixels, laid out so that a window is read by few requests."""

from __future__ import annotations

from pathlib import Path

import rasterio.shutil

from landscribe.errors import problem
from landscribe.io.atomic import atomic_path
from landscribe.io.raster.gdal import GDAL_ERRORS, gdal, open_dataset, reason_of
from landscribe.io.raster.geotiff import THREADS, TILE, compression, lost_pixels, sums_of
from landscribe.io.safety import check_output


def write_cog(source: Path, target: Path) -> None:
    """Copy a GeoTIFF with its reduced copies, mask, names and tags.

    Args:
        source: A GeoTIFF as `write_raster` writes it.
        target: Where the copy shall be; whole or not at all.

    Raises:
        OSError: If it could not be written.
        LimitError: If it is plain beforehand that the disk will not hold it.
    """
    check_output(target, source.stat().st_size, packed=1)
    packing = compression()
    options = {"compress": packing["compress"], "predictor": "YES", "level": packing.get("zstd_level", 6)}
    with atomic_path(target) as temporary, gdal():
        try:
            with open_dataset(source, "GTiff") as dataset:
                rasterio.shutil.copy(
                    dataset, str(temporary), driver="COG", blocksize=TILE, overviews="AUTO", bigtiff="IF_SAFER",
                    num_threads=THREADS, resampling="AVERAGE", **options,
                )  # fmt: skip
                with open_dataset(temporary, "GTiff") as copied:
                    if sums_of(copied) != sums_of(dataset):
                        raise lost_pixels(target)
        except GDAL_ERRORS as error:
            raise OSError(problem(str(target), "GDAL could not write", got=reason_of(error))) from error
