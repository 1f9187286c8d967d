"""Which class a row of a file is of: by a column's name or id, or the same for all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from landscribe.core.legend import LandClass, Legend, default_colour
from landscribe.errors import DataError, problem
from landscribe.late import pandas as pd


def find_classes(
    columns: tuple[str, ...],
    attributes: pd.DataFrame,
    legend: Legend | None,
    class_name: str | None,
    class_field: str | None,
    where: str,
    counts: Counter[str] | None = None,
) -> list[LandClass | None]:
    """Return the class of each row; None where the row does not say, or says one that a partial legend lacks.

    Args:
        columns: Names of all columns of the file.
        attributes: Rows; only the column of the class is looked at.
        legend: Classes that may occur; None makes one of the names that do, numbered in their order.
        class_name: Class of all rows.
        class_field: Column with the name or the id of the class. Where neither is given, all rows are of the legend's
            only class, or of the class in a column `class_name`.
        where: File at fault, for messages.
        counts: Takes how many names were understood though they differ in case or blanks, by class.

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
    texts = [None if is_missing(value) else as_text(value) for value in values]
    number = Counter(text for text in texts if text is not None)
    known = _class_table(sorted(number), legend, class_field or "", where)
    for text, land_class in known.items():
        if counts is not None and legend is not None and text not in legend.by_text:
            counts[f"named {text!r}, taken for {land_class.name!r}"] += number[text]
    return [None if text is None else known.get(text) for text in texts]


def _class_table(texts: list[str], legend: Legend | None, column: str, where: str) -> dict[str, LandClass]:
    """Return what the cells of a column say -> class."""
    if legend is None:
        return {text: LandClass(k + 1, text, default_colour(k)) for k, text in enumerate(texts)}
    found = {text: legend.find(text) for text in texts}
    strange = [text for text, land_class in found.items() if land_class is None]
    if strange and not legend.is_partial:
        got = ", ".join(repr(text[:60]) for text in strange[:5])
        do = "name it in [[classes]], or in `also` of the class that it belongs to"
        raise DataError(
            problem(where, f"unknown class in column {column!r}", got=got, need=" | ".join(legend.names), do=do)
        )
    return {text: land_class for text, land_class in found.items() if land_class is not None}


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
