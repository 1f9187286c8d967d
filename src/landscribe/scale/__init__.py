"""Workers in other processes, here or on other machines: Dask as the engine of the stages that go scene by scene."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from landscribe.apart import start
from landscribe.errors import LimitError, RecipeError, problem
from landscribe.io.project import Project
from landscribe.scale.crew import Crew, hush
from landscribe.workers import usable_processors

__all__ = ["ALLOWED_FAILURES", "THREADS", "Crew", "open_crew"]

ALLOWED_FAILURES = 3
"""Workers that an item may cost before it is given up: one more, and it fails."""
CONNECT_S = 10
PRELOAD = "landscribe.scale.preload"
LOCAL = "local:"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextlib.contextmanager
def open_crew(on: str, project: Project, models: Path | None = None, *, gpu: bool = False) -> Iterator[Crew]:
    """Start workers here, or find those of a scheduler.

    Args:
        on: `local:N`, or the address of a Dask scheduler, `tcp://host:port` or `tls://host:port`.
        project: The recipe with its data.
        models: Folder of finished models to use instead of training.
        gpu: Predict on workers that declare a GPU, and refuse to go on without.

    Raises:
        RecipeError: If `on` is neither, or Dask is not installed.
        LimitError: If nobody answers at the address, or no worker can do the work.
    """
    count = _count(on)
    start()  # before Dask has threads, since what is forked from them may hang
    try:
        import distributed
    except ImportError:
        do = "pip install 'landscribe[dask]'"
        raise RecipeError(problem("--on", "Dask is not installed", do=do)) from None
    hush()
    crew = Crew(on, project, models, gpu=gpu, beside=max(count, 1))
    with contextlib.ExitStack() as opened:
        address: Any = on
        if count:
            address = opened.enter_context(_local(count))
            crew = replace(crew, mend=partial(address.scale, count))
        try:
            client: Any = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError):
            do = "start `dask scheduler` there, or name the address that it says"
            raise LimitError(problem(on, f"nobody answers in {CONNECT_S} s", do=do)) from None
        opened.callback(_close, client)
        yield replace(crew, client=client)


@contextlib.contextmanager
def _local(count: int) -> Iterator[Any]:
    import dask
    import distributed

    threads = str(max(1, usable_processors() // count))
    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        # What is set before a worker is started stays set in this process too, which trains with all threads.
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS),
        "distributed.nanny.environ": dict.fromkeys(THREADS, threads),
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # any free port: with None two at once want the same
            scheduler_kwargs={"dashboard": False},
            preload=PRELOAD,
            memory_limit=0,  # memory of torch and GDAL is not Dask's to spill
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster


def _close(client: Any) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        client.close(timeout=2)


def _count(on: str) -> int:
    """Return how many workers to start here; 0 for those of a scheduler."""
    need = "local:N, such as local:4, or tcp://HOST:PORT"
    if on.startswith(LOCAL):
        text = on.removeprefix(LOCAL)
        if not (text.isascii() and text.isdigit() and int(text)):
            raise RecipeError(problem("--on", "no number of workers", got=repr(on), need=need))
        return int(text)
    try:
        parts = urlsplit(on)
        fine = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port and not parts.path.strip("/")
    except ValueError:
        fine = False
    if not fine:
        raise RecipeError(problem("--on", "no address", got=repr(on), need=need))
    return 0
