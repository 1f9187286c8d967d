"""For `dask worker --preload landscribe.scale.preload`: settles the process before anything is read in it.

With it a worker reads files from outside in processes of its own, as the command line does, so that one that makes a
decoder abort or hang costs that process and not the worker.
"""

from __future__ import annotations

from typing import Any

from landscribe.apart import start
from landscribe.process import settle_process


def dask_setup(_worker: Any) -> None:
    """Settle a worker; Dask calls this in its main thread before it has work."""
    settle_process()
    start()
