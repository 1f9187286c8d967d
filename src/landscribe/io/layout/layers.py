"""Vector files and their layers -> the label tables of a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from landscribe.core.grid import Grid
from landscribe.errors import RecipeError, problem
from landscribe.io.layout.classes import OBJECT, choose_column
from landscribe.io.layout.found import FoundLabels, Inventory, Vectors
from landscribe.io.layout.groups import Group
from landscribe.io.layout.match import Away, ground_of, lies_on, path_word, reach, why_away
from landscribe.io.layout.vectors import DRAWN, VectorLook, look_at_vectors
from landscribe.io.layout.words import class_word, pieces

AREA_WORDS = frozenset(("aoi", "aois", "boundary", "extent", "bounds", "studyarea", "annotated", "footprint"))
"""Layers of polygons where somebody looked, in which there are no classes."""
BUFFER = {"m": 2.0, "px": 3.0}
"""Width on each side that points and lines are given, at least a pixel: a guess that is said."""


def from_vectors(
    inventory: Inventory, reference: Group, wishes: Mapping[str, str]
) -> tuple[list[FoundLabels], list[str]]:
    """Return the label tables of vector files: a file for each scene, or files that all share; and what to say.

    Args:
        inventory: Everything in the folder.
        reference: The files that decide the scenes.
        wishes: What the user said: `class`, `class_field`.

    Raises:
        RecipeError: If nothing says which class labels are of.
    """
    said: list[str] = []
    per_scene: list[tuple[Vectors, str, int]] = []
    shared: list[tuple[Path, VectorLook]] = []
    for found in inventory.vectors:
        why = next((look.why for look in found.looks if look.kind == "other"), "")
        if not found.looks or found.looks[0].kind in ("stac", "other"):
            if why and not why.endswith("holds no labels"):
                said.append(f"not used: {found.group.pattern}, {why}")
            continue
        template, hits = reach(found.group, reference) if len(reference.files) > 1 else ("", 0)
        # A set of files of which hardly one fits an image is none of labels; one file is shared unless it is of a part.
        if hits * 3 >= len(found.group.files) and (len(found.group.files) > 1 or "{" in template):
            per_scene.append((found, template, hits))
        else:
            for path in found.group.files:
                looks = found.looks if len(found.group.files) == 1 else tuple(look_at_vectors(inventory.folder, [path]))
                shared += [(path, look) for look in looks]
    grids = list(ground_of(inventory.folder, reference)) if shared else []
    near = [(path, look) for path, look in shared if _belongs(look, reference, grids)]
    away: list[tuple[Path, Away]] = []
    for path, look in shared:
        if any(other is look for _, other in near):
            if look.crs is None and look.bounds and grids and grids[0].crs is not None:
                said.append(f"  {path.as_posix()}{_layer(look)} says no CRS: taken for that of the images")
            continue
        where = "is of other pictures" if look.pictures else "holds nothing"
        if look.bounds and grids:
            found_away = why_away(path, look, grids)
            away.append((path, found_away))
            where = "; ".join(text for text in (found_away.what, found_away.do) if text)
        said.append(f"not used: {path.as_posix()}{_layer(look)}, {where}")
    areas = [path for path, look in near if _is_area(path, look)]
    tables = [(found.looks, pattern, hits) for found, pattern, hits in per_scene]
    most = max((hits for *_, hits in tables), default=0)
    tables = [row for row in tables if row[2] * 3 >= most]
    if not tables:
        rest = [(path, look) for path, look in near if path not in areas]
        for path in dict.fromkeys(path for path, _ in rest):
            tables.append((tuple(look for own, look in rest if own == path), path.as_posix(), len(reference.files)))
        drawn = [row for row in tables if row[0][0].kind == "coco"]
        if len(drawn) > 1:  # a scene wants to be in each table, and these divide the pictures between them
            drawn.sort(key=lambda row: -len(row[0][0].pictures))
            said += [f"not used: {path}, which speaks of fewer of the pictures" for _, path, _ in drawn[1:]]
            tables = [row for row in tables if row not in drawn[1:]]
    else:
        unused = [path for path, _ in near if path not in areas]
        said += [f"not used: {path.as_posix()}, beside a file for each scene" for path in dict.fromkeys(unused)]
    labels, lines = _tables(inventory, reference, tables, wishes)
    if not labels and wishes.get("labels") and not inventory.masks:
        _refuse_named(inventory, away)
    if labels and areas:
        labels = [replace(found, settings={**found.settings, "area": areas[0].as_posix()}) for found in labels]
        lines.append(f"  {areas[0].as_posix()} is taken for the area where somebody looked")
    return labels, [*lines, *said]


def _tables(
    inventory: Inventory,
    reference: Group,
    rows: Sequence[tuple[tuple[VectorLook, ...], str, int]],
    wishes: Mapping[str, str],
) -> tuple[list[FoundLabels], list[str]]:
    """Describe the label tables of files, each with its layers.

    Raises:
        RecipeError: If several are of one class, or nothing says which class they are of.
    """
    labels, said = [], []
    most = max((hits for *_, hits in rows), default=0)
    several = sum(len(looks) for looks, *_ in rows) > 1
    info = next(found.look.info for found in inventory.images if found.group is reference)
    metric = reference.is_tile or (info is not None and info.grid.crs is not None)
    width = max(BUFFER["m"], info.grid.pixel_length if info and info.grid.crs else 0.0) if metric else BUFFER["px"]
    for looks, path, hits in rows:
        for look in looks:
            found, lines = _describe(inventory, reference, look, path, hits, wishes, several=several)
            if look.kind in ("points", "lines"):
                key, unit = ("buffer_m", "metres") if metric else ("buffer_px", "pixels")
                found = replace(found, settings={**found.settings, key: round(width, 2)})
                lines.append(f"  {look.kind} have no area: each is widened by {key} = {width:.3g} {unit}, a guess")
            if hits < most:
                found = replace(found, settings={**found.settings, "missing": "empty"})
                lines.append(
                    f"  a scene without such a file ({most - hits} of {most}) is taken for one without the class"
                )
            labels.append(found)
            said += lines
    labels = _joined(labels)
    names = [name for found in labels for name in found.classes]
    if len(labels) > 1 and len(set(names)) < len(names):
        got = ", ".join(f"{found.path} ({', '.join(found.classes)})" for found in labels)
        what = f"{len(labels)} layers fit the images, and nothing tells their classes apart"
        raise RecipeError(problem("labels", what, got=got, do="say which one: --set labels=PART of its path"))
    return labels, said


def _joined(labels: Sequence[FoundLabels]) -> list[FoundLabels]:
    """Join the tables of a file in which each layer is a class."""
    joined: list[FoundLabels] = []
    for path in dict.fromkeys(found.path for found in labels):
        own = [found for found in labels if found.path == path]
        if len(own) < 2 or not all({"class", "layer"} <= set(found.settings) for found in own):
            joined += own
            continue
        rest = {k: v for found in own for k, v in found.settings.items() if k not in ("class", "layer")}
        layers = {str(found.settings["class"]): found.settings["layer"] for found in own}
        classes = {name: colour for found in own for name, colour in found.classes.items()}
        joined.append(FoundLabels(path, {"layers": layers, **rest}, classes, own[0].scenes))
    return joined


def _is_area(path: Path, look: VectorLook) -> bool:
    words = set(pieces(look.layer or path.stem))
    alone = look.kind == "polygons" and look.layer is None
    return alone and bool(words & AREA_WORDS) and not class_word(path.stem)[1]


def _refuse_named(inventory: Inventory, away: Sequence[tuple[Path, Away]]) -> None:
    """Refuse files that the user named as labels and that cannot be any.

    Raises:
        RecipeError: With why, and what to do.
    """
    for path, found in away:
        do = found.do or "take labels of this ground, or correct the CRS that they say"
        raise RecipeError(problem(f"labels {path.as_posix()}", found.what, do=do))
    for vectors in inventory.vectors:
        for look in vectors.looks:
            why = look.why if look.kind == "other" else f"{look.kind} of none of these images"
            raise RecipeError(problem(f"labels {vectors.group.pattern}", why or "holds no labels"))


def _belongs(look: VectorLook, reference: Group, grids: Sequence[Grid]) -> bool:
    """Tell whether a file that scenes share speaks of the images: of their names, or of their ground."""
    if look.pictures:
        stems = {path.stem.casefold() for path in reference.files}
        return any(PureWindowsPath(name).stem.casefold() in stems for name in look.pictures)
    if look.kind in DRAWN:
        return len(reference.files) == 1
    return look.bounds is not None and lies_on(look, grids)


def _layer(look: VectorLook) -> str:
    return f", layer {look.layer!r}" if look.layer else ""


def _describe(
    inventory: Inventory,
    reference: Group,
    look: VectorLook,
    path: str,
    hits: int,
    wishes: Mapping[str, str],
    *,
    several: bool,
) -> tuple[FoundLabels, list[str]]:
    where = f"labels {path}{_layer(look)}"
    if look.kind in DRAWN:
        text = f"{where}: {look.kind} of {hits} scenes, which names its classes: {', '.join(look.classes[:12])}"
        return FoundLabels(path, {}, dict.fromkeys(look.classes), hits), [text]
    word, known = wishes.get("class"), True
    if word is None:
        named = f"{look.layer}.x" if look.layer else path
        word, known = path_word(inventory.folder, named, reference, several=several)
    column = choose_column(look, word, where, is_sure=known, field=wishes.get("class_field"))
    settings: dict[str, object] = {"class_field": column.field} if column.field else {"class": column.names[0]}
    if look.layer:
        settings["layer"] = look.layer
    kind = "polygons" if look.kind == "empty" else look.kind
    said = [f"{where}: {kind} of {hits} scenes, {column.why}: {', '.join(column.names[:12])}"]
    if column.names == (OBJECT,):
        said.append("  nothing names their class; rename 'object' in class and [[classes]]")
    if column.others:
        names = ", ".join(column.others)
        do = f'class_field = "{column.others[0]}" makes classes of it'
        said.append(f"  other columns that could tell classes apart: {names}; {do}")
    return FoundLabels(path, settings, dict.fromkeys(column.names), hits), said
