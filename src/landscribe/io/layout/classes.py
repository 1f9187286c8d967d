"""Which classes labels have, by what their files and the names of these say."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscribe.core.legend import named_colour, singular
from landscribe.errors import RecipeError, problem
from landscribe.io.layout.vectors import VectorLook
from landscribe.io.layout.words import pieces

CLASS_FIELDS = (
    "class_name", "classname", "class_label", "class", "label", "category", "category_name", "fclass", "landcover",
    "land_cover", "landuse", "land_use", "cover", "cls", "class_id", "classid", "label_id", "category_id", "classe",
    "klasse", "clase", "dn", "gridcode", "classvalue",
)  # fmt: skip
"""Names of columns that hold a class, the most telling first."""
VAGUE_FIELDS = (
    "kind",
    "type",
    "category_type",
    "feature",
    "name",
    "code",
    "value",
    "material",
    "object",
    "description",
)
"""Names of columns that may hold one."""
NO_CLASS = re.compile(
    r"(.*_)?(id|fid|ogc_fid|osm_id|objectid|uid|uuid|user|name|version|changeset|timestamp|date|time|source|path|file|image|"
    r"scene|tile|area|length|perimeter|shape_.*|confidence|score|\w*status|revision\d*|height|levels|comment|note|remarks|"
    r"partial\w*|address|street|city|country|postcode|layer|x|y|lat|lon|latitude|longitude)(_\d+)?",
    re.IGNORECASE,
)
"""Names of columns that hold no class, whatever their values are."""
YES = frozenset(("yes", "true", "1", "y", "t"))
TABLES = ("class_dict.csv", "classes.csv", "legend.csv", "labels.csv", "classes.json", "labelmap.txt", "classes.txt",
          "label_map.txt", "labels.txt", "obj.names", "class_names.txt")  # fmt: skip
"""Names of files that list classes."""
TABLE_BYTES = 1 << 20
OBJECT = "object"
"""Class of labels that nothing names."""


@dataclass(frozen=True)
class ClassTable:
    """A file that lists classes: names with colours, with values, or in order."""

    path: Path
    colours: Mapping[str, str]
    """Name -> `#RRGGBB`."""
    values: Mapping[str, int]
    """Name -> value; by their place in the file where it says none."""


@dataclass(frozen=True)
class ClassColumn:
    """How vector labels tell their classes."""

    field: str | None
    """The column; None where all features are of one class."""
    names: tuple[str, ...]
    """Classes."""
    why: str
    others: tuple[str, ...] = ()
    """Columns that could have been meant instead."""


def choose_column(
    look: VectorLook, word: str | None, where: str, *, is_sure: bool = True, field: str | None = None
) -> ClassColumn:
    """Choose how vector labels tell their classes.

    A column that is called as classes are goes first, then what the names of files say, then a column whose values
    are things on the ground.

    Args:
        look: What the files hold.
        word: The class that names of files and folders tell.
        is_sure: Whether that is a thing on the ground for sure.
        where: Of the labels, for messages.
        field: The column that the user named.

    Raises:
        RecipeError: If there are several columns and nothing says which, or the named one does not exist.
    """
    columns = look.columns or {}
    if field is not None:
        if field not in columns:
            raise RecipeError(problem(where, "no such column with few values", got=field, need=" | ".join(columns)))
        return ClassColumn(field, tuple(sorted(columns[field])), "as asked for")
    by_lower = {name.lower(): name for name in columns}
    telling = [by_lower[name] for name in CLASS_FIELDS if name in by_lower]
    several = {name: values for name, values in columns.items() if len(values) > 1 and not NO_CLASS.fullmatch(name)}
    others = tuple(name for name, values in several.items() if _could_be_classes(values, look.count))
    numbered = tuple(name for name, values in several.items() if _could_be_codes(values, look.count))
    for name in telling:
        if len(columns[name]) > 1 or not next(iter(columns[name])).isdigit():
            rest = tuple(other for other in others if other != name)
            return ClassColumn(name, tuple(sorted(columns[name])), f"column {name!r} names the class", rest)
    if word is not None and is_sure:
        return ClassColumn(None, (word,), "by the name of the file", others + numbered)
    tag = next((name for name, values in columns.items() if _is_tag(name, values)), None)
    if tag is not None:
        return ClassColumn(None, (singular(pieces(tag)[0]),), f"by column {tag!r}", others + numbered)
    nouns = [name for name, values in several.items() if _are_nouns(values)]
    vague = [by_lower[name] for name in VAGUE_FIELDS if name in by_lower and by_lower[name] in others]
    for name in (*nouns, *(vague if len(vague) == len(others) == 1 else ())):
        rest = tuple(other for other in others if other != name)
        return ClassColumn(name, tuple(sorted(columns[name])), f"column {name!r} names things on the ground", rest)
    # Numbers may be codes of classes or measures: a column that is called as codes are is worth a question.
    codes = tuple(by_lower[name] for name in VAGUE_FIELDS if name in by_lower and by_lower[name] in numbered)
    others += codes if others or word is None else ()
    if others:
        shown = "; ".join(f"{name}: {_some(columns[name])}" for name in others[:6])
        do = f"say which column: --set class_field={others[0]}, or one class for all: --set class=NAME"
        raise RecipeError(problem(where, "nothing says which column holds the class", got=shown, do=do))
    if word is not None:
        return ClassColumn(None, (word,), "by the name of the file, a guess", numbered)
    return ClassColumn(None, (OBJECT,), "nothing names it", numbered)


def _could_be_classes(values: Mapping[str, int], count: int) -> bool:
    # Numbers are measures or ids as a rule, and so is what hardly repeats.
    is_text = not all(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in values)
    return is_text and len(values) <= 24 and (count < 8 or len(values) * 2 <= count)


def _could_be_codes(values: Mapping[str, int], count: int) -> bool:
    """Tell whether numbers could be codes of classes: few whole ones that repeat."""
    return all(re.fullmatch(r"\d+", value) for value in values) and len(values) <= 24 and len(values) * 2 <= count


def _are_nouns(values: Mapping[str, int]) -> bool:
    # Several kinds of things, not several states of one: Original_Building, New_Building.
    colours = [colour for value in values if (colour := named_colour(value)) is not None]
    return len(set(colours)) > 1 and 2 * len(colours) >= len(values)


def _is_tag(name: str, values: Mapping[str, int]) -> bool:
    """Tell whether a column is a tag as in OpenStreetMap: called after the thing, and saying "yes"."""
    return named_colour(name) is not None and bool({value.lower() for value in values} & YES)


def _some(values: Mapping[str, int]) -> str:
    names = sorted(values, key=lambda value: -values[value])
    return ", ".join(names[:5]) + ("" if len(names) <= 5 else f" and {len(names) - 5} more")


def find_table(folder: Path, near: Sequence[Path]) -> ClassTable | None:
    """Return the file that lists classes, in a folder or beside its labels.

    Args:
        folder: The folder.
        near: Folders within it that hold labels, relative.
    """
    places = dict.fromkeys([folder, *(folder / place for path in near for place in (path, path.parent))])
    for place in places:
        for name in TABLES:
            for path in (place / name, place / name.upper()):
                if path.is_file() and path.stat().st_size <= TABLE_BYTES:
                    found = read_table(path)
                    if found is not None:
                        return found
    return None


def read_table(path: Path) -> ClassTable | None:
    """Read a list of classes: rows of name and colour or value, JSON of the same, or a name a line.

    Args:
        path: The file.

    Returns:
        The classes; None where it is none of these.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    rows = _json_rows(text) if path.suffix.lower() == ".json" else _text_rows(text)
    colours: dict[str, str] = {}
    values: dict[str, int] = {}
    for place, (name, rest) in enumerate(rows):
        numbers = [int(word) for word in rest if re.fullmatch(r"\d+", word)]
        hexed = next((word.upper() for word in rest if re.fullmatch(r"#[0-9A-Fa-f]{6}", word)), None)
        if hexed is not None:
            colours[name] = hexed
        elif len(numbers) >= 3 and max(numbers[-3:]) <= 255:
            colours[name] = "#{:02X}{:02X}{:02X}".format(*numbers[-3:])
        values[name] = numbers[0] if len(numbers) in (1, 4) else place
    return ClassTable(path, colours, values) if rows and len(values) == len(rows) else None


def _text_rows(text: str) -> list[tuple[str, list[str]]]:
    rows = []
    delimiter = next((sign for sign in (",", ";", "\t", ":") if sign in text), "\n")
    for cells in csv.reader(io.StringIO(text), delimiter=delimiter if delimiter != "\n" else ","):
        words = [part for cell in cells for part in re.split(r"[,;:\s]+" if len(cells) > 1 else r"[,;:]", cell)]
        words = [word.strip() for word in words if word.strip()]
        if not words or (words[0].startswith("#") and len(words[0]) != 7):
            continue
        named = [word for word in words if not re.fullmatch(r"\d+|#[0-9A-Fa-f]{6}", word)]
        if not named or {word.lower() for word in named} & {"name", "r", "red", "class_name"}:
            continue  # a header
        name = cells[0].strip() if cells[0].strip() in (" ".join(named), named[0]) else " ".join(named)
        rows.append((name, [word for word in words if word not in named]))
    return rows


def _json_rows(text: str) -> list[tuple[str, list[str]]]:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    items = content.get("classes", content) if isinstance(content, dict) else content
    rows: list[tuple[str, list[str]]] = []
    if isinstance(items, dict):
        # Either way round: a name and its number, or a number and its name.
        items = [{"name": v, "value": k} if str(k).isdigit() else {"name": k, "value": v} for k, v in items.items()]
    for item in items if isinstance(items, list) else []:
        if isinstance(item, str):
            rows.append((item, []))
            continue
        name = next((item[key] for key in ("name", "title", "label", "class") if key in item), None)
        rest = [item[key] for key in ("value", "id", "color", "colour") if key in item]
        if isinstance(name, str):
            rows.append((name, [str(part) for one in rest for part in (one if isinstance(one, list) else [one])]))
    return rows
