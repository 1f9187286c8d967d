"""Rasters that stay open between requests, each of use to one thread at a time."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from landscribe.io.raster.rasters import Raster, open_raster

MOST_OPEN = 64


@dataclass(frozen=True)
class Handles:
    """Open rasters that nobody reads at the moment, those used last at the end."""

    _idle: OrderedDict[int, tuple[Path, tuple[int, ...], Raster, contextlib.ExitStack]] = field(
        default_factory=OrderedDict
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def borrow(self, path: Path, stamp: tuple[int, ...]) -> Iterator[Raster]:
        """Yield an open raster.

        Args:
            path: The file.
            stamp: Of the file as it is now; what was opened under another one is closed.

        Raises:
            DataError, LimitError: If it cannot be opened.
        """
        raster, files = self._take(path, stamp)
        try:
            yield raster
        except BaseException:
            files.close()
            raise
        with self._lock:
            self._idle[id(raster)] = path, stamp, raster, files
            old = [self._idle.popitem(last=False)[1][3] for _ in range(len(self._idle) - MOST_OPEN)]
        for one in old:
            one.close()

    def close(self) -> None:
        """Close all that nobody reads."""
        with self._lock:
            old = [entry[3] for entry in self._idle.values()]
            self._idle.clear()
        for one in old:
            one.close()

    def _take(self, path: Path, stamp: tuple[int, ...]) -> tuple[Raster, contextlib.ExitStack]:
        with self._lock:
            # The one used last: blocks that it has unpacked are in GDAL's memory still.
            own = [key for key, entry in reversed(self._idle.items()) if entry[0] == path]
            entries = [self._idle.pop(key) for key in own if key == own[0] or self._idle[key][1] != stamp]
        fit = [entry for entry in entries if entry[1] == stamp]
        for entry in entries:
            if entry[1] != stamp:
                entry[3].close()
        if fit:
            return fit[0][2], fit[0][3]
        files = contextlib.ExitStack()
        return files.enter_context(open_raster(path)), files
