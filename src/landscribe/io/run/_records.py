"""What a run folder notes: records, failures, and `manifest.json`, all of them in one file for people.

A failure has a file of its own, so that processes that share a stage do not write over each other; the manifest is
written piece by piece, since there may be many records.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from landscribe import __version__
from landscribe.core.seal import seal, seal_pieces, unseal
from landscribe.errors import IntegrityError, problem
from landscribe.io.atomic import atomic_path, write_text
from landscribe.io.names import safe_name

FORMAT = 1
_REMAKE = "delete it; its item will be made again"


@dataclass(frozen=True)
class Record:
    """What one item of a stage wrote."""

    stage: str
    item: str
    key: str
    """Digest of the settings and inputs it was made from."""
    outputs: Mapping[str, str]
    """Path below the run folder -> SHA-256."""
    stamps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Path below the run folder -> bytes, and times in ns of its content and of its entry when the digest was taken."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Path below the run folder -> SHA-256 of what was read to make it."""
    counts: Mapping[str, int | float] = field(default_factory=dict)
    """What was kept and what was dropped, by reason."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    sources: Mapping[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    """Path of a file that is not of the run -> stamp and SHA-256 of what was read."""


def read_record(file: Path) -> Record | None:
    """Read a record; None where there is none, or none any more: other items may be under way."""
    try:
        values = unseal(file.read_bytes(), str(file), do=_REMAKE, sealed=False)
        values["notes"] = tuple(values["notes"])
        values["stamps"] = {name: tuple(int(n) for n in stamp) for name, stamp in values["stamps"].items()}
        known = values.get("sources", {})
        values["sources"] = {name: (tuple(stamp), digest) for name, (stamp, digest) in known.items()}
        return Record(**values)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(problem(str(file), "damaged record", do=_REMAKE)) from None


def write_manifest(
    path: Path, stages: Iterable[tuple[str, Mapping[str, Mapping[str, Any]]]], failed: Mapping[str, Any]
) -> None:
    """Write it.

    Args:
        path: Where.
        stages: Name of a stage, and its records by item as plain values.
        failed: Stage -> item -> reason.
    """
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(seal_pieces(_pieces(stages, failed)))


def _pieces(stages: Iterable[tuple[str, Mapping[str, Mapping[str, Any]]]], failed: Mapping[str, Any]) -> Iterator[str]:
    yield f'{{\n "format": {FORMAT},\n "landscribe": {_text(__version__)},\n "stages": {{'
    for number, (stage, records) in enumerate(stages):
        yield f"{',' if number else ''}\n  {_text(stage)}: {{"
        for k, (item, values) in enumerate(records.items()):
            yield f"{',' if k else ''}\n   {_text(item)}: {_text(values)}"
        yield "}"
    yield f'\n }},\n "failed": {_text(failed)},'


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


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
