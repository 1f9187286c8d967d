"""YOLO segmentation: a text file per picture, a line per object, its class and corners as shares of the picture."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely

from landscribe.errors import DataError, problem
from landscribe.io.safety import check_size, require_local_file
from landscribe.io.vector.layer import Drawn, drawn_layer

LINE = re.compile(r"\s*\d+(\s+[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?){4,}\s*")
NAMES = ("classes.txt", "obj.names", "data.yaml", "data.yml", "dataset.yaml")
"""Files that say what the numbers of classes mean, in the order in which they are looked for."""
SLACK = 0.01
"""Corners may lie this far beyond the picture, for rounding."""
MEMORY_PER_BYTE = 20
MAX_NAMES_BYTES = 1 << 20


def looks_like_yolo(path: Path) -> bool:
    """Say whether a text file begins as labels of YOLO do: a whole number and at least four more on each line."""
    if path.suffix.lower() != ".txt":
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = [line for line in file.read(1 << 14).split("\n") if line.strip()]
    except OSError:
        return False
    # The last line may be cut.
    return bool(lines) and all(LINE.fullmatch(line) for line in lines[:-1] or lines)


def read_yolo(path: Path, names: tuple[str, ...] = ()) -> Drawn:
    """Read what was drawn on one picture; an empty file says that nothing is there.

    Args:
        path: The text file.
        names: Names of the classes by number from 0; a number without a name stands for itself.

    Raises:
        DataError: If it holds nothing but boxes, or is no such file.
        LimitError: If it is too large for the memory.
    """
    where = str(path)
    if path.stat().st_size:
        check_size(where, require_local_file(path) * MEMORY_PER_BYTE)
    counts: Counter[str] = Counter()
    geometries, categories = [], []
    lines = [line for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines() if line.strip()]
    for line in lines:
        cells = line.split()
        numbers = _numbers(cells[1:])
        if numbers is None or not cells[0].isdecimal():
            counts["malformed: a line is not a class and numbers"] += 1
        elif len(numbers) == 4:
            counts["boxes without an outline"] += 1
        elif len(numbers) < 6 or len(numbers) % 2:
            counts["malformed: a polygon is not three or more pairs of numbers"] += 1
        elif numbers.min() < -SLACK or numbers.max() > 1 + SLACK:
            counts["malformed: corners are no shares of the picture, 0 to 1"] += 1
        else:
            geometries.append(shapely.Polygon(numbers.reshape(-1, 2)))
            number = int(cells[0])
            categories.append(names[number] if number < len(names) else str(number))
    boxes = counts["boxes without an outline"]
    if boxes and not geometries:
        do = "draw outlines, or write the boxes as polygons if they are good enough"
        raise DataError(problem(where, f"{boxes} boxes and no outline", do=do))
    if lines and not geometries:
        raise DataError(
            problem(where, "not labels of YOLO", got=counts.most_common(1)[0][0], need="class x1 y1 x2 y2 ...")
        )
    return Drawn(drawn_layer(geometries, categories, counts), in_shares=True)


def find_names(folder: Path, root: Path) -> Path | None:
    """Look for the file that names the classes, in a folder and those above it up to a root."""
    for place in (folder, *folder.parents):
        for name in NAMES:
            if (place / name).is_file():
                return place / name
        if place == root:
            break
    return None


@lru_cache(maxsize=8)
def read_names(path: Path) -> tuple[str, ...]:
    """Read the names of classes by number: a name per line, or `names` of a YAML file.

    Raises:
        DataError: If the file cannot be read, or `names` is neither a list nor numbered.
    """
    if require_local_file(path) > MAX_NAMES_BYTES:
        raise DataError(problem(str(path), "too large for names of classes", need=f"at most {MAX_NAMES_BYTES} bytes"))
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    if path.suffix.lower() not in (".yaml", ".yml"):
        return tuple(line.strip() for line in lines if line.strip())
    names = _yaml_names(lines)
    if names is None:
        raise DataError(problem(str(path), "no names of classes", need="names: [a, b], or one per line below names:"))
    return names


def _yaml_names(lines: list[str]) -> tuple[str, ...] | None:
    """Return `names` of a YAML file; there is no need for the rest of YAML, nor for a parser of it."""
    start = next((k for k, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        return None
    rest = lines[start].partition(":")[2].partition(" #")[0].strip()
    if rest:
        text = " ".join([rest, *(line.strip() for line in lines[start + 1 :])])
        match = re.match(r"\[(.*?)\]|\{(.*?)\}", text)
        if match is None:
            return None
        cells = [cell.strip() for cell in (match.group(1) or match.group(2) or "").split(",") if cell.strip()]
    else:
        cells = []
        for line in lines[start + 1 :]:
            if line.strip() and not line.strip().startswith("#"):
                if not re.match(r"\s+\S|-", line):
                    break
                cells.append(line.partition(" #")[0].strip())
    return _ordered(cells)


def _ordered(cells: list[str]) -> tuple[str, ...] | None:
    numbered: dict[int, str] = {}
    for k, cell in enumerate(cells):
        match = re.fullmatch(r"(?:(\d{1,18})\s*:|-)?\s*(.*)", cell)
        if match is None:
            return None
        numbered[int(match.group(1)) if match.group(1) else k] = _unquoted(match.group(2))
    if not numbered or max(numbered) >= 100 * len(numbered) + 100:
        return None
    return tuple(numbered.get(k, str(k)) for k in range(max(numbered) + 1))


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _numbers(cells: list[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    try:
        numbers = np.array([float(cell) for cell in cells], dtype=np.float64)
    except ValueError:
        return None
    return numbers if len(numbers) and np.isfinite(numbers).all() else None
