"""DSTL submissions as they stand in files: rows as text, and a check that names each bad row.

Merging works on the text of rows, so that what it keeps is kept to the last digit. Rows count as in a spreadsheet: the
header is row 1.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from landscribe.errors import DataError, problem
from landscribe.io.atomic import atomic_path
from landscribe.io.vector.wkt_csv import HEADER, batches, create_text, dstl_cells, open_rows, parse

EMPTY = "MULTIPOLYGON EMPTY"
Key = tuple[str, int]
"""Image id and ClassType (from 1)."""
DECIMALS = re.compile(r"\.(\d+)")
BEYOND = 0.1
"""Polygons may reach this share of an image's side beyond its frame; more is another unit or sign."""


@dataclass(frozen=True)
class SubmissionCheck:
    """What a check found."""

    problems: list[str]
    """One line per bad row or fact; empty where all is well."""
    rows: int = 0
    filled: int = 0
    """Rows with polygons."""
    polygons: int = 0
    vertices: int = 0
    decimals: int = 0
    """Most decimals of a coordinate."""
    bytes: int = 0
    """Size of the file as it stands."""


def is_empty(text: str) -> bool:
    """Tell whether a row's WKT says "no polygons", by whatever type."""
    return text.strip().upper().endswith("EMPTY")


def read_texts(path: Path) -> dict[Key, str]:
    """Read a submission as text, in file order.

    Args:
        path: `.csv` or `.csv.gz`.

    Raises:
        DataError: If it is no submission, or a row cannot be told from its neighbours or occurs twice.
        LimitError: If it unpacks to more than half of the free memory.
    """
    problems: list[tuple[int, str]] = []
    texts: dict[Key, str] = {}
    for row, image_id, class_id, text in _rows(path, problems):
        if (image_id, class_id) in texts:
            problems.append((row, f"image {image_id!r}, class {class_id} a second time"))
        texts[image_id, class_id] = text
    if problems:
        first = "; ".join(f"row {row}: {what}" for row, what in sorted(problems)[:5])
        raise DataError(problem(str(path), f"{len(problems)} bad rows: {first}"))
    return texts


def write_texts(path: Path, rows: Iterable[tuple[str, int, str]]) -> None:
    """Write rows of image id, class id and WKT as they are, gzipped where the name ends in `.gz`."""
    with atomic_path(path) as temporary, create_text(temporary) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(rows)


def has_polygons(path: Path) -> bool:
    """Tell whether any row of a submission that we wrote has a polygon."""
    return any(not is_empty(text) for text in read_texts(path).values())


def check_submission(
    path: Path,
    asked: Sequence[Key] | None = None,
    *,
    decimals: int | None = None,
    max_bytes: int | None = None,
    frames: Mapping[str, tuple[float, float]] | None = None,
) -> SubmissionCheck:
    """Check a submission: header, rows and their order, spelling, geometry as it stands after rounding, size.

    Args:
        path: `.csv` or `.csv.gz`.
        asked: The sample's rows in order; None does not look at which rows there are.
        decimals: Most decimals that a coordinate may have; more are named, and validity is looked at after rounding to
            them. None takes the digits as they are.
        max_bytes: Largest file; None for no limit.
        frames: Image id -> Xmax, Ymin, to find polygons in another unit or of another sign.

    Raises:
        DataError: If the file cannot be read at all.
        LimitError: If it unpacks to more than half of the free memory.
    """
    problems: list[tuple[int, str]] = []
    keys: dict[int, Key] = {}
    totals = Counter[str]()
    with open_rows(path) as (header, rows):
        if tuple(header) != HEADER:
            got, need = ",".join(header)[:80], ",".join(HEADER)
            raise DataError(problem(path.name, "row 1: wrong header", got=got, need=need))
        for batch in batches(dstl_cells(rows, [0, 1, 2], len(HEADER), problems)):
            keys.update({row: (image_id, class_id) for row, image_id, class_id, _ in batch})
            geometries = parse([(row, text) for row, _, _, text in batch], problems)
            for (row, image_id, _, text), geometry in zip(batch, geometries, strict=True):
                if geometry is None:
                    continue
                most = _decimals(text)
                totals["decimals"] = max(totals["decimals"], most)
                round_to = decimals if decimals is not None and most > decimals else None
                said = [*_spelling(text, geometry), *_geometry(geometry, round_to)]
                if round_to is not None:
                    said.append(f"coordinates with {most} decimals, at most {round_to} are asked for")
                if frames is not None:
                    said += _outside(geometry, frames.get(image_id))
                problems += [(row, what) for what in said]
                totals["filled"] += not geometry.is_empty
                totals["polygons"] += 0 if geometry.is_empty else shapely.get_num_geometries(geometry)
                totals["vertices"] += shapely.get_num_coordinates(geometry)
    lines = [f"row {row}: {what}" for row, what in sorted(problems)]
    if asked is not None:
        lines += _order(keys, asked)
    size = path.stat().st_size
    if max_bytes is not None and size > max_bytes:
        lines.append(problem(path.name, "too large", got=f"{size} bytes", need=f"at most {max_bytes}"))
    return SubmissionCheck(lines, len(keys), **totals, bytes=size)


def _spelling(text: str, geometry: shapely.Geometry) -> list[str]:
    if geometry.is_empty:
        return [] if text == EMPTY else [f"no polygons spelled {text[:40]!r}, not {EMPTY!r}"]
    return [] if geometry.geom_type == "MultiPolygon" else [f"a {geometry.geom_type}, not a MultiPolygon"]


def _geometry(geometry: shapely.Geometry, round_to: int | None) -> list[str]:
    if round_to is None:
        return [] if geometry.is_valid else [shapely.is_valid_reason(geometry)]
    if not geometry.is_valid:
        return [shapely.is_valid_reason(geometry)]
    rounded = shapely.transform(geometry, lambda xy: np.round(xy, round_to))
    return [] if rounded.is_valid else [f"after rounding to {round_to} decimals: {shapely.is_valid_reason(rounded)}"]


def _outside(geometry: shapely.Geometry, frame: tuple[float, float] | None) -> list[str]:
    if frame is None or geometry.is_empty:
        return []
    x_max, y_min = frame
    left, bottom, right, top = geometry.bounds
    fits_x = left >= -BEYOND * x_max and right <= (1 + BEYOND) * x_max
    fits_y = bottom >= (1 + BEYOND) * y_min and top <= -BEYOND * y_min
    said = f"x {left:g} to {right:g} of 0 to {x_max:g}, y {bottom:g} to {top:g} of {y_min:g} to 0"
    return [] if fits_x and fits_y else [f"outside of its image: {said}"]


def _decimals(text: str) -> int:
    return max((len(digits) for digits in DECIMALS.findall(text)), default=0)


def _order(keys: Mapping[int, Key], asked: Sequence[Key]) -> list[str]:
    """Compare the rows that are there with the sample's."""
    rows_of: dict[Key, list[int]] = {}
    for row, key in keys.items():
        rows_of.setdefault(key, []).append(row)
    wanted = set(asked)
    lines = [] if len(keys) == len(asked) else [problem("rows", "wrong number", got=len(keys), need=len(asked))]
    lines += [f"row {rows[0]}: {_name(key)} is not in the sample" for key, rows in rows_of.items() if key not in wanted]
    lines += [f"row {row}: {_name(key)} a second time" for key, rows in rows_of.items() for row in rows[1:]]
    lines += [f"{_name(key)} is missing" for key in asked if key not in rows_of]
    place = {key: k for k, key in enumerate(asked)}
    last = -1
    for row, key in keys.items():
        if key in place and row == rows_of[key][0]:
            if place[key] < last:
                lines.append(f"row {row}: {_name(key)} is out of order")
            last = max(last, place[key])
    return lines


def _name(key: Key) -> str:
    return f"image {key[0]!r}, class {key[1]}"


def _rows(path: Path, problems: list[tuple[int, str]]) -> Iterator[tuple[int, str, int, str]]:
    with open_rows(path) as (header, rows):
        if any(name not in header for name in HEADER):
            raise DataError(problem(str(path), "wrong header", got=",".join(header[:5]), need=",".join(HEADER)))
        yield from dstl_cells(rows, [header.index(name) for name in HEADER], len(header), problems)
