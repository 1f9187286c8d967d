"""The run folder: what each stage wrote, and the record that says it is whole.

Each finished item (a scene, a model) of a stage has one small record, written last and atomically: the key of what it
was made from, and the SHA-256 of what it wrote. A record with the wanted key and unchanged files means "up to date".
`manifest.json` is all records in one file, for people and for the report.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from landscribe.errors import DataError, IntegrityError, problem
from landscribe.io.atomic import sweep_partials
from landscribe.io.digests import file_digest, stamp_of
from landscribe.io.names import safe_name
from landscribe.io.run._records import Record, RecordFiles, read_failures, write_failures, write_manifest
from landscribe.workers import reads

__all__ = [
    "COMBINED", "Made", "Record", "Run", "is_first_process", "make_item", "make_key", "note_made", "open_run",
]  # fmt: skip

MANIFEST = "manifest.json"
COMBINED = "features.gpkg"
"""Polygons of all scenes that lie somewhere, in the folder of features."""


@dataclass(frozen=True)
class Made:
    """What the work on one item left behind."""

    outputs: tuple[Path, ...]
    counts: Mapping[str, int | float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sources: Mapping[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    """As `Record.sources`."""


@dataclass(frozen=True)
class Run:
    """A run folder.

    Examples:
        >>> sorted(ls.Run(run.root).records("train"))[0]
        'all'
    """

    root: Path
    opened: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What this process keeps of scenes that it has opened; see `io.run.prepared`."""
    _hashed: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict, repr=False, compare=False)
    """Stamp and SHA-256 of the files that this process has hashed, by name."""

    @cached_property
    def _records(self) -> RecordFiles:
        return RecordFiles(self.root / ".done")

    def path(self, *parts: str) -> Path:
        """Return a path below the run folder."""
        return self.root.joinpath(*parts)

    def scene_folder(self, scene_id: str) -> Path:
        """Return where the prepared rasters and labels of a scene lie."""
        return self.root / "prepared" / safe_name(scene_id)

    def probability(self, scene_id: str) -> Path:
        """Return where the probabilities of a scene lie."""
        return self.root / "probability" / f"{safe_name(scene_id)}.tif"

    def features(self, scene_id: str) -> Path:
        """Return where the polygons of a scene lie."""
        return self.root / "features" / f"{safe_name(scene_id)}.parquet"

    def untuned(self, scene_id: str, ending: str) -> Path:
        """Return where a held-out scene lies as the recipe makes it without what was tuned: `.tif` or `.parquet`."""
        return self.root / "untuned" / f"{safe_name(scene_id)}{ending}"

    def fold(self, number: int) -> Path:
        """Return where the models of a fold lie, one folder each; folds count from 1."""
        return self.root / "folds" / str(number)

    def out_of_fold(self, scene_id: str, views: int = 0) -> Path:
        """Return where the probabilities of a training scene lie, predicted by models that have not seen it.

        Args:
            scene_id: The scene.
            views: Number of views averaged; 0 for what `[predict]` says.
        """
        folder = self.root / "oof"
        return (folder / f"views{views}" if views else folder) / f"{safe_name(scene_id)}.tif"

    def _repr_html_(self) -> str:
        from landscribe.io.run.shown import show_run  # which needs this module

        return show_run(self)

    def records(self, stage: str) -> dict[str, Record]:
        """Return the records of a stage by item.

        Raises:
            IntegrityError: If one is damaged; one that vanishes meanwhile is none.
        """
        return self._records.of(stage)

    def is_current(self, stage: str, item: str, key: str) -> bool:
        """Tell whether an item was made from exactly this and its files are still there unchanged."""
        record = self.read_record(stage, item)
        if record is None or record.key != key:
            return False
        return self._reads_as_recorded(record) and all(self._is_intact(name, record) for name in record.outputs)

    def read_record(self, stage: str, item: str) -> Record | None:
        """Return the record of one item, or None."""
        return self._records.read(stage, item)

    def write_record(self, record: Record) -> None:
        """Write the record of a finished item; its outputs must be in place."""
        self._records.write(record)

    def forget(self, stage: str, item: str) -> None:
        """Remove the record of an item that is about to be made anew, so that no half of it counts."""
        self._records.file(stage, item).unlink(missing_ok=True)

    def failures(self, stage: str) -> dict[str, str]:
        """Return what failed when a stage last tried it: item -> reason."""
        return read_failures(self._failures(stage))

    def note_failures(self, stage: str, tried: Iterable[str], failed: Mapping[str, str]) -> None:
        """Keep why items failed, for people and for the report, until they are tried again.

        Args:
            stage: Stage name.
            tried: Items that were tried now, or found up to date.
            failed: Those of them that failed, with the reason.
        """
        write_failures(self._failures(stage), tried, failed)

    def require(self, stage: str, items: Iterable[str] | None = None) -> dict[str, Record]:
        """Return a stage's records, or say which stage has to run first.

        Raises:
            DataError: If the stage has no record, or none for one of `items`.
        """
        records = self.records(stage)
        missing = [item for item in (items or ()) if item not in records]
        if not records or missing:
            what = f"nothing of stage {stage!r}" if not missing else f"stage {stage!r} lacks {', '.join(missing[:5])}"
            raise DataError(problem(str(self.root), what, do=f"run `landscribe {stage}` first"))
        return records

    def checked(self, path: Path) -> Path:
        """Return an output that is to be read, once all of it was compared with its record.

        What was hashed by this process and has kept its stamp is not hashed again. The item that is worked on is noted
        to have read it.

        Raises:
            IntegrityError: If no record names the file, or it is not what its record says.
        """
        name = path.relative_to(self.root).as_posix()
        record = self._records.naming(name)
        if record is None:
            do = "run the stage that makes it again"
            raise IntegrityError(problem(str(path), "no record names this file", do=do))
        self._require(name, record.outputs[name], record.stage)
        noted = reads.get()
        if noted is not None:
            noted[name] = record.outputs[name]
        return path

    def source_digest(self, path: Path, known: Mapping[str, tuple[tuple[int, ...], str]] = MappingProxyType({})) -> str:
        """Return the SHA-256 of a file that is not of the run, hashed unless `known`, as `Record.sources`, has it."""
        stamp, name = stamp_of(path), f"source {path}"
        for before in (known.get(str(path)), self._hashed.get(name)):
            if before is not None and before[0] == stamp:
                return before[1]
        digest = file_digest(path)
        self._hashed[name] = stamp, digest
        return digest

    def require_unchanged(self, names: Mapping[str, str]) -> None:
        """Refuse files that were read and are not what they were then.

        Args:
            names: Path below the run folder -> SHA-256.

        Raises:
            IntegrityError: With the first of them.
        """
        for name, digest in names.items():
            record = self._records.naming(name)
            if record is None or record.stamps.get(name) != stamp_of(f"{self.root}/{name}"):
                self._require(name, digest, "" if record is None else record.stage)

    def changed(self, record: Record) -> list[str]:
        """Return the outputs of an item that are there and are not what was written."""
        return [n for n in record.outputs if (self.root / n).is_file() and not self._is_intact(n, record)]

    def know(self, record: Record) -> None:
        """Keep the digests of what this process has just written, so that it need not hash it again."""
        self._hashed.update({name: (record.stamps[name], digest) for name, digest in record.outputs.items()})

    def renew_stamps(self, record: Record) -> Record:
        """Note that outputs of other stamps have their content still, as after a copy, so that none is hashed again."""
        stamps = {name: stamp_of(f"{self.root}/{name}") or () for name in record.outputs}
        if stamps == record.stamps:
            return record
        self.write_record(replace(record, stamps=stamps))
        return replace(record, stamps=stamps)

    def write_manifest(self, *, unless_there: bool = False) -> None:
        """Write `manifest.json` from the records; or only where there is none, since nothing has changed."""
        if unless_there and (self.root / MANIFEST).is_file():
            return
        said = {file.name: self.failures(file.name) for file in sorted((self.root / ".failed").glob("*"))}
        stages = (
            (stage, {item: {**record.__dict__, "notes": list(record.notes)} for item, record in records.items()})
            for stage, records in ((stage, self.records(stage)) for stage in self._records.stages())
        )
        failed = {stage: reasons for stage, reasons in said.items() if reasons}
        write_manifest(self.root / MANIFEST, stages, failed)

    def _failures(self, stage: str) -> Path:
        return self.root / ".failed" / stage

    def _is_intact(self, name: str, record: Record) -> bool:
        stamp = stamp_of(f"{self.root}/{name}")
        if not stamp:
            return False
        # Size and times first, since hashing ten thousand scenes at each start would take hours. The time of the entry
        # tells what a program hides that puts the other one back; whoever reads the file hashes it in any case.
        return record.stamps.get(name) == stamp or self._digest(name, stamp) == record.outputs[name]

    def _reads_as_recorded(self, record: Record) -> bool:
        """Tell whether what an item was made from is what the records of other stages say now."""
        makers = {name: self._records.naming(name) for name in record.inputs}
        return all(maker is not None and maker.outputs[n] == record.inputs[n] for n, maker in makers.items())

    def _require(self, name: str, digest: str, stage: str) -> None:
        path = f"{self.root}/{name}"
        stamp = stamp_of(path)
        if not stamp:
            raise IntegrityError(problem(path, "missing", do=f"run `landscribe {stage}` again"))
        if self._digest(name, stamp) != digest:
            what = "is not what was written: damaged, or changed by another program"
            raise IntegrityError(problem(path, what, do=f"run `landscribe {stage}` again"))

    def _digest(self, name: str, stamp: tuple[int, ...]) -> str:
        known = self._hashed.get(name)
        if known is None or known[0] != stamp:
            known = stamp, file_digest(self.root / name)
            self._hashed[name] = known
        return known[1]


def open_run(root: str | Path) -> Run:
    """Open or begin a run folder and remove what killed processes left in it.

    Examples:
        >>> ls.open_run("runs/city").path("score.json").is_file()
        True
    """
    root = Path(root)
    if root.exists() and not root.is_dir():
        raise DataError(problem(str(root), "is a file", need="a folder for the run"))
    root.mkdir(parents=True, exist_ok=True)
    if is_first_process():  # what looks like a leftover to another one may be what the first is writing
        sweep_partials(root)
    return Run(root)


def is_first_process() -> bool:
    """Tell whether this process writes: the only one, or the first of those that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def make_key(code: int, /, **parts: Any) -> str:
    """Return a digest of plain values: settings, digests of inputs, the `FORMAT` of the code that works on them."""
    text = json.dumps({"code": code, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def make_item(
    run: Run, stage: str, item: str, key: str, make: Callable[[], Made], *, force: bool = False
) -> tuple[Record, bool]:
    """Make one item of a stage unless it is up to date, and record it.

    Args:
        run: The run folder.
        stage: Stage name.
        item: Scene id, model name, or ``all``.
        key: Digest of everything the item depends on.
        make: Does the work; returns what it wrote.
        force: Make it even if it is up to date.

    Returns:
        The record, and whether work was done.
    """
    if not force and run.is_current(stage, item, key):
        record = run.read_record(stage, item)
        if record is not None:
            run.require_unchanged(record.inputs)
            return run.renew_stamps(record), False
    run.forget(stage, item)
    begin = time.perf_counter()
    token = reads.set({})
    try:
        made = make()
        inputs = dict(reads.get() or {})
    finally:
        reads.reset(token)
    run.require_unchanged(inputs)
    record = note_made(run, stage, item, key, made, inputs, seconds=round(time.perf_counter() - begin, 3))
    return record, True


def note_made(
    run: Run,
    stage: str,
    item: str,
    key: str,
    made: Made,
    inputs: Mapping[str, str] = MappingProxyType({}),
    seconds: float = 0.0,
) -> Record:
    """Write the record of what was made.

    Args:
        run: The run folder.
        stage: Stage name.
        item: Scene id, model name, or ``all``.
        key: Digest of everything the item depends on.
        made: What was written.
        inputs: What was read: path below the run folder -> SHA-256.
        seconds: How long it took.
    """
    names = {path.relative_to(run.root).as_posix(): path for path in made.outputs}
    outputs = {name: file_digest(path) for name, path in names.items()}
    stamps = {name: stamp_of(path) for name, path in names.items()}
    record = Record(stage, item, key, outputs, stamps, dict(inputs), made.counts, made.notes, seconds, made.sources)
    run.write_record(record)
    run.know(record)
    return record
