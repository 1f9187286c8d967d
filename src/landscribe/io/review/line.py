"""The line of a recipe that names its reviews, put into the text and nothing else of it changed."""

from __future__ import annotations

import re
import tomllib

from landscribe.errors import RecipeError, problem

KEY = "reviews"


def with_reviews_line(text: str, folder: str, where: str) -> str:
    """Return the text of a recipe with `reviews` in its table `[data]`; as it is where it names them already.

    Args:
        text: TOML.
        folder: What the line shall name.
        where: Name of the file, for messages.

    Raises:
        RecipeError: If there is no place for the line, with the line.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    plain = text.removeprefix(mark)
    before = tomllib.loads(plain)
    if KEY in before.get("data", {}):
        return text
    end = "\r\n" if "\r\n" in plain else "\n"
    line = f'{KEY} = "{folder}"'
    header = re.search(r"(?m)^[ \t]*\[[ \t]*data[ \t]*\][^\r\n]*(\r?\n)?", plain)
    tries = [f"data.{line}{end}{plain}"]
    if header is not None:
        head = plain[: header.end()] + ("" if header.group(1) else end)
        tries.insert(0, f"{head}{line}{end}{plain[header.end() :]}")
    for changed in tries:
        if _says(changed) == {**before, "data": {**before.get("data", {}), KEY: folder}}:
            return mark + changed
    raise RecipeError(problem(where, "no place found for a line of [data]", do=f"write into [data]: {line}"))


def _says(text: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
