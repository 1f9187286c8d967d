"""One process edits the review of a run at a time; others may look."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

OWNER = ".owner"


@contextlib.contextmanager
def editing(folder: Path) -> Iterator[str]:
    """Try to become the one who edits in a folder; the system gives it free when this process ends, however it ends.

    Args:
        folder: `review` in a run; made where it is not there, and gone again if nothing came into it.

    Yields:
        Why this process may only look; empty where it may edit.
    """
    with contextlib.ExitStack() as files:
        try:
            folder.mkdir(exist_ok=True)
            file = files.enter_context((folder / OWNER).open("a+", encoding="utf-8"))
        except OSError as error:
            yield f"{folder}: cannot be written to ({error.strerror}), so this is for looking only"
            return
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                other = file.read().strip() or "another process"
                yield f"{folder.parent}: is edited by {other}, so this is for looking only"
                return
            except OSError:
                pass  # a file system that knows no locks
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
        try:
            yield ""
        finally:
            with contextlib.suppress(OSError):
                if [path.name for path in folder.iterdir()] == [OWNER]:
                    (folder / OWNER).unlink()
                    folder.rmdir()
