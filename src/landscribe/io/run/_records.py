"""What a run folder notes: records, failures, and `manifest.json`, all of them in one file for people.

A failure has a file of its own, so that processes that share a stage do not write over each other; the manifest is
written piece by piece, since there may be many records.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from landscribe import __version__
from landscribe.core.seal import seal, seal_pieces, unseal
from landscribe.errors import IntegrityError, problem
from landscribe.io.atomic import atomic_path, write_text
from landscribe.io.digests import stamp_of
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


@dataclass(frozen=True)
class RecordFiles:
    """The records of a run folder; what this process has read of one is kept while its file stays the same."""

    folder: Path
    _makers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Stage and item that last made an output, by its name: where to look first."""
    _read: dict[str, tuple[tuple[int, ...], Record]] = field(default_factory=dict)
    """Stamp and content of each that was read, by file: a stage asks for each several times."""
    _stages: list[str] = field(default_factory=list)
    """Names of stages when they were last looked for."""

    def stages(self) -> list[str]:
        """Return the names of stages that have records."""
        self._stages[:] = sorted(p.name for p in self.folder.glob("*") if p.is_dir())
        return list(self._stages)

    def of(self, stage: str) -> dict[str, Record]:
        """Return the records of a stage by item; one that vanishes meanwhile is none."""
        folder = f"{self.folder}/{stage}"
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []  # noqa: PTH208, PTH112  (as `_in`)
        found = (self._in(f"{folder}/{name}") for name in names if name.endswith(".json"))
        return {record.item: record for record in found if record is not None}

    def read(self, stage: str, item: str) -> Record | None:
        """Return the record of one item, or None."""
        record = self._in(f"{self.folder}/{stage}/{safe_name(item)}.json")
        return record if record is not None and record.item == item else None

    def write(self, record: Record) -> None:
        """Write one, atomically."""
        values = json.loads(json.dumps({**record.__dict__, "notes": list(record.notes)}, sort_keys=True))
        write_text(self.file(record.stage, record.item), seal(values))

    def naming(self, name: str) -> Record | None:
        """Return the record that names an output: of what made it last, or of its scene or model, or among all."""
        if name in self._makers:
            record = self.read(*self._makers[name])
            if record is not None and name in record.outputs:
                return record
        parts = name.split("/")
        stem = parts[-1].rpartition(".")[0]
        items = {parts[1] if len(parts) > 2 else stem, stem}
        for known in (tuple(self._stages), None):  # another process may have begun a stage since they were looked for
            for stage, item in itertools.product(reversed(self.stages() if known is None else known), items):
                record = self._in(f"{self.folder}/{stage}/{item}.json")
                if record is not None and name in record.outputs:
                    self._makers[name] = stage, record.item
                    return record
        for stage in reversed(self._stages):
            for item, one in self.of(stage).items():
                if name in one.outputs:
                    self._makers[name] = stage, item
                    return one
        return None

    def file(self, stage: str, item: str) -> Path:
        """Return where the record of an item lies."""
        return self.folder / stage / f"{safe_name(item)}.json"

    def _in(self, file: str) -> Record | None:
        """Read a record, unless this process has it and the file is still the one that was read.

        Files are texts here: each is asked for dozens of times in a run, and making a `Path` takes longer than asking.
        """
        stamp = stamp_of(file)
        known = self._read.get(file)
        if not stamp or known is None or known[0] != stamp:
            record = read_record(Path(file)) if stamp else None
            if record is None:
                self._read.pop(file, None)
                return None
            known = self._read[file] = stamp, record
        return known[1]


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
