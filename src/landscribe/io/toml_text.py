"""Settings as TOML writes them, and settings put into the text of a recipe whose comments stay."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from landscribe.errors import RecipeError, problem

Key = tuple[str | int, ...]
"""Tables, numbers of list items, and the setting: `("models", 0, "chips", "size")`."""
HEADER = re.compile(r"\s*(\[{1,2})\s*([A-Za-z0-9_.-]+)\s*\]{1,2}\s*(#.*)?$")
UNSET = re.compile(r"# ([A-Za-z0-9_-]+) is not set\. ?")
"""How a comment begins that `init` writes for a setting without a value."""


def value_text(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return inline_text(value) if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    return repr(value) if isinstance(value, float) else str(value)


def inline_text(table: Mapping[str, object]) -> str:
    """Return a table as TOML writes it in one line."""
    return "{ " + ", ".join(f"{key_text(key)} = {value_text(value)}" for key, value in table.items()) + " }"


def key_text(name: str) -> str:
    """Return a key as TOML writes it."""
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else value_text(name)


def put_settings(text: str, settings: Sequence[tuple[Key, object]], where: str) -> str:
    """Return the text of a recipe with other values of some settings; comments and all else stay.

    Args:
        text: TOML.
        settings: Each with its new value.
        where: The file, for the message.

    Raises:
        RecipeError: If the text is no TOML, or written in a way in which a setting cannot be put in.
    """
    try:
        wanted = tomllib.loads(text)
    except ValueError as error:
        raise RecipeError(problem(where, f"not valid TOML: {error}")) from None
    for key, value in settings:
        wanted = _changed(wanted, key, value)
        if len(key) > 1:  # a setting of no table has no place that could be told by its lines
            text = "\n".join(_put(text.rstrip("\n").split("\n"), key, value)) + "\n"
    try:
        same = tomllib.loads(text) == wanted
    except ValueError:
        same = False
    if not same:
        raise RecipeError(problem(where, "its settings cannot be put in by a program", do="write them in by hand"))
    return text


def _changed(table: dict[str, Any], key: Key, value: object) -> dict[str, Any]:
    table = deepcopy(table)
    if key[0] == "models":
        table.setdefault("models", [{}])
    at: Any = table
    for part in key[:-1]:
        at = at.setdefault(part, {}) if isinstance(part, str) else at[part]
    at[key[-1]] = value
    return table


def _put(lines: list[str], key: Key, value: object) -> list[str]:
    block, path = _block(lines, key)
    if block is None:
        head = ["", f"[[{key[0]}]]" if isinstance(key[1], int) else f"[{key[0]}]"]
        return _put([*lines, *head], key, value)
    first, stop = block
    own = next((k for k in range(first + 1, stop) if HEADER.match(lines[k])), stop)
    if len(path) == 1:
        return _in_span(lines, first + 1, own, path[0], value)
    table, name = path
    for k in range(own, stop):
        found = HEADER.match(lines[k])
        if found and found[2] == f"{key[0]}.{table}":
            after = next((n for n in range(k + 1, stop) if HEADER.match(lines[n])), stop)
            return _in_span(lines, k + 1, after, name, value)
    for k in range(first + 1, own):
        if re.match(rf"\s*{re.escape(table)}\s*\.\s*{re.escape(name)}\s*=", lines[k]):
            return [*lines[:k], _with_value(lines[k], value), *lines[k + 1 :]]
        if re.match(rf"\s*{re.escape(table)}\s*=", lines[k]):
            inner = {**_value_of(lines[k]), name: value}
            return [*lines[:k], _with_value(lines[k], inner), *lines[k + 1 :]]
    dotted = any(re.match(rf"\s*{re.escape(table)}\s*\.", lines[k]) for k in range(first + 1, own))
    new = f"{table}.{name} = {value_text(value)}" if dotted else f"{table} = {{ {name} = {value_text(value)} }}"
    return _inserted(lines, first + 1, own, new)


def _block(lines: Sequence[str], key: Key) -> tuple[tuple[int, int] | None, list[str]]:
    """Return the lines of a table with all below it, and what of the key is left within it."""
    heads = [(k, found) for k, line in enumerate(lines) if (found := HEADER.match(line))]
    starts = [k for k, found in heads if found[2] == key[0]]
    number = key[1] if isinstance(key[1], int) else 0
    rest = [str(part) for part in key[1:] if isinstance(part, str)]
    if number >= len(starts):
        return None, rest
    first = starts[number]
    own = f"{key[0]}."
    ends = [k for k, found in heads if k > first and not found[2].startswith(own)]
    return (first, min(ends, default=len(lines))), rest


def _in_span(lines: list[str], first: int, stop: int, name: str, value: object) -> list[str]:
    """Change a setting between two lines, or put it there."""
    for k in range(first, stop):
        if re.match(rf"\s*{re.escape(name)}\s*=", lines[k]):
            return [*lines[:k], _with_value(lines[k], value), *lines[k + 1 :]]
        said = UNSET.match(lines[k])
        if said and said[1] == name:
            after = k + 1
            while after < stop and lines[after].startswith("#") and not UNSET.match(lines[after]):
                after += 1
            told = [f"# {lines[k][said.end() :]}"] if len(lines[k]) > said.end() else []
            return [*lines[:k], *told, *lines[k + 1 : after], f"{name} = {value_text(value)}", *lines[after:]]
    return _inserted(lines, first, stop, f"{name} = {value_text(value)}")


def _inserted(lines: list[str], first: int, stop: int, new: str) -> list[str]:
    """Put a line behind the last setting between two lines."""
    at = first
    for k in range(first, stop):
        if lines[k].strip() and not lines[k].lstrip().startswith("#"):
            at = k + 1
    return [*lines[:at], new, *lines[at:]]


def _cut(line: str) -> tuple[str, str]:
    """Return a line without its comment, and the comment; a value of several lines gives nothing."""
    for at in [k for k, c in enumerate(line) if c == "#"] + [len(line)]:
        try:
            tomllib.loads(line[:at])
        except ValueError:
            continue
        return line[:at].rstrip(), line[at:]
    return "", ""


def _value_of(line: str) -> dict[str, Any]:
    setting, _ = _cut(line)
    (value,) = tomllib.loads(setting).values() if setting else ({},)
    return value if isinstance(value, dict) else {}


def _with_value(line: str, value: object) -> str:
    """Return a line with another value; its comment stays where it stands, if there is room."""
    setting, comment = _cut(line)
    new = f"{line.partition('=')[0].rstrip()} = {value_text(value)}"
    if not setting or not comment:
        return new
    return f"{new:<{line.index(comment, len(setting))}}{'' if len(new) < len(line) - len(comment) else '  '}{comment}"
