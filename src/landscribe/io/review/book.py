"""The review of one scene while it is edited: rows in memory, a journal, and the GeoPackage that it is folded into."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyproj import CRS

from landscribe.core.legend import Legend
from landscribe.errors import DataError, LandscribeError, problem
from landscribe.io.digests import stamp_of
from landscribe.io.names import safe_name
from landscribe.io.review.found import to_crs
from landscribe.io.review.journal import Journal
from landscribe.io.review.reading import read_review
from landscribe.io.review.rows import Row, from_plain, review_of, rows_of, to_plain
from landscribe.io.review.writing import write_review

QUIET_S, MOST_LINES = 2.0, 200
"""The journal is folded in after so long without an edit, or after so many edits."""
OTHER = "was changed by another program meanwhile"


@dataclass
class Book:
    """What is said of one scene. Whoever calls holds no lock; each call takes its own."""

    folder: Path
    scene: str
    run: str
    legend: Legend
    crs: CRS | None
    can_write: bool
    rows: dict[str, Row] = field(default_factory=dict)
    revision: int = 0
    notes: list[str] = field(default_factory=list)
    """What was mended, or could not be done, one line each."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _folded: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """What the GeoPackage says, as it was last read or written."""
    _stamp: tuple[int, ...] = ()
    _lines: int = 0
    _last: float = 0.0

    @property
    def path(self) -> Path:
        """The GeoPackage."""
        return self.folder / f"{safe_name(self.scene)}.gpkg"

    @property
    def journal(self) -> Journal:
        """What was said since the GeoPackage was written."""
        return Journal(self.folder / f".{safe_name(self.scene)}.journal")

    def open(self) -> None:
        """Read what there is: the GeoPackage, and what the journal says beyond it.

        Raises:
            DataError: If the GeoPackage is no review.
        """
        lines, bad = self.journal.read()
        if bad:
            self.notes.append(f"{bad} half line of the journal left out: it was never acknowledged")
        head = lines[0] if lines and "rows" not in lines[0] else {}
        self.revision = int(head.get("revision", 0))
        known: Mapping[str, int] = head.get("revisions", {})
        self._read_file()
        self.rows = {name: replace(row, revision=known.get(name, self.revision)) for name, row in self.rows.items()}
        for values in lines:
            for plain in values.get("rows", ()):
                self._put(from_plain(plain))
            self.revision = max(self.revision, int(values.get("revision", 0)))
        self._lines = sum("rows" in values for values in lines)

    def edit(self, wanted: Iterable[tuple[Row, int]]) -> tuple[list[Row], list[Row]]:
        """Take edits over, on the disk when this returns.

        Args:
            wanted: Each row, and the revision of it that its author knew, 0 for none.

        Returns:
            Rows as they are now, and those of others that stand against an edit, which was not taken.

        Raises:
            OSError: If the journal cannot be written; then nothing was taken over.
        """
        with self.lock:
            self.look_again()
            new, against, edits = [], [], list(wanted)
            for row, knew in edits:
                there = self.rows.get(row.id)
                if there is not None and there.says == row.says:
                    continue
                if (0 if there is None else there.revision) != knew:
                    against.append(there or replace(row, geometry=None))
                    continue
                new.append(replace(row, revision=self.revision + 1))
            if new:
                self.journal.append({"revision": self.revision + 1, "rows": [to_plain(row) for row in new]})
                self.revision += 1
                self._lines += 1
                for row in new:
                    self._put(row)
            self._last = time.monotonic()
            return [self.rows[row.id] for row, _ in edits if row.id in self.rows], against

    def since(self, revision: int) -> tuple[int, list[Row]]:
        """Return the revision, and the rows that changed since another one."""
        with self.lock:
            self.look_again()
            return self.revision, [row for row in self.rows.values() if row.revision > revision]

    def fold_if_due(self) -> None:
        """Write the GeoPackage once nobody has edited for a moment, or much has come together."""
        if self._lines and (self._lines >= MOST_LINES or time.monotonic() - self._last > QUIET_S):
            self.fold()

    def fold(self) -> None:
        """Write the GeoPackage and begin a new journal; a kill in between does no harm, since edits can be repeated."""
        with self.lock:
            if not self._lines or not self.can_write or not self.folder.parent.is_dir():
                return
            try:
                self.look_again()
                if self.path.with_name(f"{self.path.name}-wal").exists():
                    do = "close it there; edits are kept in the journal until then"
                    raise DataError(problem(str(self.path), "another program has it open", do=do))
                write_review(self.path, review_of(self.rows.values(), self.scene, self.run, self.crs), self.legend)
                self._stamp = self._stamp_now()
                self._folded = {name: row.says for name, row in self.rows.items() if row.geometry is not None}
                revisions = {name: row.revision for name, row in self.rows.items()}
                self.journal.restart({"revision": self.revision, "revisions": revisions})
                self._lines = 0
            except (OSError, LandscribeError) as error:
                self._note(f"{error}" if isinstance(error, LandscribeError) else problem(str(self.path), str(error)))
                self._last = time.monotonic()

    def look_again(self) -> None:
        """Take over what another program changed in the GeoPackage meanwhile; what was changed here too stays."""
        with self.lock:
            stamp = self._stamp_now()
            if stamp == self._stamp:
                return
            if not stamp:  # somebody took the file away: what was said is still known here
                self._stamp, self._folded, self._lines = (), {}, self._lines + 1
                self._note(problem(str(self.path), "has vanished", do="it will be written again"))
                return
            mine, base = dict(self.rows), dict(self._folded)
            try:
                self._read_file()
            except LandscribeError as error:
                self.rows, self._stamp = mine, self._stamp_now()
                self._note(str(error))
                return
            theirs = self.rows
            self.rows, self.revision = mine, self.revision + 1
            for name in {*base, *theirs}:
                row = theirs.get(name)
                there = None if row is None else row.says
                if there == base.get(name):
                    continue
                own = mine.get(name)
                if own is not None and (None if own.geometry is None else own.says) not in (base.get(name), there):
                    self._note(problem(f"{self.path}, {name}", OTHER, do="what was said here stays"))
                elif row is not None:
                    self._put(replace(row, revision=self.revision))
                elif own is not None:
                    self._put(replace(own, geometry=None, revision=self.revision))

    def _stamp_now(self) -> tuple[int, ...]:
        return stamp_of(self.path) if self.folder.is_dir() else ()

    def _put(self, row: Row) -> None:
        if row.kind == "looked" and row.geometry is not None:
            # The file gives areas no names: one that was read from there goes by its shape.
            same = [n for n, r in self.rows.items() if n != row.id and r.kind == "looked" and r.says == row.says]
            for name in same:
                del self.rows[name]
        self.rows[row.id] = row

    def _read_file(self) -> None:
        self._stamp = self._stamp_now()
        self.rows = {}
        if self._stamp:
            review = read_review(self.path, self.legend)
            if review.crs is not None and self.crs is not None:
                review = to_crs(review, self.crs)
            self.notes += [note for note in review.notes if note not in self.notes]
            self.rows = {row.id: row for row in rows_of(review, self.scene)}
        self._folded = {name: row.says for name, row in self.rows.items()}

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def to_state(self) -> dict[str, Any]:
        """Return what is told of the book beside its rows."""
        return {"revision": self.revision, "notes": self.notes[-5:], "unfolded": self._lines}
