"""Is a PNG whole? GDAL's reader leaves what it cannot decode at whatever was in memory, without an error."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from landscribe.errors import DataError, problem

SIGNATURE_BYTES = 8
STEP_BYTES = 1 << 20
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type -> samples per pixel."""


def require_whole_png(path: Path) -> None:
    """Check that every chunk is as its checksum says and that the pixels unpack to the size of the image.

    Raises:
        DataError: If the file is cut short or damaged.

    Source:
        W3C (2003), Portable Network Graphics Specification (Second Edition), sections 5.3 and 10.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            file.seek(SIGNATURE_BYTES)
            found, need, ended = _unpacked_size(file)
    except (struct.error, zlib.error, ValueError, KeyError) as error:
        got = "a file that ends early" if isinstance(error, struct.error) else error
        raise DataError(problem(where, "damaged or cut short", got=got)) from error
    if not ended or (need is not None and found != need):
        raise DataError(problem(where, "damaged or cut short", got=f"{found} bytes of pixels", need=need))


def _unpacked_size(file: IO[bytes]) -> tuple[int, int | None, bool]:
    inflate = zlib.decompressobj()
    got, need, header = 0, None, None
    for kind, content in _chunks(file):
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", content)
            need = _size(*header)
        elif kind == b"IDAT":
            if header is None:
                raise ValueError("pixels before the header")
            while content and not inflate.eof:
                got += len(inflate.decompress(content, STEP_BYTES))
                content = inflate.unconsumed_tail  # noqa: PLW2901
                if need is not None and got > need:
                    return got, need, False
    got += len(inflate.flush())
    return got, need, inflate.eof


def _size(width: int, height: int, bits: int, colour: int, _packing: int, _filter: int, interlaced: int) -> int | None:
    if interlaced:
        return None  # seven passes, each with rows of its own; the checksums have to do
    return height * (1 + -(-width * bits * CHANNELS[colour] // 8))


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    while True:
        length, kind = struct.unpack(">I4s", file.read(8))
        content = file.read(length)
        (checksum,) = struct.unpack(">I", file.read(4))
        if zlib.crc32(content, zlib.crc32(kind)) != checksum:
            raise ValueError(f"checksum of {kind!r} is wrong")
        yield kind, content
        if kind == b"IEND":
            return
