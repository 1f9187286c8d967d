"""How the rows of a score become JSON and back: one rule for all of them, and the schema by the same rule.

A field without a default is always written, with null where there is no value. A field with a default is left out
where it holds it: such a row has no such part.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from landscribe.errors import DataError, problem

ROW = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""Of every row: no other keys, no text for a number, no number that JSON does not know."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Row = TypeVar("Row")


def to_plain(rows: TypeAdapter[Row], row: Row) -> dict[str, Any]:
    """Return a row as JSON knows it: dicts, lists, numbers, text and None, keys in the order of the fields."""
    plain: dict[str, Any] = rows.dump_python(row, mode="json", exclude_defaults=True)
    return plain


def to_text(rows: TypeAdapter[Row], row: Row) -> str:
    """Return a row as the text of a file."""
    return json.dumps(to_plain(rows, row), indent=1, allow_nan=False)


def from_text(
    rows: TypeAdapter[Row], text: str | bytes, where: str, what: str, mend: Callable[[Any], None] | None = None
) -> Row:
    """Read a row.

    Args:
        rows: The row's type.
        text: JSON.
        where: File at fault, for the message.
        what: What it should be, such as `score`.
        mend: Adds in place what files of an earlier version lack; asked only where the text does not fit.

    Raises:
        DataError: If it is not JSON, or JSON of another shape.
    """
    try:
        return rows.validate_json(text)
    except ValidationError as error:
        reasons = error.errors(include_url=False, include_input=False)
    if mend is not None:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            content = json.loads(text)
            mend(content)
            return rows.validate_json(json.dumps(content))
    at, said = ".".join(map(str, reasons[0]["loc"])), reasons[0]["msg"]
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    raise DataError(problem(where, f"not a {what}", got=f"{at}: {said}{more}" if at else said))


def schema(rows: TypeAdapter[Row], title: str) -> dict[str, Any]:
    """Return the JSON schema of a row, draft 2020-12."""
    found = rows.json_schema(schema_generator=_Untitled)
    return {"$schema": DIALECT, **found, "title": title}


class _Untitled(GenerateJsonSchema):
    """Without a title per field, which would only say the key again."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False
