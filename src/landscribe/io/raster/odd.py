"""The border where a raster from outside is opened: whatever an odd file raises there is said with the file's name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pyproj.exceptions import ProjError

from landscribe.errors import DataError, LimitError, problem
from landscribe.io.raster.gdal import GDAL_ERRORS, reason_of

ODD = (ProjError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError, UnicodeError)
"""What rasterio, numpy and pyproj raise about types, projections and texts that they do not know."""


@contextlib.contextmanager
def refusing_odd_files(path: Path) -> Iterator[None]:
    """Turn what a raster makes its reader raise into an error about that file.

    Raises:
        DataError: If the file is damaged, or holds something that no reader here knows.
        LimitError: If memory does not hold what it asks for.
    """
    try:
        yield
    except GDAL_ERRORS as error:
        raise DataError(problem(str(path), "damaged or cut short", got=reason_of(error))) from error
    except MemoryError as error:
        raise LimitError(problem(str(path), "out of memory")) from error
    except ODD as error:
        got = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(problem(str(path), "holds something that cannot be read", got=got)) from error
