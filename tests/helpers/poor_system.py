"""A system without what only Linux or Unix has: python poor_system.py FOLDER. Prints `done` when all went through.

Windows has no fcntl, no resource, no fork, no SIGKILL, no affinity; a Mac has no /proc and no prctl. What other
libraries want of the system they have got before it goes.
"""

from __future__ import annotations

import errno
import os
import pkgutil
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2  # noqa: F401
import geopandas  # noqa: F401
import numba  # noqa: F401
import pyarrow.parquet  # noqa: F401
import rasterio  # noqa: F401
import rich.progress  # noqa: F401
import scipy.ndimage  # noqa: F401
import tensorboard.summary.writer.event_file_writer  # noqa: F401
import torch
import torch.distributed
import torch.utils.data
import typer.testing  # noqa: F401

GONE = {
    os: ("fork", "sched_getaffinity", "sysconf", "WIFSIGNALED", "WTERMSIG", "WEXITSTATUS", "getppid"),
    signal: ("SIGKILL", "SIGHUP"),
    socket: ("AF_UNIX", "recv_fds"),
}


def take_away() -> None:
    """Make this system poor."""
    for module, names in GONE.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for name in ("fcntl", "resource", "pwd", "grp"):
        sys.modules[name] = None  # type: ignore[assignment]
    sys.platform = "win32"
    for name in ("open", "stat", "readlink"):
        setattr(Path, name, without_proc(getattr(Path, name)))


def without_proc(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of paths for which there is no /proc."""

    def method(path: Path, *arguments: Any, **options: Any) -> Any:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, "there is none", str(path))
        return real(path, *arguments, **options)

    return method


def main(folder: Path) -> None:
    """Import everything, then run the command line from imagery to polygons."""
    take_away()
    import landscribe

    for module in pkgutil.walk_packages(landscribe.__path__, "landscribe."):
        if module.name.endswith("__main__"):
            continue
        try:
            import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name != "triton":  # which comes with torch for GPUs alone
                raise
    from typer.testing import CliRunner

    from landscribe.cli.app import app
    from landscribe.process import settle_process
    from small_scenes import train_small, write_image

    settle_process()
    train_small(folder)
    write_image(folder / "new.tif", 100, 22)
    given = ["--models", str(folder / "old_run" / "models"), "--out", str(folder / "out")]
    done = CliRunner().invoke(app, ["predict", str(folder / "new.tif"), *given])
    sys.stdout.write(done.output)
    shown = CliRunner().invoke(app, ["doctor"])
    sys.stdout.write(shown.output + f"done {done.exit_code} {shown.exit_code} {torch.__version__}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
