"""Pages and pictures that scripts make are as the code is now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "make"),
    [
        ("commands.md", "commands"),
        ("recipe.md", "recipes"),
        ("reference.md", "names"),
        ("score-schema.json", "scores"),
    ],
)
def test_the_reference_is_made_from_the_code(page: str, make: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == getattr(script("make_reference"), make)(), (
        "run: python docs/make_reference.py"
    )


def test_the_picture_of_the_rooms_is_drawn_from_the_imports() -> None:
    drawn = (DOCS / "images" / "rooms.svg").read_text(encoding="utf-8")
    assert drawn == script("make_architecture").draw(), "run: python docs/make_architecture.py"


def test_a_circle_of_rooms_is_refused() -> None:
    with pytest.raises(ValueError, match="a circle of rooms: a > b > a"):
        script("make_architecture").levels({"a", "b"}, {("a", "b"), ("b", "a")})
