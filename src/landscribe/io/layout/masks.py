"""Groups of label pictures -> the label tables of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from landscribe.core.arrays import FloatArray
from landscribe.errors import RecipeError, problem
from landscribe.io.layout.classes import OBJECT, ClassTable, find_table
from landscribe.io.layout.found import FoundLabels, Inventory, Pictures
from landscribe.io.layout.groups import Group
from landscribe.io.layout.match import path_word, reach
from landscribe.io.layout.pictures import LOSSY_COLOUR, Look

BLACK, WHITE = "#000000", "#FFFFFF"
KNOWN_PALETTES = (
    ("ISPRS", {"impervious": WHITE, "building": "#0000FF", "low-vegetation": "#00FFFF", "tree": "#00FF00",
               "car": "#FFFF00", "clutter": "#FF0000"}),
    ("DeepGlobe", {"urban": "#00FFFF", "agriculture": "#FFFF00", "rangeland": "#FF00FF", "forest": "#00FF00",
                   "water": "#0000FF", "barren": WHITE, "unknown": BLACK}),
    ("MBRSC Dubai", {"building": "#3C1098", "land": "#8429F6", "road": "#6EC1E4", "vegetation": "#FEDD3A",
                     "water": "#E2A929", "unlabelled": "#9B9B9B"}),
)  # fmt: skip
"""Palettes of public data sets, whose pictures do not name their classes."""
NOT_LABELLED = frozenset(
    ("unlabelled", "unlabeled", "unlabel", "unknown", "ignore", "void", "undefined", "nodata", "none")
)
NOTHING = frozenset(("background", "other", "none_of_these", "nothing"))
OBJECTS = 8
"""Fewer values are taken for classes, however they lie."""
ONE_PATCH = 1.2
"""Patches of a value and picture up to which values number objects: these may be cut by others."""
MOVED = 8.0
"""Distance in RGB up to which the middle of a patch in a JPEG is of a known colour."""
IGNORED_VALUE = 255
"""Among small class numbers, the value that segmentation data use for pixels nobody labelled."""


def from_masks(
    inventory: Inventory, reference: Group, wishes: Mapping[str, str]
) -> tuple[list[FoundLabels], list[str]]:
    """Return the label tables of label pictures, one for each class where each has its own; and what to say.

    Args:
        inventory: Everything in the folder.
        reference: The files that decide the scenes.
        wishes: What the user said: `class`.

    Raises:
        RecipeError: If the user named pictures that are no labels.
    """
    matched: list[tuple[Pictures, str, int]] = []
    said: list[str] = []
    for found in inventory.masks:
        single = len(reference.files) == 1
        if single:
            # Several pictures of one image are a class each.
            for file in found.group.files:
                alone = replace(found.group, pattern=file.as_posix(), files=(file,), fields=({},))
                matched.append((replace(found, group=alone), file.as_posix(), 1))
            continue
        template, hits = reach(found.group, reference)
        info = found.look.info
        if hits:
            matched.append((found, template, hits))
        elif len(found.group.files) == 1 and info is not None and info.georeferenced:
            matched.append((found, found.group.pattern, len(reference.files)))  # one picture of the ground of all
        else:
            said.append(f"not used: {found.group.pattern} ({len(found.group.files)} label pictures), no image fits")
    usable = [row for row in matched if row[0].look.role != "image"]
    for found, path, _ in matched:
        if found.look.role == "image":
            got, need = _pixels(found.look), "few values or colours, alike in patches"
            if not usable and not inventory.vectors:
                do = "take files of labels, or convert these to a value for each class"
                raise RecipeError(problem(f"labels {path}", "pictures that are no masks", got=got, need=need, do=do))
            said.append(f"not used: {path}, pictures that are no masks: {got}")
    most = max((hits for *_, hits in usable), default=0)
    usable = [row for row in usable if row[2] * 2 >= most]
    if len(usable) > 1 and not all(_is_binary(found.look) for found, *_ in usable):
        usable.sort(key=lambda row: (-row[2], row[0].look.role != "values", row[1]))
        said += [f"not used: {path}, labels of the same scenes" for _, path, _ in usable[1:]]
        usable = usable[:1]
    several = len(usable) > 1
    near = [file.parent for found, *_ in usable for file in found.group.files[:1]]
    table = find_table(inventory.folder, near)
    labels = []
    for found, path, hits in usable:
        word = wishes.get("class") or path_word(inventory.folder, path, reference, several=several)[0]
        one, lines = _describe_masks(found.look, path, hits, word, table)
        labels.append(one)
        said += lines
    return labels, said


def _is_binary(look: Look) -> bool:
    """Tell whether pictures show one class: one value beside 0, or one colour beside black."""
    if look.role in ("values", "constant") and look.values is not None:
        return len(set(look.values) - {0}) <= 1
    return look.role in ("colours", "constant") and len(set(look.colours or {}) - {BLACK}) <= 1


def _describe_masks(
    look: Look, path: str, hits: int, word: str | None, table: ClassTable | None
) -> tuple[FoundLabels, list[str]]:
    if look.role == "one-hot":
        return _one_hot(look, path, hits, table)
    if numbers_objects(look) and table is None:
        return _by_object(look, path, hits, word)
    numbered = table is not None and not table.colours and look.values is not None
    if look.colours and not numbered:
        return _by_colour(look, path, hits, word, table)
    return _by_value(look, path, hits, word, table)


def numbers_objects(look: Look) -> bool:
    """Tell whether values number single objects: many of them, each in one patch of a picture."""
    several = len(set(look.values or {}) - {0}) >= OBJECTS and look.marks >= OBJECTS
    return look.role == "objects" or (look.role == "values" and several and look.blobs <= ONE_PATCH * look.marks)


def _by_object(look: Look, path: str, hits: int, word: str | None) -> tuple[FoundLabels, list[str]]:
    name = word or OBJECT
    values = f"values such as {_list(look.values)}" if look.values else "very many values"
    said = [
        f"labels {path}: pictures of {values} of {hits} scenes, each in one patch: they seem to number single objects",
        f"  all but 0 are taken for one class, {name!r}; if they number classes, list them: values = {{ NAME = 1 }}",
    ]
    return FoundLabels(path, {"values": {name: "any"}}, {name: None}, hits), said


def _pixels(look: Look) -> str:
    if look.info is None:
        return "no file that can be read"
    number = f"{look.info.count} bands of {look.info.dtype}"
    return f"{number} with many values" if look.info.dtype.startswith(("u", "i")) else f"{number}, not whole numbers"


def _say_blurred(look: Look) -> list[str]:
    if look.blurred == "lossy":
        return ["  JPEG has blurred them: what is near is taken for the nearest, and what is between is unlabelled"]
    if look.blurred == "soft":
        return ["  their borders are soft: what is near is taken for the nearest, and what is between is unlabelled"]
    return []


def _by_value(
    look: Look, path: str, hits: int, word: str | None, table: ClassTable | None
) -> tuple[FoundLabels, list[str]]:
    found = look.values or {}
    if look.role == "constant":
        found = {0: 0.0, **found} if set(found) != {0} else {0: 1.0, 255: 0.0}
    present = [value for value in found if value != 0] or [255]
    settings: dict[str, object] = {}
    said = [f"labels {path}: pictures of values {_list(found)} of {hits} scenes"]
    said += _say_blurred(look)
    if look.holes and (look.info is None or look.info.nodata is None or np.isnan(look.info.nodata)):
        settings["nodata"] = "unlabelled"
        said.append("  pixels without a number (NaN) are taken for unlabelled")
    ignored = IGNORED_VALUE if len(present) > 1 and max(set(present) - {IGNORED_VALUE}, default=255) < 200 else None
    if ignored in present:
        present.remove(IGNORED_VALUE)
        settings["unlabelled"] = IGNORED_VALUE
        said.append("  value 255 is taken for unlabelled; if it is a class, name it in values")
    known = {value: name for name, value in (table.values if table else {}).items()}
    skipped = [value for value in known if known[value].lower() in NOT_LABELLED | NOTHING]
    names = {}
    for value in present:
        if value in skipped:
            if known[value].lower() in NOT_LABELLED:
                settings["unlabelled"] = value
            continue
        alone = word if len(present) == 1 else None
        names[known.get(value, alone or (OBJECT if len(present) == 1 else f"class{value}"))] = value
    if table is not None and 0 in found and 0 in known and 0 not in skipped and set(present) <= set(known):
        names = {known[0]: 0, **names}
    elif 0 in found:
        said.append("  value 0 is taken for ground without any class; if it is one, add it to values")
    palette = look.palette or {}
    listed = table.colours if table else {}
    colours = {name: listed.get(name) or palette.get(value) for name, value in names.items()}
    if len(names) == 1:
        colours = dict.fromkeys(names)  # the one colour of a mask says nothing
    return FoundLabels(path, {"values": names, **settings}, colours, hits), said


def _by_colour(
    look: Look, path: str, hits: int, word: str | None, table: ClassTable | None
) -> tuple[FoundLabels, list[str]]:
    found = list(look.colours or {})
    if look.blurred and table is not None:
        found = list(dict.fromkeys(_nearest(colour, list(table.colours.values())) for colour in found))
    said = [f"labels {path}: pictures of {len(found)} colours of {hits} scenes"]
    said += _say_blurred(look)
    if look.blurred and table is None:
        # JPEG moves colours of a public palette by a few numbers.
        for _, palette in KNOWN_PALETTES:
            moved = [_nearest(colour, [*palette.values(), BLACK], MOVED) for colour in found]
            found = moved if len(found) >= 3 and set(moved) <= {*palette.values(), BLACK} else found
    names, source = _names_of_colours(found, table)
    if source:
        said.append(f"  classes are named by {source}")
    settings: dict[str, object] = {}
    colours: dict[str, str] = {}
    unnamed = [colour for colour in found if colour not in names]
    found = [*(colour for colour in names if colour in found), *unnamed]
    for colour in found:
        name = names.get(colour)
        if name is None and colour == BLACK:
            said.append("  black is taken for ground without any class; if it is one, add it to colours")
            continue
        if name is None:
            alone = len([other for other in unnamed if other != BLACK]) == 1 and not names
            name = (word or OBJECT) if alone else f"class{len(colours) + 1}"
        if name.lower() in NOT_LABELLED:
            settings["unlabelled"] = colour
        elif name.lower() not in NOTHING:
            colours[name] = colour
    if any(name.startswith("class") for name in colours):
        said.append("  nothing names the colours: give them names in colours and [[classes]]")
    shown: dict[str, str | None] = {**colours}
    if set(colours.values()) == {WHITE}:
        shown = dict.fromkeys(colours)
    return FoundLabels(path, {"colours": colours, **settings}, shown, hits), said


def _nearest(colour: str, listed: Sequence[str], far: float = LOSSY_COLOUR) -> str:
    """Return the listed colour that JPEG has blurred to this one, or it where none is near."""
    away = {other: np.linalg.norm(_rgb(colour) - _rgb(other)) for other in listed}
    best = min(away, key=lambda other: float(away[other]), default=colour)
    return best if best in away and away[best] <= far else colour


def _rgb(colour: str) -> FloatArray:
    return np.array(list(bytes.fromhex(colour.removeprefix("#"))), dtype=np.float64)


def _names_of_colours(found: Sequence[str], table: ClassTable | None) -> tuple[dict[str, str], str]:
    if table is not None and table.colours:
        return {colour: name for name, colour in table.colours.items()}, table.path.name
    for source, palette in KNOWN_PALETTES:
        own = {colour: name for name, colour in palette.items()}
        if len(found) >= 3 and set(found) <= set(own) | {BLACK}:
            return own, f"the palette of {source}, which has these colours"
    return {}, ""


def _one_hot(look: Look, path: str, hits: int, table: ClassTable | None) -> tuple[FoundLabels, list[str]]:
    count = look.info.count if look.info else 0
    listed = list(table.values) if table is not None and len(table.values) == count else []
    described = [text or "" for text in look.info.descriptions] if look.info else []
    names = {}
    for number in range(1, count + 1):
        name = described[number - 1] or (listed[number - 1] if listed else f"class{number}")
        if name.lower() not in NOTHING | NOT_LABELLED:
            names[name] = number
    said = [f"labels {path}: pictures of {count} bands, one for each class, of {hits} scenes"]
    return FoundLabels(path, {"bands": names}, dict.fromkeys(names), hits), said


def _list(values: Mapping[int, float]) -> str:
    shown = ", ".join(str(value) for value in list(values)[:12])
    return shown if len(values) <= 12 else f"{shown}, ..."
