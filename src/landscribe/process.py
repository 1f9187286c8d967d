"""What holds for a whole process: set by the command line and in processes of our own, never in somebody else's.

As a library, Landscribe changes nothing of its host: GDAL gets `GDAL_SETTINGS` around each call, with one named driver
for a file whose first bytes were looked at (`io/raster/gdal.py`, `io/vector/readers.py`). A process of our own has a
second lock, for good. rasterio and pyogrio bring two GDAL builds that share nothing but the environment, and drivers
are left out when they are registered, so `settle_process` comes before either is imported.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

GDAL_SETTINGS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL,PAM",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
}
"""Held around every call of GDAL, whatever the user's environment says.

PAM, GDAL's files beside a raster, is off. It stands among the sources all the same: without it GDAL leaves the
geotransform of a JPEG 2000 that has none unwritten, and rasterio reads what was in memory.

- EMPTY_DIR: no file beside the one that was named is looked for. An `.ovr` may be a VRT that sends requests or, when
  the raster is overwritten, has another file deleted.
- No PAM: an `.aux.xml` would silently replace CRS, transform and nodata.
- INTERNAL: so would a `.tfw` or `.tab`. `io/raster/georeference.py` reads world files instead.
- Warnings of libjpeg: a JPEG that is cut short is an error instead of grey pixels.
"""
SKIPPED = {"GDAL_SKIP": ("VRT", "GTI", "WMS", "WMTS", "WCS", "STACIT", "STACTA", "HTTP"), "OGR_SKIP": ("OGR_VRT",)}
"""Drivers that a process of our own goes without, added to those that the user left out: formats that point to other
files or to the network."""

PR_SET_PDEATHSIG = 1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
MAPPED = 65536
"""Large pieces of memory that may come from the system one by one, as the C library has it at first."""
LARGE_BYTES, KEPT_BYTES = 4 << 20, 16 << 20
"""What is larger goes back to the system when a reader frees it, and so does what the heap has free beyond the other.

With 1 MiB for both, small pictures took a seventh longer: the same pages were given back and fetched for each strip.
"""

_ours = threading.Event()
_thread = threading.local()
_show = warnings.showwarning


def settle_process() -> None:
    """Set up a process that is Landscribe's own: environment, allocator and warnings.

    - GDAL: `GDAL_SETTINGS` and `SKIPPED`.
    - `PROJ_NETWORK=OFF`: no datum grid is downloaded. `PROJ_DEBUG=0`, unless set: PROJ raises its errors and does not
      print them as well.
    - `THP_MEM_ALLOC_ENABLE=1`, unless set: large tensors on large pages, a prediction on a processor takes a fifth
      less time. Read by torch at its first tensor.
    - The C library keeps the memory of large tensors (`nn/device.py`), once a network is to run.
    - What GDAL remarks on a file is counted with the file's features (`heard`) instead of shown.
    - At its end Python does not look for circles among all objects there are, which took most of a second after torch
      was imported, while nothing was left to do.
    """
    os.environ.update(GDAL_SETTINGS)
    os.environ["PROJ_NETWORK"] = "OFF"
    os.environ.setdefault("PROJ_DEBUG", "0")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    for variable, drivers in SKIPPED.items():
        own = [name for name in os.environ.get(variable, "").replace(",", " ").split() if name not in drivers]
        os.environ[variable] = ",".join([*own, *drivers])
    # rasterio's build has fewer vector drivers and would log that those of OGR_SKIP are not there.
    logging.getLogger("rasterio._env").addFilter(_is_news)
    # rasterio takes a scale of 1 and an origin of 0, 0 for no place; what was written is compared with what was meant.
    warnings.filterwarnings("ignore", message="The given matrix is equal to Affine.identity")
    warnings.filterwarnings("always", category=RuntimeWarning, module=r"pyogrio\b")
    # What is too large for a number becomes infinite, is counted and left out.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"shapely\b")
    # What torch's exporter of graphs says of packages that it has no need of here, and of its own code.
    logging.getLogger("torch.onnx._internal.exporter._registration").addFilter(_is_no_skip)
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
    warnings.filterwarnings("ignore", message=r"# The axis name: .* will not be used", category=UserWarning)
    warnings.showwarning = _hear
    if not is_ours():
        atexit.register(gc.freeze)
    _ours.set()


def is_ours() -> bool:
    """Tell whether `settle_process` was called in this process."""
    return _ours.is_set()


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """Collect what GDAL remarks in this thread, in a process of our own; in another one Python shows it as usual."""
    # Filters belong to the whole process: to change them here would change them for the threads beside this one.
    remarks: list[str] = []
    _thread.remarks = remarks
    try:
        yield remarks
    finally:
        del _thread.remarks


def _hear(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    remarks = getattr(_thread, "remarks", None)
    if remarks is None:
        _show(message, category, filename, lineno, file, line)
    else:
        remarks.append(str(message))


def _is_news(record: logging.LogRecord) -> bool:
    return "to unload from GDAL_SKIP" not in record.getMessage()


def die_with(parent: int) -> None:
    """Ask the system to end this process when its parent ends, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def most_memory_bytes() -> int:
    """Return the most memory that this process has had; 0 where the system does not say.

    What `getrusage` says begins with what the process had that started this one, so it is asked last.
    """
    with contextlib.suppress(OSError, StopIteration):
        text = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:"))
    try:
        import resource  # there is none on Windows
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


def limit_memory(more_bytes: int) -> None:
    """Refuse this process more than so many bytes beyond what it has."""
    import resource  # there is none on Windows

    text = Path("/proc/self/status").read_text(encoding="ascii")
    used = next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmData:"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = used + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def give_back_memory() -> None:
    """Keep no large array that was freed: the C library would, up to 32 MiB each, for strips that come once."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # there is none in musl
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def trim_memory() -> None:
    """Give back to the system what is free of the heap, in a process of our own."""
    library = ctypes.CDLL(None)
    if is_ours() and hasattr(library, "malloc_trim"):  # there is none in musl
        library.malloc_trim(0)


def release_memory() -> None:
    """Undo what `nn.device.keep_memory` asked for, in a process of our own: for stages without a network."""
    library = ctypes.CDLL(None)
    if is_ours() and hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, MAPPED)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    trim_memory()


def hush() -> None:
    """Keep what libraries of C write to stderr to themselves; Python still reaches it."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _is_no_skip(record: logging.LogRecord) -> bool:
    return "Skipping torchvision" not in record.getMessage()
