"""What is wrong with a recipe, in one line for each mistake, with "did you mean" for unknown keys."""

from __future__ import annotations

import difflib
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError


def explain(errors: ValidationError, table: Any, model: type[BaseModel]) -> str:
    """Return all mistakes in one line.

    Args:
        errors: What pydantic found.
        table: What was to be read.
        model: What it was to be.
    """
    lines = [_explain(error, _as_written(error["loc"], table), model) for error in errors.errors(include_url=False)]
    return "; ".join(dict.fromkeys(lines))


def _as_written(location: tuple[int | str, ...], table: Any) -> tuple[int | str, ...]:
    """Leave out the number of a table that is written alone where a list of them could be."""
    kept: list[int | str] = []
    for part in location:
        if isinstance(part, int) and isinstance(table, dict):
            continue
        kept.append(part)
        if isinstance(table, dict):
            table = table.get(part)
        else:
            table = table[part] if isinstance(table, list) and isinstance(part, int) and part < len(table) else None
    return tuple(kept)


def _explain(error: Any, place: tuple[int | str, ...], model: type[BaseModel]) -> str:
    location = ".".join(str(part) for part in place)
    if error["type"] == "extra_forbidden":
        known = fields_at(model, place[:-1])
        close = difflib.get_close_matches(str(place[-1]), known, n=1)
        hint = f", did you mean {close[0]!r}?" if close else f", known here: {', '.join(known)}" if known else ""
        return f"unknown key {location!r}{hint}"
    if error["type"] == "missing":
        return f"{location!r} is missing"
    if error["type"] == "value_error":
        said = str(error["ctx"]["error"])  # our own words, with names as they are written
        return f"{location!r}: {said}" if location else said
    if place[-1:] == ("[key]",):
        location = ".".join(str(part) for part in place[:-2])
        return f"{location!r}: a name that {error['msg'].lower().removeprefix('string ')}, got {error['input']!r}"
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"].startswith("^#"):
        return f"{location!r}: a colour is written '#1F77B4', got {error['input']!r}"
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        known = fields_at(model, place)
        return f"{location!r}: a table, such as {location}.{known[0] if known else 'key'} = ..., got {error['input']!r}"
    return f"{location!r}: {error['msg'].lower()}, got {error['input']!r}"


def fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are known at a place of a model; none where it has no table."""
    here: Any = model
    is_key = False  # of a table whose keys are names, such as [data].sensors
    for part in location:
        if isinstance(part, int) or is_key:
            is_key = False
            continue
        if isinstance(here, type) and issubclass(here, BaseModel):
            named = {(field.alias or key): field.annotation for key, field in here.model_fields.items()}
            annotation = named.get(str(part))
            here, is_key = _model_in(annotation), get_origin(annotation) is dict
    if isinstance(here, type) and issubclass(here, BaseModel):
        return [field.alias or key for key, field in here.model_fields.items()]
    return []


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
