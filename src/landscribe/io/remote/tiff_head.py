"""The head of a TIFF on a server: what a reader looks at before any pixel, fetched in blocks into a file with holes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from landscribe.errors import DataError, problem

BLOCK_BYTES = 1 << 14
MOST_BYTES = 8 << 20
"""Of one head."""
MOST_DIRECTORIES, MOST_ENTRIES = 64, 4096
TILES = frozenset((273, 279, 324, 325))
"""Tags that say where tiles lie and how long they are: looked at only when pixels are read."""
SMALL_TILES_BYTES = 1 << 13
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

Read = Callable[[int, int], bytes]
"""Bytes from one place up to another."""


@dataclass(frozen=True)
class _Blocks:
    """What was fetched of a file, in blocks."""

    where: str
    size: int
    read: Read
    known: dict[int, bytes] = field(default_factory=dict)

    def get(self, offset: int, count: int) -> bytes:
        """Return some bytes, fetching the blocks that are missing, those side by side at once."""
        if offset < 0 or offset + count > self.size:
            raise DataError(problem(self.where, "damaged TIFF: its head points behind its end"))
        first, last = offset // BLOCK_BYTES, max(offset + count - 1, offset) // BLOCK_BYTES
        missing = [k for k in range(first, last + 1) if k not in self.known]
        if missing:
            if (len(self.known) + last - first + 1) * BLOCK_BYTES > MOST_BYTES:
                raise DataError(problem(self.where, "the head of the TIFF is too large", need=f"{MOST_BYTES} bytes"))
            start = missing[0] * BLOCK_BYTES
            content = self.read(start, min((missing[-1] + 1) * BLOCK_BYTES, self.size))
            for k in range(missing[0], missing[-1] + 1):
                self.known[k] = content[k * BLOCK_BYTES - start : (k + 1) * BLOCK_BYTES - start]
        together = b"".join(self.known[k] for k in range(first, last + 1))
        return together[offset - first * BLOCK_BYTES :][:count]


def write_head(path: Path, where: str, size: int, start: bytes, read: Read) -> int:
    """Write a file of the size of a TIFF that holds its head and is 0 elsewhere.

    Args:
        path: The file.
        where: What the TIFF is called in messages.
        size: Of the TIFF.
        start: Its first bytes, at least a block of them or all.
        read: Gives other bytes.

    Returns:
        How many bytes are known.

    Raises:
        DataError: If it is no TIFF, or a damaged one.
    """
    blocks = _Blocks(where, size, read)
    blocks.known.update({k: start[k * BLOCK_BYTES : (k + 1) * BLOCK_BYTES] for k in range(len(start) // BLOCK_BYTES)})
    if len(start) == size:
        blocks.known[size // BLOCK_BYTES] = start[size // BLOCK_BYTES * BLOCK_BYTES :]
    order, is_big = require_tiff(where, start)
    _fetch_directories(blocks, order, is_big=is_big)
    with path.open("wb") as file:
        for k, content in blocks.known.items():
            file.seek(k * BLOCK_BYTES)
            file.write(content)
        file.truncate(size)
    return sum(map(len, blocks.known.values()))


def require_tiff(where: str, start: bytes) -> tuple[str, bool]:
    """Return the order of bytes of a TIFF, as `struct` has it, and whether it is a BigTIFF.

    Raises:
        DataError: If the first bytes are those of another file.
    """
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    kind = struct.unpack(f"{order}H", start[2:4])[0] if order is not None and len(start) >= 16 else 0
    if order is None or kind not in (42, 43):
        do = "name a GeoTIFF; other formats are read from disk only"
        raise DataError(problem(where, "is no GeoTIFF", got=repr(start[:8]), do=do))
    return order, kind == 43


def _fetch_directories(blocks: _Blocks, order: str, *, is_big: bool) -> None:
    word, count_word, entry = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    inline = 8 if is_big else 4
    offset = int(struct.unpack(order + word, blocks.get(8 if is_big else 4, inline))[0])
    seen: set[int] = set()
    while offset and offset not in seen:  # pages, reduced copies, masks
        seen.add(offset)
        if len(seen) > MOST_DIRECTORIES:
            raise DataError(problem(blocks.where, "damaged TIFF: too many directories"))
        n_bytes = struct.calcsize(count_word)
        entries = int(struct.unpack(order + count_word, blocks.get(offset, n_bytes))[0])
        if entries > MOST_ENTRIES:
            raise DataError(problem(blocks.where, "damaged TIFF: too many tags", got=entries))
        body = blocks.get(offset + n_bytes, entries * entry + inline)
        for k in range(entries):
            tag, kind, count, value = struct.unpack(
                order + "HH" + word + f"{inline}s", body[k * entry : (k + 1) * entry]
            )
            length = count * TYPE_BYTES.get(kind, 0)
            if length > inline and not (tag in TILES and length > SMALL_TILES_BYTES):
                blocks.get(int(struct.unpack(order + word, value)[0]), length)
        offset = int(struct.unpack(order + word, body[-inline:])[0])
