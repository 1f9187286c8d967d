"""Which class a row of a file is of: by a column's name or id, or the same for all rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from landscribe.core.legend import LandClass, Legend, default_colour
from landscribe.errors import DataError, problem


def find_classes(
    columns: tuple[str, ...],
    attributes: pd.DataFrame,
    legend: Legend | None,
    class_name: str | None,
    class_field: str | None,
    where: str,
) -> list[LandClass | None]:
    """Return the class of each row; None where the row does not say.

    Args:
        columns: Names of all columns of the file.
        attributes: Rows; only the column of the class is looked at.
        legend: Classes that may occur; None makes one of the names that do, numbered in their order.
        class_name: Class of all rows.
        class_field: Column with the name or the id of the class. Where neither is given, all rows are of the legend's
            only class, or of the class in a column `class_name`.
        where: File at fault, for messages.

    Raises:
        DataError: If there is no such column, nothing says the class, or a class is not in the legend.
        RecipeError: If `class_name` is not in the legend.
    """
    n = len(attributes)
    if class_name is None and class_field is None:
        if legend is not None and len(legend) == 1 and "class_name" not in columns:
            class_name = legend.names[0]
        elif "class_name" in columns:
            class_field = "class_name"
        else:
            need = f"class or class_field, one of {', '.join(columns[:20]) or 'no columns'}"
            raise DataError(problem(where, "nothing says which class a polygon is of", need=need))
    if class_name is not None:
        land_class = legend.by_name(class_name) if legend is not None else LandClass(1, class_name, default_colour(0))
        return [land_class] * n
    if class_field not in columns and (n or columns):
        raise DataError(no_column(where, str(class_field), columns))
    values = attributes[class_field].tolist() if class_field in attributes else [None] * n
    require_text({as_text(v) for v in values if not is_missing(v)}, class_field or "", where)
    known = _class_table(values, legend)
    strange = sorted({as_text(v) for v in values if not is_missing(v)} - known.keys())
    if strange:
        need = " | ".join(legend.names) if legend is not None else "a name"
        got = ", ".join(repr(name[:60]) for name in strange[:5])
        raise DataError(problem(where, f"unknown class in column {class_field!r}", got=got, need=need))
    return [None if is_missing(value) else known[as_text(value)] for value in values]


def _class_table(values: list[Any], legend: Legend | None) -> dict[str, LandClass]:
    """Return what a cell may say -> class: its name first, then its id."""
    if legend is None:
        names = sorted({as_text(value) for value in values if not is_missing(value)})
        return {name: LandClass(k + 1, name, default_colour(k)) for k, name in enumerate(names)}
    return {str(c.id): c for c in legend} | {c.name: c for c in legend}


def as_text(value: Any) -> str:
    """Return what a cell says as text without spaces around it."""
    # A column of whole numbers with gaps comes as floats: 3.0 is class 3.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def is_missing(value: Any) -> bool:
    """Say whether a cell is empty, blank or not a number."""
    return value is None or value is pd.NA or value != value or (isinstance(value, str) and not value.strip())  # noqa: PLR0124


def no_column(where: str, name: str, columns: Collection[str]) -> str:
    """Compose the message for a column that a file does not have."""
    return problem(
        where, "no such column", got=repr(name), need=f"one of {', '.join(list(columns)[:20]) or 'none at all'}"
    )


def require_text(values: Any, column: str, where: str) -> None:
    """Refuse names with a zero or half a character in them.

    Raises:
        DataError: If there is one, with the column's name.
    """
    for value in values:
        text = str(value)
        # Some formats would end the text at the zero, others fail half-way.
        if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise DataError(problem(where, f"{column} that is no text", got=ascii(text[:60])))
