"""Settings and limits that every file must pass before a decoder sees it.

Importing this module sets the environment of GDAL. It has to happen before rasterio and pyogrio are imported, which
bring two GDAL builds of their own and share nothing but the environment; that is why the setting is a side effect.
Every door names its driver and checks the first bytes as well, so none of these settings is the only lock:

- `GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR`: no file beside the one that was named is looked for. An `.ovr` may be a VRT
  that sends requests or, when the raster is overwritten, has another file deleted.
- `GDAL_PAM_ENABLED=NO`: an `.aux.xml` would silently replace CRS, transform and nodata.
- `GDAL_GEOREF_SOURCES=INTERNAL`: so would a `.tfw` or `.tab`. `io/raster/georeference.py` reads world files instead.
- `GDAL_ERROR_ON_LIBJPEG_WARNING=YES`: a JPEG that is cut short is an error instead of grey pixels.
- `GDAL_SKIP`, `OGR_SKIP`: formats that point to other files or to the network do not exist in this process.
- `PROJ_NETWORK=OFF`: no datum grid is downloaded.
- `PROJ_DEBUG=0`, unless set: PROJ raises its errors and does not print them as well.

It also silences two warnings for good: that a raster has no georeference and a layer no CRS, which results say. Filters
of warnings belong to the whole process, and shapely and pandas set and restore them in all threads, so they could not
be silenced where they arise while scenes are worked on side by side.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from landscribe.errors import DataError, LimitError, problem
from landscribe.workers import free_memory_bytes

GDAL_SETTINGS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
}
"""Set whatever the user's environment says: another value would open the file's neighbours again."""
SKIPPED = {"GDAL_SKIP": ("VRT", "GTI", "WMS", "WMTS", "WCS", "STACIT", "STACTA", "HTTP"), "OGR_SKIP": ("OGR_VRT",)}
"""Drivers left out of the process, added to those that the user left out."""

SILENCED = ("Dataset has no geotransform", "'crs' was not provided")
"""How warnings begin that tell nothing new."""

_FILTERS = threading.RLock()

SMALL_BYTES = 1 << 26
"""Below this nobody asks the system how much memory is free."""
PLAUSIBLE_BYTES = 1 << 30
"""Below this a read is never taken for a decompression bomb."""
ENDLESS_BYTES = 64 << 30
"""Below this a file may claim what it likes, as long as it is read in windows."""
PLAUSIBLE_RATIO = 500
"""Images are packed 1 to 20 times; zeros up to 1,000 (deflate) or 30,000 times (zstd)."""


def guard_environment() -> None:
    """Set the environment of GDAL and PROJ as the table above says, and silence `SILENCED`."""
    os.environ.update(GDAL_SETTINGS)
    os.environ["PROJ_NETWORK"] = "OFF"
    os.environ.setdefault("PROJ_DEBUG", "0")
    for variable, drivers in SKIPPED.items():
        own = [name for name in os.environ.get(variable, "").replace(",", " ").split() if name not in drivers]
        os.environ[variable] = ",".join([*own, *drivers])
    for beginning in SILENCED:
        warnings.filterwarnings("ignore", message=beginning)
    # rasterio's build has fewer vector drivers and would log that those of OGR_SKIP are not there.
    logging.getLogger("rasterio._env").addFilter(_is_news)


def require_local_file(path: Path) -> int:
    """Return the size in bytes of a regular file on a local path.

    Raises:
        DataError: If there is no such file, it is a folder, a pipe or a device, or it is empty.
    """
    if not path.exists():
        raise DataError(problem(str(path), "no such file"))
    if not path.is_file():
        raise DataError(problem(str(path), "not a file", need="a regular local file"))
    size = path.stat().st_size
    if size == 0:
        raise DataError(problem(str(path), "the file is empty"))
    return size


@contextlib.contextmanager
def heard() -> Iterator[list[warnings.WarningMessage]]:
    """Collect the warnings of the block instead of showing them: they are GDAL's remarks on a file."""
    # Filters of warnings belong to the whole process: two threads must not put them back in the wrong order.
    with _FILTERS, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def check_size(where: str, need_bytes: int, *, limit_bytes: int | None = None, file_bytes: int | None = None) -> None:
    """Refuse what would not fit into memory, before it is read.

    Args:
        where: File at fault, for the message.
        need_bytes: Bytes that the array will take.
        limit_bytes: The limit; None takes half of the free memory.
        file_bytes: Size of the file. Where it is given and there is no explicit limit, a read of more than
            `PLAUSIBLE_BYTES` that is more than `PLAUSIBLE_RATIO` times the file is refused as a decompression bomb.

    Raises:
        LimitError: If it would not fit, with the numbers.
    """
    if limit_bytes is None and need_bytes <= SMALL_BYTES:
        return
    limit = free_memory_bytes() // 2 if limit_bytes is None else limit_bytes
    if need_bytes > limit:
        raise LimitError(
            problem(where, "too large to read at once", got=_size(need_bytes), need=f"at most {_size(limit)}")
        )
    if limit_bytes is None and file_bytes is not None and need_bytes > PLAUSIBLE_BYTES:
        _refuse_bomb(where, need_bytes, file_bytes)


def check_claim(where: str, claimed_bytes: int, file_bytes: int) -> None:
    """Refuse a file that is too good to be true before any window of it is read: going through it would take days.

    Raises:
        LimitError: If it claims more than `ENDLESS_BYTES` and more than `PLAUSIBLE_RATIO` times its size.
    """
    if claimed_bytes > ENDLESS_BYTES:
        _refuse_bomb(where, claimed_bytes, file_bytes)


def _refuse_bomb(where: str, need_bytes: int, file_bytes: int) -> None:
    if need_bytes > PLAUSIBLE_RATIO * file_bytes:
        what = f"unpacks to {need_bytes // file_bytes} times its size, which images do not"
        got = f"{_size(need_bytes)} in a file of {_size(file_bytes)}"
        raise LimitError(problem(where, what, got=got, do="cut it or read it in windows if it is meant so"))


def _size(count: int) -> str:
    if count < 1 << 20:
        return f"{count} bytes"
    return f"{count / (1 << 20):.0f} MiB" if count < 10 << 30 else f"{count / (1 << 30):.0f} GiB"


def _is_news(record: logging.LogRecord) -> bool:
    return "to unload from GDAL_SKIP" not in record.getMessage()


guard_environment()
