"""Names of a raster's values, from the `.aux.xml` beside it. Nothing else of that file is taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

ENDING = ".aux.xml"
MOST_BYTES = 4 << 20
"""Longer files are not read: tables of thousands of classes are none that anybody traces."""
VALUE_USAGES, NAME_USAGES = ("5", "3"), ("2",)
"""GDAL's numbers for what a column of an attribute table holds: the value itself (or its lower end), its name."""
CLASS_COLUMNS = ("classname", "class", "name", "label", "category", "landcover")
"""How columns of names are called where their use is not stated."""


def category_names(raster: Path) -> Mapping[int, str]:
    """Return the name of each value of a raster's first band; empty where no file beside it states any.

    Both of GDAL's ways are known: a list of category names, where the first one is of value 0, and an attribute table
    with a column of values and one of names.
    """
    beside = raster.with_name(raster.name + ENDING)
    if not beside.is_file() or beside.stat().st_size > MOST_BYTES:
        return {}
    text = beside.read_bytes()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        return {}  # GDAL writes neither; entities can blow up a small file
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities, and of bounded size
    except ElementTree.ParseError:
        return {}
    band = next((b for b in root.iter("PAMRasterBand") if b.get("band", "1") == "1"), None)
    if band is None:
        return {}
    listed = {k: _clean(c.text) for k, c in enumerate(band.iterfind("CategoryNames/Category"))}
    return {value: name for value, name in (_table(band) | listed).items() if name}


def _table(band: ElementTree.Element) -> dict[int, str]:
    table = band.find("GDALRasterAttributeTable")
    if table is None:
        return {}
    columns = [
        (_clean(column.findtext("Usage")), _clean(column.findtext("Name")).lower().replace("_", ""))
        for column in table.iterfind("FieldDefn")
    ]
    of_value = _column(columns, VALUE_USAGES, ("value",))
    of_name = _column(columns, NAME_USAGES, CLASS_COLUMNS)
    if of_value is None or of_name is None:
        return {}
    found = {}
    for row in table.iterfind("Row"):
        cells = [_clean(cell.text) for cell in row.iterfind("F")]
        if len(cells) == len(columns) and _is_whole(cells[of_value]):
            found[int(float(cells[of_value]))] = cells[of_name]
    return found


def _column(columns: list[tuple[str, str]], usages: tuple[str, ...], names: tuple[str, ...]) -> int | None:
    stated = [k for k, (usage, _) in enumerate(columns) if usage in usages]
    called = [k for wanted in names for k, (_, name) in enumerate(columns) if name == wanted]
    return next(iter(stated + called), None)


def _clean(text: str | None) -> str:
    return " ".join((text or "").split())[:200]


def _is_whole(text: str) -> bool:
    try:
        return float(text).is_integer()
    except ValueError:
        return False
