"""Limits that every file must pass before a decoder sees it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from landscribe.errors import DataError, LimitError, RecipeError, problem
from landscribe.workers import free_memory_bytes

SMALL_BYTES = 1 << 26
"""Below this nobody asks the system how much memory is free."""
PLAUSIBLE_BYTES = 1 << 30
"""Below this a read is never taken for a decompression bomb."""
ENDLESS_BYTES = 64 << 30
"""Below this a file may claim what it likes, as long as it is read in windows."""
PLAUSIBLE_RATIO = 500
"""Images are packed 1 to 20 times; zeros up to 1,000 (deflate) or 30,000 times (zstd)."""
ABSURD_RATIO = 10_000
"""What is packed so often holds nothing that anybody has drawn or seen; above `PLAUSIBLE_BYTES` it is refused."""
PACKED = 20
"""What is written is packed so often at the most, so that more than so many times the free disk is not begun."""


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
        _refuse_bomb(where, need_bytes, file_bytes, "cut it or read it in windows if it is meant so")


def check_claim(where: str, claimed_bytes: int, file_bytes: int) -> None:
    """Refuse a file that is too good to be true before any window of it is read: going through it would take days.

    Raises:
        LimitError: If it claims more than `ENDLESS_BYTES` and more than `PLAUSIBLE_RATIO` times its size, or more than
            `PLAUSIBLE_BYTES` and `ABSURD_RATIO`.
    """
    if claimed_bytes > ENDLESS_BYTES or (claimed_bytes > PLAUSIBLE_BYTES and claimed_bytes > ABSURD_RATIO * file_bytes):
        _refuse_bomb(where, claimed_bytes, file_bytes, "write it anew, packed with deflate, if it is meant so")


def check_output(path: Path, need_bytes: int, *, packed: int = PACKED) -> None:
    """Refuse to begin what the disk will not hold.

    Args:
        path: File to be written.
        need_bytes: Its size before it is packed.
        packed: How often it is packed at the most; 1 where it is not.

    Raises:
        LimitError: If it would not fit even packed as well as can be, with the numbers.
    """
    if need_bytes <= SMALL_BYTES:
        return
    folder = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(folder).free
    if need_bytes > packed * free:
        times = "" if packed == 1 else f"{packed} times "
        need = f"at most {times}the {_size(free)} that are free there"
        raise LimitError(problem(str(path), "too large for the disk", got=_size(need_bytes), need=need))


def require_output(out: Path, inputs: Sequence[Path], endings: Sequence[str] = ()) -> None:
    """Refuse to write over what is read, or under a name that says another format.

    Raises:
        RecipeError: With both names, or the endings that there are.
    """
    for given in inputs:
        if out.exists() and given.exists() and out.samefile(given):
            raise RecipeError(problem(str(out), "would be written over", got="an input", do="choose another name"))
    if endings and out.suffix.lower() not in endings:
        raise RecipeError(problem(str(out), "unknown ending", got=repr(out.suffix), need=" or ".join(endings)))


def _refuse_bomb(where: str, need_bytes: int, file_bytes: int, do: str) -> None:
    if need_bytes > PLAUSIBLE_RATIO * file_bytes:
        what = f"unpacks to {need_bytes // file_bytes} times its size, which images do not"
        got = f"{_size(need_bytes)} in a file of {_size(file_bytes)}"
        raise LimitError(problem(where, what, got=got, do=do))


def _size(count: int) -> str:
    if count < 1 << 20:
        return f"{count} bytes"
    return f"{count / (1 << 20):.0f} MiB" if count < 10 << 30 else f"{count / (1 << 30):.0f} GiB"
