"""Who works on which item of a stage, where several processes share it.

A lease is a file that is made only if it is not there, named after the item; it says its owner, who touches it now and
then. One whose owner is dead, or on another machine and silent, is taken over. Leases save work and nothing else: two
processes that make one item write the same bytes, each file whole.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from landscribe.io.atomic import owner_is_alive, this_owner
from landscribe.io.names import safe_name
from landscribe.io.run.runs import Run
from landscribe.workers import stop_if_asked

FOLDER = ".leases"
RENEW_S = 10.0
GIVEN_UP_S = 60.0
"""Without a touch: six times as long as between two of them."""
LOOK_S = 0.1
_kept: dict[Path, Leases] = {}
"""Of a worker, by run folder."""


@dataclass(frozen=True)
class Leases:
    """What this process works on in a run folder."""

    run: Run
    owner: str = field(default_factory=this_owner)
    _held: set[Path] = field(default_factory=set)

    def is_taken(self, stage: str, item: str) -> bool:
        """Tell whether another one works on an item; else this process does, until `give` is called."""
        file = self._file(stage, item)
        file.parent.mkdir(parents=True, exist_ok=True)
        if self._make(file):
            return False
        owner = _read(file)
        if owner is not None and not _is_left(file, owner):
            return True
        # Only the process whose rename succeeds takes it over.
        away = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):
            file.rename(away)
            away.unlink(missing_ok=True)
        return not self._make(file)

    def give(self, stage: str, item: str) -> None:
        """Let others work on an item."""
        file = self._file(stage, item)
        self._held.discard(file)
        file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def waited_for(self, stage: str, item: str) -> Iterator[None]:
        """Work on an item, once no other process does any more."""
        while self.is_taken(stage, item):
            stop_if_asked()
            time.sleep(LOOK_S)
        try:
            yield
        finally:
            self.give(stage, item)

    def renew(self) -> None:
        """Touch what is held."""
        for file in tuple(self._held):
            with contextlib.suppress(OSError):
                os.utime(file)

    def _file(self, stage: str, item: str) -> Path:
        return self.run.path(FOLDER, stage, safe_name(item))

    def _make(self, file: Path) -> bool:
        # Whole at once: a file without a name of an owner would look like a dead one's.
        own = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
        try:
            own.write_text(self.owner, encoding="ascii")
            os.link(own, file)
        except FileExistsError:
            return False
        finally:
            own.unlink(missing_ok=True)
        self._held.add(file)
        return True


@contextlib.contextmanager
def leases_in(run: Run) -> Iterator[Leases]:
    """Yield the leases of this process, which a thread renews until the block ends."""
    leases, over = Leases(run), threading.Event()

    def renew() -> None:
        while not over.wait(RENEW_S):
            leases.renew()

    thread = threading.Thread(target=renew, name="leases", daemon=True)
    thread.start()
    try:
        yield leases
    finally:
        over.set()
        thread.join()


def renewed(run: Run) -> Leases:
    """Return the leases of this process in a run folder, renewed as long as it lives."""
    if run.root not in _kept:
        leases = _kept[run.root] = Leases(run)

        def renew() -> None:
            while True:
                time.sleep(RENEW_S)
                leases.renew()

        threading.Thread(target=renew, name="leases", daemon=True).start()
    return _kept[run.root]


def sweep_leases(run: Run, stage: str) -> None:
    """Remove what dead processes hold of a stage that is done, and folders that are empty then."""
    folder = run.path(FOLDER, stage)
    for file in folder.glob("*"):
        owner = _read(file)
        if owner is not None and _is_left(file, owner):
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not there, or not empty
        folder.rmdir()
        folder.parent.rmdir()


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _is_left(file: Path, owner: str) -> bool:
    """Tell whether a lease's owner is dead, or has not touched it for long."""
    try:
        alive = owner_is_alive(owner)
        if alive is not None:
            return not alive
        return _now_there(file.parent) - file.stat().st_mtime > GIVEN_UP_S
    except ValueError:
        return True
    except FileNotFoundError:
        return False


def _now_there(folder: Path) -> float:
    """Return the time by the clock of the machine that keeps the files, which may not be ours."""
    own = folder / f"now.{uuid.uuid4().hex}"
    own.touch()
    try:
        return own.stat().st_mtime
    finally:
        own.unlink(missing_ok=True)
