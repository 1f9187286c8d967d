"""Write beside, flush, rename: a file is the old one or the new one, never half of either.

What is being written is named after its owner: machine, process and when that began. Another process removes it only
once its owner is dead, or where another machine's is older than a day.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import os
import re
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

PARTIAL_PREFIX = ".partial-"
"""Files of this name are being written, or are leftovers of a killed process; nothing reads them."""
KEPT_LETTERS = 80
"""Of the name of the file to be."""
DAY_S = 86_400.0
_OWNED = re.compile(r"\.partial-(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-(?P<begun>\d+)-[0-9a-f]{12}-", re.ASCII)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` when the block ends well.

    The temporary name keeps the suffix, since drivers look at it. On an error the temporary file goes away and
    what stood at `path` stays untouched.

    Args:
        path: Where the file shall be; its folder is made.

    Raises:
        OSError: If the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(name_while_here(path.name))
    _require_writable(path.parent)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def name_while_here(name: str) -> str:
    """Return a name for a file that means nothing once this process is dead: whoever sweeps then removes it."""
    return f"{PARTIAL_PREFIX}{this_owner()}-{uuid.uuid4().hex[:12]}-{name[-KEPT_LETTERS:]}"


def _require_writable(folder: Path) -> None:
    """Let the system say, and of the folder, what drivers say in many ways: by a file without a name, where it can."""
    try:
        os.close(os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600))
    except PermissionError as error:
        raise PermissionError(error.errno, f"cannot be written to: {error.strerror}", str(folder)) from None
    except (AttributeError, OSError):  # no such files here; whoever writes then finds out
        return


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write a whole UTF-8 text file atomically."""
    write_bytes(path, content.encode("utf-8"))


def sweep_partials(folder: Path) -> int:
    """Remove what killed processes left below `folder`; return how many files went."""
    return _remove_dead(folder.rglob(f"{PARTIAL_PREFIX}*"))


def sweep_beside(path: Path) -> int:
    """Remove what killed processes left that were to write this file; return how many files went."""
    name = glob.escape(path.name[-KEPT_LETTERS:])
    return _remove_dead(path.parent.glob(f"{PARTIAL_PREFIX}*-{name}*"))


def as_meant(text: str) -> str:
    """Call files in a message by the names that they are to have, not by those under which they are written."""
    return _OWNED.sub("", text)


def is_abandoned(partial: Path) -> bool:
    """Tell whether nobody writes a file any more that was being written."""
    owned = _OWNED.match(partial.name)
    if owned is None:
        return True  # as older versions called them
    alive = owner_is_alive(f"{owned['machine']}-{owned['pid']}-{owned['begun']}")
    if alive is None:
        try:
            return time.time() - partial.stat().st_mtime > DAY_S
        except FileNotFoundError:
            return False
    return not alive


def this_owner() -> str:
    """Return the name of this process: its machine, its number, and when it began."""
    return f"{_machine()}-{os.getpid()}-{_begun(os.getpid())}"


def owner_is_alive(owner: str) -> bool | None:
    """Tell whether the process of a name that `this_owner` gave is alive; None where it is another machine's."""
    machine, pid, begun = owner.split("-", 2)
    return _begun(int(pid)) == int(begun) if machine == _machine() else None


def _remove_dead(partials: Iterable[Path]) -> int:
    leftovers = [partial for partial in partials if partial.is_file() and is_abandoned(partial)]
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


@functools.cache
def _machine() -> str:
    """Return what tells this machine, or this container on it, from others that share the folder."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _begun(pid: int) -> int:
    """Return when a process began, in the system's own count; 0 where it does not say, -1 where there is none."""
    try:
        # The name of the program comes before, in brackets, and may hold anything.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        facts = text.rpartition(")")[2].split()
        return -1 if facts[0] == "Z" else int(facts[19])
    except (FileNotFoundError, ProcessLookupError):
        return -1 if Path("/proc/self/stat").exists() or not _is_alive(pid) else 0
    except (OSError, ValueError, IndexError):
        return 0


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere to ask is to end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _flush_folder(folder: Path) -> None:
    # The rename itself must reach the disk; systems that cannot open a folder do without.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
