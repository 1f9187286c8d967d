"""A layout -> the text of a recipe, with every setting of the model and of its training, and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from landscribe.core.recipe import ModelTable, PredictTable, ValidateTable, VectorizeTable
from landscribe.core.recipe.notes import notes_of, short_note
from landscribe.io.layout.found import FoundLabels, FoundSensor, Layout
from landscribe.io.layout.labels import colour_classes
from landscribe.io.toml_text import inline_text, key_text, value_text

WIDTH = 120
COMMENT_AT = 34
LISTED_SCENES = 200
"""More scenes of a side are not listed one by one."""


def recipe_text(layout: Layout, root: str, title: str) -> str:
    """Return the TOML of a layout.

    Args:
        layout: What was found.
        root: Value of `[data].root`.
        title: First line, without the sign of a comment.
    """
    lines = [f"# {title}", "seed = 0", "", "[data]", f"root = {value_text(root)}"]
    if layout.source != "files":
        lines.append(f"source = {value_text(layout.source)}")
        if layout.optional:
            lines.append(f"optional = {value_text(layout.optional)}")
        lines += ["", *model_text(), *_validate(layout)]
        return "\n".join(lines) + "\n"
    lines += [f"sensors.{key_text(sensor.name)} = {inline_text(_sensor_table(sensor))}" for sensor in layout.sensors]
    if layout.scene != "{scene}":
        lines.append(f"scene = {value_text(layout.scene)}")
    if layout.place != "{scene}":
        lines += [
            "# Scenes of one place never stand on both sides of the split.",
            f"place = {value_text(layout.place)}",
        ]
    lines += _labels(layout.labels)
    for sensor in layout.sensors:
        if sensor.bands:
            lines += ["", "[[data.kinds]]", f"kind = {value_text(sensor.kind)}", f"bands = {value_text(sensor.bands)}"]
            if any(sensor.wavelengths_nm):
                lines.append(f"wavelengths_nm = {value_text(sensor.wavelengths_nm)}")
            lines.append(f"bits = {sensor.bits}")
    for name, colour in colour_classes(layout.classes).items():
        lines += ["", "[[classes]]", f"name = {value_text(name)}", f"colour = {value_text(colour)}"]
    if not layout.labels:
        lines += ["", "# No labels were found: nothing can be trained. `--models DIR` predicts with finished models."]
        return "\n".join(lines) + "\n"
    lines += ["", *model_text(), *_validate(layout)]
    return "\n".join(lines) + "\n"


def model_text() -> list[str]:
    """Return `[[models]]`, `[predict]` and `[vectorize]` with all settings that a network has, at their defaults."""
    lines = ["[[models]]", *_settings(ModelTable(), skip=("spectral",))]
    table = ModelTable()
    for name in ("inputs", "network", "loss", "chips", "schedule"):
        lines += ["", f"[models.{name}]", *_settings(getattr(table, name))]
    lines += ["", "[predict]", *_settings(PredictTable())]
    return [*lines, "", "[vectorize]", *_settings(VectorizeTable()), ""]


def _settings(table: BaseModel, *, skip: Sequence[str] = ()) -> Iterator[str]:
    """Yield a line for each setting; one that is none by default stands as a comment."""
    notes = notes_of(type(table))
    for name, field in type(table).model_fields.items():
        value = getattr(table, name)
        if name in skip or (isinstance(value, BaseModel) and isinstance(table, ModelTable)):
            continue
        note = short_note(notes.get(name, ""))
        unsaid = [choice for choice in _choices(field.annotation) if f"`{choice}`" not in note]
        if unsaid and len(unsaid) == len(_choices(field.annotation)):
            note = f"{note}; one of {', '.join(unsaid)}" if note else f"One of {', '.join(unsaid)}"
        key = field.alias or name
        if value is None:
            yield from _wrapped(f"{key} is not set. {note}")
            continue
        plain = value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value
        yield from _commented(f"{key} = {value_text(plain)}", note)


def _commented(setting: str, note: str) -> Iterator[str]:
    if not note:
        yield setting
        return
    line = f"{setting:<{COMMENT_AT}}  # {note}"
    if len(line) <= WIDTH:
        yield line
        return
    yield from _wrapped(note)
    yield setting


def _wrapped(note: str) -> Iterator[str]:
    row = "#"
    for word in note.split():
        if len(row) + len(word) + 1 > WIDTH:
            yield row
            row = "#"
        row += f" {word}"
    yield row


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    found = [_choices(inner) for inner in get_args(annotation) if inner is not type(None)]
    return found[0] if len(found) == 1 else []


def _sensor_table(sensor: FoundSensor) -> dict[str, object]:
    return {"path": sensor.path, "kind": sensor.kind, **sensor.settings}


def _labels(labels: Sequence[FoundLabels]) -> list[str]:
    if not labels:
        return []
    tables = [inline_text({"path": found.path, **found.settings}) for found in labels]
    if len(tables) == 1:
        return [f"labels = {tables[0]}"]
    return ["labels = [", *(f"    {table}," for table in tables), "]"]


def _validate(layout: Layout) -> list[str]:
    lines = ["[validate]"]
    if layout.corner is not None:
        lines += [
            "# One image: a corner of it is kept out of training. What lies beside it looks alike, so the score says",
            "# little of other ground.",
            'split = "corner"',
            f"corner = {value_text(layout.corner)}",
            f"corner_px = {layout.corner_px}",
        ]
        return [*lines, *_settings_but(("split", "corner", "corner_px"))]
    kept = [scene for scene, side in layout.sides.items() if side != "train"]
    if kept and len(kept) <= LISTED_SCENES:
        # The folders say which; `whole_places` would pull their neighbours in as well.
        own = ['split = "named"                   # as the folders say', f"scenes = {value_text(kept)}"]
        return [*lines, *own, *_settings_but(("split", "scenes"))]
    return [*lines, *_settings(ValidateTable())]


def _settings_but(names: Sequence[str]) -> Iterator[str]:
    yield from _settings(ValidateTable(), skip=names)
