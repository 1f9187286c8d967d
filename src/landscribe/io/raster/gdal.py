"""How GDAL is called: settings of ours around each call, one named driver, errors raised and said in one line."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, DatasetWriter

from landscribe.process import GDAL_SETTINGS

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
"""What rasterio raises; GDAL's own errors come through bare from some of its methods."""


def _yes(_dataset: Any) -> bool:
    # rasterio asks this of a raster without a geotransform, and warns where it hears no. Results say it anyway, and a
    # warning could only be silenced for the whole process. Where rasterio asks something else one day, it warns.
    return True


class _Reader(DatasetReader):
    _has_gcps_or_rpcs = _yes


class _Writer(DatasetWriter):
    _has_gcps_or_rpcs = _yes


@contextlib.contextmanager
def gdal(**more: Any) -> Iterator[None]:
    """Hold `GDAL_SETTINGS` and more for the calls inside; GDAL raises its errors there, and PROJ finds its tables."""
    settings = rasterio.Env(**GDAL_SETTINGS, **more)
    if threading.current_thread() is threading.main_thread():
        with settings:  # for all threads, as rasterio does it, and what was there before comes back
            yield
        return
    # An outermost Env would take what the main thread holds at this moment for this thread's own, and leave it here.
    with rasterio.Env(), settings:
        yield


def open_dataset(path: Path, driver: str, **options: Any) -> Any:
    """Open a raster for reading, inside `gdal()`, by one driver."""
    return _Reader(str(path.absolute()), driver=driver, **options)


def change_dataset(path: Path, driver: str, **options: Any) -> Any:
    """Open a raster for reading and writing, inside `gdal()`, by one driver."""
    return _Writer(str(path.absolute()), "r+", driver=driver, **options)


def create_dataset(path: Path, driver: str, **options: Any) -> Any:
    """Create a raster, inside `gdal()`."""
    return _Writer(str(path.absolute()), "w", driver=driver, **options)


def reason_of(error: BaseException) -> str:
    """Return what GDAL said in one line; rasterio keeps the first cause at the end of the chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300] or type(error).__name__
