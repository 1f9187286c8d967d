"""COCO: one JSON file with images, categories and what was drawn on them, as polygons or as masks in run lengths."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import shapely

from landscribe.errors import DataError, LimitError, problem
from landscribe.io.json_text import as_number, as_size, read_json, top_keys
from landscribe.io.safety import check_size
from landscribe.io.vector.layer import Drawn, drawn_layer
from landscribe.io.vector.rle import MalformedError, outline, run_lengths, window_of

EXPORTED = re.compile(r"^(.+?)(?:[_-](?:jpe?g|png|tiff?))?\.rf\.[0-9a-z]+$", re.IGNORECASE)
"""How Roboflow renames a picture."""
BOXES = "boxes without an outline"
CROWDS = "crowds, taken for ground of their class"
UNPACKED_BYTES = 4
"""Bytes in memory per pixel of a mask while it is traced."""
FULL_MASKS = 100
"""Masks as large as the picture that are unpacked for it at most; objects fill a part of it each."""


@dataclass(frozen=True)
class CocoImage:
    """A picture that a COCO file speaks of."""

    id: Any
    file_name: str
    size_hw: tuple[int, int] | None


@dataclass(frozen=True)
class Coco:
    """A COCO file, its shapes not yet looked at."""

    path: Path
    images: tuple[CocoImage, ...]
    categories: Mapping[Any, str]
    """Id -> name."""
    annotations: Mapping[Any, Sequence[Mapping[str, Any]]]
    """Image id -> what was drawn on it."""
    by_name: Mapping[str, Sequence[CocoImage]]
    """What a picture may be called, see `picture_names` -> the images that are."""
    strays: int
    """Annotations of no image, or malformed."""

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the categories that something is of, by id as they stand in the file."""
        ids = {_key(row.get("category_id")) for rows in self.annotations.values() for row in rows}
        return tuple(dict.fromkeys(name for category, name in self.categories.items() if category in ids))


def looks_like_coco(path: Path) -> bool:
    """Say whether a file begins as COCO files do; a small part of it is read."""
    keys = top_keys(path)
    geojson = keys.get("type") in ("FeatureCollection", "Feature")
    return not geojson and "shapes" not in keys and bool({"images", "annotations", "categories"} & keys.keys())


@lru_cache(maxsize=2)
def read_coco(path: Path, _when_ns: int = 0) -> Coco:
    """Read a COCO file; for one and the same modification time it is parsed once per process.

    Raises:
        DataError: If it is no COCO file, or one of results or for panoptic segmentation.
        LimitError: If it is too large for the memory or nested too deeply.
    """
    where, content = str(path), read_json(path)
    parts = {}
    for name in ("images", "annotations", "categories"):
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list):
            got = "no list of them" if isinstance(content, dict) else type(content).__name__
            raise DataError(problem(where, f"not COCO: {name}", got=got, need="images, annotations and categories"))
        parts[name] = [row for row in rows if isinstance(row, dict)]
    if any("segments_info" in row for row in parts["annotations"][:10]):
        do = "use its label pictures, with colours or values"
        raise DataError(problem(where, "COCO for panoptic segmentation, which holds no outlines", do=do))
    images = tuple(
        CocoImage(_key(row.get("id")), str(row.get("file_name", "")), _size(row.get("height"), row.get("width")))
        for row in parts["images"]
    )
    known = {image.id for image in images}
    annotations: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    strays = sum(len(content[name]) - len(parts[name]) for name in parts)
    for row in parts["annotations"]:
        if _key(row.get("image_id")) in known:
            annotations[_key(row.get("image_id"))].append(row)
        else:
            strays += 1
    categories = {_key(row.get("id")): str(row.get("name", row.get("id"))) for row in parts["categories"]}
    by_name: dict[str, list[CocoImage]] = defaultdict(list)
    for image in images:
        for name in picture_names(image.file_name):
            by_name[name].append(image)
    return Coco(path, images, categories, dict(annotations), by_name, strays)


def picture_names(file_name: str) -> set[str]:
    """Return what the picture of that file may be called: its name without folders, ending and case, as exported."""
    # Both kinds of slashes occur, whatever the machine.
    stem = PureWindowsPath(file_name).stem
    match = EXPORTED.match(stem)
    return {stem.casefold(), *([match.group(1).casefold()] if match else [])}


def drawn_on(coco: Coco, image: CocoImage) -> Drawn:
    """Return what was drawn on one image of a COCO file; what cannot be read is counted.

    Raises:
        DataError: If nothing but boxes was drawn on it.
        LimitError: If its masks would take too long to unpack.
    """
    rows = coco.annotations.get(image.id, ())
    counts: Counter[str] = Counter()
    geometries, categories = [], []
    room = _Room(f"{coco.path}, {image.file_name}", image.size_hw)
    for row in rows:
        category = coco.categories.get(_key(row.get("category_id")))
        try:
            geometry = _shape(row.get("segmentation"), room)
        except MalformedError as error:
            counts[f"malformed: {error}"] += 1
            continue
        if geometry is None:
            counts[BOXES if row.get("bbox") else "without geometry"] += 1
            continue
        counts[CROWDS] += row.get("iscrowd") == 1
        geometries.append(geometry)
        categories.append(category)
    if counts[BOXES] and not geometries:
        do = "draw outlines, or write the boxes as polygons if they are good enough"
        raise DataError(problem(str(coco.path), f"{counts[BOXES]} boxes and no outline on {image.file_name}", do=do))
    return Drawn(drawn_layer(geometries, categories, counts), image.size_hw)


class _Room:
    """How many pixels of masks may still be unpacked for a picture."""

    def __init__(self, where: str, size_hw: tuple[int, int] | None) -> None:
        self.where, self.size_hw, self.used = where, size_hw, 0

    def take(self, pixels: int, size_hw: tuple[int, int]) -> None:
        """Note that a mask is unpacked.

        Raises:
            MalformedError: If the mask is of another size than the picture.
            LimitError: If it is too large, or too many are.
        """
        if self.size_hw not in (None, size_hw):
            raise MalformedError("a mask is of another size than its picture")
        check_size(self.where, pixels * UNPACKED_BYTES)
        self.used += pixels
        if self.used > FULL_MASKS * size_hw[0] * size_hw[1]:
            text = problem(self.where, "masks that fill the picture over and over", need=f"at most {FULL_MASKS} times")
            raise LimitError(text)


def _shape(segmentation: Any, room: _Room) -> shapely.Geometry | None:
    """Return the shape of an annotation; None where it has none."""
    if isinstance(segmentation, dict):
        size = segmentation.get("size")
        height, width = (as_size(v) for v in size) if isinstance(size, list) and len(size) == 2 else (0, 0)
        runs = run_lengths(segmentation.get("counts"))
        _, _, _, cols = window_of(runs, height, width)
        room.take(cols * height, (height, width))
        return outline(runs, height, width)
    if not segmentation:
        return None
    if not isinstance(segmentation, list):
        raise MalformedError("a segmentation is no list")
    # Some write one polygon flat, without the list around it.
    parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
    polygons = [_ring(part) for part in parts]
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)


def _ring(part: Any) -> shapely.Polygon:
    if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
        raise MalformedError("a polygon is not three or more pairs of numbers")
    numbers = np.array([as_number(value) for value in part])
    if not np.isfinite(numbers).all():
        raise MalformedError("a polygon holds what is no number")
    return shapely.Polygon(numbers.reshape(-1, 2))


def _size(height: Any, width: Any) -> tuple[int, int] | None:
    size = as_size(height), as_size(width)
    return size if all(size) else None


def _key(value: Any) -> Any:
    """Return an id that can be looked up: 3, 3.0 and "3" are often meant to be one."""
    if isinstance(value, str):
        return value.strip()
    number = as_number(value)
    return str(int(number)) if math.isfinite(number) and number == int(number) else repr(value)
