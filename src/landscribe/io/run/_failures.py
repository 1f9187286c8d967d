"""Why items failed: a file for each, so that processes that share a stage do not write over each other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from landscribe.core.seal import seal, unseal
from landscribe.io.atomic import write_text
from landscribe.io.names import safe_name


def read_failures(folder: Path) -> dict[str, str]:
    """Return the items of a folder of failures with their reasons, by name."""
    found: dict[str, str] = {}
    for file in folder.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # another process has made it meanwhile
            found |= unseal(file.read_bytes(), str(file), do="delete it and run the stage again", sealed=False)
    return dict(sorted(found.items()))


def write_failures(folder: Path, tried: Iterable[str], failed: Mapping[str, str]) -> None:
    """Write why items failed, and take away what was said of those that did not fail again."""
    there = {file.name for file in folder.glob("*.json")}
    for item in tried:
        name = f"{safe_name(item)}.json"
        if item in failed:
            write_text(folder / name, seal({item: failed[item]}))
        elif name in there:
            (folder / name).unlink(missing_ok=True)
