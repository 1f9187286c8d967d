"""JSON files of other programs: read whole within limits, or glanced at to tell what they are."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from landscribe.errors import DataError, LimitError, problem
from landscribe.io.safety import check_size, require_local_file

MEMORY_PER_BYTE = 10
"""Bytes in memory per byte of JSON; 8.5 were measured on 220,000 building footprints."""
GLANCE = 1 << 18
"""Characters that are looked at to tell what a file is."""
TOKEN = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)|[{}\[\]:,]', re.DOTALL)
"""Text, also where it is cut short, so that nothing is looked at twice; or a sign."""


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Let Python's collector of cycles rest: JSON makes millions of lists and no cycle."""
    # Looking for cycles took three quarters of the time.
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@no_collection()
def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: If it is missing, empty, not UTF-8 or no JSON.
        LimitError: If it is too large for the memory or nested too deeply.
    """
    where = str(path)
    check_size(where, require_local_file(path) * MEMORY_PER_BYTE)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise LimitError(problem(where, "nested too deeply")) from None
    except UnicodeDecodeError as error:
        raise DataError(problem(where, "not UTF-8 text", got=error.reason)) from error
    except ValueError as error:
        raise DataError(problem(where, "not JSON", got=str(error)[:200])) from None


def top_keys(path: Path) -> dict[str, str]:
    """Return the keys of the object that a file begins with, as far as its beginning shows them.

    Returns:
        Key -> its value where that is text, else nothing; no keys at all for what is no object, or no such file.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            text = file.read(GLANCE)
    except OSError:
        return {}
    if not text.lstrip().startswith("{"):
        return {}
    keys: dict[str, str] = {}
    depth, key, waiting = 0, None, None
    for match in TOKEN.finditer(text):
        piece = match.group(0)
        if piece in ("{", "["):
            depth += 1
        elif piece in ("}", "]"):
            depth -= 1
        elif depth == 1 and piece == ":":
            key, waiting = waiting, None
            if key is not None:
                keys[key] = ""
        elif depth == 1 and match.group(1) is not None:
            if key is not None and not keys[key]:
                keys[key] = match.group(1)
            waiting = match.group(1)
        if depth == 1 and piece in (",", "}", "]"):
            key = None
    return keys


def as_number(value: Any) -> float:
    """Return a number of a JSON file; NaN for what is none, or is too large for one."""
    if type(value) not in (int, float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def as_size(value: Any) -> int:
    """Return a height or width of a JSON file, 0 where it does not say one."""
    number = as_number(value)
    return int(number) if 0 < number < 2**31 and number == int(number) else 0
