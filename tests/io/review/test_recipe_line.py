"""The line that absorbing writes into a recipe, and that nothing else of the text changes."""

from __future__ import annotations

import tomllib

import pytest

from landscribe.errors import RecipeError
from landscribe.io.review.line import with_reviews_line

LINE = 'reviews = "r"'


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("seed = 1\n[data]\nroot = 'x'\n", f"seed = 1\n[data]\n{LINE}\nroot = 'x'\n"),
        ("[ data ] # mine\r\nroot = 'x'\r\n", f"[ data ] # mine\r\n{LINE}\r\nroot = 'x'\r\n"),
        ("[data]", f"[data]\n{LINE}\n"),
        ("\ufeff[data]\n", f"\ufeff[data]\n{LINE}\n"),
        ("data.root = 'x'\n", f"data.{LINE}\ndata.root = 'x'\n"),
        ("seed = 1\n", f"data.{LINE}\nseed = 1\n"),
        ("[data.sensors.RGB]\npath = 'a'\n", f"data.{LINE}\n[data.sensors.RGB]\npath = 'a'\n"),
        ("a = '''\n[data]\n'''\n[data]\n", None),
        ("data = { root = 'x' }\n", None),
    ],
)
def test_one_line_is_added(text: str, changed: str | None) -> None:
    if changed is None:
        with pytest.raises(RecipeError, match=r'write into \[data\]: reviews = "r"'):
            with_reviews_line(text, "r", "r.toml")
        return
    assert with_reviews_line(text, "r", "r.toml") == changed
    said = tomllib.loads(changed.removeprefix("\ufeff"))
    assert said["data"].pop("reviews") == "r"
    assert said == {"data": {}} | tomllib.loads(text.removeprefix("\ufeff"))


def test_a_recipe_that_names_its_reviews_stays() -> None:
    text = "[data]\nreviews = 'mine'\n"
    assert with_reviews_line(text, "r", "r.toml") == text
