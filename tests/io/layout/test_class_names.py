"""What names of files, folders and layers say of classes."""

from __future__ import annotations

import tomllib
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from folders import FIELDS, HOUSES, mask, photo, polygons, save, save_layer
from landscribe.io.layout.words import class_word, pieces
from landscribe.io.project import open_project
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe
from layouts import tiles


def recipe_of(folder: Path) -> dict[str, Any]:
    recipe = folder.parent / "own.toml"
    write_recipe(folder, recipe)
    assert check(open_project(load_recipe(recipe))).errors == 0
    return tomllib.loads(recipe.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Dächer_2021", ["dächer"]),
        (unicodedata.normalize("NFD", "Dächer"), ["dächer"]),
        ("Straße", ["straße"]),
        ("здания и Реки", ["здания", "и", "реки"]),
        ("ÖlTank", ["öl", "tank"]),
        ("建物", ["建物"]),
        ("GrassLand", ["grass", "land"]),
    ],
)
def test_words_are_those_of_any_script(name: str, words: list[str]):
    assert pieces(name) == words


def test_a_short_word_of_another_script_may_be_a_class():
    assert class_word("水") == ("水", False)
    assert class_word("ab") == (None, False)


def test_layers_and_files_keep_their_letters_as_classes(tmp_path: Path):
    tiles(tmp_path / "a" / "img")
    houses, fields = ([s for k in range(3) for s in polygons(k, boxes)] for boxes in (HOUSES, FIELDS))
    save_layer(tmp_path / "a" / "daten.gpkg", houses, layer="häuser")
    save_layer(tmp_path / "a" / "daten.gpkg", fields, layer="Поля")
    found = recipe_of(tmp_path / "a")
    assert found["data"]["labels"]["layers"] == {"häuser": "häuser", "поля": "Поля"}
    assert [row["name"] for row in found["classes"]] == ["häuser", "поля"]


def test_a_class_is_not_called_after_the_images(tmp_path: Path):
    for k in range(3):
        save(tmp_path / "a" / "Photos" / f"Vineyard Nr {k}.jpg", photo(k))
        save(tmp_path / "a" / "Truth (neu)" / f"Vineyard Nr {k}.png", mask(HOUSES))
    assert recipe_of(tmp_path / "a")["data"]["labels"]["values"] == {"object": 255}
