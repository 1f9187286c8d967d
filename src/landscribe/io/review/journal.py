"""A journal: lines that are on the disk before anybody hears that they are kept, and a head that says where it began.

A process that is killed leaves a half line at worst, which nobody was told of. Each line begins with the CRC-32 of the
rest, so that it is told from a whole one.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscribe.io.atomic import write_bytes

MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class Journal:
    """Lines of plain values in a file."""

    path: Path

    def read(self) -> tuple[list[dict[str, Any]], int]:
        """Return the lines that are whole, the head first, and the number of those that are not."""
        try:
            with self.path.open("rb") as file:
                content = file.read(MOST_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return [], 0
        found, bad = [], 0
        for one in content.split(b"\n"):
            values = _parse(one)
            if values is not None:
                found.append(values)
            elif one:
                bad += 1
        return found, bad

    @property
    def says(self) -> bool:
        """Whether there are edits in it that are not in the review file yet."""
        return any("rows" in line for line in self.read()[0])

    def append(self, values: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            OSError: If it could not be written; then it is as if it had not been tried.
        """
        is_new = not self.path.exists()
        self.path.parent.mkdir(exist_ok=True)  # no parents: a run that is gone stays gone
        with self.path.open("ab") as file:
            before = file.tell()
            try:
                file.write(_line(values))
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(self.path, before)
                raise
        if is_new and hasattr(os, "O_DIRECTORY"):
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def restart(self, head: Mapping[str, Any]) -> None:
        """Begin anew with a head, once what the lines say is kept elsewhere; the old lines are there or the new head.

        Raises:
            OSError: If the disk is full.
        """
        write_bytes(self.path, _line(head))


def _line(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> dict[str, Any] | None:
    digest, _, text = line.partition(b" ")
    if digest != b"%08x" % zlib.crc32(text):
        return None
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None
