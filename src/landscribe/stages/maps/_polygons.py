"""Polygons of a GeoParquet by the box that is looked at, the largest first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from landscribe.core.arrays import FloatArray, GeometryArray, IntArray
from landscribe.errors import DataError, problem
from landscribe.io.review.found_ids import blob_id
from landscribe.late import pyarrow
from landscribe.workers import free_memory_bytes

COLUMNS = ("class_id", "class_name", "score", "area")
BOX, GEOMETRY = "bbox", "geometry"
SHARE_KEPT, FLOOR_KEPT = 0.25, 1 << 28
"""Share of the free memory that tables may take which nobody looks at, and bytes that they may in any case."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Table:
    """The polygons of one file, by area from the largest down; shapes stay as they are packed until they are shown."""

    boxes: FloatArray
    """(4, N): left, bottom, right, top."""
    class_id: IntArray
    class_name: tuple[str, ...]
    """Of each class id that occurs, by its place in `named`."""
    named: IntArray
    score: FloatArray
    area: FloatArray
    order: IntArray
    """Row in the file of each polygon."""
    blobs: pyarrow.Array
    where: str

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return int(self.boxes.nbytes + self.area.nbytes * 5 + self.blobs.nbytes)

    def inside(self, box: Box) -> IntArray:
        """Return the numbers of the polygons whose box meets another one, the largest first."""
        left, bottom, right, top = box
        x0, y0, x1, y1 = self.boxes
        return np.flatnonzero((x0 <= right) & (x1 >= left) & (y0 <= top) & (y1 >= bottom))

    def shapes(self, numbers: IntArray) -> GeometryArray:
        """Return the geometries of polygons.

        Raises:
            DataError: If one cannot be read.
        """
        return self._read(self._blobs(numbers))

    def shapes_and_ids(self, numbers: IntArray) -> tuple[GeometryArray, list[str]]:
        """Return the geometries of found polygons, and their names.

        Raises:
            DataError: If one cannot be read.
        """
        blobs = self._blobs(numbers)
        return self._read(blobs), [blob_id(*pair) for pair in zip(self.names(numbers), blobs, strict=True)]

    def _blobs(self, numbers: IntArray) -> list[bytes]:
        blobs: list[bytes] = self.blobs.take(pyarrow.array(self.order[numbers])).to_pylist()
        return blobs

    def _read(self, blobs: list[bytes]) -> GeometryArray:
        try:
            shapes: GeometryArray = shapely.from_wkb(np.array(blobs, dtype=object))
        except (shapely.errors.GEOSException, TypeError) as error:
            raise DataError(problem(self.where, "damaged polygons", got=" ".join(str(error).split())[:100])) from None
        return shapes

    def names(self, numbers: IntArray) -> list[str]:
        """Return the classes of polygons."""
        return [self.class_name[k] for k in self.named[numbers].tolist()]


def read_table(path: Path) -> Table:
    """Read what `write_features` wrote as GeoParquet.

    Raises:
        DataError: If it is something else, or damaged.
    """
    where = str(path)
    try:
        content = pyarrow.parquet.read_table(
            path, columns=[*COLUMNS, BOX, GEOMETRY], read_dictionary=["class_name"], use_threads=True
        )
        lacking = [name for name in (*COLUMNS, GEOMETRY) if name not in content.column_names]
        if lacking:
            raise DataError(problem(where, "not features of Landscribe", got=f"no column {', '.join(lacking)}"))
        names = content["class_name"].unify_dictionaries().combine_chunks()
        names = names.chunk(0) if isinstance(names, pyarrow.ChunkedArray) else names
        area = _numbers(content, "area")
        order = np.argsort(-np.nan_to_num(area), kind="stable")
        # In one piece, from which single rows are taken in no time; of several all would be walked through.
        blobs = content[GEOMETRY].cast(pyarrow.large_binary()).combine_chunks()
        blobs = blobs if isinstance(blobs, pyarrow.Array) else pyarrow.concat_arrays(blobs.chunks)
        boxes = _boxes(content, blobs)
        return Table(
            boxes[:, order],
            _numbers(content, "class_id").astype(np.int64)[order],
            tuple(str(name) for name in names.dictionary.to_pylist()),
            names.indices.to_numpy(zero_copy_only=False).astype(np.int64)[order],
            _numbers(content, "score")[order],
            area[order],
            order,
            blobs,
            where,
        )
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, AttributeError) as error:
        got = " ".join(str(error).split())[:200]
        raise DataError(problem(where, "not a readable GeoParquet", got=got)) from None


def _numbers(content: pyarrow.Table, name: str) -> FloatArray:
    values: FloatArray = content[name].to_numpy().astype(np.float64)
    return values


def _boxes(content: pyarrow.Table, blobs: pyarrow.Array) -> FloatArray:
    if BOX not in content.column_names:
        return np.ascontiguousarray(shapely.bounds(shapely.from_wkb(np.array(blobs.to_pylist(), dtype=object))).T)
    box = content[BOX].combine_chunks()
    parts = box.chunks if isinstance(box, pyarrow.ChunkedArray) else [box]
    columns = [
        np.concatenate([np.asarray(part.field(name)) for part in parts] or [np.empty(0)])
        for name in ("xmin", "ymin", "xmax", "ymax")
    ]
    return np.array(columns, np.float64)


@dataclass(frozen=True)
class Tables:
    """Tables that were looked at, as many as memory allows."""

    _kept: OrderedDict[tuple[Path, tuple[int, ...]], Table] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, path: Path, stamp: tuple[int, ...]) -> Table:
        """Return the table of a file, read where it was not yet.

        Raises:
            DataError: If it cannot be read.
        """
        with self._lock:  # others wait for the same table rather than read it as well
            key = path, stamp
            if key not in self._kept:
                for old in [k for k in self._kept if k[0] == path]:
                    del self._kept[old]
                self._kept[key] = read_table(path)
                limit = max(FLOOR_KEPT, int(SHARE_KEPT * free_memory_bytes()))
                while len(self._kept) > 1 and sum(table.nbytes for table in self._kept.values()) > limit:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def columns_of(table: Table, numbers: IntArray, ids: Sequence[str] | None) -> dict[str, list[Any]]:
    """Return what is told of polygons beside their shape: class, score in thousandths or -1, area, id."""
    score = table.score[numbers]
    known = np.where(np.isfinite(score), np.rint(np.nan_to_num(score) * 1000), -1).astype(np.int64)
    areas = [float(f"{v:.3g}") for v in np.nan_to_num(table.area[numbers]).tolist()]
    columns: dict[str, list[Any]] = {"class": table.class_id[numbers].tolist(), "score": known.tolist(), "area": areas}
    return columns if ids is None else {**columns, "id": list(ids)}
