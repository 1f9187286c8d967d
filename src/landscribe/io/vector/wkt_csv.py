"""CSV tables with one geometry per row as WKT: DSTL's labels and submissions, and any other.

Rows are read one after the other; a row that cannot be parsed is named by its number and the others are kept. Numbers
count as a spreadsheet does: the header is row 1.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import re
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import shapely

from landscribe.core.arrays import GeometryArray, IntArray
from landscribe.core.polygons.repair import repair, round_valid
from landscribe.core.polygons.rings import polygon_parts
from landscribe.errors import DataError, LimitError, problem
from landscribe.io.atomic import atomic_path
from landscribe.io.names import escape_cell, is_formula, unescape_cell
from landscribe.io.safety import require_local_file
from landscribe.io.vector.layer import MAX_NESTING, Layer, table_of
from landscribe.workers import free_memory_bytes, stop_if_asked

HEADER = ("ImageId", "ClassType", "MultipolygonWKT")
TABLES = (".csv", ".csv.gz", ".csv.zip")
"""Endings of tables that are read."""
GEOMETRY_COLUMNS = ("wkt", "geometry", "geom", "the_geom", "wkt_geom", "multipolygonwkt")
BATCH_CHARACTERS = 32 << 20
MAX_LINE = 1 << 28
R = TypeVar("R", bound=tuple[Any, ...])
ROWS_NAMED = 20
ALL_DECIMALS = 30
"""Enough for GEOS to write the shortest text that reads back to the same bits; its -1 stops at 16 decimals."""
COLLECTION = re.compile("GEOMETRYCOLLECTION", re.IGNORECASE)

_limits: list[int] = []
"""What the csv module was limited to before each of the tables that are being read."""
_limits_lock = threading.Lock()


@dataclass(frozen=True)
class WktRows:
    """The rows of a DSTL table that could be read, in file order."""

    ids: list[str]
    class_ids: IntArray
    geometries: GeometryArray
    """As they stand in the file: valid or not, empty or not."""
    problems: list[str] = field(default_factory=list)
    """One line per row that could not be read."""


def is_dstl_table(path: Path) -> bool:
    """Say whether a table has the columns ImageId, ClassType, MultipolygonWKT.

    Raises:
        DataError: If it cannot be read or has no header.
    """
    with open_rows(path) as (header, _):
        return set(HEADER) <= set(header)


def read_wkt_csv(path: Path) -> WktRows:
    """Read a table with the columns ImageId, ClassType, MultipolygonWKT, plain or packed.

    Args:
        path: `.csv`, `.csv.gz` or `.csv.zip`.

    Raises:
        DataError: If it is no such table.
        LimitError: If it unpacks to more than half of the free memory.
    """
    image_ids: list[str] = []
    class_ids: list[int] = []
    parts: list[GeometryArray] = []
    problems: list[tuple[int, str]] = []
    with open_rows(path) as (header, rows):
        if any(name not in header for name in HEADER):
            raise DataError(problem(str(path), "wrong header", got=header[:5], need=", ".join(HEADER)))
        places = [header.index(name) for name in HEADER]
        for batch in batches(dstl_cells(rows, places, len(header), problems)):
            geometries = parse([(row, text) for row, _, _, text in batch], problems)
            good = np.flatnonzero(~shapely.is_missing(geometries))
            image_ids += [batch[k][1] for k in good]
            class_ids += [batch[k][2] for k in good]
            parts.append(geometries[good])
    joined = np.concatenate(parts) if parts else np.empty(0, dtype=object)
    lines = [f"row {row}: {what}" for row, what in sorted(problems)]
    return WktRows(image_ids, np.array(class_ids, dtype=np.int32), joined, lines)


def write_wkt_csv(path: Path, rows: Iterable[tuple[str, int, GeometryArray]], *, decimals: int | None = None) -> None:
    """Write a DSTL table, gzipped where the name ends in `.gz`; a row without polygons says MULTIPOLYGON EMPTY.

    Args:
        path: The file; whole or not at all.
        rows: Image id, class id, and the polygons of that class in that image, none to many.
        decimals: Decimals of the coordinates; None keeps all digits. The MultiPolygon of a row is valid as written.

    Raises:
        DataError: If an id could be a formula to a spreadsheet or has a line break.
    """
    with atomic_path(path) as temporary, create_text(temporary) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for image_id, class_id, geometries in rows:
            if is_formula(image_id) or not image_id.isprintable():
                raise DataError(problem(path.name, "image id that no table should hold", got=repr(image_id)))
            text = shapely.to_wkt(_one(geometries, decimals), rounding_precision=_precision(decimals), trim=True)
            writer.writerow((image_id, class_id, text))


def read_csv_layer(path: Path) -> Layer:
    """Read any table with a column of WKT; its polygons, and the other columns as text.

    Args:
        path: `.csv` or `.csv.gz`; the geometry column is called `WKT`, `geometry`, `geom` or `MultipolygonWKT`.

    Raises:
        DataError: If there is no such column.
        LimitError: If it unpacks to more than half of the free memory.
    """
    counts: Counter[str] = Counter()
    problems: list[tuple[int, str]] = []
    kept: list[list[str]] = []
    parts: list[GeometryArray] = []
    with open_rows(path) as (header, rows):
        place = next((k for k, name in enumerate(header) if name.lower() in GEOMETRY_COLUMNS), None)
        if place is None:
            raise DataError(problem(str(path), "no column of WKT", got=header[:20], need="WKT or geometry"))
        for batch in batches(_whole_rows(rows, len(header), place, problems)):
            geometries = parse([(row, text) for row, _, text in batch], problems)
            good = np.flatnonzero(~shapely.is_missing(geometries))
            kept += [batch[k][1] for k in good]
            parts.append(geometries[good])
    counts.update(f"row {row}: {what}" for row, what in sorted(problems)[:ROWS_NAMED])
    if len(problems) > ROWS_NAMED:
        counts["further rows that cannot be parsed"] = len(problems) - ROWS_NAMED
    columns = {name: [unescape_cell(cells[k]) for cells in kept] for k, name in enumerate(header) if k != place}
    joined = np.concatenate(parts) if parts else np.empty(0, dtype=object)
    return Layer(joined, table_of(columns, len(kept), "string"), tuple(columns), None, False, counts)


def write_csv_layer(path: Path, columns: dict[str, Sequence[object]], geometries: GeometryArray) -> None:
    """Write columns and a last column `WKT`; text that a spreadsheet could take for a formula gets an apostrophe."""
    with atomic_path(path) as temporary, create_text(temporary) as file:
        writer = csv.writer(file)  # ends lines as RFC 4180, which quotes either half of that in a cell
        writer.writerow((*columns, "WKT"))
        texts = shapely.to_wkt(geometries, rounding_precision=ALL_DECIMALS, trim=True)
        for *cells, text in zip(*columns.values(), texts, strict=True):
            writer.writerow([*(escape_cell(c) if isinstance(c, str) else c for c in cells), text])


@contextlib.contextmanager
def long_cells() -> Iterator[None]:
    """Let cells have up to `MAX_LINE` characters while tables are read; DSTL's have millions.

    The csv module has one limit for the whole process, by default 131,072; the last one out puts it back.
    """
    with _limits_lock:
        _limits.append(csv.field_size_limit(MAX_LINE))
    try:
        yield
    finally:
        with _limits_lock:
            before = _limits.pop()
            if not _limits:
                csv.field_size_limit(before)


def is_table(path: Path) -> bool:
    """Say whether a file is a table by its ending, packed or not."""
    return path.name.lower().endswith(TABLES)


def has_wkt(path: Path) -> bool:
    """Say whether a file is a table with a column of WKT."""
    try:
        with open_rows(path) as (header, _):
            return any(map(_is_geometry, header))
    except (DataError, LimitError):
        return False


def _is_geometry(name: str) -> bool:
    return name.strip(' "\r\n').lower() in GEOMETRY_COLUMNS


@contextlib.contextmanager
def open_rows(path: Path) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
    """Open a table, plain, gzipped or alone in a zip archive: its header, and its other rows as number and cells.

    Cells are parted by commas, or by the semicolons or tabs of spreadsheets where the header has a column of WKT so.

    Raises:
        DataError: If it cannot be read or has no header.
        LimitError: If it unpacks to more than half of the free memory.
    """
    require_local_file(path)
    with long_cells(), _open_text(path) as text:
        try:
            lines = _lines(text, path)
            first = next(lines, "")
            delimiter = next((sign for sign in ",;\t" if any(map(_is_geometry, first.split(sign)))), ",")
            reader = enumerate(csv.reader(chain([first], lines), delimiter=delimiter), start=1)
            _, header = next(reader, (0, []))
            if not header:
                raise DataError(problem(str(path), "no header"))
            yield header, reader
        except (csv.Error, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise DataError(problem(str(path), "not a readable table", got=str(error))) from error


@contextlib.contextmanager
def _open_text(path: Path) -> Iterator[IO[str]]:
    suffix = path.suffix.lower()
    if suffix != ".zip":
        start = gzip.open if suffix == ".gz" else open
        with start(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as text:
            yield text
        return
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            packed = stack.enter_context(archive.open(_only_table(archive, path)))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # broken, odd packing, a password
            what = "not a readable zip archive"
            raise DataError(problem(str(path), what, got=str(error), do="unpack it")) from error
        yield stack.enter_context(io.TextIOWrapper(packed, encoding="utf-8-sig", errors="replace", newline=""))


def _only_table(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    inside = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".csv")]
    tables = [entry for entry in inside if not entry.filename.startswith("__MACOSX/")]
    if len(tables) != 1:
        got = ", ".join(entry.filename for entry in tables[:5]) or "none"
        raise DataError(problem(str(path), "not one table in the zip archive", got=got, do="unpack it"))
    return tables[0]


def _lines(text: IO[str], path: Path) -> Iterator[str]:
    left = limit = free_memory_bytes() // 2
    while line := text.readline(MAX_LINE):
        stop_if_asked()
        left -= len(line)
        if left < 0 or (len(line) == MAX_LINE and not line.endswith("\n")):
            got = "a line" if left >= 0 else "a table"
            raise LimitError(problem(str(path), f"{got} too long", need=f"at most {min(limit, MAX_LINE)} characters"))
        yield line


def dstl_cells(
    rows: Iterator[tuple[int, list[str]]], places: list[int], width: int, problems: list[tuple[int, str]]
) -> Iterator[tuple[int, str, int, str]]:
    """Yield row number, image id, class id and WKT of each row that has them; the others join `problems`."""
    id_place, class_place, wkt_place = places
    for row, cells, text in _whole_rows(rows, width, wkt_place, problems):
        try:
            class_id = int(cells[class_place])
        except ValueError:
            problems.append((row, f"ClassType is not a whole number: {cells[class_place][:30]!r}"))
            continue
        yield row, cells[id_place], class_id, text


def _whole_rows(
    rows: Iterator[tuple[int, list[str]]], width: int, wkt_place: int, problems: list[tuple[int, str]]
) -> Iterator[tuple[int, list[str], str]]:
    for row, cells in rows:
        if not cells:
            continue  # a blank line
        if len(cells) != width:
            problems.append((row, f"{len(cells)} cells instead of {width}; WKT has to stand in quotes"))
            continue
        yield row, cells, cells[wkt_place]


def batches(rows: Iterator[R]) -> Iterator[list[R]]:
    """Put rows, whose last cell is text, into lists of some 30 MB."""
    batch: list[R] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(row[-1])
        if characters > BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def parse(numbered: list[tuple[int, str]], problems: list[tuple[int, str]]) -> GeometryArray:
    """Parse WKT, flat; what cannot be parsed or is not finite is None and joins `problems` with its row."""
    texts = np.empty(len(numbered), dtype=object)
    for k, (row, text) in enumerate(numbered):
        # Only collections are parsed by recursion, which a deep one brings down with the process.
        if len(COLLECTION.findall(text)) > MAX_NESTING:
            problems.append((row, "collections nested too deeply"))
        else:
            texts[k] = text
    with np.errstate(invalid="ignore"):  # GEOS compares numbers that are none
        geometries: GeometryArray = shapely.force_2d(shapely.from_wkt(texts, on_invalid="ignore"))
    unread = np.flatnonzero(shapely.is_missing(geometries))
    problems.extend((numbered[k][0], _why(texts[k])) for k in unread if texts[k] is not None)
    points_xy, owner = shapely.get_coordinates(geometries, return_index=True)
    for k in np.unique(owner[~np.isfinite(points_xy).all(axis=1)]):
        problems.append((numbered[k][0], "coordinates are not finite"))
        geometries[k] = None
    return geometries


def _why(text: str) -> str:
    if not text.strip():
        return "no geometry"
    if "\n" in text:
        return f"{text.count(chr(10)) + 1} lines read as one cell; is a quote not closed?"
    try:
        shapely.from_wkt(text)
    except shapely.errors.GEOSException as error:
        return f"not WKT: {' '.join(str(error).split())[:120]}"
    except UnicodeDecodeError:
        return "not WKT"  # GEOS cut its own message in the middle of a letter
    return "not WKT"


def _one(geometries: GeometryArray, decimals: int | None) -> shapely.MultiPolygon:
    parts, _ = polygon_parts(geometries)
    whole = np.array([shapely.MultiPolygon(list(parts))], dtype=object)
    if len(parts):
        whole, _ = repair(whole)  # polygons that overlap make no valid MultiPolygon
        if decimals is not None:
            whole, _ = round_valid(whole, decimals)
    return shapely.MultiPolygon(list(polygon_parts(whole)[0]))


def _precision(decimals: int | None) -> int:
    return ALL_DECIMALS if decimals is None else decimals


@contextlib.contextmanager
def create_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file to write, gzipped where the name ends in `.gz`."""
    if path.suffix.lower() != ".gz":
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    # No name and no time in the gzip header: the same rows make the same bytes.
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
    ):
        yield file
