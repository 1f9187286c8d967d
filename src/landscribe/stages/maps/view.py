"""`view`: a local server for looking at runs of any size, and for correcting what they found."""

from __future__ import annotations

import contextlib
import getpass
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from landscribe.errors import LimitError, problem
from landscribe.io.atomic import sweep_partials
from landscribe.io.review.found import FOLDER
from landscribe.io.run.runs import Run
from landscribe.report.map.page import render_shell
from landscribe.stages.maps._guard import Guard
from landscribe.stages.maps._lists import fill_lists
from landscribe.stages.maps._manifest import served_manifest
from landscribe.stages.maps._owner import editing
from landscribe.stages.maps._routes import Routes
from landscribe.stages.maps._server import _Server, serving
from landscribe.stages.maps._site import Site, places_of

PORT = 8377
"""Asked for first; one that is free is taken where another program has it."""
POLL_S = 0.1


@dataclass(frozen=True)
class Served:
    """A server that has its port."""

    address: str
    """What is opened in the browser, with the token."""
    said: tuple[str, ...]
    """What the user should know, one line each."""
    _server: _Server

    def show(self) -> None:
        """Open the page in a browser."""
        webbrowser.open(self.address)

    def forever(self) -> None:
        """Answer until the program is asked to stop, or `stop` is called from another thread."""
        self._server.serve_forever(POLL_S)

    def stop(self) -> None:
        """End `forever`."""
        self._server.shutdown()


@contextlib.contextmanager
def serve(folders: Sequence[Path], *, port: int | None = None, who: str = "") -> Iterator[Served]:
    """Yield a server for runs; at the start and the end, edits that are in a journal only go into their files.

    Args:
        folders: Run folders.
        port: Of 127.0.0.1; None takes `PORT`, or any that is free.
        who: Name that goes with each edit; empty for the one that the system knows.

    Raises:
        DataError: If a run has nothing to show, or several have no scene in common.
        LimitError: If the port is taken.
        IntegrityError: If a file of a run is damaged.
    """
    runs = [Run(folder) for folder in folders]
    title = " and ".join(run.root.resolve().name for run in runs)
    manifest, legends, said = served_manifest(runs, title)
    keys = [run["key"] for run in manifest["runs"]]
    shown, places = places_of(manifest, dict(zip(keys, runs, strict=True)))
    with contextlib.ExitStack() as stack:
        read_only = {}
        for key, run in zip(keys, runs, strict=True):
            why = stack.enter_context(editing(run.path(FOLDER)))
            if why:
                read_only[key] = why
                said.append(why)
            else:
                sweep_partials(run.path(FOLDER))
        site = Site(shown, places, legends, read_only)
        stack.callback(site.tiler.handles.close)
        stack.callback(site.fold, now=True)
        said += site.recover()
        fill_lists(site, manifest)
        guard = Guard()
        manifest["server"] = {"token": guard.token, "can_edit": len(read_only) < len(runs), "read_only": read_only}
        page, policy = render_shell(manifest, edit=True)
        routes = Routes(site, page.encode(), policy, who or _login())
        server = stack.enter_context(_open(port, guard, routes, site.fold))
        yield Served(guard.address(server.server_port), tuple(said), server)


@contextlib.contextmanager
def _open(port: int | None, guard: Guard, routes: Routes, often: Callable[[], None]) -> Iterator[_Server]:
    with contextlib.ExitStack() as stack:
        for wanted in (PORT, 0) if port is None else (port,):
            try:
                server = stack.enter_context(serving(wanted, guard, routes, often))
                break
            except (OSError, OverflowError) as error:
                if wanted != PORT or port is not None:
                    do = "choose another --port, or leave it out"
                    got = getattr(error, "strerror", None) or error
                    raise LimitError(problem(f"port {wanted}", "cannot be used", got=got, do=do)) from None
        yield server


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
