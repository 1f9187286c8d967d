"""Both recipes run whole on a folder in the DSTL layout, with hardly any training; the page lists every feature."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from landscribe.io.project import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.io.source.submissions import read_texts
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec

ROOT = Path(__file__).parents[2]
NUMBERS = [f"l{k:02}" for k in range(1, 37)] + [f"t{k:02}" for k in range(1, 21)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world whose training scenes show all ten classes: the recipes train on each of them."""
    folder = tmp_path_factory.mktemp("recipes") / "world"
    write_world(folder, WorldSpec(scenes=4, height=149, width=163, seed=0), unlabelled=1)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "networks", "rules"), [("dstl-lopuhin", 7, 0), ("dstl-ternaus", 6, 2), ("dstl-ternaus-water", 0, 2)]
)
def test_a_recipe_runs_whole(world: Path, tmp_path: Path, name: str, networks: int, rules: int) -> None:
    from landscribe.pipeline import run_pipeline

    recipe = load_recipe(name).recipe
    little = [f'data.root="{world}"', "validate.split=named", 'validate.scenes=["6010_0_1"]']
    trained = [k for k, model in enumerate(recipe.models) if model.kind == "network"]
    for k in trained:
        little += [f"models.{k}.network.filters=2", f"models.{k}.chips.batch=2", f"models.{k}.schedule.steps=1"]
        # Chips lie inside, and in so small a world there is no room around each vehicle.
        little += [f"models.{k}.chips.oversample=0.0"]
        little += [f"models.{k}.schedule.epochs=1", f"models.{k}.schedule.stages=[{{epochs=1, rate=1e-3}}]"]
    folder = open_run(tmp_path / "run")
    list(run_pipeline(open_project(load_recipe(name, little)), folder))
    assert len(list(folder.path("models").glob("*/model.json"))) == len(trained) == networks
    assert len(list(folder.path("models").glob("*/formula.json"))) == len(recipe.models) - networks == rules
    score = json.loads(folder.path("score.json").read_text())
    assert set(score["classes"]) >= {"building", "small-vehicle"}
    rows = read_texts(folder.path("submission.csv.gz"))
    assert [key[0] for key in rows] == ["6020_0_1"] * 10


def test_every_feature_has_a_test_named_by_its_number() -> None:
    texts = [path.read_text() for path in (ROOT / "tests" / "reference").glob("test_*.py")]
    found = {number for text in texts for number in re.findall(r"^def test_([lt]\d\d)_", text, re.MULTILINE)}
    assert found == set(NUMBERS)


def test_every_row_of_the_page_names_what_is_there() -> None:
    page = (ROOT / "docs" / "reference-methods.md").read_text()
    rows = re.findall(r"^\| ([LT])(\d+) \|", page, re.MULTILINE)
    assert [f"{letter.lower()}{int(number):02}" for letter, number in rows] == NUMBERS
    tested = re.findall(r"^\| ([LT])(\d+) \|.*?\| ((?:`test_\w+`(?:, )?)+) \|", page, re.MULTILINE)
    assert len(tested) == len(NUMBERS)
    for letter, number, files in tested:
        for name in re.findall(r"`(\w+)`", files):
            text = (ROOT / "tests" / "reference" / f"{name}.py").read_text()
            assert f"def test_{letter.lower()}{int(number):02}_" in text, (letter, number, name)
    for path in re.findall(r"`((?:core|io|nn|recipes)/[\w/.-]+)`", page):
        assert (ROOT / path).is_file() or (ROOT / "src" / "landscribe" / path).is_file(), path
